"""How finely a user's function resolves a point: measured, because no formula knows its rounding errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._functions import Objective, VectorFunction

Array = NDArray[Any]

__all__ = ["check_repeatable", "gradient_noise", "objective_noise"]


def gradient_noise(
    grad: VectorFunction, flat: Array, g: Array, rng: np.random.Generator, draws: int = 3
) -> float:
    """The largest change of the gradient when every element of x moves by one rounding error.

    No stored x has a smaller gradient than about this, except by luck: it holds both the rounding inside
    `grad` and what the rounding of x itself does, eps |H| |x|.
    """
    return max(float(np.linalg.norm(checked(grad, neighbour(flat, grad.eps, rng)) - g)) for _ in range(draws))


def objective_noise(
    f: Objective, flat: Array, value: float, rng: np.random.Generator, draws: int = 6
) -> float:
    """The level below which differences of `f` mean nothing: measured likewise, at least eps |f|."""
    moved = [abs(f(neighbour(flat, f.eps, rng)) - value) for _ in range(draws)]
    return max([f.eps * abs(value), *(m for m in moved if np.isfinite(m))])


def neighbour(flat: Array, eps: float, rng: np.random.Generator) -> Array:
    """x with every element moved by about one rounding error, up or down at random; zeros stay."""
    return (flat * (1 + eps * rng.choice([-1.0, 1.0], flat.size))).astype(flat.dtype)


def check_repeatable(grad: VectorFunction, flat: Array, g: Array, rng: np.random.Generator) -> None:
    """Raise ValueError if the gradient at one x changes from call to call by more than rounding can.

    The scale is how much it changes when x moves by a thousandth. Sums in an order that threads decide differ
    by 1e-13 of that (1e-4 in float32); mini-batches, dropout or noise by its own size and more.
    """
    again = float(np.linalg.norm(checked(grad, flat) - g))
    if again == 0.0:
        return
    size = np.maximum(np.abs(flat), float(np.sqrt(np.mean(np.square(flat)))) or 1.0)
    moved = (flat + 1e-3 * size * rng.choice([-1.0, 1.0], flat.size)).astype(flat.dtype)
    expected = float(np.linalg.norm(checked(grad, moved) - g))
    if again > 1e-2 * expected:
        raise ValueError(
            f"grad: expected the same gradient for the same x, got two that differ by {again:.3g}, while "
            f"moving x by a thousandth changes it by {expected:.3g}: mini-batches, dropout or noise must be "
            "held fixed"
        )


def checked(grad: VectorFunction, flat: Array) -> Array:
    """The gradient, finite or a ValueError that says where it is not."""
    g = grad(flat)
    if not np.isfinite(g).all():
        i = int(np.flatnonzero(~np.isfinite(g))[0])
        raise ValueError(f"{grad.name}: expected finite numbers, got {g[i]} for {grad.layout.where(i)}")
    return g


def value_at(f: Callable[[Array], float], flat: Array) -> float:
    """f at the point itself, finite or a ValueError."""
    value = f(flat)
    if not np.isfinite(value):
        raise ValueError(f"f: expected a finite number at x, got {value}")
    return value
