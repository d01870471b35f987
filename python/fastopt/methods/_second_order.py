"""Is a point with a small gradient a minimum to second order? The lowest eigenvalue of its Hessian tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.methods._hessians import Hessians
from fastopt.methods._krylov import Krylov, room
from fastopt.methods._problem import Problem
from fastopt.methods._result import Stop

__all__ = ["SecondOrder"]

Array = NDArray[Any]

#: Lanczos steps at most. A random start then misses the lowest eigenvalue by more than 0.01 of the spectrum's
#: width with a probability below 1e-6 at n = 10^6: 1.648 sqrt(n) exp(-(2k - 1) sqrt(0.01)), Kuczynski and
#: Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094-1122.
SEARCH = 110
EPS = float(np.finfo(np.float64).eps)


class SecondOrder:
    """The test, which leaves `lowest_eigenvalue` in the result.

    An eigenvalue counts as negative below -max(`least`, r |H| + 2 e), where e is the error that differences
    left in H, and r is what rounding leaves of it. gtol has no say: it has not the unit of an eigenvalue.
    """

    def __init__(self, problem: Problem, hessians: Hessians, seed: Any, least: float = 0.0) -> None:
        self._problem = problem
        self._least = least
        self._hessians = hessians
        self._rng = np.random.default_rng(seed)

    def judge(self, w: Array) -> bool:
        """Whether the lowest of these eigenvalues, ascending, is negative."""
        low = float(w[0])
        self._problem.extra["lowest_eigenvalue"] = low
        return low < -self._tolerance(w)

    def forget(self) -> None:
        """The point that was judged has been left."""
        self._problem.extra.pop("lowest_eigenvalue", None)

    def search(self, product: Callable[[Array], Array]) -> Array | None:
        """A unit vector of negative curvature, by Lanczos from a random vector; None if there is none.

        A Ritz value is a curvature along its vector, so a negative one needs no further proof.
        """
        space = Krylov(
            product, self._rng.standard_normal(self._problem.n), 0.0, room(self._problem.n, SEARCH)
        )
        while not self._settled(space) and space.extend():
            pass
        return space.lowest() if self.judge(space.w) else None

    def weak(self, w: Array) -> bool:
        """Whether the lowest of these eigenvalues is so small that f may hide the fall along its vector."""
        return float(w[0]) >= -math.sqrt(self._problem.eps) * float(np.abs(w).max())

    def ensure_steps(self) -> None:
        """The run goes on from a critical point, unless it has come to its limit of iterations."""
        if self._problem.nit >= self._problem.maxiter:
            raise Stop("maxiter")

    def _tolerance(self, w: Array) -> float:
        rounding = max(self._problem.n * EPS, self._problem.eps**0.75) * float(np.abs(w).max())
        return max(self._least, float(rounding) + 2 * self._hessians.error)

    def _settled(self, space: Krylov) -> bool:
        low, tolerance = float(space.w[0]), self._tolerance(space.w)
        if low < -tolerance:  # known to be negative: only a good direction is still wanted
            return space.lowest_residual() <= 0.1 * abs(low)
        return space.lowest_residual() <= 0.01 * max(abs(low), tolerance)
