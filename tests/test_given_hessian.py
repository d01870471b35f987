"""What may be given as `hessian`, and that everything else is refused by this name."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt import check_grad, critical_point, escape, why_stalled

D = np.diag([1.0, 2.0, -3.0])


def f(x):
    return 0.5 * x @ D @ x


def grad(x):
    return D @ x


def with_entry(value):
    h = D.copy()
    h[1, 2] = h[2, 1] = value
    return h


USES = {
    "critical_point": lambda h: critical_point(grad, np.zeros(3), hessian=h).kind,
    "critical_point at x": lambda h: critical_point(grad, np.zeros(3), hessian=lambda x: h).kind,
    "the matrix alone": lambda h: critical_point(None, None, hessian=h).kind,
    "counts only": lambda h: critical_point(None, None, hessian=h, counts_only=True).kind,
    "escape": lambda h: escape(f, grad, np.zeros(3), hessian=h).moved and "saddle",
    "why_stalled": lambda h: why_stalled(f, grad, np.zeros(3), 0.1, hessian=h).point.kind,
    "check_grad": lambda h: check_grad(f, grad, np.ones(3), hessian=h).ok and "saddle",
}


class Doubled:
    """An operator that knows nothing but products and its shape."""

    shape = (3, 3)

    def matvec(self, v):
        return D @ v


GOOD = {
    "integers": D.astype(int),
    "lists": D.tolist(),
    "float32": D.astype(np.float32),
    "operator": Doubled(),
    "exact products": fastopt.hvp(None, np.zeros(3), hvp=lambda v: D @ v),
    "differences": fastopt.hvp(grad, np.zeros(3)),
    "masked, without a mask": np.ma.masked_array(D),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", GOOD)
def test_matrices_of_all_kinds(name, use):
    assert USES[use](GOOD[name]) == "saddle"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # numpy.matrix
@pytest.mark.parametrize("use", USES)
def test_sparse_matrices_and_operators_of_scipy(use):
    sparse = pytest.importorskip("scipy.sparse", reason="no SciPy to make sparse matrices")
    linalg = pytest.importorskip("scipy.sparse.linalg", reason="no SciPy to make operators")
    for h in (sparse.csr_matrix(D), sparse.coo_matrix(D), linalg.aslinearoperator(D), np.asmatrix(D)):
        assert USES[use](h) == "saddle"


def test_large_sparse_matrices_stay_sparse():
    sparse = pytest.importorskip("scipy.sparse", reason="no SciPy to make sparse matrices")
    d = np.ones(6000)
    d[7] = -1.0
    point = critical_point(lambda x: d * x, np.zeros(6000), hessian=sparse.diags(d).tocsr())
    assert (point.kind, point.hessian) == ("saddle", None)


BAD = {
    "infinite": (np.diag([np.inf, 1.0, 1.0]), ValueError, r"expected finite numbers, got inf at \(0, 0\)"),
    "minus infinity": (with_entry(-np.inf), ValueError, r"expected finite numbers, got -inf at \(1, 2\)"),
    "NaN": (with_entry(np.nan), ValueError, r"expected finite numbers, got nan at \(1, 2\)"),
    "float32 infinity": (with_entry(np.inf).astype(np.float32), ValueError, "expected finite numbers"),
    "a vector": (np.ones(3), ValueError, r"expected a square matrix .* got shape \(3,\)"),
    "a stack": (np.ones((3, 3, 3)), ValueError, "expected a square matrix"),
    "not square": (np.ones((3, 2)), ValueError, "expected a square matrix"),
    "nothing": (np.ones((0, 0)), ValueError, "expected a square matrix"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "expected a square matrix"),
    "complex": (1j * D, TypeError, "expected float64 or float32, got complex128"),
    "objects": (D.astype(object), TypeError, "expected float64 or float32, got object"),
    "half": (D.astype(np.float16), TypeError, "expected float64 or float32, got float16"),
    "a text": ("abc", TypeError, "expected a square matrix"),
    "a dict": ({}, TypeError, "expected a square matrix"),
    "masked": (np.ma.masked_array(D, mask=D > 1), ValueError, "expected a value for every entry"),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", BAD)
def test_everything_else_is_refused_by_name(name, use):
    h, error, words = BAD[name]
    with pytest.raises(error, match=f"^hessian: {words}"):
        USES[use](h)


@pytest.mark.parametrize("use", [u for u in USES if u not in ("the matrix alone", "counts only")])
def test_the_wrong_order(use):
    class Small(Doubled):
        shape = (2, 2)

    for h in (np.eye(2), Small()):
        with pytest.raises(ValueError, match=r"^hessian: expected .*shape \(3, 3\)"):
            USES[use](h)


@pytest.mark.parametrize("use", [u for u in USES if u != "check_grad"])
def test_matrices_that_are_not_symmetric(use):
    h = np.eye(3)
    h[0, 1] = 5.0
    with pytest.raises(ValueError, match=r"^hessian: expected a symmetric matrix"):
        USES[use](h)


@pytest.mark.parametrize("h", [2.0, np.float32(2), [2.0], [[2]], lambda x: np.array(2.0)])
def test_a_number_for_one_variable(h):
    assert critical_point(lambda x: 2 * x, np.zeros(1), hessian=h).kind == "minimum"
    assert check_grad(lambda x: x[0] ** 2, lambda x: 2 * x, np.ones(1), hessian=h).ok
