"""Lanczos's recurrence, one step at a time: the space that an operator makes of one start vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt._dispatch import core
from fastopt.linalg._eigh import eigh

if TYPE_CHECKING:
    from fastopt._core import Basis

Array = NDArray[Any]

__all__ = ["KrylovSpace", "basis_like", "krylov_space", "power_of_two", "quadrature", "remove"]

#: So many roundings of the largest coefficient so far are nothing: the space is invariant.
ROUNDING = 10.0


class KrylovSpace:
    """The space of v, Hv, H^2 v, ...: an orthonormal basis Q, in native memory, and T = Q'HQ, tridiagonal.

    With full reorthogonalisation: eigenvalues that have converged come back as copies otherwise. Restarts are
    `fastopt.linalg._lanczos`'s.

    Parameters
    ----------
    product : callable
        v -> H v on flat vectors: an array of its own, float32 or float64 as the first of them is.
    start : ndarray, shape (n,)
        v, not 0; of any length.
    most : int
        Steps at most; memory for so many vectors, and one, is touched as they come.

    Attributes
    ----------
    size : int
        Steps so far: the dimension, and the products made.
    diagonal, beside : list of float
        Of T. The last entry of `beside` couples the space to what the next product would add: 0 if nothing.
    length : float
        |v|.

    >>> import numpy as np
    >>> from fastopt.linalg._krylov import KrylovSpace
    >>> d = np.array([1.0, 1.0, 2.0, 2.0])
    >>> space = KrylovSpace(lambda v: d * v, np.ones(4), 4)
    >>> while space.step(): pass
    >>> space.size, space.solve()[0].round(12).tolist()
    (2, [1.0, 2.0])
    """

    def __init__(self, product: Callable[[Array], Array], start: Array, most: int) -> None:
        largest = float(np.abs(start).max())
        unit = power_of_two(largest)
        scaled = start / start.dtype.type(unit)
        norm = float(np.sqrt(float(scaled @ scaled)))
        self.length = unit * norm
        self.most = min(most, start.size)
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        self._product = product
        self._peak = 0.0  # the largest coefficient so far: about |H|
        self._basis: Basis | None = None
        self._next: Array = scaled / norm

    @property
    def size(self) -> int:
        return len(self.diagonal)

    @property
    def invariant(self) -> bool:
        """Whether H maps the space into itself."""
        return bool(self.beside) and self.beside[-1] == 0.0

    def step(self) -> bool:
        """One dimension more, for one product; False if there is none: all are used, or it is invariant."""
        if self.size >= self.most or self.invariant:
            return False
        w = self._product(self._next)
        if self._basis is None:
            self._basis = basis_like(w, self.most)
        self._basis.append(self._next.astype(w.dtype, copy=False), 1.0)
        h, rest, scale = _orthogonalise(self._basis, w)
        along = scale * float(h[-1])
        self._peak = max(self._peak, abs(along), scale * rest)
        if scale * rest <= ROUNDING * float(np.finfo(w.dtype).eps) * self._peak:
            rest = 0.0
        else:
            w /= rest
            self._next = w
        self.diagonal.append(along)
        self.beside.append(scale * rest)
        return True

    def tridiagonal(self) -> Array:
        """T, shape (size, size)."""
        beside = self.beside[:-1]
        return np.diag(self.diagonal) + np.diag(beside, 1) + np.diag(beside, -1)

    def solve(self) -> tuple[Array, Array]:
        """Ritz values, ascending, and the eigenvectors of T."""
        theta, vectors = eigh(self.tridiagonal())
        return theta, vectors

    def lift(self, y: Array) -> Array:
        """Q y, for y of shape (size,)."""
        assert self._basis is not None
        column = np.ascontiguousarray(y, np.float64)[:, None]
        vector: Array = self._basis.combine(column)[0]
        return vector


def krylov_space(product: Callable[[Array], Array], start: Array, steps: int) -> KrylovSpace:
    """The space after `steps` steps, or fewer if that is all there is."""
    space = KrylovSpace(product, start, steps)
    while space.step():
        pass
    return space


def basis_like(w: Array, columns: int) -> Basis:
    """An empty basis for vectors like `w`."""
    basis: Basis = core.Basis(w.size, columns, w.dtype == np.float32)
    return basis


def remove(basis: Basis, w: Array) -> tuple[Array, float, bool]:
    """Make `w` orthogonal to the basis, and a unit vector; in place.

    Returns the components that were removed, the norm of what was left, and whether that is only rounding.
    """
    h, norm, scale = _orthogonalise(basis, w)
    nothing = norm <= ROUNDING * float(np.finfo(w.dtype).eps) * max(norm, float(np.abs(h).max(initial=0.0)))
    if not nothing:
        w /= norm
    return scale * h, scale * norm, nothing


def _orthogonalise(basis: Basis, w: Array) -> tuple[Array, float, float]:
    """As the engine's, in place, with `w` over a power of two, the third result: squares stay in range."""
    largest = float(np.abs(w).max())
    if largest == 0.0:
        return np.zeros(basis.columns), 0.0, 1.0
    scale = power_of_two(largest)
    h, norm = basis.orthogonalise(w, 1 / scale)
    return h, norm, scale


def power_of_two(size: float) -> float:
    """A power of two near `size`, itself and its inverse in the range of double precision; 1 for 0."""
    return 2.0 ** min(max(math.frexp(size)[1], -1000), 1000)


def quadrature(space: KrylovSpace) -> tuple[Array, Array, Array]:
    """Nodes, weights and residuals of Gauss quadrature for the spectral measure of the start vector.

    Golub and Welsch: eigenvalues of T, ascending, and squared first components of its eigenvectors. There is
    an eigenvalue within the residual of each node.
    """
    nodes, vectors = space.solve()
    return nodes, vectors[0] ** 2, space.beside[-1] * np.abs(vectors[-1])
