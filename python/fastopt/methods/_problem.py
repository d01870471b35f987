"""What a method minimises: the user's functions on flat vectors, counted, with everything that can end a run.

A method is a function of a `Problem` and its own options. It evaluates through the problem, reports every
finished iteration to `iterate`, and is ended by `Stop`, its own or one of the problem's. It works in flat
float64 vectors whatever the structure and precision of the user's `x`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.functions.lengths import norm
from fastopt.methods._evaluations import Evaluations, Point
from fastopt.methods._result import Result, Stop

__all__ = ["Limits", "Point", "Problem"]

Array = NDArray[Any]
#: Trials that are remembered: one is enough, unless its gradient is not finite.
LOWER = 4
#: So many times its scale at the start f may fall.
FALLEN = 1e20


class Limits(NamedTuple):
    """When to stop, as `fastopt.minimize` documents it; a tolerance of 0 asks for the impossible: never."""

    gtol: float
    ftol: float
    xtol: float
    maxiter: int | None  # None: 200 n
    maxfev: int | None


class Problem(Evaluations):
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
        hessian: Any = None,
        hvp: Any = None,
        callback: Any = None,
    ) -> None:
        super().__init__(f, grad, x, limits.maxfev, hessian, hvp)
        if limits.maxiter is None:
            limits = limits._replace(maxiter=200 * self.n)
        self.limits = limits
        self._tolerances = limits[:3]
        self.maxiter: int = limits.maxiter or 0
        self._callback = _callback(callback)
        self.trace: list[Any] | None = None  # all iterates, if they are wanted
        self.nit = 0
        self.current: Point | None = None
        self.extra: dict[str, Any] = {}
        self._floor = -math.inf
        self._lower: list[tuple[Array, float]] = []  # trials below the best point, the lowest first

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
                self._lower = sorted([*self._lower, (x, f)], key=lambda pair: pair[1])[:LOWER]
        if f < self._floor:
            if math.isfinite(f):
                self.record(x, f, self.grad(x))
            raise Stop("unbounded")
        return f

    def lay_floor(self, start: Point, bend: float = 0.0) -> None:
        """Trials far below f at the start, seen by |f|, |g| |x|, |H| |x|^2 and 1, stop the run from now on.

        Where x is less than 1 it counts as 1: a floor that is too low only costs evaluations.
        """
        length = max(1.0, norm(start.x))
        scale = max(1.0, abs(start.fun), norm(start.jac) * length, bend * length * length)
        self._floor = start.fun - FALLEN * scale

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

        `before` and `fun` are f before and after it (`before` is NaN if the fall says nothing of what is
        left), `largest` is max|g|, `step` is |dx| / (xtol + |x|), and `x` gives the point to a callback.
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

    def small_gradient(self, report: Callable[..., Any], *args: Any) -> bool:
        """Call `begin` or `iterate`; whether the run would end there for its small gradient alone."""
        try:
            report(*args)
        except Stop as stop:
            if stop.reason != "gtol":
                raise
            return True
        return False

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
        for x, fun in self._lower:
            if self.best is None or not fun < self.best.fun:
                return
            self.record(x, fun, self.grad(x))


def _callback(callback: Any) -> Callable[[Result], Any] | None:
    """The callback as a function of one `Result` with `x` and `fun`; which kind it is, its signature says."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback: expected a function or None, got {shown(callback)}")
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # a built-in without a signature
        names = set()
    if names == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result["x"])
