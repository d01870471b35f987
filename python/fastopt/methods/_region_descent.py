"""The loop that saddle-free Newton, the trust region and cubic regularisation share.

They differ in the search, a `Region`, and in the descent that it is made with. Where second derivatives come
from and in which space the model lives is the business of `Hessians` and `Model`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, integer, word
from fastopt.functions.lengths import norm
from fastopt.methods._curvature import Hessians, SecondOrder
from fastopt.methods._lengths import escape_length
from fastopt.methods._models import Dense, Krylov, Model, Plane, room
from fastopt.methods._names import Subproblem
from fastopt.methods._problem import Point, Problem
from fastopt.methods._regions import Outcome, Region
from fastopt.methods._result import Stop

__all__ = ["descend"]

Array = NDArray[Any]

#: A step is taken if f falls by this share of what was promised.
ACCEPT = 1e-4
#: Rejected steps in a row at most: the last is 1e-18 of the first, or less.
TRIES = 60
#: Where f says nothing, the gradient must shrink by this: a run would end at its limits by tiny steps.
_SHRINKS = 0.99
#: Steps in a row that contradict the gradient, each at most half the last, before it is called wrong.
CONTRADICTIONS = 8


def descend(
    problem: Problem,
    region: Region,
    subproblem: Subproblem,
    second_order: bool,
    krylov_size: int | None,
    seed: Any,
) -> None:
    """Search within a region; the options are those that the methods document."""
    word("subproblem", subproblem, get_args(Subproblem), "'auto', 'dense' or 'lanczos'")
    second_order = flag("second_order", second_order)
    if krylov_size is None:
        krylov_size = room(problem.n, 100)
    else:
        krylov_size = integer("krylov_size", krylov_size, minimum=1)
    _Descent(problem, region, subproblem, second_order, krylov_size, seed).run()


class _Descent:
    def __init__(
        self,
        problem: Problem,
        region: Region,
        subproblem: Subproblem,
        second_order: bool,
        krylov_size: int,
        seed: Any,
    ) -> None:
        self.problem, self.region, self.subproblem = problem, region, subproblem
        self.second_order, self.krylov_size = second_order, krylov_size
        self.hessians = Hessians(problem)
        self.test = SecondOrder(problem, self.hessians, seed)
        self.contradicting: list[
            Outcome
        ] = []  # in a row: f rose though grad alone decided that it should fall
        self.finite = self.nonfinite = 0  # of f at the steps that were rejected in a row

    def run(self) -> None:
        critical = self._asks_for_curvature(self.problem.begin)
        assert self.problem.current is not None
        at = self.problem.current
        self.dense = self.hessians.wants_matrix(self.subproblem, at)
        self.first_slope = norm(at.jac)
        model = self._critical(at) if critical else self._model(at, newton=False)
        self.problem.lay_floor(at, float(np.abs(model.w).max()))
        self.region.begin(model, at)
        while True:
            if critical:
                self.region.escape(model, escape_length(model, at))
            at = self._step(model, at, critical)
            self.test.forget()
            critical = self._asks_for_curvature(self.problem.iterate, *at)
            convex = float(model.w[0]) > 0.0
            model = self._critical(at) if critical else self._model(at, newton=convex)

    def _asks_for_curvature(self, report: Callable[..., Any], *args: Any) -> bool:
        """Whether the gradient is small, and curvature is still to be asked; without that it ends the run."""
        small = self.problem.small_gradient(report, *args)
        if small and not self.second_order:
            raise Stop("gtol")
        return small

    # --- models ---

    def _model(self, at: Point, newton: bool) -> Model:
        if self.dense:
            return Dense(self.hessians.matrix(at), at.jac, newton=newton and self.region.may_be_newton)
        tolerance = min(0.1, math.sqrt(norm(at.jac) / self.first_slope) if self.first_slope else 0.1)
        return Krylov(self.hessians.product(at), at.jac, tolerance, self.krylov_size)

    def _critical(self, at: Point) -> Model:
        """The gradient is small: stops unless there is negative curvature, and returns a model with it."""
        if self.dense:
            whole = Dense(self.hessians.matrix(at), at.jac)
            if not self.test.judge(whole.w):
                raise Stop("gtol")
            self.test.ensure_steps()
            return whole
        product = self.hessians.product(at)
        direction = self.test.search(product)
        if direction is None:
            raise Stop("gtol")
        self.test.ensure_steps()
        return Plane(product, at.jac, direction)

    # --- steps ---

    def _step(self, model: Model, at: Point, critical: bool) -> Point:
        """The next point: steps are tried, shorter each time, until f falls as promised."""
        for refused in range(TRIES):
            step = self.region.step(model)
            while model.grow(step):
                step = self.region.step(model)
            x = self.problem.representable(at.x + model.lift(step.y))
            if np.array_equal(x, at.x):
                raise self._failure("The next step would not change x.")
            promise = self.region.promise(model, step.y)
            f = self.problem.trial(x)
            noise = 10 * self.problem.eps * abs(at.fun)
            if promise <= noise and f - at.fun <= noise:
                return self._within_noise(Point(x, f, self.problem.grad(x)), at, critical, model.w)
            seen = Outcome.of(model, step, f - at.fun, promise, refused)
            if seen.ratio >= ACCEPT:
                g = self.problem.grad(x)
                if np.isfinite(g).all():
                    self.contradicting.clear()
                    self.finite = self.nonfinite = 0
                    self.region.accepted(seen)
                    return Point(x, f, g)
                seen = seen._replace(ratio=-math.inf, excess=math.inf, rise=math.inf)
            self.finite += math.isfinite(seen.rise)
            self.nonfinite += not math.isfinite(seen.rise)
            if seen.contradicts(noise):
                self.contradicting.append(seen)
            if self._was_noise(at):
                self.region.begin(model, at)
                return self._step(model, at, critical)
            self.region.rejected(seen)
        raise self._failure("No step was short enough.")

    def _was_noise(self, at: Point) -> bool:
        """Whether steps were refused for what rounding inside f did, now that it is known; asked once."""
        if len(self.contradicting) < CONTRADICTIONS or not self.problem.is_coarser(at.x):
            return False
        noise = 0.2 * self.problem.eps * abs(at.fun)  # measured, not guessed: 200 times as much is none
        if sum(seen.contradicts(noise) for seen in self.contradicting) >= CONTRADICTIONS // 4:
            raise Stop("wrong gradient")
        self.contradicting.clear()
        return True

    def _within_noise(self, new: Point, at: Point, critical: bool, w: Array) -> Point:
        """f cannot tell whether the step is good: the gradient has to, or f in spite of it at a saddle."""
        smaller = float(np.abs(new.jac).max()) < _SHRINKS * float(np.abs(at.jac).max())
        if new.fun < at.fun if critical else smaller and len(self.contradicting) < CONTRADICTIONS:
            return new
        if critical and self.test.weak(w):
            raise Stop("gtol")
        raise self._failure("f would change by no more than rounding.")

    def _failure(self, detail: str) -> Stop:
        if len(self.contradicting) >= CONTRADICTIONS:
            return Stop("wrong gradient")
        if self.nonfinite and self.finite == 0:
            return Stop("nan", "f is not finite at any of the points tried around x.")
        return Stop("precision", detail)
