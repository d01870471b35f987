"""The density of eigenvalues of an operator by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, positive_or_none, real, shown
from fastopt.curvature._density import SpectralDensity
from fastopt.functions.progress import Report, reporter
from fastopt.linalg._krylov import KrylovSpace, quadrature
from fastopt.linalg._operator import as_operator
from fastopt.linalg._random import generator

Array = NDArray[Any]

#: Points of the grid; and the narrowest kernel they resolve, as a share of the grid's length.
POINTS, NARROWEST = 2048, 1e-3


def spectral_density(
    op: Any,
    n: int | None = None,
    *,
    probes: int = 10,
    steps: int = 80,
    sigma: float | None = None,
    grid: Any = None,
    confidence: float = 0.95,
    seed: Any = 0,
    progress: bool | Report | None = None,
) -> SpectralDensity:
    r"""The density of eigenvalues of a symmetric operator, from products alone, with a confidence band.

    Stochastic Lanczos quadrature: for each of `probes` random unit vectors, `steps` Lanczos steps with full
    reorthogonalisation give a tridiagonal T. Its eigenvalues are nodes, the squared first components of its
    eigenvectors are weights, of a quadrature that is exact for polynomials up to degree ``2 steps - 1``; the
    density is

    .. math:: \phi(t) = \frac{1}{p} \sum_{j=1}^p \sum_i w_{ij}\, N(t; \theta_{ij}, \sigma^2).

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        The operator, as for :func:`fastopt.eigsh`: for example ``fastopt.hvp(grad, x)``.
    n : int, optional
        The order; needed for a function.
    probes : int, default 10
        Random vectors, at least 2.
    steps : int, default 80
        Lanczos steps for each, at least 1: the resolution.
    sigma : float, optional
        Standard deviation of the Gaussian that stands for each node. By default the mean distance between
        neighbouring nodes, weighted by their weights: what `steps` resolve where the eigenvalues are; but at
        least a thousandth of the grid's length.
    grid : array_like, optional
        Where to evaluate, ascending; 2048 points from 4 `sigma` below the smallest to 4 `sigma` above the
        largest node by default.
    confidence : float, default 0.95
        Of the band and of the intervals.
    seed : int, sequence of int, None, SeedSequence, BitGenerator or Generator, default 0
    progress : bool or callable, optional
        Called with (products done, products in all), or True for a line a second on standard error.

    Returns
    -------
    SpectralDensity
        ``grid``, ``density``, ``low``, ``high``, ``nodes``, ``weights``, ``share(a, b)``, ``plot()``;
        printable.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or has the wrong type.
    numpy.linalg.LinAlgError
        If a product holds NaN or infinity.

    Notes
    -----
    The cost is ``probes * steps`` products, the memory ``steps`` vectors. The band is Student's t interval
    over the probes, point by point: it covers the chance in the random vectors, not the smoothing by `sigma`.
    Single large eigenvalues weigh 1/n each, so look at them on a logarithmic scale (``plot`` has one) or by
    :func:`fastopt.eigsh`.

    References
    ----------
    Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017); Ghorbani, Krishnan and Xiao, ICML 2019; Golub
    and Welsch, Math. Comp. 23 (1969).

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.curvature import spectral_density
    >>> d = np.concatenate([np.full(300, -1.0), np.full(700, 1.0)])
    >>> result = spectral_density(lambda v: d * v, 1000, sigma=0.1)
    >>> estimate, error = result.share(-np.inf, 0)
    >>> abs(estimate - 0.3) < 3 * error < 0.05
    True
    """
    operator = as_operator(op, n)
    probes = integer("probes", probes, minimum=2)
    steps = min(integer("steps", steps, minimum=1), operator.n)
    confidence = real("confidence", confidence, minimum=0, maximum=1, open_low=True, open_high=True)
    sigma = positive_or_none("sigma", sigma)
    if grid is not None:
        grid = _checked(grid)
    report = reporter(progress, "spectral density")
    rng = generator(seed)
    before = operator.products
    nodes, weights, residuals = [], [], []
    for j in range(probes):
        v = rng.standard_normal(operator.n)
        v /= math.sqrt(float(v @ v))
        space = KrylovSpace(operator.matvec, v, steps)
        while space.step():
            report(j * steps + space.size, probes * steps)
        theta, w, r = quadrature(space)
        nodes.append(theta)
        weights.append(w)
        residuals.append(r)
    report(probes * steps, probes * steps)
    if sigma is None:
        sigma = _resolution(nodes, weights, residuals)
    if grid is None:
        low, high = min(t[0] for t in nodes), max(t[-1] for t in nodes)
        grid = np.linspace(low - 4 * sigma, high + 4 * sigma, POINTS)
    return SpectralDensity(
        grid, tuple(nodes), tuple(weights), sigma, confidence, operator.n, operator.products - before
    )


def _checked(grid: Any) -> Array:
    try:
        given = np.asarray(grid)
        points = given.astype(np.float64) if given.dtype.kind in "biuf" else None
    except (TypeError, ValueError, OverflowError):
        points = None
    if points is None:
        raise TypeError(f"grid: expected finite ascending numbers, shape (m,), got {shown(grid)}")
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all() or (np.diff(points) < 0).any():
        raise ValueError(f"grid: expected finite ascending numbers, shape (m,), got shape {points.shape}")
    return points


def _resolution(nodes: list[Array], weights: list[Array], residuals: list[Array]) -> float:
    """The mean width of a node, by weight; not below what the grid resolves.

    A node stands for all that is nearer to it than to its neighbours; one that has converged for itself.
    """
    width = 0.0
    for theta, w, r in zip(nodes, weights, residuals, strict=True):
        if len(theta) > 1:
            gaps = np.diff(theta)
            spacing = (np.append(gaps, gaps[-1]) + np.insert(gaps, 0, gaps[0])) / 2
            width += float(w @ np.minimum(spacing, r)) / len(nodes)
    low, high = min(float(t[0]) for t in nodes), max(float(t[-1]) for t in nodes)
    # equal eigenvalues differ by rounding, which is no width
    length = max(high - low, 1e-3 * max(abs(low), abs(high))) or 1.0
    return max(width, NARROWEST * length)
