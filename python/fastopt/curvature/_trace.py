"""The trace and the diagonal of an operator from products with it."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, word
from fastopt.curvature._sketch import Sketch, hutchpp, seeds_of, xdiag, xtrace
from fastopt.functions.progress import Report, reporter
from fastopt.linalg._operator import Operator, as_operator

Array = NDArray[Any]

Method = Literal["xtrace", "hutch++"]
METHODS = get_args(Method)


class TraceEstimate(NamedTuple):
    """The estimate, its standard error (0 if it is exact but for rounding), and the products used."""

    estimate: float
    error: float
    products: int

    def __str__(self) -> str:
        return f"trace {self.estimate:.6g} +- {self.error:.2g} from {self.products} products"


class DiagonalEstimate(NamedTuple):
    """The estimate of each entry and its standard error, arrays of shape (n,), and the products used."""

    estimate: Array
    error: Array
    products: int

    def __str__(self) -> str:
        spread = math.sqrt(float((self.error**2).mean()))
        return (
            f"diagonal of {len(self.estimate)} entries from {self.estimate.min():.6g} to "
            f"{self.estimate.max():.6g}, standard error {spread:.2g} (root mean square), "
            f"from {self.products} products"
        )


def trace(
    op: Any,
    n: int | None = None,
    *,
    products: int = 60,
    method: Method = "xtrace",
    seed: Any = 0,
    progress: bool | Report | None = None,
) -> TraceEstimate:
    r"""The trace of a symmetric operator, with its standard error.

    "xtrace": products with m = `products` / 2 random vectors give a basis Q of the large part of the
    spectrum, whose trace is taken exactly; what is left is estimated from the random vectors themselves, each
    by the basis of all others. The error falls like 1/m^2 or faster where eigenvalues decay, like :math:`1 /
    \sqrt{m}` where not. "hutch++" spends a third on the basis, a third on its trace and a third on vectors
    for the rest.

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        The operator, as for :func:`fastopt.eigsh`. A matrix is summed up directly, without products.
    n : int, optional
        The order; needed for a function.
    products : int, default 60
        The largest number of products, at least 4 ("hutch++": 6). From n on the trace is exact, by n products
        with the unit vectors.
    method : {"xtrace", "hutch++"}, default "xtrace"
    seed : int, sequence of int, None, SeedSequence, BitGenerator or Generator, default 0
    progress : bool or callable, optional
        Called with (products done, products in all), or True for a line a second on standard error.

    Returns
    -------
    TraceEstimate
        ``estimate``, ``error``, ``products``. The error is one standard error of the mean over the random
        vectors; for "xtrace" it was up to a quarter too small in trials, as these are correlated. It is 0
        when the basis was seen to hold the whole range of the operator.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or has the wrong type.
    numpy.linalg.LinAlgError
        If a product holds NaN or infinity.

    Notes
    -----
    Memory: `products` / 2 vectors ("hutch++": a third). Meyer, Musco, Musco and Woodruff, "Hutch++", SOSA
    2021; Epperly, Tropp and Webber, "XTrace: making the most of every sample in stochastic trace estimation",
    SIAM J. Matrix Anal. Appl. 45 (2024).

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.curvature import trace
    >>> d = 2.0 ** -np.arange(1000.0)
    >>> result = trace(lambda v: d * v, 1000)
    >>> abs(result.estimate - 2) < 1e-6, result.products
    (True, 60)
    """
    operator = as_operator(op, n)
    word("method", method, METHODS)
    least = 4 if method == "xtrace" else 6
    products = integer("products", products, minimum=least)
    report = reporter(progress, "trace")
    if operator.matrix is not None or products >= operator.n:
        entries, used = _exact_diagonal(operator, report)
        return TraceEstimate(math.fsum(entries.tolist()), 0.0, used)
    before = operator.products
    estimate, error = (xtrace if method == "xtrace" else hutchpp)(operator, products, seed, report)
    return TraceEstimate(estimate, error, operator.products - before)


def _exact_diagonal(op: Operator, report: Report) -> tuple[Array, int]:
    if op.matrix is not None:
        if not np.isfinite(op.matrix).all():
            raise np.linalg.LinAlgError("op: the matrix holds NaN or infinity")
        return np.diagonal(op.matrix).copy(), 0
    entries = []
    for i in range(op.n):
        unit = np.zeros(op.n)
        unit[i] = 1
        entries.append(op.matvec(unit)[i])
        report(i + 1, op.n)
    return np.array(entries), op.n


def diagonal(
    op: Any,
    n: int | None = None,
    *,
    products: int = 60,
    seed: Any = 0,
    progress: bool | Report | None = None,
) -> DiagonalEstimate:
    r"""The diagonal of a symmetric operator, entry by entry, with standard errors: XDiag.

    As :func:`trace` by "xtrace", with random signs: the diagonal of :math:`Q Q^T H` is exact, that of the
    rest is estimated by :math:`\omega \circ (I - Q Q^T) H \omega`.

    Parameters
    ----------
    op, n, seed, progress
        As for :func:`trace`.
    products : int, default 60
        The largest number of products, at least 4; from n on the diagonal is exact.

    Returns
    -------
    DiagonalEstimate
        ``estimate`` and ``error``, arrays of shape (n,), and ``products``.

    Raises
    ------
    ValueError, TypeError, numpy.linalg.LinAlgError
        As :func:`trace`.

    Notes
    -----
    Memory: 1.5 `products` vectors. Epperly, Tropp and Webber, SIAM J. Matrix Anal. Appl. 45 (2024).

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.curvature import diagonal
    >>> u = np.linspace(0, 1, 500)
    >>> result = diagonal(lambda v: u * (u @ v), 500)        # rank one: exact
    >>> float(abs(result.estimate - u**2).max()) < 1e-12
    True
    """
    operator = as_operator(op, n)
    products = integer("products", products, minimum=4)
    report = reporter(progress, "diagonal")
    if operator.matrix is not None or products >= operator.n:
        entries, used = _exact_diagonal(operator, report)
        return DiagonalEstimate(entries, np.zeros_like(entries), used)
    before = operator.products
    m = products // 2
    sketch = Sketch(operator, m, seeds_of(seed, m), signs=True, keep=True, report=report)
    estimate, error = xdiag(sketch)
    return DiagonalEstimate(estimate, error, operator.products - before)
