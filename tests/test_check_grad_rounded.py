"""Functions whose values lose what is claimed: parts in float32, digits cut off, losses that have come to 0.

What short steps see of them is another function than what long ones see. A right gradient must not be called
wrong for it, and a wrong one still be found where the rest of the function shows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt import check_grad


def sigmoid(t: Any) -> Any:
    return 1 / (1 + np.exp(-t))


def sech2(t: Any) -> Any:
    """Of tanh the slope, without overflow."""
    e = np.exp(-2 * np.abs(t))
    return 4 * e / (1 + e) ** 2


B = np.array([0.3, -1.7, 0.9])

#: A function, and its gradient as one would write it.
FAMILY: dict[str, Any] = {
    "float32 and a float64 penalty": (
        lambda x: float((x.astype(np.float32) ** 2).sum()) + 0.05 * float(x @ x),
        lambda x: 2.1 * x,
    ),
    "a float32 network's": (
        lambda x: float(np.tanh(x.astype(np.float32)).sum()) + 1e-4 * float(x @ x),
        lambda x: 1 - np.tanh(x) ** 2 + 2e-4 * x,
    ),
    "nine digits and the rest": (
        lambda x: float(np.round(3 * x, 9).sum() + x @ x),
        lambda x: 3 + 2 * x,
    ),
    "a part beside 1e8": (lambda x: float(((x + 1e8) - 1e8) @ B + x @ x), lambda x: B + 2 * x),
}


@pytest.mark.parametrize("name", FAMILY)
def test_two_grains_in_one_function(name: str) -> None:
    f, grad = FAMILY[name]
    rng = np.random.default_rng(1)
    for _ in range(40):
        x = rng.standard_normal(3)
        assert check_grad(f, grad, x).kind in ("right", "round-off")


def test_a_wrong_gradient_of_such_a_function_is_found() -> None:
    f, grad = FAMILY["float32 and a float64 penalty"]
    rng = np.random.default_rng(2)
    for factor in (2.0, -1.0, 0.5):
        for _ in range(10):
            assert check_grad(f, lambda x, k=factor: k * grad(x), rng.standard_normal(3)).kind == "wrong"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_losses_that_have_come_to_nothing(dtype: Any) -> None:
    far = 40.0 if dtype == np.float64 else 20.0
    one = np.eye(2, dtype=dtype)[0]
    cases: list[tuple[Any, Any, list[float]]] = [
        (lambda x: float(-np.log(sigmoid(x)).sum()), lambda x: -1 / (1 + np.exp(x)), [far]),
        (lambda x: float(1 - np.tanh(20 * x[0])), lambda x: -20 * sech2(20 * x), [1.0]),
        (lambda x: float(np.tanh(x).sum()), sech2, [-25.0, 22.0]),
        (
            lambda x: float(-np.log(np.exp(x[0]) / np.exp(x).sum())),
            lambda x: np.exp(x) / np.exp(x).sum() - one,
            [far, 1.0],
        ),
    ]
    for f, grad, x in cases:
        assert check_grad(f, grad, np.array(x, dtype)).kind in ("right", "round-off")


def test_a_slope_where_there_is_none_is_wrong() -> None:
    """Flat on both sides, and what is claimed would be seen."""
    report = check_grad(lambda x: float(np.maximum(30 - x, 0).sum()), np.ones_like, np.array([40.0]))
    assert report.kind == "wrong"
    report = check_grad(lambda x: float(x[0] ** 2), lambda x: np.array([2 * x[0], 1.0]), np.array([1.0, 2.0]))
    assert report.kind == "wrong"


@pytest.mark.parametrize("scale", [1.0, 1e12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steep_and_saturated(dtype: Any, scale: float) -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 4, 7) * 10:
        x = rng.standard_normal(n).astype(dtype)
        report = check_grad(
            lambda x: dtype(scale * np.tanh(20 * x).sum()),
            lambda x: (scale * 20 * sech2(20 * x)).astype(dtype),
            x,
        )
        assert report.kind != "wrong"


@pytest.mark.parametrize("frequency", [1e2, 1e3])
def test_a_wave_shorter_than_the_steps_that_noise_allows(frequency: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        x = rng.standard_normal(1).astype(np.float32)
        report = check_grad(
            lambda x: float(np.sin(frequency * x.astype(np.float64)).sum() + 1e6),
            lambda x: (frequency * np.cos(frequency * x.astype(np.float64))).astype(np.float32),
            x,
        )
        assert report.kind != "wrong"


def test_a_bump_beside_a_large_constant() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        x = (0.3 + 1e-3 * rng.uniform(-1, 1, 1)).astype(np.float32)

        def f(x: Any) -> float:
            z = x.astype(np.float64)
            return float((np.exp(-0.5 * ((z - 0.3) / 1e-3) ** 2) + 0.01 * z**2).sum() + 1e6)

        def grad(x: Any) -> Any:
            z = x.astype(np.float64)
            bump = np.exp(-0.5 * ((z - 0.3) / 1e-3) ** 2)
            return (-(z - 0.3) / 1e-6 * bump + 0.02 * z).astype(np.float32)

        assert check_grad(f, grad, x).kind != "wrong"
