"""The picture of a spectral density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastopt.curvature._density import SpectralDensity

LINE, NEGATIVE, MARK = "#1f4e79", "#e07b39", "#222222"


def plot(result: SpectralDensity, ax: Any, log: bool) -> Any:
    """See `SpectralDensity.plot`."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as e:
        raise ImportError(
            "plot: expected matplotlib, which is not installed: pip install fastopt[report]"
        ) from e
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    grid, density = result.grid, result.density
    # Below a tenth of one eigenvalue's peak there is nothing but the tails of the kernel.
    floor = 0.1 / (result.n * result.sigma * np.sqrt(2 * np.pi))
    bottom = floor if log else 0.0
    low, high = np.maximum(result.low, bottom), np.maximum(result.high, bottom)
    ax.fill_between(grid, low, high, color=LINE, alpha=0.25, lw=0)
    ax.plot(grid, np.maximum(density, bottom), color=LINE, lw=1.3)
    negative = grid <= 0
    if (density[negative] > floor).any():
        filled = np.maximum(density[negative], bottom)
        ax.fill_between(grid[negative], bottom, filled, color=NEGATIVE, alpha=0.35, lw=0)
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
