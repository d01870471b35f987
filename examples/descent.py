"""Running an optimizer by hand, and keeping where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Make = Callable[[list[Array]], Any]


def descend(make: Make, grad: Callable[[Array], Array], start: Any, steps: int) -> Array:
    """The iterates of one optimizer, the start included: (steps + 1, ...)."""
    x = np.array(start, dtype=float)
    optimizer = make([x])
    path = [x.copy()]
    for _ in range(steps):
        optimizer.step([grad(x)])
        path.append(x.copy())
    return np.array(path)
