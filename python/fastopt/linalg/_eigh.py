"""Eigenvalues and eigenvectors of dense symmetric matrices, with the semantics of ``numpy.linalg``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt._dispatch import core
from fastopt.linalg._matrices import is_lower, matrices

Array = NDArray[Any]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), one per column."""

    eigenvalues: Array
    eigenvectors: Array


def eigh(a: ArrayLike, UPLO: str = "L") -> EighResult:
    r"""Eigenvalues and eigenvectors of real symmetric matrices: :math:`A = V \operatorname{diag}(w) V^T`.

    Householder tridiagonalisation, divide and conquer, compact-WY back-transformation. Residual
    :math:`\|A - V \operatorname{diag}(w) V^T\|` and :math:`\|I - V^T V\|` are a small multiple of
    :math:`n \epsilon \|A\|` and :math:`n \epsilon`, so eigenvalues far below
    :math:`\epsilon \|A\|` carry no correct digit. Blocks of very different scale share one scale.

    Parameters
    ----------
    a : array_like, shape (..., n, n)
        float64, or float32 (computed in float32), or integers and booleans (computed in float64). Only one
        triangle is read; nothing is changed. Any strides.
    UPLO : {"L", "U"}, default "L"
        Which triangle to read, lower or upper; the other may hold anything, NaN included.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), ascending; ``eigenvectors``, shape (..., n, n): ``[..., :, j]`` is
        the unit vector of ``eigenvalues[..., j]``. Each matrix of vectors is stored column after column.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the last two axes are missing or differ, if the triangle holds NaN or infinity, or if no method
        converged (not known to happen).
    TypeError
        If `a` is complex, float16, longdouble or not numeric.
    ValueError
        If `UPLO` is neither.
    MemoryError
        If the working memory, about :math:`3 n^2` numbers for one matrix at a time, cannot be had.

    Notes
    -----
    The GIL is released, and Ctrl-C ends long calls. Threads follow :func:`fastopt.set_num_threads`.
    Methods: Gu and Eisenstat, SIAM J. Matrix Anal. Appl. 16 (1995); Schreiber and Van Loan, SIAM J. Sci.
    Stat. Comput. 10 (1989).

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linalg import eigh
    >>> w, v = eigh(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> w.round(12)
    array([1., 3.])
    >>> np.abs(v @ np.diag(w) @ v.T).round(12)
    array([[2., 1.],
           [1., 2.]])
    """
    lower = is_lower(UPLO)
    stack = matrices(a)
    w = np.empty(stack.shape[:-1], stack.dtype)
    rows = np.empty(stack.shape, stack.dtype)
    core.eigh(stack, lower, w, rows)
    return EighResult(w, rows.swapaxes(-1, -2))


def eigvalsh(a: ArrayLike, UPLO: str = "L") -> Array:
    r"""Eigenvalues of real symmetric matrices, ascending.

    Householder tridiagonalisation, then Sturm counts and bracketed interpolation on the characteristic
    polynomial, one eigenvalue per vector lane. The error of each value is a small multiple of
    :math:`n \epsilon \|A\|`.

    Parameters
    ----------
    a : array_like, shape (..., n, n)
        As for :func:`eigh`.
    UPLO : {"L", "U"}, default "L"
        Which triangle to read.

    Returns
    -------
    ndarray, shape (..., n)
        float32 for float32 matrices, else float64.

    Raises
    ------
    numpy.linalg.LinAlgError, TypeError, ValueError, MemoryError
        As :func:`eigh`; the working memory is about :math:`n^2` numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linalg import eigvalsh
    >>> eigvalsh(np.array([[2.0, 1.0], [1.0, 2.0]])).round(12)
    array([1., 3.])
    """
    lower = is_lower(UPLO)
    stack = matrices(a)
    w = np.empty(stack.shape[:-1], stack.dtype)
    core.eigh(stack, lower, w, None)
    return w
