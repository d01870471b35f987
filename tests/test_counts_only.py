"""`critical_point(counts_only=True)`: the same signs as the eigenvalues have, at a certain tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.curvature import critical_point


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("n", [1, 2, 7, 60, 200])
def test_counts_are_never_wrong(n, scale, dtype):
    rng = np.random.default_rng(n)
    for share in (0.0, 0.3, 1.0):
        truth = np.where(rng.random(n) < share, -1, 1) * 10.0 ** rng.uniform(-3, 0, n)
        truth[: int(rng.integers(0, n))] = 0
        q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        h = (q * truth) @ q.T
        h = ((h + h.T) / 2 * scale).astype(dtype)
        point = critical_point(None, None, hessian=h, counts_only=True)
        clear = np.abs(truth) * scale > 2 * point.tolerance
        assert (truth[clear] < 0).sum() <= point.n_negative <= (truth < 0).sum()
        assert (truth[clear] > 0).sum() <= point.n_positive <= (truth > 0).sum()
        assert point.n_negative + point.n_unresolved + point.n_positive == n
        assert point.eigenvalues is None
        assert point.escape_direction is None
        full = critical_point(None, None, hessian=h)
        assert point.tolerance < 30 * full.tolerance + 1e-300
        if point.n_unresolved == 0:
            assert point.kind == full.kind


def test_the_error_widens_the_tolerance():
    h = np.diag([-3.0, 0.5, 2.0])
    point = critical_point(None, None, hessian=h, error=0.4, counts_only=True)
    assert point.tolerance >= 0.8
    assert (point.n_negative, point.n_unresolved, point.n_positive) == (1, 1, 1)
    assert point.kind == "saddle"
    assert "counted, not computed" in str(point)


def test_the_gradient_decides_as_ever():
    h = np.diag([-1.0, 2.0])
    assert critical_point(lambda w: h @ w, np.zeros(2), hessian=h, counts_only=True).kind == "saddle"
    assert critical_point(lambda w: h @ w, np.ones(2), hessian=h, counts_only=True).kind == "not critical"
    assert critical_point(lambda w: h @ w, np.full(2, 1e-5), hessian=h, counts_only=True).kind == "saddle"
    with pytest.raises(TypeError, match="counts_only"):
        critical_point(None, None, hessian=h, counts_only=1)
