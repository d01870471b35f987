"""The Hessian as a matrix: central differences of the gradient, or exact products, with its error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _checks
from fastopt.curvature._differenced_hessian import each, from_gradients, symmetrise
from fastopt.functions.arguments import takes_functions
from fastopt.functions.counted import VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.products import product_at
from fastopt.functions.progress import Report, reporter
from fastopt.linalg._norm import spectral_norm

Array = NDArray[Any]


class Hessian(np.ndarray[Any, np.dtype[Any]]):
    """A symmetric matrix, shape (n, n), that knows how wrong it may be; what :func:`hessian` returns.

    It is an ndarray in every other respect. The error is that of the whole matrix as it was measured: views,
    slices and copies have `error` None, and what is computed from it is a plain ndarray.

    Attributes
    ----------
    error : float or None
        Estimate of the spectral norm of the error: no eigenvalue is off by more (Weyl), up to a factor of 2.
    evaluations : int or None
        Calls of the user's function that it took.
    """

    error: float | None
    evaluations: int | None

    def __array_finalize__(self, obj: object) -> None:
        self.error = None
        self.evaluations = None

    def __array_wrap__(self, array: Array, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if array.ndim == 0 else np.asarray(array)


@takes_functions
def hessian(
    grad: Callable[..., Any] | None,
    x: Any,
    *,
    step: float | None = None,
    workers: int = 1,
    hvp: Any = None,
    error_columns: int | None = None,
    progress: bool | Report | None = None,
) -> Hessian:
    r"""The matrix of second derivatives at a point, with an estimate of its error.

    Column i is :math:`D(h) = (g(x + h e_i) - g(x - h e_i)) / 2h` over the step that x really makes, and the
    result is :math:`(H + H^T)/2`. The first guess of h is :math:`\sqrt[3]{\epsilon}` times the magnitude of
    x_i, or of its array if that is larger. D(2h) and the fourth difference then tell whether g agrees
    with it: if not, h is looked for down to the last digit of x and up again. Neither the unit of x nor its
    origin nor the unit of the loss matters. The error is the largest of

    .. math:: \|H - H^T\|_2 / 2,\quad \|H(2h) - H(h)\|_2 / 3,\quad \max_i |H(2h) - H(h)|_{ii},

    1.5 standard deviations of the noise by the fourth differences, and what columns that had to be searched
    for say of themselves. The first sees noise off the diagonal, the second (Richardson) the fourth
    derivatives that the step left over, the third noise on the diagonal.

    Parameters
    ----------
    grad : callable
        The gradient: takes `x`, or its like in new arrays, and returns the same structure. May be None if
        `hvp` is given.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The point, n numbers in all. Not changed.
    step : float, optional
        Take :math:`h_i` = `step` times max(1, abs(x_i)) and no other.
    workers : int, default 1
        Threads that call `grad` (or `hvp`) at the same time; more than 1 only if it may be called so.
    hvp : callable, optional
        Exact products with the Hessian, ``hvp(v)`` or ``hvp(x, v)`` in the structure of `x`, or an object
        with ``matvec`` on flat vectors. Columns are then products with unit vectors, and the error is that of
        asymmetry alone.
    error_columns : int, optional
        Estimate the second term from so many columns (drawn at random, always the same) times
        :math:`\sqrt{n / k}`, instead of from all: the mean square of that is not below the whole norm's, but
        third derivatives that live in few columns can be missed.
    progress : callable or True, optional
        Called with (columns done, columns in all); True writes a line a second to standard error.

    Returns
    -------
    Hessian, shape (n, n)
        An ndarray with ``.error``, in the dtype of what `grad` (or `hvp`) returns. Rows and columns follow
        the flat order of `x`: its arrays one after the other, each in C order.

    Raises
    ------
    ValueError
        If the gradient is not finite at `x` or a step away, exact products are so far from symmetric that
        they are not a Hessian's, or an argument is out of range.
    TypeError
        If `x` is not float32 or float64, or a result has another structure.

    What `grad` raises passes through.

    Warns
    -----
    RuntimeWarning
        If `grad` returns different values at the same point, or the differences are far from symmetric: it
        is noisy, or no function's gradient. The error has both in it. Also if the error is infinite.

    Notes
    -----
    Cost: 4 n + 2 gradients (8 n + 2 for n <= 3, where few samples of the noise would be too few),
    2 n + 2 k + 2 with ``error_columns=k``, n products with `hvp`. The first column whose guess was no good
    costs about 20 more and sets the step for the others; columns of zeros cost 8. Entries that
    change with the step are looked for over shorter ones, all together for 30 to 150 gradients, and so are
    columns of zeros where x is 0. Memory: four matrices.
    The error is infinite if no step sees a slope: at a kink, or where the last digit of x is longer than what
    the function bends over.
    The estimate is 0.8 to 1.8 times the true error in tests with known Hessians, over steps from 1e-2 to
    1e-8, and up to 3 times for matrices close to diagonal; see ``docs/design/curvature.md``.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> def grad(x):                                   # of x0^2 x1 + 3 x1^2
    ...     return np.array([2 * x[0] * x[1], x[0] ** 2 + 6 * x[1]])
    >>> H = fastopt.hessian(grad, np.array([1.0, 2.0]))
    >>> np.asarray(H).round(6)
    array([[4., 2.],
           [2., 6.]])
    >>> H.error < 1e-9
    True
    """
    layout, flat = Layout.of(x)
    workers = _checks.integer("workers", workers, minimum=1)
    report = reporter(progress, "hessian")
    if hvp is not None:
        if step is not None or error_columns is not None:
            raise ValueError("step, error_columns: expected None beside hvp, whose products are exact")
        return _from_products(product_at(hvp, layout, flat), layout, workers, report)
    g = VectorFunction(grad, layout, "grad")  # type: ignore[arg-type]  # None is refused there
    k = layout.size if error_columns is None else _checks.integer("error_columns", error_columns, minimum=1)
    return _hessian(*from_gradients(g, flat, step, min(k, layout.size), workers, report))


def _from_products(product: VectorFunction, layout: Layout, workers: int, report: Report) -> Hessian:
    n = layout.size
    unit = np.zeros(n, layout.dtype)
    unit[0] = 1.0
    first = layout.finite(product(unit), "hvp of a unit vector")
    rows = np.empty((n, n), first.dtype)

    def fill(i: int) -> None:
        unit = np.zeros(n, layout.dtype)
        unit[i] = 1.0
        rows[i] = layout.finite(product(unit), f"hvp of the unit vector of {layout.where(i)}") if i else first

    each(fill, n, workers, report)
    worst = np.unravel_index(int(np.argmax(np.abs(rows - rows.T))), (n, n))
    pair = rows[worst], rows.T[worst]
    skew = symmetrise(rows)
    # An exact product is symmetric to round-off; a user's own differences still to a few digits.
    if skew > product.eps**0.25 * spectral_norm(rows):
        i, j = (layout.where(int(p)) for p in worst)
        raise ValueError(
            f"hvp: expected a symmetric operator, got {pair[0]:.6g} for ({i}, {j}) "
            f"and {pair[1]:.6g} for ({j}, {i})"
        )
    return _hessian(rows, skew, n)


def _hessian(rows: Array, error: float, evaluations: int) -> Hessian:
    result = rows.view(Hessian)
    result.error = error
    result.evaluations = evaluations
    return result
