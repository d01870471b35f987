"""fastopt.linalg.eigh and eigvalsh behave as numpy.linalg's; where they promise more, that too."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

import fastopt
from fastopt.linalg import EighResult, eigh, eigvalsh
from pressing import Pressed, pressed_after


def symmetric(*shape, dtype=np.float64, seed=0):
    a = np.random.default_rng(seed).standard_normal(shape)
    return (a + a.swapaxes(-1, -2)).astype(dtype)


def check(a, w, v, tolerance=1e-12):
    assert (np.diff(w, axis=-1) >= 0).all()
    scale = np.abs(a).max(initial=1)
    np.testing.assert_allclose(a @ v, w[..., None, :] * v, atol=tolerance * scale * max(1, a.shape[-1]))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (5, 5), (3, 4, 4), (2, 3, 7, 7), (0, 4, 4), (4, 0, 0)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shapes(shape, dtype):
    a = symmetric(*shape, dtype=dtype)
    result = eigh(a)
    assert isinstance(result, EighResult)
    assert result.eigenvalues.shape == shape[:-1]
    assert result.eigenvectors.shape == shape
    assert result.eigenvalues.dtype == result.eigenvectors.dtype == dtype
    check(a, *result, tolerance=100 * np.finfo(dtype).eps)
    values = eigvalsh(a)
    assert values.shape == shape[:-1]
    assert values.dtype == dtype
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int32, np.int64])
def test_integers_become_float64(dtype):
    a = np.array([[1, 1], [1, 0]]).astype(dtype)
    w, v = eigh(a)
    assert w.dtype == v.dtype == np.float64
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a))
    assert eigvalsh(a.tolist()).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, np.complex128, np.longdouble, object, "M8[s]"])
def test_other_dtypes_are_refused(dtype):
    for f in (eigh, eigvalsh):
        with pytest.raises(TypeError, match="a: expected float64, float32 or integers"):
            f(np.zeros((2, 2)).astype(dtype))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 3, 2), (0, 1)])
def test_shapes_that_are_not_square(shape):
    for f in (eigh, eigvalsh):
        with pytest.raises(np.linalg.LinAlgError, match="a: expected square matrices"):
            f(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 24, 25, 40, 100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(n, bad, dtype):
    for place in {(0, 0), (n - 1, n - 1), (n - 1, 0), (n // 2, n // 2)}:
        a = symmetric(n, n, dtype=dtype)
        a[place] = bad
        for f in (eigh, eigvalsh):
            with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
                f(a)
            with pytest.raises(np.linalg.LinAlgError, match="matrix 1 of the stack"):
                f(np.stack([np.eye(n, dtype=dtype), a]))


@pytest.mark.parametrize("n", [1, 2, 5, 33, 100])
@pytest.mark.parametrize("order", ["C", "F"])
def test_only_one_triangle_is_read(n, order):
    a = np.array(symmetric(n, n), order=order)
    for uplo, other in (("L", np.triu_indices(n, 1)), ("U", np.tril_indices(n, -1))):
        half = a.copy(order="K")
        half[other] = np.nan
        for text in (uplo, uplo.lower()):
            check(a, *eigh(half, UPLO=text))
            np.testing.assert_allclose(eigvalsh(half, text), np.linalg.eigvalsh(a), atol=1e-12 * n)
    assert np.array_equal(eigvalsh(a), eigvalsh(np.tril(a)))


@pytest.mark.parametrize("uplo", ["", "X", "lower", 1, None])
def test_other_triangles(uplo):
    for f in (eigh, eigvalsh):
        with pytest.raises(ValueError, match="UPLO: expected 'L' or 'U'"):
            f(np.eye(2), uplo)


def test_any_strides():
    n = 40
    a = symmetric(n, n)
    expected = eigvalsh(a)
    wide = np.full((3 * n, 2 * n), np.nan)
    wide[::3, ::2] = a
    backwards = a[::-1, ::-1].copy()[::-1, ::-1]
    records = np.zeros((n, n), dtype=[("pad", "u1"), ("x", "f8")])
    records["x"] = a
    swapped = a.astype(">f8")
    for view in (wide[::3, ::2], backwards, a.T, np.asfortranarray(a), records["x"], swapped):
        before = view.copy()
        np.testing.assert_allclose(eigvalsh(view), expected, atol=1e-12)
        check(a, *eigh(view))
        assert (view == before).all()
    assert np.array_equal(eigvalsh(np.broadcast_to(2.0, (3, 3))).round(12), [0, 0, 6])
    stack = np.broadcast_to(a, (3, n, n))
    assert np.array_equal(eigvalsh(stack), eigvalsh(stack.copy()))
    np.testing.assert_allclose(eigvalsh(stack), np.stack([expected] * 3), atol=1e-12)  # another route


def test_input_that_is_read_only():
    a = symmetric(50, 50)
    a.flags.writeable = False
    check(a, *eigh(a))


@pytest.mark.parametrize("n", [30, 300, 700])
def test_threads_agree(n):
    a = symmetric(n, n)
    before = fastopt.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fastopt.set_num_threads(threads)
            check(a, *eigh(a))
            np.testing.assert_allclose(eigvalsh(a), np.linalg.eigvalsh(a), atol=1e-12 * n)
    finally:
        fastopt.set_num_threads(before)


def test_many_python_threads_at_once():
    a = symmetric(300, 300)
    expected = np.linalg.eigvalsh(a)
    failures = []

    def work():
        try:
            for _ in range(3):
                check(a, *eigh(a))
                np.testing.assert_allclose(eigvalsh(a), expected, atol=1e-10)
        except AssertionError as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_ctrl_c_ends_a_long_call():
    """The last matrix of the stack was never reached: its values are still what was there before."""
    n, count = 1000, 20
    a = np.eye(n) + 1 / (1.0 + np.arange(n)[:, None] + np.arange(n))
    values, vectors = np.full((count, n), np.nan), np.empty((count, n, n)).swapaxes(-1, -2)
    with pressed_after(0.05), pytest.raises(Pressed):
        eigh(np.broadcast_to(a, (count, n, n)), out=(values, vectors))
    assert np.isnan(values[-1]).all()
    eigh(a)
