"""What f and grad say at one point, and how finely: measured, as no formula knows their rounding errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.counted import ScalarFunction, VectorFunction
from fastopt.functions.layout import Layout

Array = NDArray[Any]

__all__ = ["Evaluation", "finite_gradient"]


class Evaluation:
    """f and grad at the x that came with them; each is evaluated when first asked for.

    Attributes
    ----------
    layout : Layout
        The structure of x.
    x : ndarray, shape (n,)
        A flat copy of its values, in the widest of their dtypes.
    rng : numpy.random.Generator
        For the directions of probes; the same at every call, so that results can be repeated.

    >>> import numpy as np
    >>> from fastopt.functions.evaluation import Evaluation
    >>> at = Evaluation(None, lambda x: [2 * a for a in x], [np.ones(2), np.zeros(1)])
    >>> at.g, at.grad.calls, at.n
    (array([2., 2., 0.]), 2, 3)
    """

    def __init__(self, f: Callable[..., Any] | None, grad: Callable[..., Any] | None, x: Any) -> None:
        self.layout, self.x = Layout.of(x)
        self._f = None if f is None else ScalarFunction(f, self.layout, "f")
        self._grad = None if grad is None else VectorFunction(grad, self.layout, "grad")
        self.rng = np.random.default_rng(0)

    @property
    def n(self) -> int:
        return self.layout.size

    @property
    def has_f(self) -> bool:
        return self._f is not None

    @property
    def has_grad(self) -> bool:
        return self._grad is not None

    @property
    def f(self) -> ScalarFunction:
        assert self._f is not None
        return self._f

    @property
    def grad(self) -> VectorFunction:
        assert self._grad is not None
        return self._grad

    @cached_property
    def g(self) -> Array:
        """The gradient: finite, and the same at a second call, or a ValueError."""
        g = finite_gradient(self.grad, self.x)
        _check_repeatable(self.grad, self.x, g, self.rng)
        return g

    @cached_property
    def noise(self) -> float:
        """The largest change of the gradient when every element of x moves by one rounding error.

        No stored x has a smaller gradient than about this, except by luck: it holds both the rounding inside
        `grad` and what the rounding of x itself does, eps |H| |x|.
        """
        g, grad = self.g, self.grad
        moved = (finite_gradient(grad, _neighbour(self.x, grad.eps, self.rng)) for _ in range(3))
        return max(float(np.linalg.norm(other - g)) for other in moved)

    @cached_property
    def value(self) -> float:
        """f: finite, or a ValueError."""
        value = self.f(self.x)
        if not np.isfinite(value):
            raise ValueError(f"f: expected a finite number at x, got {value}")
        return value

    @cached_property
    def value_noise(self) -> float:
        """The level below which differences of f mean nothing: measured likewise, at least eps |f|."""
        value, f = self.value, self.f
        moved = [abs(f(_neighbour(self.x, f.eps, self.rng)) - value) for _ in range(6)]
        return max([f.eps * abs(value), *(m for m in moved if np.isfinite(m))])

    def gradient_at(self, x: Array) -> Array:
        """The gradient elsewhere; finite or not."""
        with np.errstate(all="ignore"):
            return self.grad(x.astype(self.x.dtype, copy=False))

    def value_at(self, x: Array) -> float:
        """f elsewhere; finite or not."""
        with np.errstate(all="ignore"):
            return self.f(x.astype(self.x.dtype, copy=False))


def finite_gradient(grad: VectorFunction, x: Array) -> Array:
    """The gradient, finite or a ValueError that says where it is not."""
    return grad.layout.finite(grad(x), grad.name, "numbers")


def _neighbour(x: Array, eps: float, rng: np.random.Generator) -> Array:
    """x with every element moved by about one rounding error, up or down at random; zeros stay."""
    return (x * (1 + eps * rng.choice([-1.0, 1.0], x.size))).astype(x.dtype)


def _check_repeatable(grad: VectorFunction, x: Array, g: Array, rng: np.random.Generator) -> None:
    """Raise ValueError if the gradient at one x changes from call to call by more than rounding can.

    The scale is how much it changes when x moves by a thousandth. Sums in an order that threads decide differ
    by 1e-13 of that (1e-4 in float32); mini-batches, dropout or noise by its own size and more.
    """
    again = float(np.linalg.norm(finite_gradient(grad, x) - g))
    if again == 0.0:
        return
    size = np.maximum(np.abs(x), float(np.sqrt(np.mean(np.square(x)))) or 1.0)
    moved = (x + 1e-3 * size * rng.choice([-1.0, 1.0], x.size)).astype(x.dtype)
    expected = float(np.linalg.norm(finite_gradient(grad, moved) - g))
    if again > 1e-2 * expected:
        raise ValueError(
            f"grad: expected the same gradient for the same x, got two that differ by {again:.3g}, while "
            f"moving x by a thousandth changes it by {expected:.3g}: mini-batches, dropout or noise must be "
            "held fixed"
        )
