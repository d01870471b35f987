"""The user's functions on flat float64 vectors, whatever the structure and precision of `x`, and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.functions.counted import ScalarFunction, VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.matrices import Products, square
from fastopt.methods._result import Stop

__all__ = ["Evaluations", "Point"]

Array = NDArray[Any]
_FLOAT64 = np.dtype(np.float64)
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])  # a fourth difference


class Point(NamedTuple):
    """A point with what is known there. Its arrays are never written to again."""

    x: Array
    fun: float
    jac: Array


class Evaluations:
    """f and its derivatives, counted, with the best point of all; `fastopt.methods._problem` has the rest."""

    def __init__(self, f: Any, grad: Any, x: Any, maxfev: int | None, hessian: Any, hvp: Any) -> None:
        self.layout, flat = Layout.of(x)
        self.n = self.layout.size
        self.start: Array = flat.astype(np.float64, copy=False)
        if not np.isfinite(self.start).all():
            at = int(np.flatnonzero(~np.isfinite(self.start))[0])
            raise ValueError(
                f"x: expected finite numbers, got {self.layout.where(at)} = {float(self.start[at])}"
            )
        self._maxfev = maxfev
        self.exact = all(dtype == np.float64 for dtype in self.layout.dtypes)
        self.joint = grad is True
        self._given: tuple[Array, Any] | None = None  # the gradient that came with f, and where
        if not callable(f):
            raise TypeError(f"f: expected a function of x, got {shown(f)}")
        if not self.joint and not callable(grad):
            raise TypeError(f"grad: expected a function of x, or True if f returns both, got {shown(grad)}")
        self._f = ScalarFunction(self._split(f) if self.joint else f, self.layout, "f")
        self._grad = VectorFunction(self._shaped(self._came if self.joint else grad), self.layout, "grad")
        self._hessian = _function(hessian, "hessian")
        self._hvp = self._shaped(_function(hvp, "hvp"))
        self.nfev = self.njev = self.nhev = 0
        self.best: Point | None = None
        self._measured_eps: float | None = None

    def representable(self, x: Array) -> Array:
        """`x` rounded to what the user's arrays hold, so that what is kept is what f was evaluated at."""
        return x if self.exact else self.layout.rounded(x)

    def fun(self, x: Array) -> float:
        """f at a flat vector; may be NaN or infinite. Stops the run instead if `maxfev` is used up."""
        if self.nfev == self._maxfev:
            raise Stop("maxfev")
        self.nfev += 1
        if self.joint:
            self.njev += 1
            self._given = (x.copy(), None)
        return self._f(x)

    def grad(self, x: Array) -> Array:
        """The gradient at a flat vector: a fresh float64 vector, maybe with NaN or infinities.

        Free where f was evaluated last, if f returns both.
        """
        if not self.joint:
            self.njev += 1
        elif self._given is None or not np.array_equal(self._given[0], x):
            f = self.fun(x)
            jac = self._grad(x).astype(np.float64, copy=False)
            self.record(x.copy(), f, jac.copy())  # nobody else asked for this f
            return jac
        return self._grad(x).astype(np.float64, copy=False)

    def raw_grad(self, x: Array) -> Array:
        """As `grad`, but the vector may be the user's own: to be read before anything else is called."""
        if self.joint:
            return self.grad(x)
        self.njev += 1
        came = self._grad.peek(x)
        return (
            came if came.dtype is _FLOAT64 and came.flags.c_contiguous else came.astype(np.float64, order="C")
        )

    @property
    def eps(self) -> float:
        """The unit round-off of the coarsest numbers so far: x, values of f, gradients; or as measured."""
        f, grad = self._f.eps, self._grad.eps
        coarsest = f if f > grad else grad
        measured = self._measured_eps
        return coarsest if measured is None or measured < coarsest else measured

    def is_coarser(self, x: Array) -> bool:
        """Whether f around `x` is far coarser than its dtype says: float32 inside, and a float64 comes out.

        Measured once in a run, by seven values of f along a line, and then what `eps` says. Their fourth
        differences tell noise: those of a smooth f are nothing beside it, whatever its gradient.
        """
        if self._measured_eps is not None:
            return False
        self._measured_eps = 0.0
        way = 2.0**-20 * x * np.random.default_rng(0).choice([-1.0, 1.0], x.size)
        values = np.array([self.fun(self.representable(x + k * way)) for k in range(-3, 4)])
        scale = float(np.max(np.abs(values)))
        if not 0.0 < scale < math.inf:
            return False
        noise = np.convolve(values / scale, _FOURTH, "valid") / math.sqrt(float(_FOURTH @ _FOURTH))
        self._measured_eps = float(np.sqrt(np.mean(np.square(noise))))
        return self._measured_eps > 16.0 * max(self._f.eps, self._grad.eps)

    @property
    def has_hessian(self) -> bool:
        return self._hessian is not None

    @property
    def has_hvp(self) -> bool:
        return self._hvp is not None

    def hessian(self, x: Array) -> Array | Products:
        """The user's Hessian at a flat vector: float64 of shape (n, n), a copy; or products with it."""
        assert self._hessian is not None
        self.nhev += 1
        given = self._hessian(self.layout.structured(x))
        products = Products.of(given)
        return products.check(self.n) if products else np.array(square(given, self.n), np.float64)

    def hvp(self, x: Array, v: Array) -> Array:
        """The user's product of the Hessian at `x` with `v`, both flat: a fresh float64 vector."""
        assert self._hvp is not None
        self.nhev += 1
        came = self._hvp(self.layout.structured(x), self.layout.structured(v))
        return self.layout.read(came, "hvp").astype(np.float64, copy=False)

    def _shaped(self, function: Any) -> Any:
        """Of one variable a derivative may be a number: it is given the shape of x."""
        if self.n > 1 or self.layout.kind is not np.ndarray or function is None:
            return function

        def shaped(*arguments: Any) -> Any:
            came = function(*arguments)
            number = isinstance(came, (int, float)) or (np.ndim(came) == 0 and hasattr(came, "dtype"))
            return np.reshape(came, self.layout.shapes[0]) if number else came

        return shaped

    def _split(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def value(x: Any) -> Any:
            came = f(x)
            if not isinstance(came, tuple) or len(came) != 2:
                raise TypeError(f"f: expected (value, gradient), as grad=True says, got {shown(came)}")
            assert self._given is not None
            self._given = (self._given[0], came[1])
            return came[0]

        return value

    def _came(self, x: Any) -> Any:
        assert self._given is not None
        return self._given[1]

    def record(self, x: Array, fun: float, jac: Array) -> None:
        """A point that was evaluated, kept if it is the best so far: neither array may be written again."""
        if (self.best is None or fun < self.best.fun) and math.isfinite(fun) and np.isfinite(jac).all():
            self.best = Point(x, fun, jac)


def _function(function: Any, name: str) -> Callable[..., Any] | None:
    if function is not None and not callable(function):
        raise TypeError(f"{name}: expected a function or None, got {shown(function)}")
    return function  # type: ignore[no-any-return]
