"""A dense Hessian at a point: its symmetric part, its spectrum, and single vectors without all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._verdict import Counts, count, tolerance
from fastopt.functions.matrices import symmetric_part
from fastopt.linalg import eigh, eigvalsh

Array = NDArray[Any]


class Dense:
    """The spectrum of a dense Hessian and what the analysis asks of it.

    All eigenvectors cost 2.5 times the eigenvalues, and at most two are wanted: they come from one solve with
    a shifted matrix each (inverse iteration), checked by their residuals, from `eigh` if that fails.
    """

    def __init__(self, hessian: Array, error: float) -> None:
        self.matrix, skew = symmetric_part(hessian)
        self.n = len(self.matrix)
        self.error = max(error, skew)
        self.eps = float(np.finfo(self.matrix.dtype).eps)
        self.eigenvalues = eigvalsh(self.matrix)
        self.norm = float(np.abs(self.eigenvalues[[0, -1]]).max())
        self.tau = tolerance(self.n, self.norm, self.eps, self.error)
        self.counts: Counts = count(self.eigenvalues, self.tau)

    confidence = 1.0
    notes: tuple[str, ...] = ()

    def matvec(self, v: Array) -> Array:
        return np.asarray(self.matrix @ v)

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
