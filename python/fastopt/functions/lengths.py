"""Norms, lengths that a point itself suggests for steps, and the finest moves that its numbers can make.

Nothing here knows the unit of x, but for the step that a user gives: every length scales with x, exactly if
the unit changes by a power of two. They are where a search starts, not what it ends with: a function's own
scale may be any other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import positive
from fastopt.functions.layout import Layout

__all__ = ["lengths", "norm", "reach", "relative_step", "scales", "ulps"]

Array = NDArray[Any]


def norm(v: Array) -> float:
    """The 2-norm, in float64, of a vector whose squares may leave the range; NaN or infinity if it holds one.

    Scaled by a power of two, and only where it must be, so that a change of units by such a power changes no
    digit.

    >>> import numpy as np
    >>> from fastopt.functions.lengths import norm
    >>> norm(np.array([3.0, 4.0])), norm(2.0**900 * np.array([3.0, 4.0])) / 2.0**900, norm(np.zeros(0))
    (5.0, 5.0, 0.0)
    """
    wide = np.asarray(v, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(wide @ wide)
    if 1e-280 < square < 1e280:
        return math.sqrt(square)
    largest = float(np.max(np.abs(wide), initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    unit = 2.0 ** min(max(math.frexp(largest)[1], -1000), 1000)
    scaled = wide / unit
    return unit * math.sqrt(float(scaled @ scaled))


def relative_step(step: float | None, eps: float) -> float:
    """The user's step, or cbrt(eps): there h^2 |g''| / 6 and eps |g| / h are of one size."""
    return eps ** (1.0 / 3.0) if step is None else positive("step", step)


def scales(flat: Array) -> Array:
    """What a step that the user gives is multiplied by: max(1, |x_i|), in float64."""
    size: Array = np.maximum(1.0, np.abs(flat.astype(np.float64)))
    return size


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
    return norm(size) / float(np.sqrt(size.size)) if size.size else 0.0


def reach(whole: float, sizes: Array, u: Array) -> float:
    """How far to go along u: neither x as a whole nor any element moves by more than its own length."""
    with np.errstate(over="ignore"):
        return 1.0 / max(norm(u) / whole, float(np.max(np.abs(u) / sizes)))


def ulps(layout: Layout, flat: Array) -> Array:
    """The distance from each element to the next number of its array's dtype."""
    gaps = np.empty(flat.size)
    for part, dtype in zip(layout.slices().values(), layout.dtypes, strict=True):
        gaps[part] = np.spacing(np.abs(flat[part]).astype(dtype)).astype(np.float64)
    return gaps
