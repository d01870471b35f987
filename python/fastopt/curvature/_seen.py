"""The error of a Hessian by differences, from what its columns have shown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._columns import Column
from fastopt.functions.lengths import norm
from fastopt.functions.step_search import Found

__all__ = ["Seen", "spectral_norm"]

Array = NDArray[Any]

#: Noise counts as so many standard deviations.
DEVIATIONS = 1.5


class Seen:
    """Collects what the columns `again` of n have measured, one row each; `note` may be called in threads."""

    def __init__(self, again: Array, n: int, dtype: Any) -> None:
        self.again, self.n = again, n
        self.changes = np.zeros((len(again), n), dtype)
        self.roughs = np.zeros((len(again), n), dtype)
        self.floors, self.steps = np.zeros(len(again)), np.ones(len(again))
        self.errors, self.counts = np.zeros(n), np.zeros(n, np.int64)

    def note(self, i: int, row: int | None, column: Column) -> None:
        self.errors[i], self.counts[i] = column.error, column.calls
        if row is not None and column.change is not None and column.rough is not None:
            self.steps[row] = column.t
            self.changes[row] = column.change
            self.roughs[row] = column.rough / (math.sqrt(2.0) * column.t)
            self.floors[row] = column.floor / (math.sqrt(2.0) * column.t)

    def replace(self, i: int, row: int, part: Array, found: Found) -> None:
        """The components `part` of column i have been found over a step of their own."""
        s = found.stencil
        self.errors[i] = math.hypot(self.errors[i], found.error)
        self.changes[row, part] = s.change[part]
        self.roughs[row, part] = s.rough[part] / (math.sqrt(2.0) * s.t)

    @property
    def calls(self) -> int:
        return int(self.counts.sum())

    @property
    def error(self) -> float:
        """The largest of: Richardson's, the diagonal's, the noise's, and that of columns searched for."""
        k = len(self.again)
        extent = math.sqrt(self.n / k)
        richardson = extent * spectral_norm(self.changes) / 3.0
        # Noise on the diagonal has no skew part, and dividing by 3 is right for a truncation error only.
        diagonal = float(np.max(np.abs(self.changes[np.arange(k), self.again])))
        return max(richardson, diagonal, self._noise(), norm(self.errors))

    def _noise(self) -> float:
        """The norm of a matrix of independent errors, symmetrised: about that of a column.

        Each row of `roughs` is one sample for every component of the gradient; all together say what it is.
        """
        largest = float(np.max(np.abs(self.roughs))) or 1.0  # squares may leave the range
        level = largest * np.sqrt(np.mean(np.square(self.roughs / largest, dtype=np.float64), axis=0))
        floor = norm(self.floors) / math.sqrt(len(self.floors))
        return DEVIATIONS * max(norm(level), floor)


def spectral_norm(a: Array) -> float:
    """||A||_2 of k <= n rows to three digits, from the largest eigenvalue of A A'."""
    from fastopt.linalg import eigvalsh

    largest = float(np.max(np.abs(a)))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    scaled = (a / largest).astype(np.float32)  # half the time, and an estimate needs no more digits
    return largest * float(np.sqrt(eigvalsh(scaled @ scaled.T)[-1]))
