"""Lengths that a point itself suggests, and the finest moves that its numbers can make.

Nothing here knows the unit of x: every length scales with x, exactly if the unit changes by a power of two.
They are where a search starts, not what it ends with: a function's own scale may be any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._layout import Layout

__all__ = ["lengths", "magnitude", "reach", "ulps"]

Array = NDArray[Any]


def magnitude(v: Array) -> float:
    """The 2-norm, in float64, of numbers whose squares may leave the range."""
    wide = np.asarray(v, np.float64)
    largest = float(np.max(np.abs(wide), initial=0.0))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    unit = float(2.0 ** np.clip(np.frexp(largest)[1], -1000, 1000))
    return unit * float(np.linalg.norm(wide / unit))


def lengths(layout: Layout, flat: Array) -> Array:
    """For each element: its magnitude, but no less than the root mean square of its array.

    An array of zeros (fresh biases) takes that of all of x; if x is zero it says nothing, and 1 is a guess as
    good as any other.
    """
    size: Array = np.abs(flat.astype(np.float64))
    whole = _typical(size) or 1.0
    for part in layout.slices().values():
        size[part] = np.maximum(size[part], _typical(size[part]) or whole)
    return size


def _typical(size: Array) -> float:
    return magnitude(size) / float(np.sqrt(size.size)) if size.size else 0.0


def reach(whole: float, sizes: Array, u: Array) -> float:
    """How far to go along u: neither x as a whole nor any element moves by more than its own length."""
    with np.errstate(over="ignore"):
        return 1.0 / max(magnitude(u) / whole, float(np.max(np.abs(u) / sizes)))


def ulps(layout: Layout, flat: Array) -> Array:
    """The distance from each element to the next number of its array's dtype."""
    gaps = np.empty(flat.size)
    for part, dtype in zip(layout.slices().values(), layout.dtypes, strict=True):
        gaps[part] = np.spacing(np.abs(flat[part]).astype(dtype)).astype(np.float64)
    return gaps
