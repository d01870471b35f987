"""The tridiagonal matrix that Lanczos makes of an operator and one start vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt._dispatch import core
from fastopt.linalg._eigh import eigh
from fastopt.linalg._operator import Operator

if TYPE_CHECKING:
    from fastopt._core import Basis

Array = NDArray[Any]


def tridiagonal(
    op: Operator, start: Array, steps: int, done: Callable[[int], object] = lambda count: None
) -> tuple[Array, Array, float]:
    """Diagonal (k,) and off-diagonal (k - 1,) of T = V' H V after at most `steps` steps, and what is left.

    That is the norm of the last residual: 0 if the Krylov space is invariant, when k may be below `steps`.

    With full reorthogonalisation, in the memory of `steps` vectors. `start` is a unit vector of shape (n,).
    `done` is called with the number of products so far.
    """
    w = op.matvec(start)  # settles the dtype
    basis = basis_like(w, steps)
    basis.append(start.astype(w.dtype), 1.0)
    alpha: list[float] = []
    beta: list[float] = []
    while True:
        done(basis.columns)
        h, norm, nothing = remove(basis, w)
        alpha.append(float(h[-1]))
        if basis.columns == steps or nothing:
            return np.array(alpha), np.array(beta), 0.0 if nothing else norm
        beta.append(norm)
        basis.append(w, 1.0)
        w = op.matvec(basis.column(basis.columns - 1))


def basis_like(w: Array, columns: int) -> Basis:
    """An empty basis for vectors like `w`."""
    basis: Basis = core.Basis(w.size, columns, w.dtype == np.float32)
    return basis


def remove(basis: Basis, w: Array) -> tuple[Array, float, bool]:
    """Make `w` orthogonal to the basis, and a unit vector; in place.

    Returns the components that were removed, the norm of what was left, and whether that is only rounding.
    """
    largest = float(np.abs(w).max())
    if largest == 0:
        return np.zeros(basis.columns), 0.0, True
    scale = float(2.0 ** np.frexp(largest)[1])  # squares must stay in range
    h, norm = basis.orthogonalise(w, 1 / scale)
    nothing = norm <= 10 * float(np.finfo(w.dtype).eps) * max(norm, float(np.abs(h).max(initial=0.0)))
    if not nothing:
        w /= norm
    return scale * h, scale * norm, nothing


def quadrature(alpha: Array, beta: Array, left: float) -> tuple[Array, Array, Array]:
    """Nodes, weights and residuals of Gauss quadrature for the spectral measure of the start vector.

    Golub and Welsch: eigenvalues of T, ascending, and squared first components of its eigenvectors. There is
    an eigenvalue within the residual of each node.
    """
    t = np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1)
    nodes, vectors = eigh(t)
    return nodes, vectors[0] ** 2, left * np.abs(vectors[-1])
