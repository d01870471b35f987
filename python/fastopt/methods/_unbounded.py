"""When f has no lower bound, as far as a run can tell."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop
from fastopt.methods._secular import norm

__all__ = ["Floor"]

Array = NDArray[Any]

#: So many times its scale at the start f may fall.
FALLEN = 1e20


class Floor:
    """The value that f may not pass: far below f at the start, seen by |f|, |g| |x|, |H| |x|^2, and by 1.

    Where x is less than 1 it counts as 1: a floor that is too low only costs evaluations.
    """

    def __init__(self, start: Point, bend: float = 0.0) -> None:
        length = max(1.0, norm(start.x))
        scale = max(1.0, abs(start.fun), norm(start.jac) * length, bend * length * length)
        self.value = start.fun - FALLEN * scale

    def check(self, problem: Problem, x: Array, f: float) -> None:
        """Stops the run if f at `x` is below it; x is the best point then, if the gradient is finite."""
        if f < self.value:
            if math.isfinite(f):
                problem.record(x, f, problem.grad(x))
            raise Stop("unbounded")
