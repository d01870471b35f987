"""The loop that saddle-free Newton, the trust region and cubic regularisation share.

They differ in the model step and in how its length is adapted: a `Rule`. Where second derivatives come from
and in which space the model lives is the business of `Hessians` and `Model`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, integer
from fastopt.methods._hessians import Hessians, wants_matrix
from fastopt.methods._krylov import Krylov
from fastopt.methods._models import Dense, Model, Plane
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop
from fastopt.methods._second_order import SecondOrder
from fastopt.methods._secular import Step, norm

__all__ = ["Outcome", "Rule", "descend"]

Array = NDArray[Any]

#: A step is taken if f falls by this share of what was promised.
ACCEPT = 1e-4
#: So many rejected steps in a row, down to where f shows only rounding, are not the model's fault.
REJECTED = 8
#: f has no lower bound once it has fallen by this many times its scale at the start.
FALLEN = 1e20


class Outcome(NamedTuple):
    """What a step came to. f was `excess` above the quadratic model: infinite if it was not finite."""

    ratio: float
    excess: float
    rise: float
    slope: float
    length: float
    step: Step


class Rule(Protocol):
    """Which step, and how long."""

    def begin(self, model: Model, x: Array) -> None:
        """Choose the first length."""
        ...

    def step(self, model: Model) -> Step:
        """The step of the present length, in the model's space as it is."""
        ...

    def promise(self, model: Model, y: Array) -> float:
        """By how much f should fall along y."""
        ...

    def accepted(self, outcome: Outcome) -> None:
        """Adapt the length to a step that was taken."""
        ...

    def rejected(self, outcome: Outcome) -> None:
        """Shorten the step; it is at most half as long the next time."""
        ...

    def escape(self, model: Model, length: float) -> None:
        """The next step leaves a critical point along the lowest eigenvector, about this far."""
        ...


def descend(
    problem: Problem, rule: Rule, *, subproblem: str, second_order: bool, krylov_size: int, seed: Any
) -> None:
    """Run a rule; the options are those that the methods document."""
    krylov_size = integer("krylov_size", krylov_size, minimum=1)
    _Descent(problem, rule, subproblem, flag("second_order", second_order), krylov_size, seed).run()


class _Descent:
    def __init__(
        self, problem: Problem, rule: Rule, subproblem: str, second_order: bool, krylov_size: int, seed: Any
    ) -> None:
        self.problem = problem
        self.rule = rule
        self.hessians = Hessians(problem)
        self.dense = wants_matrix(problem, subproblem)
        self.second_order = second_order
        self.krylov_size = krylov_size
        self.test = SecondOrder(problem, self.hessians, seed)
        self.rejections = 0  # in a row, of steps where f was finite

    def run(self) -> None:
        critical = self._begin()
        at = self._point()
        self.floor = at.fun - FALLEN * max(1.0, abs(at.fun), norm(at.jac) * max(1.0, norm(at.x)))
        self.first_slope = norm(at.jac)
        model = self._critical(at) if critical else self._model(at)
        self.rule.begin(model, at.x)
        while True:
            if critical:
                self.rule.escape(model, 0.1 * max(1.0, norm(at.x)))
            at = self._step(model, at, critical)
            critical = self._finished(at)
            model = self._critical(at) if critical else self._model(at)

    # --- where the run stands ---

    def _point(self) -> Point:
        assert self.problem.current is not None
        return self.problem.current

    def _begin(self) -> bool:
        try:
            self.problem.begin()
        except Stop as stop:
            return self._only_gradient(stop)
        return False

    def _finished(self, at: Point) -> bool:
        try:
            self.problem.iterate(*at)
        except Stop as stop:
            return self._only_gradient(stop)
        return False

    def _only_gradient(self, stop: Stop) -> bool:
        """True if it is the gradient that would stop the run, and curvature is still to be asked."""
        if stop.reason != "gtol" or not self.second_order:
            raise stop
        return True

    # --- models ---

    def _model(self, at: Point) -> Model:
        if self.dense:
            return Dense(self.hessians.matrix(at.x), at.jac)
        tolerance = min(0.1, math.sqrt(norm(at.jac) / self.first_slope) if self.first_slope else 0.1)
        return Krylov(self.hessians.product(at.x), at.jac, tolerance, self.krylov_size)

    def _critical(self, at: Point) -> Model:
        """The gradient is small: stops unless there is negative curvature, and returns a model with it."""
        if self.dense:
            whole = Dense(self.hessians.matrix(at.x), at.jac)
            if not self.test.judge(whole.w):
                raise Stop("gtol")
            self.test.ensure_steps()
            return whole
        product = self.hessians.product(at.x)
        direction = self.test.search(product)
        if direction is None:
            raise Stop("gtol")
        self.test.ensure_steps()
        return Plane(product, at.jac, direction)

    # --- steps ---

    def _step(self, model: Model, at: Point, critical: bool) -> Point:
        """The next point: steps are tried, shorter each time, until f falls as promised."""
        while True:
            step = self.rule.step(model)
            while model.grow(step):
                step = self.rule.step(model)
            x = self.problem.representable(at.x + model.lift(step.y))
            if np.array_equal(x, at.x):
                raise self._failure("The next step would not change x.")
            promise = self.rule.promise(model, step.y)
            f = self.problem.fun(x)
            if f < self.floor:
                self._unbounded(x, f)
            noise = 10 * self.problem.eps * abs(at.fun)
            if promise <= noise and f - at.fun <= noise:
                return self._within_noise(Point(x, f, self.problem.grad(x)), at, critical)
            outcome = _outcome(model, step, f - at.fun, promise)
            if outcome.ratio >= ACCEPT:
                g = self.problem.grad(x)
                if np.isfinite(g).all():
                    self.rejections = 0
                    self.rule.accepted(outcome)
                    return Point(x, f, g)
                outcome = outcome._replace(ratio=-math.inf, excess=math.inf, rise=math.inf)
            self.rejections += math.isfinite(outcome.rise)
            self.rule.rejected(outcome)

    def _within_noise(self, new: Point, at: Point, critical: bool) -> Point:
        """f cannot tell whether the step is good: the gradient has to, or f in spite of it at a saddle."""
        smaller = float(np.abs(new.jac).max()) < float(np.abs(at.jac).max())
        if (smaller and not critical and self.rejections < REJECTED) or (critical and new.fun < at.fun):
            return new
        raise self._failure("f would change by no more than rounding.")

    def _failure(self, detail: str) -> Stop:
        if self.rejections >= REJECTED:
            return Stop("wrong gradient")
        return Stop("precision", detail)

    def _unbounded(self, x: Array, f: float) -> None:
        if math.isfinite(f):
            self.problem.record(x, f, self.problem.grad(x))
        raise Stop("unbounded")


def _outcome(model: Model, step: Step, rise: float, promise: float) -> Outcome:
    y = step.y
    slope = float(model.c @ y)
    if not math.isfinite(rise):
        return Outcome(-math.inf, math.inf, math.inf, slope, norm(y), step)
    excess = rise - slope - 0.5 * float(y @ (model.w * y))
    return Outcome(-rise / promise, excess, rise, slope, norm(y), step)
