"""What a method minimises: the user's functions on flat vectors, counted, with everything that can end a run.

A method is a function of a `Problem` and its own options. It evaluates through the problem, reports every
finished iteration to `iterate`, and is ended by `Stop`, its own or one of the problem's. It works in flat
float64 vectors whatever the structure and precision of the user's `x`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt._functions import Objective, VectorFunction
from fastopt._layout import Layout
from fastopt.methods._callback import read_callback
from fastopt.methods._hessian_input import read as read_hessian
from fastopt.methods._result import Result, Stop

__all__ = ["Limits", "Point", "Problem"]

Array = NDArray[Any]
#: Trials that are remembered: one is enough, unless its gradient is not finite.
LOWER = 4
_FLOAT64 = np.dtype(np.float64)


class Limits(NamedTuple):
    """When to stop, as `fastopt.minimize` documents it; a tolerance of 0 asks for the impossible: never."""

    gtol: float
    ftol: float
    xtol: float
    maxiter: int | None  # None: 200 n
    maxfev: int | None


class Point(NamedTuple):
    """A point with what is known there. Its arrays are never written to again."""

    x: Array
    fun: float
    jac: Array


class Problem:
    """f, its derivatives, the start and the limits of one run.

    Attributes
    ----------
    n : int
        The number of variables.
    start : ndarray of shape (n,), float64
        Where to begin: a copy of the user's `x`.
    limits : Limits
    nit, nfev, njev, nhev : int
        Counts so far. A method that evaluates anything around the problem adds it here.
    best : Point or None
        The lowest f of all points with a finite f and a finite gradient that were recorded.
    current : Point or None
        What `iterate` was told last: the result if the run succeeds.
    extra : dict
        What a method wants to say besides: more items of the result.
    """

    def __init__(
        self,
        f: Any,
        grad: Any,
        x: Any,
        limits: Limits,
        *,
        hess: Any = None,
        hvp: Any = None,
        callback: Any = None,
    ) -> None:
        self.layout, flat = Layout.of(x)
        self.n = self.layout.size
        self.start: Array = flat.astype(np.float64, copy=False)
        if not np.isfinite(self.start).all():
            at = int(np.flatnonzero(~np.isfinite(self.start))[0])
            raise ValueError(
                f"x: expected finite numbers, got {self.layout.where(at)} = {float(self.start[at])}"
            )
        if limits.maxiter is None:
            limits = limits._replace(maxiter=200 * self.n)
        self.limits = limits
        self._tolerances = limits[:3]
        self._maxfev = limits.maxfev
        self.maxiter: int = limits.maxiter or 0
        self.exact = all(dtype == np.float64 for dtype in self.layout.dtypes)
        self.joint = grad is True
        self._given: tuple[Array, Any] | None = None  # the gradient that came with f, and where
        if not callable(f):
            raise TypeError(f"f: expected a function of x, got {shown(f)}")
        if not self.joint and not callable(grad):
            raise TypeError(f"grad: expected a function of x, or True if f returns both, got {shown(grad)}")
        self._f = Objective(self._split(f) if self.joint else f, self.layout, "f")
        self._grad = VectorFunction(self._shaped(self._came if self.joint else grad), self.layout, "grad")
        self._hess = _function(hess, "hess")
        self._hvp = self._shaped(_function(hvp, "hvp"))
        self._callback = read_callback(callback)
        self.trace: list[Any] | None = None  # all iterates, if they are wanted
        self.nit = self.nfev = self.njev = self.nhev = 0
        self.best: Point | None = None
        self.current: Point | None = None
        self.extra: dict[str, Any] = {}
        self._lower: list[tuple[Array, float]] = []  # trials below the best point, the latest first

    # --- evaluation ---

    def representable(self, x: Array) -> Array:
        """`x` rounded to what the user's arrays hold, so that what is kept is what f was evaluated at."""
        if self.exact:
            return x
        rounded: Array = x.copy()
        for part, dtype in zip(self.layout.slices().values(), self.layout.dtypes, strict=True):
            rounded[part] = x[part].astype(dtype)
        return rounded

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
            self.fun(x)
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

    def both(self, x: Array) -> tuple[float, Array]:
        """f and its gradient at a flat vector, recorded."""
        fun = self.fun(x)
        jac = self.grad(x)
        self.record(x, fun, jac)
        return fun, jac

    def trial(self, x: Array) -> float:
        """f at a point that may be refused: if it is the lowest so far, it is kept in mind all the same.

        Its gradient is asked for at the end of the run, if nothing lower was found until then.
        """
        f = self.fun(x)
        if math.isfinite(f) and (self.best is None or f < self.best.fun):
            if self.joint:
                self.record(x, f, self.grad(x))
            else:
                self._lower = [(x, f), *self._lower][:LOWER]
        return f

    @property
    def eps(self) -> float:
        """The unit round-off of the coarsest numbers so far: x, values of f, gradients."""
        f, grad = self._f.eps, self._grad.eps
        return f if f > grad else grad

    @property
    def has_hess(self) -> bool:
        return self._hess is not None

    @property
    def has_hvp(self) -> bool:
        return self._hvp is not None

    def hess(self, x: Array) -> Any:
        """The user's Hessian at a flat vector: float64 of shape (n, n), a copy; or sparse, or an operator."""
        assert self._hess is not None
        self.nhev += 1
        return read_hessian(self._hess(self.layout.structured(x)), self.n)

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

    # --- progress ---

    def record(self, x: Array, fun: float, jac: Array) -> None:
        """A point that was evaluated, kept if it is the best so far: neither array may be written again."""
        if (self.best is None or fun < self.best.fun) and math.isfinite(fun) and np.isfinite(jac).all():
            self.best = Point(x, fun, jac)

    def begin(self) -> tuple[Array, float, Array]:
        """Start, f and gradient there; stops if they are not finite or the gradient is small already."""
        x = self.start
        fun, jac = self.both(x)
        self.current = Point(x, fun, jac)
        self._follow(x)
        if not math.isfinite(fun):
            raise Stop("nan", f"f is {fun} at the start.")
        if not np.isfinite(jac).all():
            at = int(np.flatnonzero(~np.isfinite(jac))[0])
            where = self.layout.where(at).replace(self.layout.name, "grad", 1)
            raise Stop("nan", f"{where} is {float(jac[at])} at the start.")
        if float(np.abs(jac).max()) <= self.limits.gtol:
            raise Stop("gtol")
        if self.maxiter == 0:
            raise Stop("maxiter")
        return x, fun, jac

    def iterate(self, x: Array, fun: float, jac: Array) -> None:
        """An iteration ended at x: the callback is called, and the run stops if it is time to.

        None of the arrays may be written again. Methods that know the numbers of the tests already call
        `advance` instead.
        """
        before = self.current
        self.record(x, fun, jac)
        self.current = Point(x, fun, jac)
        step = math.inf
        if self.limits.xtol and before is not None:
            step = float(np.linalg.norm(x - before.x) / (self.limits.xtol + np.linalg.norm(x)))
        before_fun = math.inf if before is None else before.fun
        self.advance(before_fun, fun, float(np.abs(jac).max()), step, lambda: x)

    def advance(self, before: float, fun: float, largest: float, step: float, x: Callable[[], Array]) -> None:
        """Count an iteration and stop if it is time to.

        `before` and `fun` are f before and after it, `largest` is max|g|, `step` is |dx| / (xtol + |x|), and
        `x` gives the point to a callback.
        """
        self.nit += 1
        if self.trace is not None:
            self._follow(x())
        if self._callback is not None:
            self._call_back(x(), fun)
        gtol, ftol, xtol = self._tolerances
        if largest <= gtol:
            raise Stop("gtol")
        if ftol and 0.0 <= before - fun <= ftol * max(abs(before), abs(fun), 1.0):
            raise Stop("ftol")
        if step <= xtol:
            raise Stop("xtol")
        if self.nit >= self.maxiter:
            raise Stop("maxiter")

    def _follow(self, x: Array) -> None:
        if self.trace is not None:
            self.trace.append(self.layout.structured(x))

    def _call_back(self, x: Array, fun: float) -> None:
        assert self._callback is not None
        try:
            self._callback(Result(x=self.layout.structured(x), fun=fun))
        except StopIteration:
            raise Stop("callback") from None

    def result(self, stop: Stop) -> Result:
        """How the run ended: at the current point if it succeeded, else at the best one."""
        if not stop.success:
            self._look_back()
        point = self.current if stop.success else self.best or self.current
        found: dict[str, Any] = {"x": self.layout.structured(self.start), "fun": math.nan, "jac": None}
        if point is not None:
            found = {
                "x": self.layout.structured(point.x),
                "fun": point.fun,
                "jac": self.layout.structured(point.jac),
            }
        counts = {"nit": self.nit, "nfev": self.nfev, "njev": self.njev, "nhev": self.nhev}
        if self.trace is not None:
            self.extra["allvecs"] = self.trace
        ending = {"status": stop.status, "success": stop.success, "message": stop.message}
        return Result(**ending, **found, **counts, **self.extra)


    def _look_back(self) -> None:
        """A trial that was refused may be the lowest point of all."""
        for x, fun in sorted(self._lower, key=lambda pair: pair[1]):
            if self.best is None or not fun < self.best.fun:
                return
            self.record(x, fun, self.grad(x))


def _function(function: Any, name: str) -> Callable[..., Any] | None:
    if function is not None and not callable(function):
        raise TypeError(f"{name}: expected a function or None, got {shown(function)}")
    return function  # type: ignore[no-any-return]
