"""What a step is computed from: the Hessian in the eigenbasis of the whole space or of a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg import eigh
from fastopt.methods._secular import Step, norm

__all__ = ["Dense", "Model", "Plane"]

Array = NDArray[Any]
EPS = float(np.finfo(np.float64).eps)
Product = Callable[[Array], Array]


class Model(Protocol):
    """g's + s'Hs / 2 as c'y + y'diag(w)y / 2 where s = `lift(y)`; `w` is ascending."""

    w: Array
    c: Array

    def lift(self, y: Array) -> Array: ...

    def grow(self, step: Step) -> bool:
        """Enlarge the space if `step`, the best in it, is not good enough yet; whether it was."""
        ...


class Dense:
    """The whole space, by an eigendecomposition of the Hessian, unless Newton's step turns out to be enough.

    Parameters
    ----------
    newton : bool
        Whether to try: if a Cholesky decomposition succeeds, the space begins as the line along Newton's
        step. That is the minimiser wherever it lies inside the trust region; else the line grows into the
        whole space. A third of the time at n = 100.
    """

    def __init__(self, hessian: Array, g: Array, *, newton: bool = False) -> None:
        self._hessian = hessian
        self._g = g
        self._whole = False
        if not (newton and self._line()):
            self._decompose()

    def lift(self, y: Array) -> Array:
        s: Array = self._vectors @ y
        return s

    def grow(self, step: Step) -> bool:
        if self._whole or step.multiplier == 0.0:
            return False
        self._decompose()
        return True

    def _decompose(self) -> None:
        self.w, self._vectors = eigh(self._hessian)
        self.c: Array = self._g @ self._vectors
        self._whole = True

    def _line(self) -> bool:
        try:
            np.linalg.cholesky(self._hessian)
            s = np.linalg.solve(self._hessian, self._g)
        except np.linalg.LinAlgError:
            return False
        self._vectors = (s / norm(s))[:, None]
        self.w = self._vectors[:, 0] @ self._hessian @ self._vectors
        self.c = self._g @ self._vectors
        return bool(self.w[0] > 0.0)


class Plane:
    """The space of the gradient and one more direction, to leave a point where the gradient says nothing."""

    def __init__(self, product: Product, g: Array, direction: Array) -> None:
        rows = [direction / norm(direction)]
        rest = g - (g @ rows[0]) * rows[0]
        if norm(rest) > 100 * EPS * norm(g):  # else it is rounding, and may have no part off the direction
            rest = rest / norm(rest)
            rest = rest - (rest @ rows[0]) * rows[0]
            rows.append(rest / norm(rest))
        self._basis = np.array(rows)
        projected = np.array([product(q) for q in rows]) @ self._basis.T
        self.w, self._vectors = eigh((projected + projected.T) / 2)
        self.c: Array = (self._basis @ g) @ self._vectors

    def lift(self, y: Array) -> Array:
        s: Array = (self._vectors @ y) @ self._basis
        return s

    def grow(self, step: Step) -> bool:
        return False
