"""What `spectral_density` returns, and the quantiles of Student's t behind its intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity:
    """A density of eigenvalues, its confidence band, and the quadrature it is made of.

    Attributes
    ----------
    grid : ndarray, shape (m,)
        Where the density was evaluated.
    density, low, high : ndarray, shape (m,)
        Its mean over the probes, and the confidence band (never below zero). The density integrates to 1.
    nodes, weights : tuple of ndarray
        One pair for each probe: Ritz values, ascending, and their weights, which sum to 1.
    sigma : float
        Standard deviation of the Gaussian that stands for each node.
    confidence : float
        Of the band and of the intervals.
    n : int
        The order of the operator.
    products : int
        Products that were made.
    """

    grid: Array
    nodes: tuple[Array, ...]
    weights: tuple[Array, ...]
    sigma: float
    confidence: float
    n: int
    products: int
    density: Array = field(init=False)
    low: Array = field(init=False)
    high: Array = field(init=False)

    def __post_init__(self) -> None:
        curves = np.array(
            [self._smoothed(theta, w) for theta, w in zip(self.nodes, self.weights, strict=True)]
        )
        density = curves.mean(axis=0)
        reach = student_quantile(self.confidence, len(curves) - 1) * _standard_error(curves)
        for name, value in (
            ("density", density),
            ("low", np.maximum(density - reach, 0)),
            ("high", density + reach),
        ):
            object.__setattr__(self, name, value)

    def _smoothed(self, theta: Array, w: Array) -> Array:
        z = (self.grid[:, None] - theta) / self.sigma
        curve: Array = np.exp(-0.5 * z**2) @ w / (self.sigma * math.sqrt(2 * math.pi))
        return curve

    def share(self, low: float, high: float) -> tuple[float, float]:
        """The share of eigenvalues between `low` and `high`, and its standard error over the probes.

        The integral of the density, so both ends are as sharp as `sigma`: eigenvalues at an end count half.
        """
        shares = np.array(
            [
                float(w @ (_normal((high - theta) / self.sigma) - _normal((low - theta) / self.sigma)))
                for theta, w in zip(self.nodes, self.weights, strict=True)
            ]
        )
        return float(shares.mean()), float(_standard_error(shares))

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest Ritz value: within the spectrum, and close to its ends."""
        return min(float(t[0]) for t in self.nodes), max(float(t[-1]) for t in self.nodes)

    def plot(self, ax: Any = None, *, log: bool = True) -> Any:
        """Draw the density with its band; returns the matplotlib axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure by default.
        log : bool, default True
            A logarithmic scale, where single eigenvalues (1/n of the weight each) can be seen beside the
            bulk.

        Raises
        ------
        ImportError
            If matplotlib is not installed (``pip install fastopt[report]``).
        """
        from fastopt.curvature._plots import plot_density

        return plot_density(self, ax, log)

    def __str__(self) -> str:
        smallest, largest = self.extremes
        t = student_quantile(self.confidence, len(self.nodes) - 1)
        near = 3 * self.sigma  # closer to zero, a sign cannot be told
        parts = [self.share(*ends) for ends in ((-math.inf, -near), (-near, near), (near, math.inf))]
        below, around, above = (f"{100 * share:.2f} % (+- {100 * t * e:.2f})" for share, e in parts)
        return (
            f"spectral density of an operator of order {self.n}, from {self.products} products "
            f"({len(self.nodes)} probes)\n"
            f"  Ritz values from {smallest:.6g} to {largest:.6g}, smoothed by sigma = {self.sigma:.3g}\n"
            f"  of the eigenvalues are below {-near:.3g}: {below}, above {near:.3g}: {above},\n"
            f"  between: {around}; {100 * self.confidence:g} % confidence"
        )

    def __repr__(self) -> str:
        return f"<SpectralDensity of order {self.n}, {len(self.nodes)} probes, sigma {self.sigma:.3g}>"


def _standard_error(samples: Array) -> Array:
    """Of the mean over the first axis."""
    error: Array = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    return error


def _normal(z: Array) -> Array:
    """The distribution function of the standard normal distribution."""
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])


def student_quantile(confidence: float, freedom: int) -> float:
    """t such that a Student t variable of `freedom` degrees is within [-t, t] with this probability.

    >>> round(student_quantile(0.95, 9), 3)
    2.262
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| <= t): the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    term = 1.0 if freedom % 2 == 0 else math.cos(angle)
    total = term if freedom > 1 else 0.0
    for k in range(1 if freedom % 2 == 0 else 2, freedom - 2, 2):
        term *= square * k / (k + 1)
        total += term
    if freedom % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)
