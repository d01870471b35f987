"""fastopt.linalg.inertia: right counts beyond the bound, and a bound that is worth something."""

from __future__ import annotations

import signal

import numpy as np
import pytest

import eigen_matrices
import fastopt
from fastopt._dispatch import core
from fastopt.linalg import Inertia, eigvalsh, inertia
from pressing import Pressed, pressed_after


def orthogonal(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def with_spectrum(values, dtype=np.float64, seed=0):
    q = orthogonal(len(values), seed)
    a = (q * values) @ q.T
    return ((a + a.T) / 2).astype(dtype)


def factorisations(a):
    work = np.empty((), np.int64)
    core.inertia(a, True, 0.0, np.empty(3, np.int64), np.empty(()), work)
    return int(work)


def check(a, found, name=""):
    """What the docstring promises, against LAPACK's eigenvalues in float64, each known to `noise`."""
    scale = float(np.abs(a).max(initial=0)) or 1.0
    values = np.linalg.eigvalsh(a.astype(np.float64) / scale)
    noise = len(a) * np.finfo(np.float64).eps * np.abs(values).max(initial=0)
    bound = found.bound / scale
    assert found.negative + found.zero + found.positive == len(a), name
    assert (values < -bound - noise).sum() <= found.negative <= (values < noise).sum(), name
    assert (values > bound + noise).sum() <= found.positive <= (values > -noise).sum(), name
    assert found.zero <= (abs(values) <= bound + noise).sum(), name


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 16, 33, 47, 48, 49, 64, 97, 129])
def test_nasty_matrices(n, dtype):
    for name, a in eigen_matrices.matrices(n, dtype):
        found = inertia(a)
        check(a, found, name)
        # rounding, not growth: these spectra lose next to nothing
        assert found.bound <= 40 * max(n, 8) * np.finfo(dtype).eps * np.abs(a).max() * n**0.5, name


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [*range(41), 64, 96, 129, 300, 500, 513])
def test_known_inertia(n, dtype):
    rng = np.random.default_rng(n)
    negative, zero = n // 3, n // 5
    size = rng.uniform(0.5, 1, n)
    signs = np.ones(n)
    signs[:negative] = -1
    full = inertia(with_spectrum(size * signs, dtype))
    assert full[:3] == (negative, 0, n - negative)
    signs[negative : negative + zero] = 0
    found = inertia(with_spectrum(size * signs, dtype))
    assert found[:3] == (negative, zero, n - negative - zero)
    assert max(full.bound, found.bound) < 0.02 * (dtype == np.float32) + 1e-10


@pytest.mark.parametrize("n", [1, 2, 7, 50, 200])
def test_exactly_singular(n):
    b = np.random.default_rng(n).integers(-3, 4, (n, max(1, n // 3))).astype(float)
    rank = np.linalg.matrix_rank(b)
    assert inertia(b @ b.T)[:3] == (0, n - rank, rank)
    assert inertia(-b @ b.T)[:3] == (rank, n - rank, 0)
    assert inertia(np.zeros((n, n))) == (0, n, 0, 0.0)
    assert inertia(np.ones((n, n)))[:3] == (0, n - 1, 1)
    some = np.diag(np.arange(n) % 3 - 1.0)
    assert inertia(some)[:3] == (
        (np.diag(some) < 0).sum(),
        (np.diag(some) == 0).sum(),
        (np.diag(some) > 0).sum(),
    )


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 2), (40, 40), (90, 60), (200, 100)])
def test_saddle_point_matrices(n, m):
    """[[H, B'], [B, 0]] has n positive and m negative eigenvalues if B has full rank and H is positive
    definite, or zero and n = m."""
    b = np.random.default_rng(n).standard_normal((m, n))
    kkt = np.block([[np.eye(n), b.T], [b, np.zeros((m, m))]])
    assert inertia(kkt)[:3] == (m, 0, n)
    bipartite = np.block([[np.zeros((n, n)), b.T], [b, np.zeros((m, m))]])
    assert inertia(bipartite)[:3] == (m, n - m, m)
    assert inertia(bipartite[::-1, ::-1])[:3] == (m, n - m, m)


