"""Where to look next on a line: minimisers of the polynomials through what is known at two points.

`a` and `b` are the points, `fa` and `fb` the values, `sa` and `sb` the slopes there. None: there is no
minimiser.
"""

from __future__ import annotations

import math

__all__ = ["cubic", "parabola", "secant"]


def parabola(a: float, fa: float, sa: float, b: float, fb: float) -> float | None:
    """The minimiser of the parabola with this value and slope at a and this value at b."""
    h = b - a
    bend = fb - fa - sa * h
    return a - 0.5 * sa * h * (h / bend) if bend > 0 else None


def secant(a: float, sa: float, b: float, sb: float) -> float | None:
    """The zero of the line through the slopes, where it is a minimum."""
    rise = sb - sa
    return a - sa * ((b - a) / rise) if rise * (b - a) > 0 else None


def cubic(a: float, fa: float, sa: float, b: float, fb: float, sb: float) -> float | None:
    """The minimiser of the cubic with these values and slopes (Nocedal & Wright 2006, eq. 3.59), unscaled
    first so that squares neither overflow nor vanish.
    """
    h = b - a
    if h == 0.0:
        return None
    theta = 3.0 * (fa - fb) / h + sa + sb
    size = max(abs(theta), abs(sa), abs(sb))
    if not 0.0 < size < math.inf:
        return None
    inside = (theta / size) ** 2 - (sa / size) * (sb / size)
    if inside < 0.0:
        return None
    root = math.copysign(size * math.sqrt(inside), h)
    below = (root - sa) + root + sb
    return a + (root - sa + theta) / below * h if below != 0.0 else None
