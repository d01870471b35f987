"""The Hessian at a point, from the user or from differences, and what its lowest eigenvalue says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.matrices import Products, square, symmetric_part
from fastopt.linalg._random import numpys
from fastopt.methods._differences import Differences
from fastopt.methods._models import Krylov, room
from fastopt.methods._names import Subproblem
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["Hessians", "SecondOrder"]

Array = NDArray[Any]

#: Variables up to which differences or an operator make a matrix, unless products were asked for.
FORMED = 200
#: Lanczos steps at most. A random start then misses the lowest eigenvalue by more than 0.01 of the spectrum's
#: width with a probability below 1e-6 at n = 10^6 (`fastopt.linalg._chance`).
SEARCH = 110
EPS = float(np.finfo(np.float64).eps)


class Hessians:
    """The Hessian at a point, as a matrix or by products, with the error that differences leave in it.

    Differences cost gradients, which are counted as such: 2 n + 2 for a matrix, 2 for a product.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._differences = Differences(problem)
        self._latest: tuple[Array, Array | Products] | None = None  # what `hessian` returned, and where
        self.error = 0.0

    def wants_matrix(self, subproblem: Subproblem, at: Point) -> bool:
        """Whether "dense" or "lanczos" it is; "auto" follows from what the user gave and from n."""
        if subproblem != "auto":
            return subproblem == "dense"
        problem = self._problem
        if not problem.has_hessian:
            return not problem.has_hvp and problem.n <= FORMED
        return problem.n <= FORMED or isinstance(self._given(at), np.ndarray)

    def matrix(self, at: Point) -> Array:
        """The Hessian, (n, n) in float64; `error` estimates the spectral norm of what is wrong in it."""
        problem = self._problem
        if problem.has_hessian:
            return self._symmetric(at)
        if problem.has_hvp:
            from fastopt.curvature import hessian

            h = hessian(None, at.x, hvp=lambda v: _finite(problem.hvp(at.x, v), "hvp"))
            self.error = float(h.error or 0.0)
            return np.asarray(h)
        matrix = self._differences.matrix(at)
        self.error = self._differences.error
        return matrix

    def product(self, at: Point) -> Any:
        """v -> H v at `x`, on flat float64 vectors."""
        problem = self._problem
        if problem.has_hvp:
            return lambda v: _finite(problem.hvp(at.x, v), "hvp")
        if not problem.has_hessian:
            return self._differences.product(at)
        h = self._given(at)
        if isinstance(h, Products):
            return lambda v: _finite(np.asarray(h.matvec(v), dtype=np.float64).reshape(problem.n), "hessian")
        matrix = self._symmetric(at)
        return lambda v: matrix @ v

    def _symmetric(self, at: Point) -> Array:
        h = self._given(at)
        matrix = h if isinstance(h, np.ndarray) else square(h.given, self._problem.n).astype(np.float64)
        return symmetric_part(_finite(matrix, "hessian"))[0]

    def _given(self, at: Point) -> Array | Products:
        if self._latest is None or self._latest[0] is not at.x:
            self._latest = at.x, self._problem.hessian(at.x)
        return self._latest[1]


class SecondOrder:
    """The test, which leaves `lowest_eigenvalue` in the result.

    An eigenvalue counts as negative below -max(`least`, r |H| + 2 e), where e is the error that differences
    left in H, and r is what rounding leaves of it. gtol has no say: it has not the unit of an eigenvalue.
    """

    def __init__(self, problem: Problem, hessians: Hessians, seed: Any, least: float = 0.0) -> None:
        self._problem = problem
        self._least = least
        self._hessians = hessians
        self._rng = numpys(seed)

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


def _finite(values: Any, name: str) -> Any:
    if isinstance(values, np.ndarray) and not np.isfinite(values).all():
        raise Stop("nan", f"{name} returned NaN or infinity.")
    return values
