"""The point under examination, with the user's functions at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._functions import Objective, VectorFunction
from fastopt._layout import Layout
from fastopt.curvature._noise import check_repeatable, checked, gradient_noise, objective_noise, value_at

Array = NDArray[Any]

__all__ = ["Place"]


class Place:
    """A point x as a flat vector, and what `f` and `grad` say there; each is evaluated when first asked for.

    Attributes
    ----------
    layout, flat : Layout, ndarray
        The structure of x and a copy of its values.
    f, grad : Objective or None, VectorFunction or None
        The user's functions on flat vectors.
    rng : numpy.random.Generator
        For the directions of probes; the same at every call, so that results can be repeated.
    """

    def __init__(self, f: Callable[..., Any] | None, grad: Callable[..., Any] | None, x: Any) -> None:
        self.layout, self.flat = Layout.of(x)
        self.f = None if f is None else Objective(f, self.layout, "f")
        self.grad = None if grad is None else VectorFunction(grad, self.layout, "grad")
        self.rng = np.random.default_rng(0)
        self._g: Array | None = None
        self._noise: float | None = None
        self._value: float | None = None
        self._value_noise: float | None = None

    @property
    def n(self) -> int:
        return self.layout.size

    @property
    def g(self) -> Array:
        """The gradient at x: finite, and the same at a second call, or a ValueError."""
        if self._g is None:
            assert self.grad is not None
            self._g = checked(self.grad, self.flat)
            check_repeatable(self.grad, self.flat, self._g, self.rng)
        return self._g

    @property
    def noise(self) -> float:
        """What one rounding error of x changes the gradient by."""
        if self._noise is None:
            assert self.grad is not None
            self._noise = gradient_noise(self.grad, self.flat, self.g, self.rng)
        return self._noise

    @property
    def value(self) -> float:
        """f at x, finite or a ValueError."""
        if self._value is None:
            assert self.f is not None
            self._value = value_at(self.f, self.flat)
        return self._value

    @property
    def value_noise(self) -> float:
        """The level below which differences of f mean nothing."""
        if self._value_noise is None:
            assert self.f is not None
            self._value_noise = objective_noise(self.f, self.flat, self.value, self.rng)
        return self._value_noise

    def structured(self, flat: Array) -> Any:
        """A flat vector in the structure of x."""
        return self.layout.structured(flat)
