"""A dense Hessian of which only the signs of the eigenvalues are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._krylov import minres, ritz_ends
from fastopt.curvature._verdict import Counts, tolerance
from fastopt.functions.matrices import symmetric_part

Array = NDArray[Any]

__all__ = ["Counted"]

#: Steps of Lanczos for |H|, which only scales the tolerance: a few percent do.
NORM_STEPS = 12
#: Steps of the Newton direction: it need not be exact, as the gradient after it is looked at.
NEWTON_STEPS = 60


class Counted:
    """What `Dense` is, by Sylvester's law of inertia instead of eigenvalues.

    The tolerance starts as that of `Dense`, with |H| estimated; `inertia` raises it to the magnitude beyond
    which its counts are certain (but for a probability of 1e-5, of its own random probes).
    """

    eigenvalues = None
    notes: tuple[str, ...] = ()
    confidence = 1 - 1e-5

    def __init__(self, hessian: Array, error: float) -> None:
        from fastopt.linalg import inertia

        self.matrix, skew = symmetric_part(hessian)
        self.n = len(self.matrix)
        self.error = max(error, skew)
        self.eps = float(np.finfo(self.matrix.dtype).eps)
        start = np.random.default_rng(0).standard_normal(self.n).astype(self.matrix.dtype)
        scale = max(float(self.matrix.max()), -float(self.matrix.min())) or 1.0  # squares must not overflow
        self.norm = scale * max(map(abs, ritz_ends(lambda v: self.matvec(v) / scale, start, NORM_STEPS)))
        found = inertia(self.matrix, tolerance(self.n, self.norm, self.eps, self.error))
        self.tau = float(found.bound)
        self.counts = Counts(int(found.negative), int(found.zero), int(found.positive))

    def matvec(self, v: Array) -> Array:
        return np.asarray(self.matrix @ v)

    @property
    def smallest(self) -> float:
        """All that is known of the resolved ones."""
        return self.tau

    def newton(self, g: Array) -> tuple[Array, Array]:
        """s that minimises |g + H s| over a Krylov space of g (as MINRES); the unresolved part is unknown."""
        rcond = self.tau / self.norm if self.norm else 0.0
        return minres(self.matvec, g, NEWTON_STEPS, rcond), np.zeros_like(g)
