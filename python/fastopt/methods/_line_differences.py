"""The derivative of the gradient along one direction, where f lets it be formed.

Central differences by default; shorter where the gradient is not finite at their ends, and one-sided where
one side never is: next to a boundary of f's domain. Whether a step is good is seen by comparing it with one
of an eighth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["AGREE", "SHORTER", "Difference", "TrialLine"]

Array = NDArray[np.float64]

#: From one step to the next that is tried: what a step leaves over falls by the square of it, noise grows.
SHORTER = 0.125
#: Steps tried next to a boundary, and for the best one: 7e-15 and 1e-36 of the first.
HALVINGS, RUNGS = 16, 40
#: Differences that differ by this share of theirs are good enough to go on with ...
AGREE = 1e-3
#: ... and by this they are as good as they get.
SETTLED = 1e-6
#: By more, and the step that was thought to be good is kept.
FAIR = 1e-2
#: Differences that differ by more say nothing: steps may have to shrink by many periods of a function yet.
ALIEN = 0.3
#: A change of the gradient by less than so many roundings of it is mostly noise.
NOISY = 1e3


class Difference(NamedTuple):
    """dg(x + c d)/dc, the c it was formed with, and how far it differs from the last one's, relatively."""

    value: Array
    step: float
    error: float = np.inf


class TrialLine:
    """x + c d for a direction d of the length that a good step is thought to have: c is about 1.

    `weights` put the gradient's elements into one unit: those of f.
    """

    def __init__(self, problem: Problem, at: Point, d: Array, weights: Array) -> None:
        self._problem, self._at, self._d = problem, at, d
        self._square = float((d / (largest := float(np.abs(d).max()))) @ (d / largest)) * largest
        self._largest = largest
        self.weights = weights
        self.one_sided = False
        self.least = 0.0  # what differences are compared with at least: the size of others, in units of f

    def size(self, value: Array) -> float:
        """The largest element, in units of f."""
        return float((np.abs(value) * self.weights).max())

    def disagreement(self, one: Array, other: Array) -> float:
        """The largest difference, relative to the larger of the two, or to others."""
        size = max(self.size(one), self.size(other), self.least)
        return self.size(one - other) / size if size else 0.0

    def difference(self) -> Difference:
        """At c = 1, or at the longest step that has a gradient; stops the run if there is none."""
        step = 1.0
        for _ in range(HALVINGS):
            value = self._central(step)
            if value is not None:
                return Difference(value, step)
            step *= SHORTER
        self.one_sided = True
        step = 1.0
        for _ in range(HALVINGS):
            value = self._one_sided(step)
            if value is not None:
                return self.settle(Difference(value, step))  # g may be steep beside a boundary
            step *= SHORTER
        raise Stop("nan", "grad is not finite next to a point where it is.")

    def at(self, step: float) -> Array | None:
        return self._one_sided(step) if self.one_sided else self._central(step)

    def settle(self, first: Difference) -> Difference:
        """The difference that agrees best with the one of the last step, shorter and longer ones tried.

        If none agrees well it is the first: of noise, the shortest step has most.
        """
        factors = (1.0 / SHORTER, SHORTER) if self._noisy(first) else (SHORTER, 1.0 / SHORTER)
        best = self._climb(first, factors[0])
        if best.error > AGREE:
            best = self._better(best, self._climb(first, factors[1]))
        return best if best.error <= FAIR else first

    def _climb(self, first: Difference, factor: float) -> Difference:
        """The best from step to step. Where the first change is the smallest, what is seen is noise, which
        the next step would only have more of: the first is kept, or steps would shrink from point to point.
        """
        best = before = first
        unit = first.step * factor
        worse = 0
        for _ in range(RUNGS):
            step = before.step * factor
            value = self.at(step)
            if value is None:
                break
            now = Difference(value, step, self.disagreement(value, before.value))
            if best.error <= ALIEN and now.error > 0.5 * best.error:
                worse += 1
            best = self._better(best, now)
            if now.error <= SETTLED or worse == 2 or (factor < 1.0 and self._noisy(now)):
                break
            before = now
        noise = best.step == unit and best.error > SETTLED
        return first._replace(error=best.error) if noise else best

    def _better(self, one: Difference, other: Difference) -> Difference:
        return other if other.error < one.error else one

    def _noisy(self, first: Difference) -> bool:
        """Whether the gradient changed by little more than its rounding: no step should be shorter."""
        change = 2.0 * first.step * self.size(first.value)
        return change < NOISY * self._problem.eps * self.size(self._at.jac)

    def _central(self, step: float) -> Array | None:
        above, up = self._end(step)
        if up is None:
            return None
        below, down = self._end(-step)
        return None if down is None else self._over(up - down, above - below)

    def _one_sided(self, step: float) -> Array | None:
        """Of second order too: the parabola through g at x, x + c d and x + 2 c d."""
        for side in (step, -step):
            near, g1 = self._end(side)
            far, g2 = (near, None) if g1 is None else self._end(2.0 * side)
            if g1 is None or g2 is None:
                continue
            once = self._over(g1 - self._at.jac, near - self._at.x)
            twice = self._over(g2 - self._at.jac, far - self._at.x)
            if once is not None and twice is not None:
                return 2.0 * once - twice
        return None

    def _over(self, change: Array, moved: Array) -> Array | None:
        """Over c as it was: rounding of x bends the way a little, its length along d is what counts."""
        taken = float(moved @ (self._d / self._largest)) / self._square
        if not taken:
            return None
        with np.errstate(over="ignore"):
            slope: Array = change / taken
        return slope if np.isfinite(slope).all() else None

    def _end(self, step: float) -> tuple[Array, Array | None]:
        x = self._problem.representable(self._at.x + step * self._d)
        if np.array_equal(x, self._at.x):
            return x, None
        g = self._problem.grad(x)
        return x, g if np.isfinite(g).all() else None
