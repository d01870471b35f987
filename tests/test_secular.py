"""The model steps against brute force: the global minimiser, in the hard case and next to it too."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.functions.lengths import norm
from fastopt.methods._secular import cubic_step, trust_region_step

EPS = np.finfo(float).eps


def draws(count):
    """Ascending spectra and gradients with all that is hard: equal eigenvalues, zeros, parts of c that vanish
    or nearly do, scales far apart."""
    rng = np.random.default_rng(1)
    for k in range(count):
        n = int(rng.integers(1, 7))
        w = np.sort(rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4))
        if k % 5 == 0:
            w[:] = w[0]
        if k % 7 == 0:
            w = np.sort(np.round(w))
        c = rng.standard_normal(n) * 10.0 ** rng.integers(-8, 4, n)
        if k % 3 == 0:
            c[0] = 0
        if k % 11 == 0:
            c[:] = 0
        if k % 13 == 0:
            c[0] = 1e-300
        yield w, c, 10.0 ** rng.uniform(-4, 4)


def quadratic(w, c, y):
    return c @ y + 0.5 * y @ (w * y)


def test_a_trust_region_step_meets_the_conditions_of_more_and_sorensen():
    """(H + l I) y = -c, H + l I positive semidefinite, l (|y| - radius) = 0: enough for a global minimum."""
    for w, c, radius in draws(1500):
        y, multiplier = trust_region_step(w, c, radius)
        assert multiplier >= max(0.0, -w[0])
        assert norm(y) <= radius * (1 + 1e-10)
        if multiplier > 0:
            assert norm(y) == pytest.approx(radius, rel=1e-9)
        size = abs(c) + (abs(w) + multiplier) * abs(y)
        assert (abs((w + multiplier) * y + c) <= 100 * EPS * size).all()


def test_a_cubic_step_meets_its_conditions():
    """The same with l = sigma |y|."""
    for w, c, sigma in draws(1500):
        y, multiplier = cubic_step(w, c, sigma)
        assert multiplier >= max(0.0, -w[0])
        assert multiplier == pytest.approx(sigma * norm(y), rel=1e-9, abs=1e-300)
        size = abs(c) + (abs(w) + multiplier) * abs(y)
        assert (abs((w + multiplier) * y + c) <= 100 * EPS * size).all()


HARD = [
    pytest.param([-2.0, 1.0, 3.0], [0.0, 1.0, -1.0], id="hard"),
    pytest.param([-2.0, -2.0, 3.0], [0.0, 0.0, 0.5], id="hard, double eigenvalue"),
    pytest.param([-2.0, 1.0, 3.0], [1e-12, 1.0, -1.0], id="nearly hard"),
    pytest.param([-2.0, 1.0, 3.0], [0.0, 0.0, 0.0], id="no gradient"),
    pytest.param([0.0, 1.0, 3.0], [0.0, 1.0, -1.0], id="singular"),
    pytest.param([1.0, 2.0, 3.0], [3.0, 1.0, -1.0], id="convex"),
    pytest.param([-3.0, -2.0, -1.0], [0.1, 0.2, 0.3], id="negative definite"),
]


def ball(radius, count=40_000):
    """Points of the ball in three dimensions, the sphere well covered."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    lengths = np.where(np.arange(count) % 2, radius, radius * rng.random(count) ** (1 / 3))
    return directions * lengths[:, None]


@pytest.mark.parametrize(("w", "c"), HARD)
@pytest.mark.parametrize("radius", [0.3, 1.0, 5.0])
def test_no_point_of_the_ball_is_better(w, c, radius):
    w, c = np.array(w), np.array(c)
    y = trust_region_step(w, c, radius).y
    points = ball(radius)
    values = points @ c + 0.5 * points**2 @ w
    best = quadratic(w, c, y)
    assert norm(y) <= radius * (1 + 1e-12)
    assert best <= values.min() + 1e-13
    assert best >= values.min() - 0.03 * abs(values.min()) - 0.03 * radius  # as good as the sampling is


@pytest.mark.parametrize(("w", "c"), HARD)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_no_point_has_a_lower_cubic_model(w, c, sigma):
    w, c = np.array(w), np.array(c)
    y = cubic_step(w, c, sigma).y
    points = ball(3 * norm(y) + 0.1)
    values = points @ c + 0.5 * points**2 @ w + sigma / 3 * np.linalg.norm(points, axis=1) ** 3
    assert quadratic(w, c, y) + sigma / 3 * norm(y) ** 3 <= values.min() + 1e-13


def test_in_the_hard_case_the_lowest_eigenvector_fills_the_radius():
    step = trust_region_step(np.array([-2.0, 1.0]), np.array([0.0, 3.0]), 2.0)
    assert step.multiplier == 2.0
    np.testing.assert_allclose(abs(step.y), [np.sqrt(3), 1], rtol=1e-15)
    step = cubic_step(np.array([-2.0, 1.0]), np.array([0.0, 3.0]), 1.0)
    np.testing.assert_allclose(abs(step.y), [np.sqrt(3), 1], rtol=1e-15)


def test_scales_do_not_matter():
    w, c = np.array([-1.0, 0.5, 2.0]), np.array([0.3, -0.2, 1.0])
    once = trust_region_step(w, c, 0.7).y
    for scale in (1e-150, 1e-50, 1e50, 1e150):
        np.testing.assert_allclose(trust_region_step(w * scale, c * scale, 0.7).y, once, rtol=1e-12)
        np.testing.assert_allclose(trust_region_step(w, c * scale, 0.7 * scale).y / scale, once, rtol=1e-12)
