"""Shift and scale of inputs and regression targets, learned from the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Standardiser:
    """(a - mean) / scale per column, computed in float64, returned as float32."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, a: Array, *, common_scale: bool = False) -> Standardiser:
        """Mean and standard deviation of the columns of `a`; 1 in place of 0 for a constant column.

        `common_scale` is for images: one standard deviation for all columns, since a pixel that is almost
        always white would otherwise be blown up wherever it is not.
        """
        a = np.asarray(a, np.float64)
        mean = a.mean(axis=0)
        variance = ((a - mean) ** 2).mean(axis=0)
        if common_scale:
            variance = np.full_like(variance, variance.mean())
        scale = np.sqrt(variance)
        # Round-off leaves a constant column of large values a variance a little above 0.
        constant = scale <= 1e-12 * np.abs(mean)
        return cls(mean, np.where(constant | (scale == 0), 1.0, scale))

    def apply(self, a: Array) -> NDArray[np.float32]:
        return np.ascontiguousarray((np.asarray(a, np.float64) - self.mean) / self.scale, np.float32)

    def undo(self, a: Array) -> NDArray[np.float64]:
        return np.asarray(a, np.float64) * self.scale + self.mean
