"""How many eigenvalues of a dense symmetric matrix are negative, zero, positive, without computing them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt._checks import real
from fastopt._dispatch import core
from fastopt.linalg._matrices import is_lower, matrices

Array = NDArray[Any]


class Inertia(NamedTuple):
    """Counts of eigenvalues, and the magnitude beyond which they are certain: arrays (...) for stacks."""

    negative: Any
    zero: Any
    positive: Any
    bound: Any


def inertia(a: ArrayLike, tol: float | None = None, UPLO: Literal["L", "U", "l", "u"] = "L") -> Inertia:
    r"""Counts of negative, zero and positive eigenvalues of real symmetric matrices.

    By Sylvester's law of inertia: in :math:`P A P^T = L D L^T`, with rook pivoting, the block diagonal
    :math:`D` has as many negative and positive eigenvalues as :math:`A`. That takes :math:`n^3/3`
    operations where the eigenvalues take :math:`4n^3/3`.

    The counts sum to n, and `bound` says what they are worth: every eigenvalue with
    :math:`|\lambda| >` `bound` is counted by its sign, every one counted as zero has
    :math:`|\lambda| \le` `bound`, and none counted as negative or positive has another sign. So
    ``negative > 0`` tells of a direction of negative curvature. The least `bound` is

    .. math:: \max(\mathtt{tol},\; \sqrt{n}\,\epsilon\,\|A\|_F,\; \|A - P^T L D L^T P\|_2)

    where the last norm, what the factorisation lost to rounding, is estimated from above by 8 random
    vectors: too low with a probability under 1e-5. If no eigenvalue of the factorised matrix is
    that near to zero (its inverse is estimated from the same vectors), the signs of :math:`D` are the
    answer. Otherwise :math:`A + \tau I` and :math:`A - \tau I` are factorised, :math:`\tau` being the
    above, and their own rounding errors are added to `bound`. A matrix of low rank is recognised by
    what is left after as many steps, and costs less, not more.

    Parameters
    ----------
    a : array_like, shape (..., n, n)
        float64, or float32 (computed in float32), or integers and booleans (computed in float64). Only one
        triangle is read; nothing is changed. Any strides.
    tol : float, optional
        Eigenvalues up to this magnitude count as zero; at least 0, finite. Default, and raised to:
        what the arithmetic resolves, as above. Counts are the same for the same `a` and `tol`, and do not
        depend on the number of threads.
    UPLO : {"L", "U", "l", "u"}, default "L"
        Which triangle to read, lower or upper; the other may hold anything, NaN included.

    Returns
    -------
    Inertia
        ``negative``, ``zero``, ``positive`` and ``bound``: integers and a float for one matrix, arrays of
        shape (...) for a stack.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the last two axes are missing or differ, or if the triangle holds NaN or infinity.
    TypeError
        If `a` is complex, float16, longdouble or not numeric, or `tol` not a real number.
    ValueError
        If `UPLO` is neither, or `tol` negative or not finite.
    MemoryError
        If the working memory, about :math:`n^2 + 75 n` numbers for one matrix at a time, cannot be had.

    Notes
    -----
    The GIL is released, and Ctrl-C ends long calls. Threads follow :func:`fastopt.set_num_threads`.
    Methods: Ashcraft, Grimes and Lewis, SIAM J. Matrix Anal. Appl. 20 (1998); Higham, Accuracy and Stability
    of Numerical Algorithms, 2nd ed., chapter 11; Halko, Martinsson and Tropp, SIAM Review 53 (2011), lemma
    4.1, for the norms.

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.linalg import inertia
    >>> saddle = inertia(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> saddle.negative, saddle.zero, saddle.positive
    (1, 0, 1)
    >>> inertia(np.ones((3, 3)))[:3]
    (0, 2, 1)
    >>> inertia(np.diag([-2.0, 0.1, 3.0]), tol=0.5)
    Inertia(negative=1, zero=1, positive=1, bound=0.5...)
    """
    lower = is_lower(UPLO)
    stack = matrices(a)
    shape = stack.shape[:-2]
    counts, bounds = np.empty((*shape, 3), np.int64), np.empty(shape, np.float64)
    least = 0.0 if tol is None else real("tol", tol, minimum=0.0)
    core.inertia(stack, lower, least, counts, bounds, np.empty(shape, np.int64))
    if shape:
        return Inertia(counts[..., 0], counts[..., 1], counts[..., 2], bounds)
    negative, zero, positive = counts.tolist()
    return Inertia(negative, zero, positive, float(bounds))
