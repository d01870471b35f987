"""A few eigenpairs of a large symmetric operator, from products alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, integer, real, word
from fastopt.linalg._eigh import eigh
from fastopt.linalg._lanczos import ASYMMETRY
from fastopt.linalg._operator import Operator, as_operator
from fastopt.linalg._search import RitzPairs, Search
from fastopt.linalg._wanted import WHICH, Which, wanted

Array = NDArray[Any]

#: Up to this order the matrix is formed from n products: Lanczos would hardly need fewer.
DENSE = 64
#: Up to this order a given matrix goes to `eigh`, which takes less time than Lanczos.
DENSE_MATRIX = 512
#: Up to this order an iteration that has used n products is given up for the matrix, 32 MB at most.
DENSE_LATE = 2048


class EigshResult(NamedTuple):
    """Eigenvalues (k,), ascending; eigenvectors (n, k), one per column; residual norms (k,); products."""

    eigenvalues: Array
    eigenvectors: Array
    residuals: Array
    products: int


class EigshNoConvergence(np.linalg.LinAlgError, RuntimeError):
    """`eigsh` has used up `max_steps` products; what it has so far is attached.

    Attributes
    ----------
    eigenvalues, eigenvectors, residuals : ndarray
        The best approximations, as in `EigshResult`; those with small `residuals` are good. There may be
        fewer than k.
    products : int
        Products used.
    """

    def __init__(self, message: str, partial: EigshResult) -> None:
        super().__init__(message)
        self.eigenvalues, self.eigenvectors, self.residuals, self.products = partial


def eigsh(
    op: Any,
    k: int = 6,
    *,
    n: int | None = None,
    which: Which = "SA",
    tol: float = 0,
    max_steps: int | None = None,
    seed: Any = 0,
    copies: bool = True,
) -> EigshResult:
    r"""The k smallest, largest or extreme eigenpairs of a symmetric operator: :math:`H v_i = w_i v_i`.

    Thick-restart Lanczos with full reorthogonalisation. When the wanted pairs have converged, a random vector
    orthogonal to all that is known searches the rest for copies of multiple eigenvalues and for anything
    missed, until with probability 0.999 there is nothing, or the search has cost a quarter of the products
    before it (a tenth if `tol` is above 1e-6).

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        The operator, real and symmetric: a matrix (float32, float64 or integers; used whole), a function that
        takes a vector of shape (n,) to the product of the same shape, SciPy's ``LinearOperator`` or sparse
        matrix. A function gets a fresh vector each time and may keep or change it. It is computed in float32
        where the matrix, an attribute ``dtype`` or the products are float32, else in float64.
    k : int, default 6
        How many pairs, 1 <= k <= n.
    n : int, optional
        The order; needed for a function.
    which : {"SA", "LA", "LM", "BE"}, default "SA"
        The smallest (most negative), the largest, the largest in magnitude, or half from both ends (one more
        from the upper end if k is odd).
    tol : float, default 0
        A pair has converged when its residual is at most ``tol * abs(w)``, as in ARPACK; 0 stands for working
        precision, about :math:`10 \epsilon \|H\|`, which is also the least that is asked for. The error of an
        eigenvalue is at most the residual, and about its square over the gap to its neighbours: 1e-2
        usually gives values to three or four digits.
    max_steps : int, optional
        The largest number of products, at least 1; ``max(1000, 10 * n)`` by default.
    seed : int, sequence of int, None, SeedSequence, BitGenerator or Generator, default 0
        Of the start vector and the searches. The same seed gives the same result.
    copies : bool, default True
        Whether to search for missed copies after convergence, as described above. Without it, as in ARPACK, a
        multiple eigenvalue may come once only; the search costs 4 products at least.

    Returns
    -------
    EigshResult
        ``eigenvalues``, shape (k,), ascending; ``eigenvectors``, shape (n, k), orthonormal columns;
        ``residuals``, shape (k,), the norms of :math:`H v - w v`, the operator's own asymmetry and rounding
        as met on the way included; ``products``, how many products with `op` were made.

    Raises
    ------
    EigshNoConvergence
        If `max_steps` products did not suffice; a ``LinAlgError`` and a ``RuntimeError`` that carries the
        approximations as ``eigenvalues``, ``eigenvectors``, ``residuals``, ``products``.
    numpy.linalg.LinAlgError
        If the matrix or a product holds NaN or infinity.
    ValueError
        If an argument is out of range, `op` is not square, or turns out not to be symmetric (by more than a
        thousandth: differences of gradients are let through, and their asymmetry is in the residuals).
    TypeError
        If an argument has the wrong type, or `op` is complex.

    Notes
    -----
    Memory: the basis has ``4 k + 40`` columns of length n, more (at most 320, or twice that) while it takes
    less than 128 MB. Orders up to 64, or ``3 k``, are solved as a dense matrix formed from n products; a
    matrix is given to :func:`eigh` up to order 512, without products. If n products were not enough and n <=
    2048, n more give the matrix.

    What the user's function raises passes through unchanged.

    References
    ----------
    Wu and Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J. Matrix Anal.
    Appl. 22 (2000). Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992).

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linalg import eigsh
    >>> d = np.arange(1000.0)
    >>> w, v, residuals, products = eigsh(lambda v: d * v, k=3, n=1000, which="LA")
    >>> w.round(9)
    array([997., 998., 999.])
    >>> np.abs(v[-1]).round(9)
    array([0., 0., 1.])
    """
    operator = as_operator(op, n)
    order = operator.n
    k = integer("k", k, minimum=1, maximum=order)
    word("which", which, WHICH)
    tol = real("tol", tol, minimum=0, maximum=1, open_high=True)
    copies = flag("copies", copies)
    limit = max(1000, 10 * order) if max_steps is None else integer("max_steps", max_steps, minimum=1)
    before = operator.products
    if operator.matrix is not None and order <= max(DENSE_MATRIX, 3 * k):
        return EigshResult(*_dense(operator.matrix, k, which), 0)
    if order <= max(DENSE, 3 * k) and order <= limit:
        return EigshResult(*_dense(_formed(operator), k, which), operator.products - before)
    late = order <= DENSE_LATE and limit >= 2 * order
    found = Search(operator, k, which, tol, order if late else limit, seed, copies).run()
    if late and not found.converged:
        return EigshResult(*_dense(_formed(operator), k, which), operator.products - before)
    result = EigshResult(*found[:3], operator.products - before)
    if not found.converged:
        raise EigshNoConvergence(_shortfall(found, result, k), result)
    return result


def _shortfall(found: RitzPairs, result: EigshResult, k: int) -> str:
    worst = max(result.residuals, default=np.inf)
    return (
        f"eigsh: {found.good} of {k} eigenpairs converged in {result.products} products, the largest "
        f"residual is {worst:.3g}; a larger max_steps or tol may help, the approximations are attached"
    )


def _formed(op: Operator) -> Array:
    """The matrix, from its products with the columns of the identity."""
    columns = []
    for i in range(op.n):
        unit = np.zeros(op.n)
        unit[i] = 1
        columns.append(op.matvec(unit))
    matrix: Array = np.array(columns, dtype=op.dtype).T
    return matrix


def _dense(a: Array, k: int, which: str) -> tuple[Array, Array, Array]:
    """The wanted pairs of a matrix and their residuals; its asymmetry counts among these."""
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("op: the matrix holds NaN or infinity")
    half = a / 2  # halves first: the sum could overflow
    symmetric = half + half.T
    i, j = np.unravel_index(np.abs(a - symmetric).argmax(), a.shape)
    if abs(a[i, j] - symmetric[i, j]) * 2 > ASYMMETRY * np.abs(a).max():
        raise ValueError(
            f"op: expected a symmetric operator, got one whose entries ({i}, {j}) and ({j}, {i}) are "
            f"{a[i, j]:.6g} and {a[j, i]:.6g}"
        )
    values, vectors = eigh(symmetric)
    index = wanted(values, k, which)
    w, v = values[index], np.asfortranarray(vectors[:, index])
    scale = float(np.abs(a).max()) or 1.0  # squares must not overflow
    residuals = np.linalg.norm((a / scale) @ v - v * (w / scale), axis=0) * scale
    return w, v, residuals.astype(a.dtype)
