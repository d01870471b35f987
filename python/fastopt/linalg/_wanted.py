"""Which eigenvalues are wanted, and when none of them can have been missed."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg._chance import chance_of

Array = NDArray[Any]

Which = Literal["SA", "LA", "LM", "BE"]
WHICH = get_args(Which)

#: The chance that a wanted eigenvalue is missed although `nothing_missed` says none is.
FAILURE = 1e-3


def wanted(theta: Array, k: int, which: str) -> Array:
    """Indices of the wanted ones among ascending values `theta`, at most k, ascending.

    "BE" takes from both ends, one more from the upper end if k is odd, as ARPACK does.
    """
    n = len(theta)
    k = min(k, n)
    if which == "SA":
        return np.arange(k)
    if which == "LA":
        return np.arange(n - k, n)
    if which == "LM":
        return np.sort(np.argsort(-np.abs(theta), kind="stable")[:k])
    low = k // 2
    return np.concatenate([np.arange(low), np.arange(n - (k - low), n)])


def bounds(values: Array, k: int, which: str) -> tuple[float, float]:
    """What an eigenvalue must be below, or above, to be among the wanted `values` (k, ascending)."""
    if which == "SA":
        return float(values[-1]), math.inf
    if which == "LA":
        return -math.inf, float(values[0])
    if which == "LM":
        least = float(np.abs(values).min())
        return -least, least
    low = k // 2
    return float(values[low - 1]) if low else -math.inf, float(values[low])


def nothing_missed(
    inner: Array, steps: int, n: int, outer: tuple[float, float], limits: tuple[float, float]
) -> bool:
    """Whether the rest of the spectrum lies within `limits`, but for a chance of `FAILURE`.

    `inner` are the Ritz values, ascending, of `steps` Lanczos steps from a random vector on the operator
    restricted to the complement of what is known; `outer` encloses the whole spectrum [a, b]. Were a below
    the lower limit, a share by which `inner` misses it could be read off; so too at the upper end.
    """
    below, above = limits
    low, high = outer
    margins = []
    if below > -math.inf:
        margins.append((float(inner[0]) - below) / max(high - below, math.ulp(0.0)))
    if above < math.inf:
        margins.append((above - float(inner[-1])) / max(above - low, math.ulp(0.0)))
    least = min(margins)
    if least <= 0:
        return False
    return len(margins) * chance_of(n, steps, least) <= FAILURE
