"""Arguments that raised what Python or NumPy raise, without a name, and masks that were not seen."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import curvature, schedules

X = np.array([1.0, 2.0])
A = np.diag([1.0, 2.0, 3.0])


def f(x: Any) -> float:
    return float(x @ x)


def grad(x: Any) -> Any:
    return 2 * x


def minimize(**options: Any) -> None:
    fastopt.minimize(f, grad, X, **options)


SEVERAL = np.ones(2)
SEEDS: tuple[Any, ...] = ("3", 2.5, -1, 1j, object(), {"a": 1}, np.array(["a", "b"]))
CASES: dict[str, tuple[str, Callable[[Any], Any], tuple[Any, ...]]] = {
    "spectral_density": ("seed", lambda bad: curvature.spectral_density(lambda v: A @ v, 3, seed=bad), SEEDS),
    "trace": ("seed", lambda bad: curvature.trace(lambda v: np.arange(99.0) * v, 99, seed=bad), SEEDS),
    "eigsh": ("seed", lambda bad: fastopt.eigsh(lambda v: np.arange(999.0) * v, 1, n=999, seed=bad), SEEDS),
    **{
        f"minimize, {method}": ("seed", lambda bad, m=method: minimize(method=m, seed=bad), SEEDS)  # type: ignore[misc]
        for method in ("trust-region", "arc", "saddle-free-newton", "perturbed-gd")
    },
    "grid": (
        "grid",
        lambda bad: curvature.spectral_density(A, grid=bad),
        ("3", b"x", 10**400, 1j, X + 1j, object(), {1}, {"a": 1}, print, ["a"]),
    ),
    "constraints": (
        "bounds, constraints",
        lambda bad: minimize(constraints=bad),
        (SEVERAL, np.ones((2, 2)), 3),
    ),
    "gtol": ("gtol", lambda bad: fastopt.critical_point(grad, 0 * X, gtol=bad), (SEVERAL, "3", [1], 1j)),
    "text": ("text", lambda bad: schedules.parse(bad, 0.1, 10), (None, 3, b"step", ["step"], SEVERAL)),
}


@pytest.mark.parametrize("case", CASES)
def test_they_are_named(case: str) -> None:
    name, call, values = CASES[case]
    for bad in values:
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            call(bad)


def test_what_these_take_is_still_taken() -> None:
    for seed in (0, [1, 2], np.random.default_rng(3), np.random.SeedSequence(4), np.int64(5), None):
        minimize(method="perturbed-gd", seed=seed)
        minimize(method="trust-region", seed=seed)
    for nothing in ((), [], {}, None):
        minimize(constraints=nothing)
    for gtol in (None, np.inf, 1e-3, np.float32(1)):
        assert fastopt.critical_point(grad, 0 * X, gtol=gtol).kind == "minimum"
    assert curvature.spectral_density(A, grid=[0, 1, 2]) is not None


MASKED = np.ma.array(X, mask=[True, False])
WITH_X: dict[str, Callable[..., Any]] = {
    "minimize": lambda g, x: fastopt.minimize(f, g, x),
    "check_grad": lambda g, x: fastopt.check_grad(f, g, x),
    "escape": lambda g, x: fastopt.escape(f, g, x),
    "critical_point": lambda g, x: fastopt.critical_point(g, x),
    "hessian": lambda g, x: fastopt.hessian(g, x),
    "hvp": lambda g, x: fastopt.hvp(g, x)(X),
}


@pytest.mark.parametrize("name", WITH_X)
def test_what_is_masked_is_no_number(name: str) -> None:
    call = WITH_X[name]
    with pytest.raises(ValueError, match=r"^x: expected a value for every element, got a masked array"):
        call(grad, MASKED)
    with pytest.raises(ValueError, match=r"^grad.*: expected a value for every element, got a masked array"):
        call(lambda x: np.ma.array(2 * x, mask=[False, True]), X)
    call(lambda x: np.ma.array(2 * x), np.ma.array(X))  # of which nothing is masked


def test_samples_and_metrics() -> None:
    average, rate = fastopt.EWMA(0.5), schedules.reduce_on_plateau(0.1)
    words = ("3", b"1", np.array("3"), True, np.True_)
    for bad in (*words, None, 1j, np.complex64(1), SEVERAL, np.ones(1), object(), [1.0], 10**400, 10**5000):
        for name, call in (("x", average.update), ("metric", rate.report)):
            with pytest.raises((TypeError, ValueError), match=f"^{name}: expected a number, got"):
                call(bad)  # type: ignore[arg-type]
    assert (average.count, rate(0)) == (0, 0.1)
    for good in (1, 2.0, np.float32(3), np.int64(4), np.array(5.0), np.nan, np.inf, Fraction(1, 2)):
        average.update(good)
        rate.report(good)
    assert average.count == 8
