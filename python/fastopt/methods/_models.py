"""What a step is computed from: the Hessian in the eigenbasis of the whole space or of a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.lengths import norm
from fastopt.linalg import eigh
from fastopt.linalg._krylov import KrylovSpace
from fastopt.methods._secular import Step

__all__ = ["Dense", "Krylov", "Model", "Plane", "room"]

Array = NDArray[Any]
EPS = float(np.finfo(np.float64).eps)
Product = Callable[[Array], Array]
#: What a basis may take, in bytes, as long as it has `FEW` vectors.
ROOMY = 1 << 28
FEW = 20


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


def room(n: int, most: int) -> int:
    """Vectors of length n that a basis may have, at most `most`: 33 at n = 10^6."""
    return min(most, max(FEW, ROOMY // (8 * n)))


class Krylov:
    """The space of g, Hg, H^2 g, ... by Lanczos's method, for steps without the whole Hessian.

    In the orthonormal basis Q the Hessian is T = Q'HQ, tridiagonal, and the gradient |g| e_1. A step s = Qu
    with (T + lambda I) u = -|g| e_1 leaves (H + lambda I) s + g = beta_k u_k q_{k+1}, whose length is known
    without another product: the space grows until that is at most `tolerance` |g|. Source: Gould, Lucidi,
    Roma and Toint, SIAM J. Optim. 9 (1999) 504-525.

    Parameters
    ----------
    product : callable
        v -> H v, flat; called once per dimension.
    g : ndarray of shape (n,)
        The gradient, not 0; or any vector, to learn about the lowest eigenvalue.
    most : int
        Dimensions at most.
    """

    def __init__(self, product: Product, g: Array, tolerance: float, most: int) -> None:
        self._space = KrylovSpace(product, g, most)
        self._tolerance = tolerance
        self._extend(1)

    @property
    def size(self) -> int:
        return self._space.size

    def lift(self, y: Array) -> Array:
        return self._space.lift(self._vectors @ y)

    def lowest(self) -> Array:
        """The unit vector v of the lowest Ritz value v'Hv, which bounds the eigenvalue from above."""
        v = self.lift(np.eye(self.size)[0])
        return v / norm(v)

    def lowest_residual(self) -> float:
        """|H v - theta v| of that pair: an eigenvalue lies within this distance of theta."""
        return self._space.beside[-1] * abs(float(self._vectors[-1, 0]))

    def grow(self, step: Step) -> bool:
        rest = self._space.beside[-1] * abs(float(self._vectors[-1] @ step.y))
        return not rest <= self._tolerance * self._space.length and self.extend()

    def extend(self) -> bool:
        """More dimensions; False if there are none: all are used, or H maps the space into itself."""
        return self._extend(1 + self.size // 8)  # each eigenproblem costs size**3

    def _extend(self, count: int) -> bool:
        if not self._space.step():
            return False
        for _ in range(count - 1):
            self._space.step()
        self.w, self._vectors = self._space.solve()
        self.c: Array = self._space.length * self._vectors[0]
        return True
