"""Eigenvalues and eigenvectors of dense symmetric matrices, with the semantics of ``numpy.linalg``."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt._checks import word
from fastopt._dispatch import core
from fastopt.linalg._matrices import is_lower, matrices
from fastopt.linalg._results import own_memory, values_into, vectors_into

Array = NDArray[Any]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), one per column."""

    eigenvalues: Array
    eigenvectors: Array


def _is_jacobi(method: str) -> bool:
    return word("method", method, ("auto", "jacobi"), "'auto' or 'jacobi'") == "jacobi"


def eigh(
    a: ArrayLike,
    UPLO: Literal["L", "U", "l", "u"] = "L",
    *,
    method: Literal["auto", "jacobi"] = "auto",
    overwrite_a: bool = False,
    out: tuple[Array, Array] | None = None,
) -> EighResult:
    r"""Eigenvalues and eigenvectors of real symmetric matrices: :math:`A = V \operatorname{diag}(w) V^T`.

    Householder tridiagonalisation, divide and conquer, compact-WY back-transformation; in stacks, matrices up
    to order 48 are computed many at once, one per vector lane, by Jacobi rotations (up to order 4) or
    tridiagonalisation and implicit QL. Residual :math:`\|A - V \operatorname{diag}(w) V^T\|` and :math:`\|I -
    V^T V\|` are a small multiple of :math:`n \epsilon \|A\|` and :math:`n \epsilon`, so eigenvalues far below
    :math:`\epsilon \|A\|` carry no correct digit (unless by ``method="jacobi"``). Blocks of very different
    scale share one scale; the matrices of a stack do not.

    Parameters
    ----------
    a : array_like, shape (..., n, n)
        float64, or float32 (computed in float32), or integers and booleans (computed in float64). Only one
        triangle is read; nothing is changed (but see `overwrite_a`). Any strides.
    UPLO : {"L", "U", "l", "u"}, default "L"
        Which triangle to read, lower or upper; the other may hold anything, NaN included.
    method : {"auto", "jacobi"}, default "auto"
        "jacobi": high *relative* accuracy for positive definite matrices, however graded, at several times
        the cost. Each eigenvalue has a relative error of about :math:`n \epsilon \kappa(DAD)`, where the
        diagonal matrix :math:`D` makes the diagonal of :math:`DAD` one: Cholesky with diagonal pivoting, then
        one-sided rotations of the factor. A matrix whose factorisation meets a pivot that is not positive is
        not (safely) positive definite: two-sided rotations until :math:`|a_{ij}| \le \epsilon \sqrt{|a_{ii}
        a_{jj}|}`, with the error bound of "auto".
    overwrite_a : bool, default False
        Allow the eigenvectors to be written into `a`, which saves the :math:`n^2` numbers of the result: done
        if `a` is a writeable float array whose matrices lie one behind the other; `a` is spoiled even if an
        error is raised. Otherwise `a` is left as it is.
    out : tuple of ndarray, optional
        Arrays for the eigenvalues and eigenvectors, of the dtype and shapes of the result, sharing no memory
        with `a`; the first C-contiguous, in the second each matrix row after row or column after column (the
        faster one). They are what is returned. Spoiled if an error other than TypeError and ValueError is
        raised.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), ascending; ``eigenvectors``, shape (..., n, n): ``[..., :, j]`` is
        the unit vector of ``eigenvalues[..., j]``. Each matrix of vectors is stored column after column.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the last two axes are missing or differ, if the triangle holds NaN or infinity (the first such
        matrix of a stack is named), or if no method converged (not known to happen).
    TypeError
        If `a` is complex, float16, longdouble or not numeric; if `out` is not a pair of arrays of its dtype.
    ValueError
        If `UPLO` or `method` is none of those, or if `out` has another shape or an unsuitable layout.
    MemoryError
        If the working memory cannot be had: about :math:`3 n^2` numbers for each matrix in work (one for each
        thread in a stack of n < 512, else one); :math:`n^2` with ``method="jacobi"``; for stacks
        of n <= 48 two vectors' lanes times :math:`n^2` (16 in float64 with AVX-512) for each thread.

    Notes
    -----
    The GIL is released, except for single matrices of n <= 16, which take microseconds; Ctrl-C ends long
    calls. Threads follow :func:`fastopt.set_num_threads`: one matrix is shared from n = 512 on, stacks of
    smaller ones are dealt out. Methods: Gu and Eisenstat, SIAM J. Matrix Anal. Appl. 16 (1995); Schreiber and
    Van Loan, SIAM J. Sci. Stat. Comput. 10 (1989); Demmel and Veselic, SIAM J. Matrix Anal. Appl. 13 (1992).

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

    Graded: the smallest eigenvalue is 5e-41 to all digits, though the largest is 1.

    >>> graded = np.array([[1.0, 0.0, 1e-21], [0.0, 1e-20, 0.0], [1e-21, 0.0, 5e-41 + 1e-42]])
    >>> eigh(graded, method="jacobi").eigenvalues
    array([5.e-41, 1.e-20, 1.e+00])
    """
    if method == "auto" and out is None and not overwrite_a:
        made = core.eigh_new(a, UPLO, EighResult)
        if made is not None:
            return cast(EighResult, made)
    lower = is_lower(UPLO)
    jacobi = _is_jacobi(method)
    stack = matrices(a)
    if out is None:
        w = values_into(None, stack)
        memory, rows = own_memory(a, stack) if overwrite_a else None, True
        if memory is None:
            memory = np.empty(stack.shape, stack.dtype)
    else:
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"out: expected a tuple of two arrays, got {type(out).__name__}")
        w = values_into(out[0], stack, "out[0]")
        memory, rows = vectors_into(out[1], stack)
        if np.may_share_memory(w, memory):
            raise ValueError("out: expected two arrays that share no memory")
    core.eigh(stack, lower, w, memory, rows, jacobi)
    return EighResult(w, memory.swapaxes(-1, -2)) if out is None else EighResult(*out)


