"""Where second derivatives come from: the user's Hessian or products, else differences of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.methods._problem import Problem
from fastopt.methods._result import Stop

__all__ = ["Hessians", "wants_matrix"]

Array = NDArray[Any]

#: Variables up to which a Hessian is formed from differences unless products were asked for.
FORMED = 200


def wants_matrix(problem: Problem, subproblem: str) -> bool:
    """Whether "dense" or "lanczos" it is; "auto" follows from what the user gave and from n."""
    if subproblem not in ("auto", "dense", "lanczos"):
        raise ValueError(f"subproblem: expected 'auto', 'dense' or 'lanczos', got {subproblem!r}")
    if subproblem == "auto":
        return problem.has_hess or (not problem.has_hvp and problem.n <= FORMED)
    return subproblem == "dense"


class _NotFinite(Exception):
    """A gradient next to the point is not finite; no ValueError, as the user's own function may raise one."""


class Hessians:
    """The Hessian at a point, as a matrix or by products, with the error that differences leave in it.

    Differences cost gradients, which are counted as such: 2 n + 4 for a matrix, 2 for a product.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.error = 0.0

    def matrix(self, x: Array) -> Array:
        """The Hessian, (n, n) in float64; `error` estimates the spectral norm of what is wrong in it."""
        problem = self._problem
        if problem.has_hess:
            return _symmetric(problem.hess(x))
        from fastopt.curvature import hessian

        try:
            if problem.has_hvp:
                h = hessian(None, x, hvp=lambda v: problem.hvp(x, v))
            else:
                h = hessian(self._finite_gradient, x, step=self._step(), error_columns=1)
        except _NotFinite:
            raise Stop("nan", "grad is not finite next to a point where it is.") from None
        self.error = float(h.error or 0.0)
        return np.asarray(h)

    def product(self, x: Array) -> Any:
        """v -> H v at `x`, on flat float64 vectors."""
        problem = self._problem
        if problem.has_hvp:
            return lambda v: _finite(problem.hvp(x, v), "hvp")
        if problem.has_hess:
            h = self.matrix(x)
            return lambda v: h @ v
        from fastopt.curvature import hvp

        def product(v: Array) -> Array:
            try:
                return np.asarray(operator.matvec(v))
            except _NotFinite:
                raise Stop("nan", "grad is not finite next to a point where it is.") from None

        operator = hvp(self._finite_gradient, x, step=self._step())
        return product

    def _step(self) -> float:
        return float(self._problem.eps ** (1 / 3))

    def _finite_gradient(self, x: Array) -> Array:
        g = self._problem.grad(x)
        if not np.isfinite(g).all():
            raise _NotFinite
        return g


def _symmetric(h: Array) -> Array:
    both: Array = (_finite(h, "hess") + h.T) / 2
    return both


def _finite(values: Array, name: str) -> Array:
    if not np.isfinite(values).all():
        raise Stop("nan", f"{name} returned NaN or infinity.")
    return values
