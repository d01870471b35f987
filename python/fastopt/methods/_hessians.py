"""Where second derivatives come from: the user's Hessian or products, else differences of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.methods import _hessian_input
from fastopt.methods._differences import Differences
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["Hessians"]

Array = NDArray[Any]

#: Variables up to which differences or an operator make a matrix, unless products were asked for.
FORMED = 200


class Hessians:
    """The Hessian at a point, as a matrix or by products, with the error that differences leave in it.

    Differences cost gradients, which are counted as such: 2 n + 2 for a matrix, 2 for a product.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._differences = Differences(problem)
        self._latest: tuple[Array, Any] | None = None  # what `hess` returned, and where
        self.error = 0.0

    def wants_matrix(self, subproblem: str, at: Point) -> bool:
        """Whether "dense" or "lanczos" it is; "auto" follows from what the user gave and from n."""
        if subproblem != "auto":
            return subproblem == "dense"
        problem = self._problem
        if not problem.has_hess:
            return not problem.has_hvp and problem.n <= FORMED
        return problem.n <= FORMED or isinstance(self._given(at), np.ndarray)

    def matrix(self, at: Point) -> Array:
        """The Hessian, (n, n) in float64; `error` estimates the spectral norm of what is wrong in it."""
        problem = self._problem
        if problem.has_hess:
            given: Array = _finite(_hessian_input.dense(self._given(at), problem.n), "hess")
            return given
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
        if problem.has_hess:
            return _product(self._given(at), problem.n)
        return self._differences.product(at)

    def _given(self, at: Point) -> Any:
        if self._latest is None or self._latest[0] is not at.x:
            self._latest = at.x, self._problem.hess(at.x)
        return self._latest[1]


def _product(h: Any, n: int) -> Any:
    if isinstance(h, np.ndarray):
        matrix = _finite(_hessian_input.dense(h, n), "hess")
        return lambda v: matrix @ v
    times = h.matvec if hasattr(h, "matvec") else h.dot
    return lambda v: _finite(np.asarray(times(v), dtype=np.float64).reshape(n), "hess")


def _finite(values: Any, name: str) -> Any:
    if isinstance(values, np.ndarray) and not np.isfinite(values).all():
        raise Stop("nan", f"{name} returned NaN or infinity.")
    return values
