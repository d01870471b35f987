"""Searches within a region: how far a model is trusted, a radius or a cube's weight, and how that adapts.

Which step a radius gives is the business of a descent: `newton` minimises the model over the ball,
`saddle_free` the model with |H|.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import positive_or_none
from fastopt.functions.lengths import norm
from fastopt.methods._lengths import first_length
from fastopt.methods._models import Model
from fastopt.methods._problem import Point
from fastopt.methods._secular import Step, cubic_step, trust_region_step

__all__ = ["Ball", "Cube", "Outcome", "Region", "newton", "saddle_free"]

Array = NDArray[Any]

EPS = float(np.finfo(np.float64).eps)
#: Where radius and sigma end, well inside of what double precision holds.
LEAST, MOST = 1e-300, 1e300


class Outcome(NamedTuple):
    """What a step came to. f was `excess` above the quadratic model: infinite if it was not finite.

    `bend` is the largest magnitude of an eigenvalue, `refused` how many steps in a row were too long before.
    """

    ratio: float
    excess: float
    rise: float
    slope: float
    length: float
    step: Step
    bend: float
    refused: int = 0

    @classmethod
    def of(cls, model: Model, step: Step, rise: float, promise: float, refused: int) -> Outcome:
        """f having risen by `rise`. A model that promises nothing is not to be trusted."""
        y = step.y
        slope = float(model.c @ y)
        bend = float(np.abs(model.w).max())
        if not math.isfinite(rise):
            return cls(-math.inf, math.inf, math.inf, slope, norm(y), step, bend, refused)
        excess = rise - slope - 0.5 * float(y @ (model.w * y))
        ratio = -rise / promise if promise > 0.0 else -math.inf
        return cls(ratio, excess, rise, slope, norm(y), step, bend, refused)

    def contradicts(self, noise: float) -> bool:
        """Whether f disagrees with the slope where neither curvature nor rounding can be the reason."""
        quadratic = self.rise - self.excess - self.slope
        return math.isfinite(self.rise) and abs(self.slope) > max(10 * abs(quadratic), 1000 * noise)


class Region(Protocol):
    """A search: how long a step may be."""

    #: Whether a step with multiplier 0 is Newton's own.
    may_be_newton: bool

    def begin(self, model: Model, at: Point) -> None:
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


#: A descent: the step for a radius; whether it is to leave a critical point.
Descent = Callable[[Model, float, bool], Step]


def newton(model: Model, radius: float, leaving: bool) -> Step:
    """The model's minimiser over the ball, whatever the eigenvalues' signs."""
    return trust_region_step(model.w, model.c, radius)


def saddle_free(model: Model, radius: float, leaving: bool) -> Step:
    """The minimiser of the model with |H|; what f should do is still told by H."""
    w = np.abs(model.w)
    order = np.argsort(w, kind="stable")
    step = trust_region_step(w[order], model.c[order], radius)
    y = np.empty_like(step.y)
    y[order] = step.y
    if leaving:  # |H| says nothing about which way to leave where g = 0
        y[0] = math.copysign(radius, -model.c[0])
    return step._replace(y=y)


class Ball:
    """A radius that follows how well f kept the promise."""

    may_be_newton = True

    def __init__(self, radius: float | None, descent: Descent) -> None:
        self._given = positive_or_none("initial_radius", radius)
        self._descent = descent
        self._leaving = False
        self.radius = 0.0

    def begin(self, model: Model, at: Point) -> None:
        self.radius = self._given or first_length(model, at)

    def step(self, model: Model) -> Step:
        return self._descent(model, self.radius, self._leaving)

    def promise(self, model: Model, y: Array) -> float:
        return -float(model.c @ y) - 0.5 * float(y @ (model.w * y))

    def accepted(self, outcome: Outcome) -> None:
        if outcome.ratio < 0.25:
            self.rejected(outcome)
        elif outcome.ratio > 0.75:
            self.radius = min(max(self.radius, 2.0 * outcome.length), MOST)
        self._leaving = False

    def rejected(self, outcome: Outcome) -> None:
        share = _faster(0.25, outcome.refused)
        if math.isfinite(outcome.rise):
            # where the parabola through f, its slope and the new f has its minimum
            bend = 2.0 * (outcome.slope - outcome.rise)
            share = min(max(outcome.slope / bend if bend else 0.5, _faster(0.1, outcome.refused)), 0.5)
        self.radius = max(outcome.length * share, LEAST)

    def escape(self, model: Model, length: float) -> None:
        self.radius = max(self.radius, length)
        self._leaving = True


class Cube:
    """The global minimiser of the cubic model, whose sigma follows the third-order term that f showed."""

    may_be_newton = False  # the cube shortens every step

    def __init__(self, sigma: float | None) -> None:
        self._given = positive_or_none("initial_sigma", sigma)
        self.sigma = 0.0

    def begin(self, model: Model, at: Point) -> None:
        if self._given:
            self.sigma = self._given
            return
        length = first_length(model, at)
        first = trust_region_step(model.w, model.c, length)
        least = 1e-8 * float(np.abs(model.w).max())  # as good as 0
        self.sigma = _inside(max(first.multiplier, least) / (norm(first.y) or length) or 1.0)

    def step(self, model: Model) -> Step:
        return cubic_step(model.w, model.c, self.sigma)

    def promise(self, model: Model, y: Array) -> float:
        quadratic = -float(model.c @ y) - 0.5 * float(y @ (model.w * y))
        length = norm(y)
        return quadratic - self.sigma * length * length * length / 3.0

    def accepted(self, outcome: Outcome) -> None:
        if outcome.ratio < 0.1:
            self.rejected(outcome)
        elif outcome.ratio > 0.9:
            least = EPS * outcome.bend / outcome.length  # the cube is rounding beside the curvature there
            self.sigma = min(self.sigma, _inside(max(_seen(outcome), 0.3 * self.sigma, least)))

    def rejected(self, outcome: Outcome) -> None:
        if math.isfinite(outcome.excess):
            most = self.sigma / _faster(0.01, outcome.refused)
            self.sigma = _inside(min(max(_seen(outcome), 2.0 * self.sigma), most))
        else:
            self.sigma = _inside(self.sigma / _faster(0.1, outcome.refused))

    def escape(self, model: Model, length: float) -> None:
        self.sigma = min(self.sigma, _inside(-float(model.w[0]) / length))


def _faster(share: float, refused: int) -> float:
    """`share` of a length, the smaller the more steps were refused in a row: it may be a long way."""
    return max(share ** (1 + refused // 4), sys.float_info.min)


def _seen(outcome: Outcome) -> float:
    """Half the sigma with which the model would have met f: docs/design/minimize.md says why half."""
    return 1.5 * outcome.excess / outcome.length / outcome.length / outcome.length


def _inside(sigma: float) -> float:
    """`sigma`, kept from underflow and overflow."""
    return min(max(sigma, LEAST), MOST)
