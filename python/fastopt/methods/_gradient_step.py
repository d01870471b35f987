"""A step of gradient descent, as long as the Lipschitz constant of the gradient allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.lengths import norm
from fastopt.methods._lengths import length_from_values
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["GradientStep"]

Array = NDArray[Any]

#: What the length is multiplied by after a step at the first try. At this factor one step in three is halved.
LONGER = 1.25
#: Where a length ends, well inside of what double precision holds.
SHORTEST, LONGEST = 1e-300, 1e300
#: Halvings of one step at most.
TRIES = 60


class GradientStep:
    """x - length g, the length halved until f falls by half of what its slope says.

    Every length up to 1 / l passes, l being the Lipschitz constant of the gradient. Where the fall is within
    the rounding of f, the gradient decides instead: it may change by |dx| / length at most.
    """

    def __init__(self, problem: Problem, at: Point, length: float | None) -> None:
        self._problem = problem
        problem.lay_floor(at)
        self.length = length or self._first(at)
        self._longer = 2.0  # until a step is too long: the first length is a guess

    def _first(self, at: Point) -> float:
        """As far as x is long; at a critical start, such that a gradient of gtol moves x by 1e-5 of it."""
        gtol = self._problem.limits.gtol or 1e-5
        force = norm(at.jac)
        x = norm(at.x) or length_from_values(at.fun, force, 0.0)
        small = float(np.abs(at.jac).max()) <= gtol
        return min(max(x / force if not small else 1e-5 * x / gtol, SHORTEST), LONGEST)

    def __call__(self, at: Point) -> Point:
        problem = self._problem
        noise = 10 * problem.eps * abs(at.fun)
        square = norm(at.jac) * norm(at.jac)
        slopes = _Slopes(at, noise)
        for attempt in range(TRIES):
            x = problem.representable(at.x - self.length * at.jac)
            if np.array_equal(x, at.x):
                break
            f = problem.trial(x)
            promise = 0.5 * self.length * square
            hidden = promise <= noise and f <= at.fun + noise
            if hidden:
                slopes.check(square)
            if hidden or f <= at.fun - promise:
                new = Point(x, f, problem.grad(x))
                change = norm(new.jac - at.jac) if np.isfinite(new.jac).all() else math.inf
                if change <= 1.01 * norm(at.jac) or (not hidden and math.isfinite(change)):
                    self.length = min(self.length * (self._longer if attempt == 0 else 1.0), LONGEST)
                    return new
                slopes.add(change, 0.0, 0.0)  # a gradient that is not finite counts as such an f
            else:
                slopes.add(f, self.length, promise)
            self.length = max(0.5 * self.length, SHORTEST)
            self._longer = LONGER
        slopes.check(square)
        raise slopes.failure()


class _Slopes:
    """What the steps that were too long have shown, shorter and shorter ones."""

    def __init__(self, at: Point, noise: float) -> None:
        self._at = at
        self._noise = noise
        self._slopes: list[float] = []  # rises of f over the length, as far as they are more than rounding
        self._nonfinite = 0

    def add(self, f: float, length: float, promise: float) -> None:
        if not math.isfinite(f):
            self._nonfinite += 1
        elif promise > 1000 * self._noise:
            self._slopes.append((f - self._at.fun) / length)

    def check(self, square: float) -> None:
        """Stops if the slope along -g, extrapolated to length 0, is not about -|g|^2."""
        if len(self._slopes) >= 2 and 2 * self._slopes[-1] - self._slopes[-2] > -0.9 * square:
            raise Stop("wrong gradient")

    def failure(self) -> Stop:
        if self._nonfinite > TRIES // 2:
            return Stop("nan", "f is not finite at any of the points tried around x.")
        return Stop("precision", "f would change by no more than rounding.")
