"""Is this gradient right? Central differences with refinement, and a verdict with its digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _checks
from fastopt.curvature._check_products import check_products, matrix_product
from fastopt.curvature._comparison import Comparison
from fastopt.curvature._gradient_report import Finding, GradientReport, report
from fastopt.curvature._lines import lines
from fastopt.functions.arguments import takes_functions
from fastopt.functions.counted import ScalarFunction, VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.products import product_at, takes_point
from fastopt.functions.progress import Report, reporter

Array = NDArray[Any]


@takes_functions
def check_grad(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    x: Any,
    *,
    points: int = 1,
    seed: int = 0,
    directions: int | None = None,
    hvp: Any = None,
    hessian: Any = None,
    complex_step: bool = False,
    tol: float = 1e-7,
    progress: bool | Report | None = None,
) -> GradientReport:
    r"""Compare a gradient with the function it belongs to: right, wrong and by how much, or not to be told.

    Along each line, f is evaluated at steps that fall by tens on both sides. For a smooth function the
    central difference :math:`D(h)` approaches the slope as :math:`h^2`, until the noise of f,
    :math:`\sigma / h`, takes over; both are read off neighbouring steps. At a kink the slopes to the two
    sides differ by something that does not fall with h. Neither a large third derivative nor an offset of f
    is taken for a wrong gradient.

    Parameters
    ----------
    f : callable
        The function: takes `x`, or its like in new arrays, and returns one real number.
    grad : callable
        Its gradient: takes the same and returns the structure of `x`.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The point. Not changed.
    points : int, default 1
        So many points: `x`, and random ones around it, a tenth of its own magnitude away.
    seed : int, default 0
        Of all that is random here.
    directions : int, optional
        Check so many random directions, and the ten coordinates with the largest gradient, instead of every
        coordinate. By default from 201 variables on: ten, or two for each array of `x` if that is more. Every
        other direction moves one array alone. A wrong entry among many is seen in the average of a direction
        only.
    hvp : callable, optional
        Products with the Hessian to be checked as well, against differences of `grad`, and for symmetry
        (v'Hw = w'Hv): ``hvp(v)`` at `x`, or ``hvp(x, v)``, or an object with ``matvec``.
    hessian : array or callable, optional
        The same for a matrix, or a function of x that returns one, in the flat order of `x`.
    complex_step : bool, default False
        Also evaluate f at :math:`x + 10^{-20} i u`, which gives the slope to all digits, if f is written in
        analytic operations that take complex arrays (no abs, maximum, comparison or conjugate).
    tol : float, default 1e-7
        An agreement to this relative error is "right"; anything worse that can be seen is "wrong".
    progress : callable or True, optional
        Called with (lines done, lines in all); True writes a line a second to standard error.

    Returns
    -------
    GradientReport
        ``print`` it. ``.ok``, ``.kind``, ``.relative_error``, ``.digits``, ``.worst`` (parameter, index),
        ``.findings`` for each coordinate. The kinds, the gravest of which is the report's:

        - "right": agrees to `tol`;
        - "round-off": agrees as far as the arithmetic tells, in ``digits`` digits, too few for `tol`. It is
          all that float32 can give; large offsets and entries far below the others do it too;
        - "kink": steps cross a kink. The gradient is the slope on its side, or at the kink itself between
          those of both sides;
        - "wrong": off by ``relative_error``, beyond all uncertainty.

    Raises
    ------
    ValueError
        If f or the gradient is not finite at `x`, or differs from call to call (by more than sums in another
        order would). A shifted point may well be outside of the domain: steps are then smaller, or go to one
        side only, and the report says so.
    TypeError
        If `x` is not float32 or float64, or a result has another structure.

    What the functions raise passes through.

    Notes
    -----
    Cost: 20 evaluations of f per line, 26 where the first look is not clean, and about 100 for the noise; up
    to 40 more where f lives on a smaller scale than x, or the slope along a variable far below the others
    seems wrong, and at x = 0, which says nothing of any scale, up to 200. float32, in `x` or in what f
    returns, has its own steps and noise. Wrong entries down to 1e-6 are found in float64 wherever 7 digits
    can be tested.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x = {"w": np.array([1.0, 2.0]), "b": np.array([0.5])}
    >>> def f(x):
    ...     return np.sum(x["w"] ** 3) * x["b"][0]
    >>> def grad(x):
    ...     return {"w": 3 * x["w"] ** 2 * x["b"], "b": np.array([np.sum(x["w"] ** 3)]) * 1.01}
    >>> report = fastopt.check_grad(f, grad, x)
    >>> print(report)
    gradient: WRONG (3 coordinates: 1 wrong, 2 right)
      x['b'][0]: off by 0.0099 of its size, 9.09 where differences give 9 +- 2e-13
      [174 calls of f, 2 calls of grad]
    >>> report.ok, report.worst
    (False, Worst(parameter="x['b']", index=(0,)))
    """
    layout, flat = Layout.of(x)
    points = _checks.integer("points", points, minimum=1)
    rng = np.random.default_rng(_checks.integer("seed", seed, minimum=0))
    if directions is not None:
        directions = _checks.integer("directions", directions, minimum=1)
    tol = _checks.positive("tol", tol)
    _follows_points(points, hvp, hessian)
    check = Comparison(ScalarFunction(f, layout, "f"), VectorFunction(grad, layout, "grad"), tol, rng)
    check.complex_step = _checks.flag("complex_step", complex_step)
    progressed = reporter(progress, "check_grad")
    findings: list[Finding] = []
    products = 0
    for k in range(points):
        at, value, gradient = check.evaluated(flat) if k == 0 else check.random_point(flat)
        check.measure_noise(at, value, gradient)
        chosen = lines(layout, at, gradient, directions, rng)
        for i, line in enumerate(chosen):
            findings.append(check.gradient(at, value, gradient, line, k))
            progressed(k * len(chosen) + i + 1, points * len(chosen))
        for product in _products(hvp, hessian, layout, at):
            findings += check_products(product, check.g, at, chosen, k, tol, rng)
            products += product.calls
    calls = {"f": check.f.calls, "grad": check.g.calls}
    return report(findings, points, calls | ({"hvp": products} if products else {}))


def _follows_points(points: int, hvp: Any, hessian: Any) -> None:
    if points == 1:
        return
    if hvp is not None and not takes_point(hvp):
        raise ValueError("hvp: expected a function of (x, v) where points > 1, got one of v alone")
    if hessian is not None and not callable(hessian):
        raise ValueError("hessian: expected a function of x where points > 1, got a matrix")


def _products(hvp: Any, hessian: Any, layout: Layout, at: Array) -> list[VectorFunction]:
    given = [] if hvp is None else [product_at(hvp, layout, at)]
    return given if hessian is None else [*given, matrix_product(hessian, layout, at)]
