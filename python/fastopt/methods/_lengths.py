"""How far a first step may go, in the function's own units: nothing here compares x with the number 1.

If x is measured in other units, every length changes by the same factor, and the iterates are the same
points. Only where x, f and its gradient are all 0 is there no length to be had, and 1 is taken.
"""

from __future__ import annotations

import math

import numpy as np

from fastopt.functions.lengths import norm
from fastopt.methods._models import Model
from fastopt.methods._problem import Point

__all__ = ["escape_length", "first_length", "length_from_values"]

EPS = float(np.finfo(np.float64).eps)
#: So much longer than x the first step may be: a Hessian that is far too small is noticed in a few trials.
FARTHER = 1e10


def first_length(model: Model, at: Point) -> float:
    """|x|, or a step that the curvature suggests if that is longer."""
    x, force, bend = norm(at.x), norm(model.c), float(np.abs(model.w).max())
    scale = x or length_from_values(at.fun, force, bend)
    by_curvature = force / bend if bend else 0.0
    return max(x, min(by_curvature, FARTHER * scale)) or scale


def length_from_values(f: float, force: float, bend: float) -> float:
    """Where f, were it linear or a parabola, would have changed by as much as it is; 1 if nothing tells."""
    if not f or not (force or bend):
        return 1.0
    length = abs(f) / force if force else math.sqrt(abs(f)) / math.sqrt(bend)
    return length if 0.0 < length < math.inf else 1.0


def escape_length(model: Model, at: Point) -> float:
    """How far to leave a critical point: a tenth of x, and so far that f's fall is more than rounding."""
    bend = -float(model.w[0])
    seen = math.sqrt(2e4 * EPS * abs(at.fun)) / math.sqrt(bend) if bend > 0.0 else 0.0
    return max(0.1 * norm(at.x), seen) or 0.1
