"""The step that leaves a saddle: evaluations along one direction, no step twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.evaluation import Evaluation
from fastopt.functions.lengths import norm

Array = NDArray[Any]

#: The first step is to lower f by so many times its noise.
ABOVE_NOISE = 10.0
#: A decrease counts from so many times the noise.
REAL = 2.0
#: Steps from x = 0 need not be larger than this.
SMALLEST = 1e-300
#: From x = 0, where nothing is known of lengths, steps shrink by so many octaves until f follows its Hessian.
SHORTER = 32
#: Strides of a growing step, in octaves: the longest, and the last where the first step was a guess.
LONGEST, FINEST = 32.0, 2.0**-8


class Attempt(NamedTuple):
    """One evaluation: the signed step along the direction, and f there."""

    step: float
    value: float


class EscapeSearch:
    """Evaluations along one direction, no step twice."""

    def __init__(
        self, at: Evaluation, u: Array, start: float, limit: int, curvature: float, slope: float
    ) -> None:
        self.at, self.u, self.start, self.limit = at, u, start, limit
        self.curvature, self.slope = curvature, slope
        self.noise = at.value_noise
        self.attempts: list[Attempt] = []
        self.values: dict[float, float] = {}
        self.message = ""

    def run(self) -> float:
        """The step to take, 0 for none."""
        first, guessed = self._first_step()
        step = self._short_enough(first) if guessed else 0.0
        if step:
            return self._expand(step, True)
        for step in self._ladder(first):
            if self._value(step) < self.start - REAL * self.noise:
                return self._expand(step, False)
            if len(self.attempts) >= self.limit:
                break
        self.message = (
            f"not moved: curvature {self.curvature:.4g} promised a decrease, but f did not fall by more than "
            f"its noise, {self.noise:.2g}, in {len(self.attempts)} attempts with steps up to "
            f"{max(abs(a.step) for a in self.attempts):.3g}; f and the Hessian may not belong together"
        )
        return 0.0

    def _first_step(self) -> tuple[float, bool]:
        """Above the noise of f, and above what rounding of x swallows; whether it has any unit but 1."""
        size = norm(self.at.x)
        heard = math.sqrt(2 * ABOVE_NOISE * self.noise / -self.curvature)
        swallowed = math.sqrt(self.at.f.eps) * (size or 1.0)
        return max(heard, swallowed), size == 0.0 and heard < swallowed

    def _short_enough(self, first: float) -> float:
        """Down from `first` to a step on which f does what its derivatives say; 0 if there is none."""
        step = first
        while step > SMALLEST and len(self.attempts) < self.limit // 2:
            for signed_step in (step, -step):
                if self._follows(signed_step):
                    return signed_step
            step *= 2.0**-SHORTER
        return 0.0

    def _follows(self, step: float) -> bool:
        """Whether f falls by half or more of what its derivatives promise, and beyond noise."""
        promised = -(self.slope + 0.5 * self.curvature * step) * step
        fall = self.start - self._value(step)
        return math.isfinite(fall) and fall > REAL * self.noise and fall >= 0.5 * promised > 0.0

    def _ladder(self, first: float) -> Iterator[float]:
        size = norm(self.at.x)
        step = first
        while step <= max(first, 10 * (size or 1.0)):
            yield step
            yield -step
            step *= 4
        shortest = 4 * self.at.f.eps * size or SMALLEST
        step = first / 2
        while step > shortest:
            yield step
            yield -step
            step /= 16

    def _expand(self, step: float, guessed: bool) -> float:
        best = self._far_as_promised(step, guessed)
        value = self._value(best)
        ended = "until f rose again"
        while True:
            if len(self.attempts) >= self.limit:
                ended = f"and f was still falling after {self.limit} attempts"
                break
            after = self._value(2 * best)
            if not (math.isfinite(after) and after < value - self.noise):
                break
            best, value = 2 * best, after
        self.message = (
            f"moved by {abs(best):.4g} along the direction of curvature, f from {self.start:.8g} to "
            f"{value:.8g}: the step was doubled {ended}"
        )
        return best

    def _far_as_promised(self, step: float, guessed: bool) -> float:
        """About the longest step on which f does what its derivatives say, in strides that double.

        That length is the function's own: found to 1/256 of an octave where the first step was a guess, so
        that what follows does not depend on the unit of x.
        """
        low, leap, high = 0.0, 1.0, math.inf
        finest = FINEST if guessed else 1.0
        while high - low > finest and len(self.attempts) < self.limit:
            octaves = low + leap if high == math.inf else 0.5 * (low + high)
            if finest == 1.0:
                octaves = math.floor(octaves)
            if self._follows(step * 2.0**octaves):
                low, leap = octaves, min(2.0 * leap, LONGEST)
            else:
                high = octaves
        return step * float(2.0**low)

    def _value(self, step: float) -> float:
        if step in self.values:
            return self.values[step]
        with np.errstate(all="ignore"):
            value = self.at.value_at(self.at.x + step * self.u)
        self.attempts.append(Attempt(step, value))
        self.values[step] = math.inf if math.isnan(value) else value
        return self.values[step]
