"""Minima next to the end of a function's domain, with second derivatives from differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

NEWTON = ("trust-region", "arc", "saddle-free-newton")
each = pytest.mark.parametrize("method", NEWTON)
each_way = pytest.mark.parametrize("subproblem", ["dense", "lanczos"])


def outside(bad: Any, f: Any, grad: Any) -> tuple[Any, Any]:
    """f and its gradient, NaN where `bad` says so."""
    return (
        lambda x: np.nan if bad(x) else float(f(x)),
        lambda x: np.full(x.shape, np.nan) if bad(x) else grad(x),
    )


@each
@each_way
@pytest.mark.parametrize("start", [1e-100, 1e-12, 1e-6, 1e-3, 0.5, 50.0, 1e6])
def test_a_logarithm_from_beside_its_pole(start: float, subproblem: str, method: str) -> None:
    f, grad = outside(lambda x: x[0] <= 0, lambda x: x[0] - np.log(x[0]), lambda x: 1 - 1 / x)
    r = fastopt.minimize(f, grad, np.array([start]), method, subproblem=subproblem, maxiter=999)
    assert r.success, r.message
    assert r.x[0] == pytest.approx(1, abs=1e-4)


WALLS = {
    # name: domain, f, gradient, minimiser
    "log": (lambda t: t > 0, lambda t: t - np.log(t), lambda t: 1 - 1 / t, 1.0),
    "sqrt": (lambda t: t > 0, lambda t: t - np.sqrt(t), lambda t: 1 - 0.5 / np.sqrt(t), 0.25),
    "1/x": (lambda t: t > 0, lambda t: t + 1 / t, lambda t: 1 - 1 / t**2, 1.0),
    "arcsin": (
        lambda t: abs(t) < 1,
        lambda t: np.arcsin(t) ** 2 + t,
        lambda t: 2 * np.arcsin(t) / np.sqrt(1 - t * t) + 1,
        -0.4501836,
    ),
    "power 3/2": (lambda t: t >= 0, lambda t: t**1.5 - t, lambda t: 1.5 * np.sqrt(t) - 1, 4 / 9),
}


@each
@each_way
@pytest.mark.parametrize("name", WALLS)
@pytest.mark.parametrize("distance", [1e-9, 1e-6, 1e-2])
@pytest.mark.parametrize("shift", [0.0, 1.0, -30.0])
def test_one_coordinate_beside_its_wall(
    shift: float, distance: float, name: str, subproblem: str, method: str
) -> None:
    """The wall lies at `shift`, so a step relative to |x| would cross it; others lie far from any wall."""
    inside, f1, g1, best = WALLS[name]
    start = (-1 if name == "arcsin" else 0) + distance

    def f(x: Any) -> float:
        t = x[0] - shift
        return float(f1(t) + 0.5 * ((x[1:] - 3) ** 2).sum() + 0.1 * t * (x[1] - 3)) if inside(t) else np.nan

    def grad(x: Any) -> Any:
        t = x[0] - shift
        if not inside(t):
            return np.full(3, np.nan)
        return np.array([g1(t) + 0.1 * (x[1] - 3), x[1] - 3 + 0.1 * t, x[2] - 3])

    r = fastopt.minimize(f, grad, np.array([shift + start, 1.0, 2.0]), method, subproblem=subproblem)
    assert r.success, r.message
    assert abs(r.x[0] - shift - best) < 0.1


@each
@each_way
@pytest.mark.parametrize("shift", [0.0, 1.0, 1e3])
def test_a_start_on_the_boundary_itself(shift: float, subproblem: str, method: str) -> None:
    """Of a domain that is closed: one side of the first differences has no gradient at any step."""

    def f(x: Any) -> float:
        return float(((x - shift - 2) ** 2).sum() + (x - shift).prod() / 8) if (x >= shift).all() else np.inf

    def grad(x: Any) -> Any:
        return 2 * (x - shift - 2) + (x - shift)[::-1] / 8 if (x >= shift).all() else np.full(2, np.nan)

    r = fastopt.minimize(f, grad, np.full(2, shift), method, subproblem=subproblem)
    assert r.success, r.message
    np.testing.assert_allclose(r.x, shift + 4 / 2.125, atol=1e-4)


@each
def test_a_gradient_that_is_finite_at_one_point_only_is_named(method: str) -> None:
    r = fastopt.minimize(
        lambda x: float(x @ x), lambda x: 2 * x if (x == 1).all() else x * np.nan, np.ones(2), method
    )
    assert r.status == 3
    assert "grad is not finite next to a point where it is" in r.message
    np.testing.assert_array_equal(r.x, 1)