@pytest.mark.parametrize("n", [2, 3, 50, 101])
def test_zero_diagonal(n):
    a = np.ones((n, n)) - np.eye(n)
    assert inertia(a)[:3] == (n - 1, 0, 1)
    path = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    assert inertia(path)[:3] == (n // 2, n % 2, n // 2)


def wilkinson(n):
    """Growth of 2^(n-1) in LU with partial pivoting; A'A-like symmetric forms of it."""
    w = np.eye(n) - np.tril(np.ones((n, n)), -1)
    w[:, -1] = 1
    return w


@pytest.mark.parametrize("n", [10, 30, 60, 120])
@pytest.mark.parametrize("tiny", [1.0, 1e-5, 1e-10])
def test_matrices_that_provoke_growth(n, tiny):
    """Large L for partial pivoting (Ashcraft, Grimes and Lewis, section 1.3), large growth for LU."""
    w = wilkinson(n)
    zero = np.zeros((n, n))
    large_l = np.zeros((n, n))
    large_l[0, 0], large_l[0, 1], large_l[1, 0] = tiny**2, tiny, tiny
    large_l[1, 2:] = large_l[2:, 1] = 1
    large_l[2:, 2:] = np.diag(np.arange(n - 2) + tiny)
    for a in (
        w + w.T,
        np.block([[zero, w.T], [w, zero]]),
        np.block([[tiny * np.eye(n), w.T], [w, zero]]),
        large_l,
    ):
        check(a, inertia(a))
        check(a.astype(np.float32), inertia(a.astype(np.float32)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bound_is_a_bound(dtype):
    """Eigenvalues on both sides of the bound, as dense as the arithmetic allows: what the shifts decide."""
    n = 200
    for size in (1e-3, 1, 10, 1e3):
        ulp = n * np.finfo(dtype).eps
        a = with_spectrum(np.r_[size * ulp * np.linspace(-1, 1, n - 2), 1, -1], dtype, seed=int(size))
        check(a, inertia(a))
        assert inertia(a).bound < 30 * ulp


@pytest.mark.parametrize("n", [1, 6, 60, 150])
def test_tol(n):
    values = np.linspace(-1, 1, 2 * n)  # none within 1e-3 of the tolerances below
    a = with_spectrum(values)
    for tol in ((values[n] + values[n + 1]) / 2 if n > 1 else 2.0, 0.3 + 1 / (7 * n), 5):
        found = inertia(a, tol)
        assert found[:3] == ((values < -tol).sum(), (abs(values) <= tol).sum(), (values > tol).sum())
        assert tol <= found.bound <= tol + 1e-12
    assert inertia(a, tol=0) == inertia(a, None) == inertia(a, tol=np.float32(0))


@pytest.mark.parametrize("tol", [-1, -1e-300, np.nan, np.inf])
def test_tolerances_that_are_none(tol):
    with pytest.raises(ValueError, match="tol: expected a finite number >= 0"):
        inertia(np.eye(2), tol)


@pytest.mark.parametrize("tol", ["1", 1j, [1.0], True])
def test_tolerances_that_are_no_numbers(tol):
    with pytest.raises(TypeError, match="tol: expected a finite number"):
        inertia(np.eye(2), tol)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 4, 4), (2, 3, 60, 60), (0, 4, 4), (4, 0, 0)])
def test_shapes(shape, dtype):
    a = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    a = a + a.swapaxes(-1, -2)
    found = inertia(a)
    assert isinstance(found, Inertia)
    if len(shape) == 2:
        assert [type(x) for x in found] == [int, int, int, float]
    else:
        assert [x.shape for x in found] == [shape[:-2]] * 4
        assert [x.dtype for x in found] == [np.int64] * 3 + [np.float64]
    values = np.linalg.eigvalsh(a)
    for counted, expected in zip(found[:3], (values < 0, values == 0, values > 0), strict=True):
        assert np.array_equal(counted, expected.sum(axis=-1))
    each = [inertia(m) for m in a.reshape(-1, *shape[-2:])] if 0 not in shape else []
    for i, one in enumerate(each):
        assert one == tuple(np.ravel(x)[i] for x in found)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64])
