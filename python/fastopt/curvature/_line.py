"""A function along a line through x, sampled on both sides at steps that fall by tens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "sample"]

Array = NDArray[Any]

#: t -> (the step really taken, the value there)
Walk = Callable[[float], tuple[float, float]]


class Samples(NamedTuple):
    """Values on both sides of x, steps descending; where the function is not finite, NaN."""

    above: Array  # the steps really taken, > 0
    below: Array  # and on the other side, < 0
    value_above: Array
    value_below: Array
    value: float  # at x

    def both(self) -> Array:
        """Where central differences can be formed."""
        moved = (self.above > 0) & (self.below < 0)
        return np.flatnonzero(moved & np.isfinite(self.value_above) & np.isfinite(self.value_below))

    def then(self, more: Samples) -> Samples:
        """Both together, steps descending."""
        up, down, high, low = (np.concatenate(pair) for pair in zip(self[:4], more[:4], strict=True))
        order = np.argsort(-np.maximum(up, -down), kind="stable")
        return Samples(up[order], down[order], high[order], low[order], self.value)


def sample(walk: Walk, value: float, scale: float, exponents: Sequence[int]) -> Samples:
    """`walk` at steps scale * 10**-k on both sides, for k of `exponents`."""
    steps = [scale * 10.0 ** float(-k) for k in exponents]
    ups = [_finite(walk(t)) for t in steps]
    downs = [_finite(walk(-t)) for t in steps]
    taken_up, values_up = np.array(ups).T
    taken_down, values_down = np.array(downs).T
    return Samples(taken_up, taken_down, values_up, values_down, value)


def _finite(pair: tuple[float, float]) -> tuple[float, float]:
    return pair if np.isfinite(pair[1]) else (pair[0], np.nan)
