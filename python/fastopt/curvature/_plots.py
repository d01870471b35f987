"""The loss along the extreme eigenvectors of a critical point, and the picture of a spectral density."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import positive_or_none
from fastopt.curvature._density import SpectralDensity
from fastopt.curvature._point import CriticalPoint
from fastopt.curvature._spectrum import DenseSpectrum
from fastopt.functions.counted import ScalarFunction
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.lengths import norm

Array = NDArray[Any]

#: What was computed, what it is compared with, and single points.
MAIN, OTHER, MARK = "#1f4e79", "#e07b39", "#222222"


def plot_point(point: CriticalPoint, f: Any, span: float | None, axes: Any) -> Any:
    """See `CriticalPoint.plot`."""
    at, dense = point._evaluation, point._spectrum
    if at is None or not isinstance(dense, DenseSpectrum):
        raise ValueError("plot: expected a point x and a dense Hessian, but critical_point was given none")
    if f is None and not at.has_f:
        raise ValueError("f: expected the loss, as critical_point was not given it either; got None")
    objective = at.f if f is None else ScalarFunction(f, at.layout, "f")
    span = positive_or_none("span", span)
    vectors = [_unchanged(dense, i) for i in ((0, dense.n - 1) if dense.n > 1 else (0,))]
    plt = _pyplot()
    if axes is None:
        figure, axes = plt.subplots(
            1, len(vectors), figsize=(5.2 * len(vectors), 4.0), squeeze=False, layout="constrained"
        )
        axes = axes[0]
        figure.suptitle(str(point).splitlines()[0], fontsize=11)
    g = at.g if at.has_grad else np.zeros(dense.n)
    for ax, u, which in zip(axes, vectors, ("smallest", "largest"), strict=False):
        _section(
            ax,
            objective,
            at,
            u,
            float(g @ u),
            float(dense.eigenvalues[0 if which == "smallest" else -1]),
            span,
        )
        ax.set_title(f"along the eigenvector of the {which} eigenvalue", fontsize=10)
    return axes[0].figure


def _unchanged(dense: DenseSpectrum, i: int) -> Array:
    """The eigenvector, or a ValueError if the matrix is no longer the one that was analysed."""
    u = dense.vector(i)
    value = dense.eigenvalues[i]
    if np.linalg.norm(dense.matrix @ u - value * u) > 100 * max(dense.n, 4) * dense.eps * dense.norm:
        raise ValueError("hessian: expected the matrix as critical_point saw it, but it has changed since")
    return u


def _section(
    ax: Any, f: ScalarFunction, at: Evaluation, u: Array, slope: float, value: float, span: float | None
) -> None:
    def along(t: float) -> float:
        return f((at.x + t * u).astype(at.x.dtype, copy=False))

    start = along(0.0)
    reach = _reach(along, start, value, at) if span is None else span
    t = np.linspace(-reach, reach, 121)
    with np.errstate(all="ignore"):
        loss = np.array([along(float(s)) for s in t])
    model = start + t * slope + t * t * value / 2
    ax.plot(t, loss, color=MAIN, lw=2.2, label="loss")
    ax.plot(
        t,
        model,
        color=OTHER,
        lw=1.6,
        ls=(0, (5, 3)),
        label=rf"$L_0 + t\,g^Tu + t^2 \lambda/2$,  $\lambda$ = {value:.3g}",
    )
    ax.plot([0], [start], "o", color=MARK, ms=6, zorder=3)
    finite = loss[np.isfinite(loss)]
    low, high = float(finite.min()), float(finite.max())
    pad = 0.12 * ((high - low) or abs(start) or 1.0)
    ax.set_ylim(low - pad, high + pad)  # a model that leaves the picture is not to squash the loss
    ax.set_xlabel("t  (x + t u)")
    ax.set_ylabel("loss")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9)


def _reach(along: Callable[[float], float], start: float, value: float, at: Evaluation) -> float:
    """A span over which the loss leaves its quadratic model by a third; |x|, at least 1, if it never does."""
    limit = norm(at.x) or 1.0
    reach = 1e-4 * limit
    while reach < limit:
        wanted = abs(value) * reach * reach / 2
        ends = [along(sign * reach) - start - value * reach * reach / 2 for sign in (-1, 1)]
        if not all(math.isfinite(e) for e in ends) or max(map(abs, ends)) > 0.33 * wanted > 1e-9 * abs(start):
            break
        reach *= 2
    return reach


def plot_density(result: SpectralDensity, ax: Any, log: bool) -> Any:
    """See `SpectralDensity.plot`."""
    plt = _pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    grid, density = result.grid, result.density
    # Below a tenth of one eigenvalue's peak there is nothing but the tails of the kernel.
    floor = 0.1 / (result.n * result.sigma * np.sqrt(2 * np.pi))
    bottom = floor if log else 0.0
    low, high = np.maximum(result.low, bottom), np.maximum(result.high, bottom)
    ax.fill_between(grid, low, high, color=MAIN, alpha=0.25, lw=0)
    ax.plot(grid, np.maximum(density, bottom), color=MAIN, lw=1.3)
    negative = grid <= 0
    if (density[negative] > floor).any():
        filled = np.maximum(density[negative], bottom)
        ax.fill_between(grid[negative], bottom, filled, color=OTHER, alpha=0.35, lw=0)
    ax.axvline(0, color=MARK, lw=0.8, ls=":")
    if log:
        ax.set_yscale("log")
        ax.set_ylim(floor, 3 * float(result.high.max()))
    else:
        ax.set_ylim(0, None)
    ax.set_xlim(grid[0], grid[-1])
    ax.set_xlabel("eigenvalue")
    ax.set_ylabel("density")
    share, _ = result.share(-np.inf, 0.0)
    title = f"n = {result.n}, {len(result.nodes)} probes, {100 * share:.1f} % of the density below 0"
    ax.set_title(title, fontsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as e:
        raise ImportError(
            "plot: expected matplotlib, which is not installed: pip install fastopt[report]"
        ) from e
    return plt
