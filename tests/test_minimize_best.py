"""Whatever stops a run, and in whatever method: the result is the lowest point met, with f and gradient."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import methods
from mgh import problem

METHODS = methods.names()
NEWTON = ("trust-region", "arc", "saddle-free-newton")
LR = {"adadelta": 1.0, "asgd": 1e-4, "sgd": 1e-4, "lbfgs": 1.0}


class Seen:
    """Rosenbrock's function or another, with the lowest value that was ever computed."""

    def __init__(self, number: int = 1) -> None:
        self.p = problem(number)
        self.lowest = np.inf
        self.calls = 0

    def f(self, x: Any) -> float:
        self.calls += 1
        value = float(self.p.f(x))
        self.lowest = min(self.lowest, value)
        return value

    def both(self, x: Any) -> Any:
        return self.f(x), self.p.grad(x)

    def check(self, r: Any) -> None:
        assert r.fun == self.lowest or r.success
        assert not r.success or (r.jac == 0).all() or "ftol" in r.message
        assert r.fun == self.p.f(r.x)
        np.testing.assert_array_equal(r.jac, self.p.grad(r.x))


def options(method: str) -> dict[str, Any]:
    return {"lr": LR.get(method, 1e-3)} if method in METHODS[6:] else {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("joint", [False, True], ids=["apart", "joint"])
@pytest.mark.parametrize("number", [1, 5, 14])
def test_every_limit_in_every_method(number: int, joint: bool, method: str) -> None:
    for limit in (*range(1, 12), 20, 31, 60):
        for name in ("maxfev", "maxiter"):
            seen = Seen(number)
            f, grad = (seen.both, True) if joint else (seen.f, seen.p.grad)
            with np.errstate(all="ignore"):
                r = fastopt.minimize(
                    f, grad, seen.p.x0, method, gtol=0, ftol=0, **{name: limit}, **options(method)
                )
            seen.check(r)
            if name == "maxfev" and r.status == 1:
                assert seen.calls == r.nfev == limit


@pytest.mark.parametrize("method", METHODS)
def test_a_callback_that_stops_in_every_method(method: str) -> None:
    for after in (1, 2, 5, 20):
        seen, count = Seen(5), iter(range(after))

        def halt(x: Any, count: Any = count) -> None:
            if next(count, None) is None:
                raise StopIteration

        r = fastopt.minimize(seen.f, seen.p.grad, seen.p.x0, method, gtol=0, callback=halt, **options(method))
        if r.status == 99:
            seen.check(r)
        else:
            assert r.success or r.status == 2, r.message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("where", ["f", "grad", "callback"])
def test_other_exceptions_pass_through(where: str, error: type[BaseException], method: str) -> None:
    p, calls = problem(5), [0]

    def failing(x: Any, function: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise error
        return function(x)

    arguments: dict[str, Any] = {"f": p.f, "grad": p.grad, "callback": lambda x: None}
    arguments[where] = lambda x, function=arguments[where]: failing(x, function)
    with pytest.raises(error):
        fastopt.minimize(**arguments, x=p.x0, method=method, gtol=0, **options(method))


@pytest.mark.parametrize("method", ["perturbed-gd", *NEWTON])
def test_a_saddle_on_the_way_changes_nothing(method: str) -> None:
    """Noise and escapes go up first: what they left is still the best point."""
    for limit in range(1, 60):
        lowest = [np.inf]

        def f(x: Any, lowest: Any = lowest) -> float:
            value = float(x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2 / 2)
            lowest[0] = min(lowest[0], value)
            return value

        r = fastopt.minimize(
            f, lambda x: np.array([x[0] ** 3 - x[0], x[1]]), np.array([0.0, 1.0]), method, maxfev=limit
        )
        assert r.fun == f(r.x)
        assert r.success or r.fun == lowest[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("start", "dtype"), [(17.0, np.float64), (18.9, np.float64), (-12.0, np.float64), (9.0, np.float32)]
)
def test_a_gradient_that_only_the_rule_cannot_bear(method: str, start: float, dtype: Any) -> None:
    """f and its gradient are finite, squares of them are not."""
    values = []

    def f(x: Any) -> float:
        with np.errstate(all="ignore"):
            values.append(-float(np.exp(np.float64(x[0]) ** 2)))
        return values[-1]

    def grad(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return -2 * x * np.exp(x**2)

    r = fastopt.minimize(f, grad, np.array([start], dtype), method, maxiter=300)
    assert not r.success
    assert r.message
    assert r.fun <= values[0]
    assert np.isfinite(r.fun)
    assert np.isfinite(r.jac).all()
    assert f(r.x) == r.fun


def test_a_refused_step_says_why() -> None:
    r = fastopt.minimize(
        lambda x: -float(np.exp(x[0] ** 2)), lambda x: -2 * x * np.exp(x**2), np.array([17.0]), "adam",
        maxiter=2000,
    )  # fmt: skip
    assert r.status == 3
    assert "grads[0]: is finite, but its square" in r.message
    assert r.fun < -1e150


@pytest.mark.parametrize(
    "words", ["of a schedule", 'of a schedule: (nonfinite="raise")', "grads[0]: is finite"]
)
def test_what_a_schedule_raises_passes_through_whatever_it_says(words: str) -> None:
    def rate(step: int) -> float:
        raise ValueError(words)

    with pytest.raises(ValueError, match="^" + re.escape(words) + "$"):
        fastopt.minimize(lambda x: x @ x, lambda x: 2 * x, np.ones(2), "adam", lr=rate)
