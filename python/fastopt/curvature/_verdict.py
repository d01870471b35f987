"""From eigenvalues and a tolerance to a verdict: the one place where the words are decided."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

__all__ = ["Counts", "count", "kind_of", "tolerance"]


class Counts(NamedTuple):
    """How many eigenvalues are below -tau, within [-tau, tau] and above tau."""

    negative: int
    unresolved: int
    positive: int

    @property
    def min_ratio(self) -> tuple[float, float]:
        """The share of positive eigenvalues if no unresolved one is positive, and if all of them are."""
        n = sum(self)
        return self.positive / n, (self.positive + self.unresolved) / n


def tolerance(n: int, norm: float, eps: float, error: float) -> float:
    r""":math:`\tau = \max(n, 4) \epsilon \|H\|_2 + 2 e`: no eigenvalue is known better than this.

    Weyl: eigenvalues move by at most the 2-norm of what is added to H. The first term covers the rounding of
    H's entries and of the eigensolver (as the rank tolerance of ``numpy.linalg.matrix_rank``), the second the
    error of finite differences, with a factor 2 because `error` is an estimate.
    """
    return max(n, 4) * eps * norm + 2 * error


def count(eigenvalues: Array, tau: float) -> Counts:
    """The counts for ascending eigenvalues."""
    negative = int(np.searchsorted(eigenvalues, -tau, side="left"))
    positive = len(eigenvalues) - int(np.searchsorted(eigenvalues, tau, side="right"))
    return Counts(negative, len(eigenvalues) - negative - positive, positive)


def kind_of(counts: Counts, tau: float, norm: float, eps: float) -> str:
    """The kind of a critical point.

    One resolved eigenvalue of each sign makes a saddle whatever the others are. A minimum or maximum needs
    all of them. Otherwise the second order leaves the question open: "degenerate" says that H is singular to
    better than half of its digits (unresolved eigenvalues are zero or at most sqrt(eps) |H|), "unresolved"
    that the error of H is too large to say even that.
    """
    if counts.negative and counts.positive:
        return "saddle"
    if not counts.unresolved:
        return "minimum" if counts.positive else "maximum"
    return "degenerate" if tau <= math.sqrt(eps) * norm else "unresolved"
