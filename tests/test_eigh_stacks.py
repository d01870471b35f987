"""Stacks of matrices: what a matrix gets in a stack is what it gets alone, whatever its neighbours are."""

from __future__ import annotations

import signal

import numpy as np
import pytest

import fastopt
from eigen_matrices import matrices, one_norm, ratios
from fastopt import _dispatch
from fastopt.linalg import eigh, eigvalsh
from pressing import Pressed, pressed_after

DTYPES = (np.float64, np.float32)
LIMIT = 10  # n ulp, as for single matrices
LANES = 16  # the widest vector: float32 with AVX-512; a group is two vectors
COUNTS = (
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    LANES - 1,
    LANES,
    LANES + 1,
    2 * LANES - 1,
    2 * LANES,
    2 * LANES + 1,
    1000,
)


def symmetric(*shape, dtype=np.float64, seed=0):
    a = np.random.default_rng(seed).standard_normal(shape)
    return (a + a.swapaxes(-1, -2)).astype(dtype)


def unit(a):
    """n ulp of each matrix's norm."""
    a = a.astype(np.float64)
    return max(a.shape[-1], 1) * np.finfo(np.float64).eps * np.abs(a).sum(axis=-1).max(axis=-1, initial=0)


class Core:
    """Stacks and single matrices of one CPU level."""

    def __init__(self, level):
        self.core = _dispatch.load(level)

    def eigh(self, a):
        w, rows = np.empty(a.shape[:-1], a.dtype), np.empty(a.shape, a.dtype)
        self.core.eigh(a, True, w, rows)
        return w, rows.swapaxes(-1, -2)

    def eigvalsh(self, a):
        w = np.empty(a.shape[:-1], a.dtype)
        self.core.eigh(a, True, w, None)
        return w


@pytest.fixture(params=[level for level in _dispatch.built() if level in _dispatch.possible()])
def level(request):
    return Core(request.param)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 34), 47, 48, 49])
def test_nasty_matrices_side_by_side(n, dtype, level):
    names, each = zip(*matrices(n, dtype), strict=True)
    stack = np.stack(each)
    before = stack.copy()
    w, v = level.eigh(stack)
    values = level.eigvalsh(stack)
    assert (stack == before).all()
    assert (np.diff(w) >= 0).all()
    assert (np.diff(values) >= 0).all()
    for i, (name, a) in enumerate(zip(names, each, strict=True)):
        i_th = (lambda _, i=i: (w[i], v[i]), lambda _, i=i: values[i])
        for what, ratio in ratios(a, *i_th).items():
            assert ratio < LIMIT, f"{name}: {what} {ratio:.3g} n ulp"
        alone, scale = level.eigvalsh(a).astype(np.float64), np.abs(a).max() or 1
        error = np.abs(values[i] / scale - alone / scale).max() / max(one_norm(a / scale), 1e-300)
        assert error < LIMIT * n * np.finfo(dtype).eps, f"{name}: alone {error:.3g}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 20, 60])
@pytest.mark.parametrize("count", COUNTS)
def test_every_count(count, n, dtype):
    if n * count > 20_000:
        count = 100
    a = symmetric(count, n, n, dtype=dtype, seed=count)
    tolerance = LIMIT * n * np.finfo(dtype).eps * 4 * n
    w, v = eigh(a)
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a.astype(np.float64)), atol=tolerance, rtol=0)
    np.testing.assert_allclose(a @ v, w[:, None, :] * v, atol=tolerance, rtol=0)
    np.testing.assert_allclose(eigvalsh(a), w, atol=tolerance, rtol=0)


