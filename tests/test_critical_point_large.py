"""Verdicts without a dense Hessian: what is proved, what holds with a probability, what stays open."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.curvature import critical_point, escape, why_stalled
from fastopt.curvature._krylov_spectrum import minres, ritz_ends
from fastopt.linalg._chance import missed, steps_needed
from fastopt.linalg._krylov import krylov_space

N = 700


@pytest.fixture(autouse=True)
def _never_dense(monkeypatch):
    """700 parameters stand for a million: no Hessian is formed."""
    monkeypatch.setattr("fastopt.curvature._critical_point.DENSE", 100)


def diagonal(name):
    rng = np.random.default_rng(0)
    d = {
        "saddle": np.r_[-3.0, -1.0, np.linspace(0, 1, N - 3), 50.0],
        "minimum": np.linspace(1, 20, N),
        "maximum": -np.linspace(1, 5, N),
        "flat": np.r_[np.zeros(N - 10), np.arange(1, 11.0)],
        "ill-conditioned": np.geomspace(1e-7, 1, N),
    }[name]
    return rng.permutation(d)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("saddle", "saddle"),
        ("minimum", "minimum"),
        ("maximum", "maximum"),
        ("flat", "unresolved"),
        ("ill-conditioned", "unresolved"),
    ],
)
def test_the_verdict(name, kind, exact):
    d = diagonal(name)
    point = critical_point(lambda w: d * w + w**3, np.zeros(N), **({"hvp": lambda v: d * v} if exact else {}))
    assert point.kind == kind
    assert point.n_negative <= (d < 0).sum()
    assert point.n_positive <= (d > 0).sum()
    assert point.n_negative + point.n_unresolved + point.n_positive == N
    low, high = point.min_ratio
    assert low <= (d > 0).mean() <= high
    assert point.eigenvalues[0] == pytest.approx(d.min(), abs=1e-3 * abs(d).max())
    assert point.eigenvalues[-1] == pytest.approx(d.max(), abs=1e-3 * abs(d).max())
    if kind in ("minimum", "maximum"):
        assert point.confidence == pytest.approx(1 - 1e-6)
        assert "confidence" in str(point)
    if kind in ("saddle", "maximum"):
        u = point.escape_direction
        assert np.linalg.norm(u) == pytest.approx(1)
        assert u @ (d * u) == pytest.approx(point.curvature)
    if kind == "saddle":
        assert point.confidence == 1.0  # Rayleigh quotients prove it
        assert "at least 2 of 700 eigenvalues negative" in str(point)


def test_a_lone_negative_eigenvalue_along_an_axis_is_found():
    d = np.linspace(1, 2, N)
    d[123] = -0.5
    point = critical_point(None, np.zeros(N), hvp=lambda v: d * v)
    assert (point.kind, point.n_negative) == ("saddle", 1)
    assert abs(point.escape_direction[123]) > 0.999


def test_near_a_minimum_the_newton_step_is_taken():
    d = diagonal("minimum")
    c = np.random.default_rng(1).standard_normal(N)
    point = critical_point(lambda w: d * (w - c), c + 1e-5)
    assert point.kind == "minimum"
    assert point.newton_step == pytest.approx(1e-5 * N**0.5, rel=1e-3)
    assert critical_point(lambda w: d * (w - c), c + 1e-1).kind == "not critical"


def test_structure_and_escape():
    d = diagonal("saddle").reshape(70, 10)

    def f(p):
        return float((d * p[0] ** 2).sum() / 2 + (p[0] ** 4).sum() / 4)

    def grad(p):
        return [d * p[0] + p[0] ** 3]

    x = [np.zeros((70, 10))]
    result = escape(f, grad, x)
    assert result.moved
    assert result.x[0].shape == (70, 10)
    assert result.decrease > 1  # 9/4 at best, along the coordinate of curvature -3
    assert (x[0] == 0).all()


def test_why_stalled():
    d = diagonal("minimum")
    report = why_stalled(lambda w: d @ (w * w) / 2, lambda w: d * w, (d == d.max()).astype(float), lr=0.11)
    assert report.cause == "oscillating"
    assert report.lr_limit == pytest.approx(0.1)


def test_an_operator_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="symmetric"):
        critical_point(None, np.zeros(N), hvp=lambda v: np.roll(v, 1) + v)
    with pytest.raises(ValueError, match="hvp: expected finite"):
        critical_point(None, np.zeros(N), hvp=lambda v: v * np.nan)


# The parts.


def test_lanczos_is_exact_for_small_spaces():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 40))
    a = a + a.T
    start = rng.standard_normal(40)
    space = krylov_space(lambda v: a @ v, start, 40)
    q = np.array([space.lift(e) for e in np.eye(40)])
    np.testing.assert_allclose(q @ q.T, np.eye(len(q)), atol=1e-13)
    np.testing.assert_allclose(q @ a @ q.T, space.tridiagonal(), atol=1e-12)
    ends = ritz_ends(lambda v: a @ v, start, 40)
    np.testing.assert_allclose(ends, np.linalg.eigvalsh(a)[[0, -1]], rtol=1e-12)
    # Three eigenvalues: three steps.
    d = np.repeat([1.0, 2.0, 5.0], 10)
    assert krylov_space(lambda v: d * v, rng.standard_normal(30), 20).size == 3


def test_minres_solves_what_the_space_holds():
    d = np.repeat([-1.0, 2.0, 5.0], 10)
    g = np.random.default_rng(0).standard_normal(30)
    np.testing.assert_allclose(minres(lambda v: d * v, g, 10, 0.0), -g / d, rtol=1e-10)


def test_the_bound_of_kuczynski_and_wozniakowski_holds():
    """On the hardest spectra, many draws: the share missed is below the bound as often as promised."""
    n, steps, chance = 200, 20, 0.1
    share = missed(n, steps, chance)
    assert steps_needed(n, 1.001 * share, chance) == steps
    for d in (
        np.linspace(0, 1, n),
        (1 + np.cos(np.pi * np.arange(n) / n)) / 2,
        np.r_[1.0, np.linspace(0, 0.99, n - 1)],
    ):
        failures = 0
        for seed in range(50):
            start = np.random.default_rng(seed).standard_normal(n)
            failures += ritz_ends(lambda v, d=d: d * v, start, steps)[1] < (1 - share) * d.max()
        assert failures <= 0.1 * 50
