"""What all differences share: given steps, points as the function sees them, finite results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _checks
from fastopt._layout import Layout

__all__ = ["finite", "relative_step", "rounded", "scales"]

Array = NDArray[Any]


def relative_step(step: float | None, eps: float) -> float:
    """The user's step, or cbrt(eps): there h^2 |g''| / 6 and eps |g| / h are of one size."""
    return eps ** (1.0 / 3.0) if step is None else _checks.real("step", step, minimum=0.0, open_low=True)


def scales(flat: Array) -> Array:
    """What a step that the user gives is multiplied by: max(1, |x_i|), in float64."""
    size: Array = np.maximum(1.0, np.abs(flat.astype(np.float64)))
    return size


def rounded(layout: Layout, flat: Array) -> Array:
    """The point that the user's function really gets, each array in its own dtype; in float64."""
    return layout.read(layout.structured(flat), layout.name).astype(np.float64, copy=False)


def finite(values: Array, layout: Layout, what: str) -> Array:
    """`values`, or a ValueError that names the first element that is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        first = int(bad[0])
        raise ValueError(f"{what}: expected finite values, got {values[first]} for {layout.where(first)}")
    return values