@pytest.mark.parametrize("n", [2, 3, 4, 9, 33])
def test_leading_axes_and_strides(n):
    a = symmetric(5, 3, 4, n, n)
    wide = np.full((5, 3, 8, 2 * n, 3 * n), np.nan)
    wide[:, :, ::2, ::2, ::3] = a
    views = {
        "transposed axes": (np.ascontiguousarray(a.transpose(2, 0, 1, 3, 4)).transpose(1, 2, 0, 3, 4), a),
        "wide": (wide[:, :, ::2, ::2, ::3], a),
        "backwards": (a[::-1, ::-1], a[::-1, ::-1]),
        "broadcast": (np.broadcast_to(a[:1, :, :1], a.shape), np.broadcast_to(a[:1, :, :1], a.shape).copy()),
        "columns first": (np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2), a),
        "one of an axis": (a[:, 1:2, ::2], a[:, 1:2, ::2].copy()),
    }
    for name, (view, plain) in views.items():
        expected = np.stack([eigvalsh(m) for m in plain.reshape(-1, n, n)]).reshape(plain.shape[:-1])
        np.testing.assert_allclose(eigvalsh(view), expected, atol=1e-13 * n, err_msg=name)
        w, v = eigh(view)
        assert v.shape == view.shape
        np.testing.assert_allclose(plain @ v, w[..., None, :] * v, atol=1e-13 * n, err_msg=name)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 17, 40, 60])
@pytest.mark.parametrize("uplo", ["L", "U"])
def test_the_other_triangle_is_not_read(n, uplo):
    a = symmetric(37, n, n)
    half = a.copy()
    half[(slice(None), *(np.triu_indices(n, 1) if uplo == "L" else np.tril_indices(n, -1)))] = np.nan
    assert np.array_equal(eigvalsh(half, uplo), eigvalsh(a, uplo))
    assert all(np.array_equal(x, y) for x, y in zip(eigh(half, uplo), eigh(a, uplo), strict=True))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 48, 50])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_matrix_that_is_not_finite_is_named(n, bad):
    for place in (0, 1, 38, 39):
        a = symmetric(40, n, n)
        a[place, n - 1, 0] = bad
        for f in (eigh, eigvalsh):
            with pytest.raises(
                np.linalg.LinAlgError, match=rf"NaN or infinity \(matrix {place} of the stack\)"
            ):
                f(a)
            with pytest.raises(np.linalg.LinAlgError, match=rf"\(matrix {place} of the stack\)"):
                f(a.reshape(2, 20, n, n))
    a[17, 0, 0] = bad  # the first of two
    with pytest.raises(np.linalg.LinAlgError, match=r"\(matrix 17 of the stack\)"):
        eigh(a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 33, 50])
def test_each_matrix_has_its_own_scale(n, dtype):
    info = np.finfo(dtype)
    exponents = np.linspace(info.minexp + 3, info.maxexp - 10, 60).astype(int)
    a = np.ldexp(symmetric(60, n, n, dtype=dtype), exponents[:, None, None])
    plain = np.ldexp(a.astype(np.float64), -exponents[:, None, None])  # the smallest have lost bits
    w, v = eigh(a)
    back = np.ldexp(w.astype(np.float64), -exponents[:, None])
    tolerance = LIMIT * n * info.eps * 4 * n
    np.testing.assert_allclose(back, np.linalg.eigvalsh(plain.astype(np.float64)), atol=tolerance, rtol=0)
    np.testing.assert_allclose(plain @ v, back[:, None, :] * v, atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_entries(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    a = np.array([[[2, 1], [1, 2]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]], dtype) * tiny
    a = np.concatenate([a] * 7)
    np.testing.assert_array_equal(eigvalsh(a)[:3], np.array([[1, 3], [1, 1], [0, 0]], dtype) * tiny)


@pytest.mark.parametrize("n", [2, 4, 8, 24, 60])
def test_threads_give_the_same(n):
    a = symmetric(500, n, n)
    before = fastopt.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 3):
            fastopt.set_num_threads(threads)
            answers.append((*eigh(a), eigvalsh(a)))
    finally:
        fastopt.set_num_threads(before)
    for other in answers[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(answers[0], other, strict=True))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
@pytest.mark.parametrize(("n", "count"), [(8, 1_500_000), (32, 80_000), (100, 6_000)])
def test_ctrl_c_ends_a_long_stack(n, count):
    """Most matrices were never reached: their values are still what was there before."""
    a = np.broadcast_to(symmetric(n, n), (count, n, n))
    values = np.full((count, n), np.nan)
    with pressed_after(0.02), pytest.raises(Pressed):
        eigvalsh(a, out=values)
    assert np.isnan(values).any()
