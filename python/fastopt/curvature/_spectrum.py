"""The spectrum of a dense Hessian, and what its signs say of a point, with the tolerance that decides."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.matrices import symmetric_part
from fastopt.linalg import eigh, eigvalsh

Array = NDArray[Any]


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


class DenseHessian:
    """A Hessian as a matrix: its symmetric part, its error, of which asymmetry is one, and its products."""

    def __init__(self, hessian: Array, error: float) -> None:
        self.matrix, skew = symmetric_part(hessian)
        self.n = len(self.matrix)
        self.error = max(error, skew)
        self.eps = float(np.finfo(self.matrix.dtype).eps)

    def matvec(self, v: Array) -> Array:
        return np.asarray(self.matrix @ v)


class DenseSpectrum(DenseHessian):
    """The spectrum of a dense Hessian and what the analysis asks of it.

    All eigenvectors cost 2.5 times the eigenvalues, and at most two are wanted: they come from one solve with
    a shifted matrix each (inverse iteration), checked by their residuals, from `eigh` if that fails.
    """

    def __init__(self, hessian: Array, error: float) -> None:
        super().__init__(hessian, error)
        self.eigenvalues = eigvalsh(self.matrix)
        self.norm = float(np.abs(self.eigenvalues[[0, -1]]).max())
        self.tau = tolerance(self.n, self.norm, self.eps, self.error)
        self.counts: Counts = count(self.eigenvalues, self.tau)

    confidence = 1.0
    notes: tuple[str, ...] = ()

    @property
    def smallest(self) -> float:
        """The smallest |eigenvalue|: beside the first that is not negative."""
        i = int(np.searchsorted(self.eigenvalues, 0.0))
        return float(np.abs(self.eigenvalues[max(i - 1, 0) : i + 1]).min())

    def vector(self, i: int) -> Array:
        """A unit vector u with |H u - lambda_i u| at round-off level (of a cluster: any in its span)."""
        scale = self.norm or 1.0
        value = float(self.eigenvalues[i])
        # Shifted by less than the eigenvalue's own error: close enough, and never exactly singular twice.
        shift = value + math.copysign(self.eps * scale, value)
        shifted = self.matrix / scale
        shifted[np.diag_indices(self.n)] -= shift / scale
        u = np.random.default_rng(0).standard_normal(self.n).astype(self.matrix.dtype)
        for _ in range(2):
            try:
                with np.errstate(all="ignore"):  # a shift that hits exactly: the residual will tell
                    u = np.linalg.solve(shifted, u / np.linalg.norm(u))
                    u = u / np.linalg.norm(u)
                    residual = np.linalg.norm(self.matrix @ (u / scale) - value / scale * u)
            except np.linalg.LinAlgError:
                break
            if residual <= 10 * self.n * self.eps:
                return np.asarray(u)
        return np.array(eigh(self.matrix).eigenvectors[:, i])

    def lowest(self) -> tuple[float, Array]:
        """The smallest eigenvalue and its vector."""
        return float(self.eigenvalues[0]), self.vector(0)

    def pairs(self) -> tuple[Array, Array]:
        """All eigenvalues and eigenvectors."""
        values, vectors = eigh(self.matrix)
        return values, vectors

    def newton(self, g: Array) -> tuple[Array, Array]:
        """The Newton step over the resolved eigenvalues, and what of `g` lies in the others' span."""
        if not self.counts.unresolved:
            return -np.linalg.solve(self.matrix, g), np.zeros_like(g)
        values, vectors = eigh(self.matrix)
        inside = vectors.T @ g
        resolved = np.abs(values) > self.tau
        step = -(vectors[:, resolved] @ (inside[resolved] / values[resolved]))
        return step, vectors[:, ~resolved] @ inside[~resolved]
