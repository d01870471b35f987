"""Which step a method takes and how its length is adapted; what a step came to."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt.methods._models import Model
from fastopt.methods._problem import Point
from fastopt.methods._secular import Step, norm

__all__ = ["Outcome", "Rule", "contradicts", "faster", "outcome"]

Array = NDArray[Any]


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


class Rule(Protocol):
    """Which step, and how long."""

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


def outcome(model: Model, step: Step, rise: float, promise: float, refused: int) -> Outcome:
    """What a step came to, f having risen by `rise`. A model that promises nothing is not to be trusted."""
    y = step.y
    slope = float(model.c @ y)
    bend = float(np.abs(model.w).max())
    if not math.isfinite(rise):
        return Outcome(-math.inf, math.inf, math.inf, slope, norm(y), step, bend, refused)
    excess = rise - slope - 0.5 * float(y @ (model.w * y))
    ratio = -rise / promise if promise > 0.0 else -math.inf
    return Outcome(ratio, excess, rise, slope, norm(y), step, bend, refused)


def faster(share: float, refused: int) -> float:
    """`share` of a length, the smaller the more steps were refused in a row: it may be a long way."""
    return max(share ** (1 + refused // 4), sys.float_info.min)


def contradicts(seen: Outcome, noise: float) -> bool:
    """Whether f disagrees with the slope where neither curvature nor rounding can be the reason."""
    quadratic = seen.rise - seen.excess - seen.slope
    return math.isfinite(seen.rise) and abs(seen.slope) > max(10 * abs(quadratic), 1000 * noise)
