"""Gradient descent that shakes itself off saddles by noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, integer, positive, positive_or_none
from fastopt.functions.lengths import norm
from fastopt.linalg._random import numpys
from fastopt.methods._curvature import Hessians, SecondOrder
from fastopt.methods._gradient_step import GradientStep
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["PerturbedDescent"]

Array = NDArray[Any]

#: Steps after a perturbation at most by default: the test at the end finds what they miss.
EPISODE = 200


class PerturbedDescent:
    def __init__(
        self,
        problem: Problem,
        step: float | None,
        rho: float,
        radius: float | None,
        t_thres: int | None,
        f_thres: float | None,
        second_order: bool,
        seed: Any,
    ) -> None:
        self.problem = problem
        self.rho = positive("rho", rho)
        self.step = positive_or_none("initial_step", step)
        self.radius = positive_or_none("radius", radius)
        self.t_thres = None if t_thres is None else integer("t_thres", t_thres, minimum=1)
        self.f_thres = positive_or_none("f_thres", f_thres)
        self.second_order = flag("second_order", second_order)
        self.hessians = Hessians(problem)
        self.test = SecondOrder(problem, self.hessians, seed, least=self._gtol())
        self.rng = numpys(seed)

    def run(self) -> None:
        small = self.problem.small_gradient(self.problem.begin)
        assert self.problem.current is not None
        at = self.problem.current
        self._step = GradientStep(self.problem, at, self.step)
        while True:
            if small:
                at = self._leave(at)
                small = self._is_small(at)
            else:
                at, small = self._advance(at)

    def _is_small(self, at: Point) -> bool:
        return float(np.abs(at.jac).max()) <= self.problem.limits.gtol

    def _advance(self, at: Point) -> tuple[Point, bool]:
        """One step, reported; whether the gradient is small there."""
        at = self._step(at)
        self.test.forget()
        return at, self.problem.small_gradient(self.problem.iterate, *at)

    def _leave(self, at: Point) -> Point:
        """A point where f is lower by f_thres, by way of noise; the run ends at `at` if there is none."""
        if self.problem.nit >= self.problem.maxiter:
            raise Stop("maxiter")
        found = self._episode(at, self._noise(at))
        if found is not None:
            return found
        direction = self.test.search(self.hessians.product(at)) if self.second_order else None
        if direction is None:
            self.problem.current = at
            raise Stop("gtol")
        away = -math.copysign(math.sqrt(self._gtol() / self.rho), float(direction @ at.jac))
        found = self._episode(at, away * direction)
        if found is None:
            raise Stop("precision", "The Hessian has a negative eigenvalue, but f does not fall along it.")
        return found

    def _episode(self, at: Point, noise: Array) -> Point | None:
        """Descent from `at` + noise until f has fallen by f_thres; None after t_thres steps without."""
        x = self.problem.representable(at.x + noise)
        point = Point(x, *self.problem.both(x))
        enough = at.fun - self._f_thres(at)
        for _ in range(self._t_thres(noise)):
            if not (math.isfinite(point.fun) and np.isfinite(point.jac).all()):
                return None
            if point.fun <= enough:
                return point
            try:
                point, _ = self._advance(point)
            except Stop as stop:
                if stop.reason not in ("precision", "wrong gradient"):
                    raise
                return None  # back where f shows nothing but rounding
            if self.problem.nit >= self.problem.maxiter:
                self.problem.current = at
                raise Stop("maxiter")
        return point if point.fun <= enough else None

    def _noise(self, at: Point) -> Array:
        """Uniform in the ball of the radius, by default as far as a step with |g| = gtol goes.

        It is a few times longer than the rounding of x, or it would be nothing.
        """
        n = self.problem.n
        direction = self.rng.standard_normal(n)
        radius = self.radius or self._gtol() * self._step.length
        radius = max(radius, 10 * self.problem.eps * norm(at.x))
        noise: Array = radius * self.rng.random() ** (1 / n) / norm(direction) * direction
        return noise

    def _t_thres(self, noise: Array) -> int:
        """Steps that growth by 1 + length sqrt(rho gtol) needs from a share 1 / sqrt(n) of the noise."""
        if self.t_thres is not None:
            return self.t_thres
        share = norm(noise) / math.sqrt(self.problem.n)
        growth = math.log1p(self._step.length * math.sqrt(self.rho) * math.sqrt(self._gtol()))
        needed = math.log(min(max(2.0, math.sqrt(self._gtol() / self.rho) / (share or 1.0)), 1e300))
        return math.ceil(needed / growth) if EPISODE * growth > needed else EPISODE

    def _f_thres(self, at: Point) -> float:
        """A hundredth of what a saddle with lambda = -sqrt(rho gtol) gives, and never only rounding."""
        given = self.f_thres or 0.01 * self._gtol() * math.sqrt(self._gtol() / self.rho)
        return max(given, 10 * self.problem.eps * abs(at.fun))

    def _gtol(self) -> float:
        """The epsilon of the formulas."""
        return self.problem.limits.gtol or 1e-5
