"""Central differences of a gradient: along one coordinate, or along a direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _checks
from fastopt._functions import VectorFunction
from fastopt._layout import Layout

__all__ = ["along", "column", "finite", "relative_step", "rounded", "scales"]

Array = NDArray[Any]


def relative_step(step: float | None, eps: float) -> float:
    """The user's step, or cbrt(eps): there h^2 |g''| / 6 and eps |g| / h are of one size."""
    return eps ** (1.0 / 3.0) if step is None else _checks.real("step", step, minimum=0.0, open_low=True)


def scales(flat: Array) -> Array:
    """What the relative step is multiplied by: max(1, |x_i|), in float64."""
    size: Array = np.maximum(1.0, np.abs(flat.astype(np.float64)))
    return size


def rounded(layout: Layout, flat: Array) -> Array:
    """The point that the user's function really gets, each array in its own dtype; in float64."""
    return layout.read(layout.structured(flat), layout.name).astype(np.float64, copy=False)


def column(g: VectorFunction, flat: Array, i: int, h: float) -> Array:
    """dg / dx_i, float64, by the step actually taken: (x_i + h) - (x_i - h) as the function saw them."""
    x = flat.astype(np.float64)
    x[i] = flat[i] + h
    above = rounded(g.layout, x)
    x[i] = flat[i] - h
    below = rounded(g.layout, x)
    where = f"at {g.layout.where(i)} -+ {h:.2g}"
    return _difference(g, above, below, float(above[i] - below[i]), where)


def along(g: VectorFunction, flat: Array, v: Array, relative: float) -> Array:
    """H v, float64. Neither x as a whole nor any coordinate goes further than its own relative step."""
    x, u = flat.astype(np.float64), v.astype(np.float64)
    largest = float(np.max(np.abs(u)))
    if largest == 0.0:
        return u
    u = u / largest  # its square may otherwise leave the range
    length = float(np.linalg.norm(u))
    whole = length / max(1.0, float(np.linalg.norm(x)))
    t = relative / max(whole, float(np.max(np.abs(u) / scales(flat))))
    above, below = rounded(g.layout, x + t * u), rounded(g.layout, x - t * u)
    # Rounding bends the path a little: its length along u is what counts.
    taken = float((above - below) @ u) / length**2
    return largest * _difference(g, above, below, taken, f"near x (x -+ {t:.2g} v)")


def _difference(g: VectorFunction, above: Array, below: Array, taken: float, where: str) -> Array:
    if taken == 0.0:
        raise ValueError(f"step: expected a step that changes x, got none {where}: too small for its dtype")
    high, low = g(above), g(below)
    difference = (high.astype(np.float64) - low) / taken
    return finite(difference, g.layout, f"{g.name} {where}")


def finite(values: Array, layout: Layout, what: str) -> Array:
    """`values`, or a ValueError that names the first element that is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        first = int(bad[0])
        raise ValueError(f"{what}: expected finite values, got {values[first]} for {layout.where(first)}")
    return values