def eigvalsh(
    a: ArrayLike,
    UPLO: Literal["L", "U", "l", "u"] = "L",
    *,
    method: Literal["auto", "jacobi"] = "auto",
    out: Array | None = None,
) -> Array:
    r"""Eigenvalues of real symmetric matrices, ascending.

    Householder tridiagonalisation, then Sturm counts and bracketed interpolation on the characteristic
    polynomial, one eigenvalue per vector lane; in stacks, matrices up to order 48 are computed one per vector
    lane, by Jacobi rotations (up to order 4) or tridiagonalisation and the square-root free QL iteration. The
    error of each value is a small multiple of :math:`n \epsilon \|A\|`.

    Parameters
    ----------
    a : array_like, shape (..., n, n)
        As for :func:`eigh`. (There is no `overwrite_a`: the working copy has a layout that `a` has not, so
        nothing would be saved.)
    UPLO : {"L", "U", "l", "u"}, default "L"
        Which triangle to read.
    method : {"auto", "jacobi"}, default "auto"
        As for :func:`eigh`.
    out : ndarray, shape (..., n), optional
        C-contiguous array of the result's dtype for the eigenvalues, sharing no memory with `a`; it is what
        is returned. Spoiled if an error other than TypeError and ValueError is raised.

    Returns
    -------
    ndarray, shape (..., n)
        float32 for float32 matrices, else float64.

    Raises
    ------
    numpy.linalg.LinAlgError, TypeError, ValueError, MemoryError
        As :func:`eigh`; the working memory is about :math:`n^2` numbers where it is :math:`3 n^2` there.

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linalg import eigvalsh
    >>> eigvalsh(np.array([[2.0, 1.0], [1.0, 2.0]])).round(12)
    array([1., 3.])
    """
    if method == "auto" and out is None:
        made = core.eigh_new(a, UPLO, None)
        if made is not None:
            return cast(Array, made)
    lower = is_lower(UPLO)
    jacobi = _is_jacobi(method)
    stack = matrices(a)
    w = values_into(out, stack)
    core.eigh(stack, lower, w, None, True, jacobi)
    return w
