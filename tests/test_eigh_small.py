"""Single matrices of order 0 to 16, which have a route of their own, and arrays that results may go to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from eigen_matrices import matrices, ratios
from fastopt.linalg import EighResult, eigh, eigvalsh

DTYPES = (np.float64, np.float32)
LIMIT = 10  # n ulp


def symmetric(*shape, dtype=np.float64, seed=0):
    a = np.random.default_rng(seed).standard_normal(shape)
    return (a + a.swapaxes(-1, -2)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", range(1, 18))
def test_ratios(n, dtype):
    for name, a in matrices(n, dtype):
        for what, ratio in ratios(a, eigh, eigvalsh).items():
            assert ratio < LIMIT, f"{name}: {what} {ratio:.3g} n ulp"
        assert (np.diff(eigvalsh(a)) >= 0).all()
        assert (np.diff(eigh(a).eigenvalues) >= 0).all()


@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("n", [2, 3])
def test_nearly_equal_values_keep_all_digits(n, gap):
    """Where the closed forms lose half of theirs (vectors orthogonal to 1e-9 only)."""
    q = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]
    a = (q * (1 + gap * np.arange(n))) @ q.T
    a = (a + a.T) / 2
    w, v = eigh(a)
    np.testing.assert_allclose(v.T @ v, np.eye(n), atol=1e-15)
    np.testing.assert_allclose(a @ v, w * v, atol=2e-15)


@pytest.mark.parametrize("seed", range(20))
def test_values_of_order_two_exactly(seed):
    rng = np.random.default_rng(seed)
    a = symmetric(2, 2, seed=seed) * 10.0 ** rng.integers(-3, 4)
    a[1, 1] *= 10.0 ** rng.integers(-9, 1)
    low, high = (Fraction(float(x)) for x in eigvalsh(a))
    p, q, r = (Fraction(float(x)) for x in (a[0, 0], a[1, 0], a[1, 1]))
    unit = Fraction(float(np.finfo(float).eps)) * max(abs(low), abs(high))
    assert abs(low + high - (p + r)) <= 4 * unit
    assert abs(low * high - (p * r - q * q)) <= 4 * unit * max(abs(low), abs(high))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (16, 16), (40, 40), (3, 5, 5), (0, 2, 2), (0, 0)])
def test_plain_and_other_arrays_take_the_same_way(shape, dtype):
    a = symmetric(*shape, dtype=dtype)
    for uplo in "LU":
        plain, other = eigh(a, uplo), eigh(a.view(np.memmap), uplo.lower())
        assert type(plain) is type(other) is EighResult
        for x, y in zip(plain, other, strict=True):
            assert type(x) is type(y) is np.ndarray
            assert x.dtype == y.dtype == dtype
            assert np.array_equal(x, y)
        assert np.array_equal(eigvalsh(a, uplo), eigvalsh(a.view(np.memmap), uplo.lower()))
    assert eigh(a).eigenvectors.flags.writeable


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (5, 5), (50, 50), (9, 3, 3), (2, 2, 33, 33), (3, 60, 60), (0, 0)]
)
@pytest.mark.parametrize("method", ["auto", "jacobi"])
def test_results_into_arrays_of_the_caller(shape, dtype, method):
    a = symmetric(*shape, dtype=dtype)
    before = a.copy()
    expected = eigh(a, method=method)
    w = np.full(shape[:-1], np.nan, dtype)
    rows, columns = np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype).swapaxes(-1, -2)
    for v in (rows, columns):
        result = eigh(a, method=method, out=(w, v))
        assert result.eigenvalues is w
        assert result.eigenvectors is v
        assert np.array_equal(w, expected.eigenvalues)
        assert np.array_equal(v, expected.eigenvectors)
    w[...] = np.nan
    assert eigvalsh(a, method=method, out=w) is w
    assert np.array_equal(w, eigvalsh(a, method=method))
    assert np.array_equal(a, before)


def test_outputs_that_do_not_fit_are_refused_and_left_alone():
    a = symmetric(3, 4, 4)
    w, v = np.full((3, 4), 7.0), np.full((3, 4, 4), 7.0)
    frozen = v.copy()
    frozen.flags.writeable = False
    wide = np.full((3, 8, 8), 7.0)[:, ::2, ::2]
    both = np.full((3, 5, 4), 7.0)
    expected = r"out\[1\]: expected a writeable float64 array of shape \(3, 4, 4\), got "
    for out, error, text in (
        ([w, v], TypeError, "out: expected a tuple of two arrays, got list"),
        ((w,), TypeError, "out: expected a tuple of two arrays"),
        ((w, v.tolist()), TypeError, expected + "list"),
        ((w, v.astype(np.float32)), TypeError, expected + "float32"),
        ((w, v[:2]), ValueError, expected + r"shape \(2, 4, 4\)"),
        ((w, frozen), ValueError, expected + "a read-only one"),
        ((w, a), ValueError, r"out\[1\]: expected memory of its own"),
        ((w, wide), ValueError, r"out\[1\]: expected matrices that lie one behind the other"),
        ((v[:, 0], v), ValueError, r"out\[0\]: expected a C-contiguous array"),
        (
            (both.reshape(-1)[:12].reshape(3, 4), both.reshape(-1)[8:56].reshape(3, 4, 4)),
            ValueError,
            "out: expected",
        ),
        ((a[0, :3], v), ValueError, r"out\[0\]: expected memory of its own"),
        ((w[:, :3], v), ValueError, r"out\[0\]: expected a writeable float64 array of shape \(3, 4\)"),
    ):
        with pytest.raises(error, match=text):
            eigh(a, out=out)
    with pytest.raises(
        TypeError, match=r"out: expected a writeable float64 array of shape \(3, 4\), got tuple"
    ):
        eigvalsh(a, out=(w, v))
    with pytest.raises(ValueError, match=r"out: expected a C-contiguous array, got strides"):
        eigvalsh(a, out=v[:, 0])
    for array in (w, v, wide, both):
        assert (array == 7).all()
    assert np.array_equal(a, symmetric(3, 4, 4))


@pytest.mark.parametrize("method", ["auto", "jacobi"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (7, 7), (33, 33), (300, 300), (40, 3, 3), (40, 20, 20), (5, 60, 60)]
)
def test_vectors_into_the_matrices(shape, method):
    a = symmetric(*shape)
    expected = eigh(a, method=method)
    for order in ("rows", "columns"):
        mine = a.copy() if order == "rows" else np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
        w, v = eigh(mine, method=method, overwrite_a=True)
        assert np.shares_memory(v, mine)
        assert np.array_equal(w, expected.eigenvalues)
        assert np.array_equal(v, expected.eigenvectors)


def test_matrices_that_cannot_take_the_vectors_stay():
    a = symmetric(6, 6)
    frozen, integers = a.copy(), (10 * a).astype(int)
    frozen.flags.writeable = False
    integers += integers.T
    wide = np.zeros((12, 12))
    wide[::2, ::2] = a
    stack = np.broadcast_to(a, (3, 6, 6))
    for other in (frozen, integers, wide[::2, ::2], stack, a.astype(">f8"), a.tolist()):
        before = np.array(other)
        v = eigh(other, overwrite_a=True).eigenvectors
        assert np.array_equal(other, before)
        assert not np.shares_memory(v, other)
        assert np.array_equal(v, eigh(other).eigenvectors)