def test_integers_become_float64(dtype):
    assert inertia(np.array([[1, 1], [1, 0]]).astype(dtype))[:3] == (1, 0, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.longdouble, object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="a: expected float64, float32 or integers"):
        inertia(np.zeros((2, 2)).astype(dtype))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_that_are_not_square(shape):
    with pytest.raises(np.linalg.LinAlgError, match="a: expected square matrices"):
        inertia(np.zeros(shape))


@pytest.mark.parametrize("n", [1, 2, 40, 100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(n, bad):
    for place in {(0, 0), (n - 1, n - 1), (n - 1, 0)}:
        a = np.eye(n)
        a[place] = bad
        with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
            inertia(a)
        with pytest.raises(np.linalg.LinAlgError, match="matrix 1 of the stack"):
            inertia(np.stack([np.eye(n), a]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 60, 130])
def test_one_triangle_any_strides_unchanged(n, dtype):
    a = with_spectrum(np.linspace(-1, 2, n) + 0.01, dtype)
    expected = inertia(a)
    wide = np.full((3 * n, 2 * n), np.nan, dtype)
    wide[::3, ::2] = a
    backwards = a[::-1, ::-1].copy()[::-1, ::-1]
    for view in (a, wide[::3, ::2], backwards, np.asfortranarray(a)):
        for uplo, other in (("L", np.triu_indices(n, 1)), ("U", np.tril_indices(n, -1)), ("l", None)):
            half = view.copy(order="K")
            if other is not None:
                half[other] = np.nan
            before = half.copy()
            half.flags.writeable = False
            assert inertia(half, UPLO=uplo) == expected
            assert np.array_equal(half, before, equal_nan=True)
    with pytest.raises(ValueError, match="UPLO"):
        inertia(a, UPLO="X")


def test_scales():
    """Powers of two change the bound, nothing else, as long as no entry is lost."""
    a = np.random.default_rng(0).standard_normal((70, 70))
    a = a + a.T
    plain = inertia(a)
    for k in (-1000, -500, -250, 250, 500, 1015):
        scaled = inertia(np.ldexp(a, k), tol=0)
        assert scaled[:3] == plain[:3]
        assert scaled.bound == pytest.approx(np.ldexp(plain.bound, k), rel=0.5)


@pytest.mark.parametrize("n", [999, 1000, 1100])
@pytest.mark.parametrize("rank", [0.1, 1])
def test_threads_agree(n, rank):
    rng = np.random.default_rng(n)
    b = rng.standard_normal((n, int(rank * n)))
    a = (b * rng.choice([-1, 1], b.shape[1])) @ b.T
    before = fastopt.get_num_threads()
    core.set_eager(True)
    try:
        found = []
        for threads in (1, 2, 3):
            fastopt.set_num_threads(threads)
            found.append(inertia(a))
        assert found[0] == found[1] == found[2]
        check(a, found[0])
    finally:
        core.set_eager(False)
        fastopt.set_num_threads(before)


def test_how_often_is_factorised():
    """Once wherever there is a gap around zero, at full and at low rank; three times where there is none."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((300, 300)), rng.standard_normal((300, 30))
    assert factorisations(a + a.T) == factorisations(a @ a.T) == factorisations(b @ b.T) == 1
    assert factorisations((a + a.T).astype(np.float32)) == 1
    dense = with_spectrum(np.linspace(-1e-14, 1e-14, 300) + (np.arange(300) == 0))
    assert factorisations(dense) in (3, 4)  # 4 if the first shift was below what rounding lost
    assert factorisations(np.diag(np.geomspace(1, 1e-20, 300))) == 2  # nothing negative to look for
    assert factorisations(np.zeros((9, 9))) == 0


def test_top_level():
    assert fastopt.inertia is inertia
    n = 30
    a = with_spectrum(np.linspace(-1, 1, n) + 1e-3)
    assert inertia(a).negative == (eigvalsh(a) < 0).sum()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_ctrl_c_ends_a_long_call():
    """Hours of work: without a look at the signals this test would run into its own limit."""
    n = 2500
    a = np.eye(n) + 1 / (1.0 + np.arange(n)[:, None] + np.arange(n))
    with pressed_after(0.05), pytest.raises(Pressed):
        inertia(np.broadcast_to(a, (50_000, n, n)))
