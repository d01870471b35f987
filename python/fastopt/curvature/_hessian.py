"""The Hessian as a matrix: central differences of the gradient, or exact products, with its error."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _checks
from fastopt.curvature._columns import Columns
from fastopt.curvature._progress import Report, reporter
from fastopt.curvature._recheck import recheck
from fastopt.curvature._seen import Seen, spectral_norm
from fastopt.functions.counted import VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.lengths import norm
from fastopt.functions.products import product_at

__all__ = ["Hessian", "hessian"]

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
    return _from_gradients(g, flat, step, min(k, layout.size), workers, report)


def _from_gradients(
    g: VectorFunction, flat: Array, step: float | None, k: int, workers: int, report: Report
) -> Hessian:
    n = g.layout.size
    at_x = g.layout.finite(g(flat), "grad at x")
    repeat = norm(g.layout.finite(g(flat), "grad at x").astype(np.float64) - at_x)
    columns = Columns(g, flat, at_x, step, repeat)
    again = np.arange(n) if k == n else np.sort(np.random.default_rng(0).choice(n, k, replace=False))
    place = {int(i): j for j, i in enumerate(again)}
    rows, seen = np.empty((n, n), at_x.dtype), Seen(again, n, at_x.dtype)
    columns.learn(place)

    def fill(i: int) -> None:
        column = columns.column(i, measured=i in place)
        rows[i] = column.slope
        seen.note(i, place.get(i), column)

    _each(fill, n, workers, report)
    calls = 2 + seen.calls + (recheck(columns, rows, seen) if step is None else 0)
    skew = _symmetrise(rows)
    shortest = float(columns.guess.min())
    if not np.isfinite(seen.errors).all():
        _warn_unseen(g.layout.where(int(np.argmax(seen.errors))))
    else:
        _warn(repeat / shortest, skew, rows, g.eps, float(np.max(np.abs(at_x))) / shortest)
    return _hessian(rows, max(skew, seen.error), calls)


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

    _each(fill, n, workers, report)
    worst = np.unravel_index(int(np.argmax(np.abs(rows - rows.T))), (n, n))
    pair = rows[worst], rows.T[worst]
    skew = _symmetrise(rows)
    # An exact product is symmetric to round-off; a user's own differences still to a few digits.
    if skew > product.eps**0.25 * spectral_norm(rows):
        i, j = (layout.where(int(p)) for p in worst)
        raise ValueError(
            f"hvp: expected a symmetric operator, got {pair[0]:.6g} for ({i}, {j}) "
            f"and {pair[1]:.6g} for ({j}, {i})"
        )
    return _hessian(rows, skew, n)


def _each(fill: Callable[[int], None], n: int, workers: int, report: Report) -> None:
    """`fill(0..n-1)`, in threads if asked; the first exception ends it and is raised."""
    if workers == 1:
        for i in range(n):
            fill(i)
            report(i + 1, n)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i, _ in enumerate(pool.map(fill, range(n))):
                report(i + 1, n)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _symmetrise(rows: Array) -> float:
    """(H + H') / 2 in place; returns ||H - H'||_2 / 2."""
    skew = rows - rows.T
    skew *= 0.5
    rows -= skew
    np.copyto(rows, rows.T, where=np.tri(len(rows), k=-1, dtype=bool))  # equal to the last bit
    return spectral_norm(skew)


def _warn(noise: float, skew: float, rows: Array, eps: float, slope: float) -> None:
    """`noise` and `slope`: what two calls differ by, and the largest |g|, each over the step."""
    largest = float(np.max(np.abs(rows)))
    if noise > np.sqrt(eps) * largest:  # a sum in another order from call to call stays far below
        message = (
            f"not deterministic: two calls at the same x differ, in second derivatives by {noise:.2g} "
            f"where the largest is {largest:.2g}; the Hessian's error, {skew:.2g} or more, has that in it"
        )
    elif skew > max(0.01 * largest, 1e3 * eps * slope):
        message = (
            f"not the gradient of a function: its differences are not symmetric, by {skew:.2g} where the "
            f"largest is {largest:.2g}; check_grad says where it is wrong"
        )
    else:
        return
    warnings.warn(f"grad: {message}", RuntimeWarning, stacklevel=4)


def _warn_unseen(where: str) -> None:
    warnings.warn(
        f"grad: no slope is seen along {where} at any step, down to one rounding error of x: a kink at x, or "
        "more noise or bends than the digits of x can resolve; the Hessian's error is infinite",
        RuntimeWarning,
        stacklevel=4,
    )


def _hessian(rows: Array, error: float, evaluations: int) -> Hessian:
    result = rows.view(Hessian)
    result.error = error
    result.evaluations = evaluations
    return result
