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
    """The whole space, by an eigendecomposition of the Hessian."""

    def __init__(self, hessian: Array, g: Array) -> None:
        self.w, self._vectors = eigh(hessian)
        self.c: Array = g @ self._vectors

    def lift(self, y: Array) -> Array:
        s: Array = self._vectors @ y
        return s

    def grow(self, step: Step) -> bool:
        return False


class Plane:
    """The space of the gradient and one more direction, to leave a point where the gradient says nothing."""

    def __init__(self, product: Product, g: Array, direction: Array) -> None:
        rows = [direction / norm(direction)]
        rest = g - (g @ rows[0]) * rows[0]
        if norm(rest) > 0.0:
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
