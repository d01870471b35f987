"""eigh and eigvalsh on the matrices that break eigensolvers, at every CPU level and in both precisions."""

from __future__ import annotations

import numpy as np
import pytest

from eigen_matrices import matrices, ratios
from fastopt import _dispatch

SIZES = (1, 2, 3, 4, 5, 16, 20, 33, 64, 129, 300)
LIMIT = 10  # in n ulp; LAPACK's own limit is 60, good code stays below 3


class Level:
    """eigh and eigvalsh of one CPU level."""

    def __init__(self, level):
        self.core = _dispatch.load(level)

    def eigh(self, a):
        w, rows = np.empty(len(a), a.dtype), np.empty_like(a)
        self.core.eigh(a, True, w, rows)
        return w, rows.T

    def eigvalsh(self, a):
        w = np.empty(len(a), a.dtype)
        self.core.eigh(a, True, w, None)
        return w


@pytest.fixture(params=[level for level in _dispatch.built() if level in _dispatch.possible()])
def level(request):
    return Level(request.param)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", SIZES)
def test_ratios(n, dtype, level):
    for name, a in matrices(n, dtype):
        before = a.copy()
        for what, ratio in ratios(a, level.eigh, level.eigvalsh).items():
            assert ratio < LIMIT, f"{name}: {what} {ratio:.3g} n ulp"
        assert (a == before).all(), f"{name}: the input changed"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ratios_where_the_blocked_reduction_works(dtype, level):
    n = 1000  # beyond the fused reduction of both precisions
    hard = {"random", "dense, low rank with noise", "dense, two clusters", "tridiagonal, Wilkinson W+"}
    for name, a in matrices(n, dtype, hard):
        hard.remove(name)
        for what, ratio in ratios(a, level.eigh, level.eigvalsh).items():
            assert ratio < LIMIT, f"{name}: {what} {ratio:.3g} n ulp"
    assert not hard


def sturm_count(d, e, x):
    """Eigenvalues below x of a tridiagonal matrix, by the quotients of Barth, Martin and Wilkinson (1967)."""
    count, q = 0, 1.0
    for i in range(len(d)):
        q = d[i] - x - (e[i - 1] ** 2 / q if i else 0.0)
        q = q if q != 0 else -1e-300
        count += q < 0
    return count


@pytest.mark.parametrize("seed", range(6))
def test_every_value_is_where_the_count_says(seed, level):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 120))
    d, e = rng.standard_normal(n), rng.standard_normal(n - 1) * 10.0 ** rng.integers(-9, 1, n - 1)
    a = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    margin = 4 * n * np.finfo(float).eps * np.abs(a).sum(axis=0).max()
    for values in (level.eigvalsh(a), level.eigh(a)[0]):
        for i, value in enumerate(values):
            assert sturm_count(d, e, value - margin) <= i < sturm_count(d, e, value + margin)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [20, 50, 130])
def test_any_scale(n, dtype, level):
    """Small norms once lost all digits in divide and conquer: a gradient of 1e-10 has such a Hessian."""
    a = np.random.default_rng(n).standard_normal((n, n))
    a = (a + a.T).astype(dtype)
    info = np.finfo(dtype)
    for exponent in np.linspace(info.minexp + info.nmant, info.maxexp - 10, 25).astype(int):
        for what, ratio in ratios(np.ldexp(a, exponent), level.eigh, level.eigvalsh).items():
            assert ratio < LIMIT, f"2^{exponent}: {what} {ratio:.3g} n ulp"


@pytest.mark.parametrize("n", [2, 3, 7, 33, 130])
def test_values_against_numpy(n, level):
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, n))
    a += a.T
    expected = np.linalg.eigvalsh(a)
    np.testing.assert_allclose(level.eigvalsh(a), expected, atol=1e-14 * n * np.abs(expected).max(), rtol=0)
