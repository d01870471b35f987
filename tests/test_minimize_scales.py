"""Line searches where variables differ by many magnitudes: long steps do not refute a right gradient."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import fastopt

Array = Any

#: Where f is defined, f, its derivative; the minimum is at 1. All but the last grow like x far away.
FAMILY = {
    "x - log x": (lambda t: t > 0, lambda t: t - np.log(t), lambda t: 1 - 1 / t),
    "x - 2 sqrt x": (lambda t: t > 0, lambda t: t - 2 * np.sqrt(t), lambda t: 1 - 1 / np.sqrt(t)),
    "x + 1 / x": (lambda t: t > 0, lambda t: t + 1 / t, lambda t: 1 - 1 / t**2),
    "hyperbola": (np.isfinite, lambda t: np.hypot(1, t - 1), lambda t: (t - 1) / np.hypot(1, t - 1)),
    "log cosh": (np.isfinite, lambda t: np.logaddexp(t - 1, 1 - t), lambda t: np.tanh(t - 1)),
    "x ** 1.5": (lambda t: t >= 0, lambda t: t**1.5 - 1.5 * t, lambda t: 1.5 * np.sqrt(t) - 1.5),
}


def problem(name: str, weights: Array, unit: float = 1.0, size: float = 1.0, offset: float = 0.0) -> Any:
    inside, f1, g1 = FAMILY[name]

    def f(x: Array) -> float:
        t = x / unit
        return float(size * (np.sum(weights * f1(t)) + offset)) if inside(t).all() else np.nan

    def grad(x: Array) -> Array:
        t = x / unit
        return size / unit * weights * g1(t) if inside(t).all() else np.full(x.shape, np.nan)

    return f, grad


@pytest.mark.parametrize("method", ["l-bfgs", "cg"])
@pytest.mark.parametrize(
    "start",
    [[1e-3, 1e6], [1e-8, 1e8], [1.0, 1e10], [1e5], [1e6], [1e7], [1e8], [1e12], [1e-12], [1e-3, 1e5, 10.0]],
)
def test_a_logarithm_and_a_long_way(start: list[float], method: str) -> None:
    x0 = np.array(start)
    f, grad = problem("x - log x", np.ones(x0.size))
    r = fastopt.minimize(f, grad, x0, method)
    assert r.success, r.message
    np.testing.assert_allclose(r.x, 1, atol=1e-4)
    assert np.abs(r.jac).max() < 1e-4


def draws(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        name = list(FAMILY)[rng.integers(len(FAMILY))]
        n = int(rng.choice([1, 2, 3]))
        unit, size = 10.0 ** rng.choice([0, 0, 0, -30, 30]), 10.0 ** rng.choice([0, 0, -30, 30])
        offset = rng.choice([0, 0, 1e6, 1e12, -1e8])
        low, high = rng.choice([-12, -6, -3, -1]), rng.choice([0, 3, 6, 9])
        weights = 10.0 ** rng.uniform(0, rng.choice([0, 2]), n)
        x0 = 10.0 ** rng.uniform(low, high, n) * unit
        yield *problem(name, weights, unit, size, offset), x0, 1e-5 * size / unit, f"{name} from {x0!r}"


def test_no_right_gradient_is_accused() -> None:
    """Offsets that hide all that f does, boundaries and units included: those end for precision."""
    ends: Counter[bool] = Counter()
    for f, grad, x0, gtol, what in draws(120, 0):
        for method in ("l-bfgs", "cg"):
            r = fastopt.minimize(f, grad, x0, method, gtol=gtol, ftol=0, maxiter=300)
            assert "disagree" not in r.message, f"{what}: {r.message}"
            ends[r.success] += 1
    assert ends[True] > 4 * ends[False], ends


@pytest.mark.parametrize("wrong", ["sign", "one sign", "shift"])
def test_a_wrong_gradient_is_named(wrong: str) -> None:
    named = 0
    for f, grad, x0, gtol, _ in draws(60, 1):
        first = np.where(np.arange(x0.size) == 0, -1.0, 1.0)
        planted = {
            "sign": lambda x, grad=grad: -grad(x),
            "one sign": lambda x, grad=grad, first=first: first * grad(x),
            "shift": lambda x, grad=grad, gtol=gtol: grad(x) + 1e8 * gtol * np.arange(1, x.size + 1),
        }[wrong]
        r = fastopt.minimize(f, planted, x0, "l-bfgs", gtol=gtol, ftol=0, maxiter=300)
        named += "fastopt.check_grad(f, grad, x)" in r.message
        assert "disagree" not in r.message or r.nfev < 999
    assert named > 45  # the others have an offset that hides all, or move where it is right


@pytest.mark.parametrize("method", ["l-bfgs", "cg"])
def test_a_fall_below_rounding_is_no_disagreement(method: str) -> None:
    """At 1e-30 sqrt(x) has a slope of 1e15 and falls by 1e-15 beside 1e3: long steps see x alone."""
    f, grad = problem("x - 2 sqrt x", np.array([1.0, 1.0]), offset=1e3)
    r = fastopt.minimize(f, grad, np.array([1e-36, 1e3]), method)
    assert "disagree" not in r.message


@pytest.mark.parametrize("method", ["l-bfgs", "cg"])
def test_a_step_that_one_steep_variable_shortened_is_not_the_last(method: str) -> None:
    """f falls by 5 of 1e12 in it, less than ftol, and all of the way is left."""
    f, grad = problem("x - log x", np.ones(2))
    r = fastopt.minimize(f, grad, np.array([1e-3, 1e12]), method)
    assert r.nit > 1, r
