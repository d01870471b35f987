"""as_operator: whatever the user gives is called, checked and counted in one way."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastopt.linalg._operator import Operator, as_operator

H = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 4.0], [0.0, 4.0, 1.0]])
V = np.array([1.0, -1.0, 2.0])


def with_matvec(matrix, **more):
    return SimpleNamespace(matvec=lambda v: matrix @ v, shape=matrix.shape, **more)


@pytest.mark.parametrize(
    "op",
    [
        H,
        H.tolist(),
        H.astype(int),
        H.astype(">f8"),
        np.asfortranarray(H),
        with_matvec(H),
        with_matvec(H, dtype="float64"),
        with_matvec(H, dtype="torch.float64"),
    ],
)
def test_every_kind_multiplies(op):
    operator = as_operator(op)
    assert operator.shape == (3, 3)
    assert operator.n == 3
    assert np.array_equal(operator.matvec(V), H @ V)
    assert operator.dtype == np.float64
    assert operator.products == 1
    assert as_operator(operator, 3) is operator
    assert as_operator(op, n=3).products == 0


def test_a_function_needs_its_order():
    operator = as_operator(lambda v: H @ v, 3)
    assert operator.dtype is None
    assert np.array_equal(operator.matvec(V), H @ V)
    assert operator.dtype == np.float64
    with pytest.raises(ValueError, match="n: expected the order of op"):
        as_operator(lambda v: v)

    def f(v):
        return H @ v

    f.shape = (3, 3)
    f.dtype = np.float32
    assert as_operator(f).dtype == np.float32


def test_scipy():
    linalg = pytest.importorskip("scipy.sparse.linalg")
    sparse = pytest.importorskip("scipy.sparse")
    for op in (linalg.aslinearoperator(H), sparse.csr_array(H), sparse.csr_matrix(H)):
        assert np.array_equal(as_operator(op).matvec(V), H @ V)


def test_float32_is_met_by_matrix_announcement_or_first_result():
    seen = []

    def f(v):
        seen.append(v.dtype)
        return H.astype(np.float32) @ v.astype(np.float32)

    for op in (H.astype(np.float32), f, with_matvec(H, dtype=np.float32)):
        operator = as_operator(op, 3)
        assert operator.matvec(V).dtype == np.float32
        assert operator.dtype == np.float32
        assert operator.matvec(V).dtype == np.float32
    assert seen == [np.float64, np.float32]


def test_the_function_owns_its_vector_and_the_caller_the_product():
    kept = []
    buffer = np.zeros(3)

    def f(v):
        kept.append(v)
        buffer[:] = H @ v
        v[:] = 7
        return buffer

    operator = as_operator(f, 3)
    given = V.copy()
    given.flags.writeable = False
    first = operator.matvec(given)
    second = operator.matvec(2 * given)
    assert np.array_equal(given, V)
    assert np.array_equal(first, H @ V)
    assert np.array_equal(second, 2 * H @ V)
    assert kept[0] is not kept[1]
    identity = as_operator(lambda v: v, 3)
    assert identity.matvec(given) is not given


def test_the_matrix_is_not_copied():
    assert as_operator(H).matrix is H
    assert as_operator(with_matvec(H)).matrix is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_that_are_not_finite(bad, dtype):
    product = np.array([1, bad, 1], dtype)
    with pytest.raises(np.linalg.LinAlgError, match="op: product 1 holds NaN or infinity"):
        as_operator(lambda v: product, 3).matvec(V)


def test_large_products_are_finite():
    assert as_operator(lambda v: v * 1e300, 3).matvec(V)[2] == 2e300


@pytest.mark.parametrize(
    ("op", "n", "error", "message"),
    [
        (np.zeros((2, 3)), None, ValueError, r"op: expected a square shape"),
        (np.zeros(3), None, ValueError, r"op: expected a square shape"),
        (np.zeros((0, 0)), None, ValueError, r"op: expected a square shape"),
        (H.astype(complex), None, TypeError, "op: expected float64, float32 or integers, got complex128"),
        (H.astype(np.float16), None, TypeError, "got float16"),
        (with_matvec(H, dtype=complex), None, TypeError, "op: expected dtype float64 or float32"),
        (SimpleNamespace(matvec=lambda v: v), None, ValueError, "op: expected a square shape"),
        (H, 4, ValueError, "n: expected 3, the order of op, got 4"),
        (H, 0, ValueError, "n: expected an integer >= 1"),
        (H, 3.0, TypeError, "n: expected an integer >= 1"),
        (object(), None, TypeError, "op: expected a square matrix, a callable"),
        (None, 3, TypeError, "op: expected a square matrix, a callable"),
    ],
)
def test_what_is_refused(op, n, error, message):
    with pytest.raises(error, match=message):
        as_operator(op, n)


@pytest.mark.parametrize(
    ("product", "error", "message"),
    [
        (np.zeros(4), ValueError, r"op: expected products of shape \(3,\), got \(4,\)"),
        (np.zeros((3, 1)), ValueError, r"got \(3, 1\)"),
        (None, ValueError, r"got \(\)"),
        (np.zeros(3, complex), TypeError, "op: expected products in float64 or float32, got complex128"),
    ],
)
def test_products_that_are_refused(product, error, message):
    with pytest.raises(error, match=message):
        as_operator(lambda v: product, 3).matvec(V)
    with pytest.raises(ValueError, match=r"v: expected shape \(3,\)"):
        Operator(lambda v: v, 3, None).matvec(np.zeros(2))


def test_errors_of_the_function_pass_through():
    def f(v):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        as_operator(f, 3).matvec(V)
