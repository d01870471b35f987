"""Everything that a `hessian` may return, and what is said about the rest."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastopt

NEWTON = ("trust-region", "arc", "saddle-free-newton")
each = pytest.mark.parametrize("method", NEWTON)
each_way = pytest.mark.parametrize("subproblem", ["auto", "dense", "lanczos"])
H = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])


def solve(method: str, hess: Any, **options: Any) -> Any:
    n = options.pop("n", 3)
    h = H if n == 3 else np.diag(np.arange(1.0, n + 1))
    return fastopt.minimize(
        lambda x: 0.5 * float(x @ h @ x) - x.sum(),
        lambda x: h @ x - 1,
        np.zeros(n),
        method,
        hessian=hess,
        **options,
    )


def forms() -> dict[str, Any]:
    sparse = pytest.importorskip("scipy.sparse")
    operator = pytest.importorskip("scipy.sparse.linalg").aslinearoperator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.asmatrix(H)
    return {
        "list": H.tolist(),
        "tuple": tuple(map(tuple, H.tolist())),
        "float32": H.astype(np.float32),
        "integers": np.rint(2 * H).astype(int),
        "fortran": np.asfortranarray(H),
        "np.matrix": matrix,
        **{kind: getattr(sparse, kind)(H) for kind in ("csr_matrix", "csc_matrix", "coo_matrix")},
        **{kind: getattr(sparse, kind)(H) for kind in ("csr_array", "coo_array", "dia_array", "lil_array")},
        "operator": operator(H),
        "operator of a sparse": operator(sparse.csr_array(H)),
        "hvp": fastopt.hvp(lambda x: H @ x, np.zeros(3)),
    }


@each
@each_way
def test_forms_of_a_hessian(subproblem: str, method: str) -> None:
    for name, h in forms().items():
        r = solve(method, lambda x, h=h: h, subproblem=subproblem)
        assert r.success, name
        np.testing.assert_allclose(r.x, np.linalg.solve(H, np.ones(3)), atol=1e-5, err_msg=name)


@each
def test_a_large_sparse_hessian_is_never_made_dense(method: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")

    class Sparse(sparse.csr_array):
        def toarray(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("made dense")

    n = 3000
    r = fastopt.minimize(
        lambda x: float((x**4).sum() / 4 + 0.5 * ((x[1:] - x[:-1]) ** 2).sum() - x.sum()),
        lambda x: x**3 - 1 + np.r_[0, x[1:] - x[:-1]] - np.r_[x[1:] - x[:-1], 0],
        np.zeros(n),
        method,
        hessian=lambda x: Sparse(
            sparse.dia_array(
                (np.stack([3 * x**2 + np.r_[1, np.full(n - 2, 2), 1], -np.ones(n), -np.ones(n)]), [0, 1, -1]),
                shape=(n, n),
            )
        ),
    )
    assert r.success
    np.testing.assert_allclose(r.x, 1, atol=1e-4)


@each
def test_one_variable_may_have_a_number_for_a_hessian(method: str) -> None:
    for h in (2.0, np.float64(2), np.array(2.0), [2.0], [[2]], np.array([2.0])):
        r = fastopt.minimize(
            lambda x: float(x[0] ** 2), lambda x: 2 * x[0], np.ones(1), method, hessian=lambda x, h=h: h
        )
        assert r.success
        assert r.x == pytest.approx(0, abs=1e-5)


BAD = [
    (np.eye(2), ValueError, r"hessian: expected shape \(3, 3\), got \(2, 2\)"),
    (np.ones(3), ValueError, r"hessian: expected a square matrix .* got shape \(3,\)"),
    (2.0, ValueError, r"hessian: expected a square matrix .* got shape \(\)"),
    (H * 1j, TypeError, "hessian: expected float64 or float32, got complex128"),
    (H.astype(np.float16), TypeError, "hessian: expected float64 or float32, got float16"),
    (None, TypeError, "hessian: expected a square matrix .*None"),
    ("diag", TypeError, "hessian: expected a square matrix .*'diag'"),
    ([[1, 2, 3], [4]], ValueError, "hessian: expected a square matrix"),
    (np.triu(H), ValueError, r"hessian: expected a symmetric matrix, .*worst at \(0, 1\): 1, transposed 0"),
]


@each
@each_way
@pytest.mark.parametrize("case", range(len(BAD)))
def test_what_is_no_hessian_is_named(case: int, subproblem: str, method: str) -> None:
    value, error, words = BAD[case]
    with pytest.raises(error, match=words):
        solve(method, lambda x: value, subproblem=subproblem)


@each
@each_way
def test_sparse_and_operators_are_checked_too(subproblem: str, method: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    operator = pytest.importorskip("scipy.sparse.linalg").aslinearoperator
    for wrong in (sparse.csr_array(np.eye(2)), operator(np.eye(2))):
        with pytest.raises(ValueError, match=r"hessian: expected shape \(3, 3\), got \(2, 2\)"):
            solve(method, lambda x, h=wrong: h, subproblem=subproblem)
    for wrong in (sparse.csr_array(H * 1j), operator(H * 1j)):
        with pytest.raises(TypeError, match="hessian: expected float64 or float32"):
            solve(method, lambda x, h=wrong: h, subproblem=subproblem)


@each
@each_way
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_hessian_that_is_not_finite_is_named(bad: float, subproblem: str, method: str) -> None:
    h = np.diag([bad, 1.0, 2.0])
    sparse = pytest.importorskip("scipy.sparse")
    operator = pytest.importorskip("scipy.sparse.linalg").aslinearoperator
    for form in (h, h.tolist(), sparse.csr_array(h), operator(h)):
        with np.errstate(invalid="ignore"):
            r = solve(method, lambda x, h=form: h, subproblem=subproblem)
        assert r.status == 3
        assert "hessian returned NaN or infinity" in r.message
        np.testing.assert_array_equal(r.x, 0)
