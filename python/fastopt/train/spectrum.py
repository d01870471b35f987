"""The spectrum of a loss's Hessian: from the whole matrix of a small model, from products with a large one's.

Both give the critical point that the model is at, and fields of `fastopt.train.analysis.Analysis` beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt
from fastopt.curvature import SpectralDensity, block, spectral_density, trace
from fastopt.train.objective import Objective

Array = NDArray[Any]

#: (what is being computed, steps done, steps in all or 0 if nobody knows)
Tick = Callable[[str, int, int], None]

# Up to this number of parameters the whole Hessian is formed: 128 MB, and half a minute at most.
LARGEST = 4096
# Eigenvalues shown of either end.
EXTREMES = 6
# Points of the density's curve.
POINTS = 400
# Width of the bell that stands for one eigenvalue, as a share of the spectrum's.
BELL = 0.008
# Random vectors, and Lanczos steps with each, of the spectral density.
PROBES, STEPS = 6, 60
# Products can count the signs of eigenvalues beyond this share of the largest in magnitude: nearer to 0 most
# of them crowd, and one node stands for thousands of both signs. Against whole Hessians of 1970 parameters,
# from the first to the last epoch, the count was within its interval; at 0.01 it was not.
BEYOND = 0.05
# Products for the trace of each layer.
TRACE = 30
# For an announcement and no more: products that the verdict takes, and seconds per cubed order for all
# eigenvalues of a dense Hessian.
VERDICT = 400
EIGEN_SECONDS = 3e-10
# Student's t: this many standard errors over 6 probes hold the mean with a probability of 95 %.
STUDENT = 2.571


@dataclass(frozen=True)
class LayerTrace:
    """The trace of one layer's diagonal block of the Hessian; `deviation` is 0 where it is exact."""

    name: str
    n: int
    trace: float
    deviation: float


@dataclass(frozen=True)
class Density:
    """Eigenvalues per unit of length over the eigenvalues `at`, with a band where it is estimated."""

    at: list[float]
    density: list[float]
    low: list[float] | None
    high: list[float] | None


def dense(objective: Objective, tick: Tick) -> dict[str, Any]:
    """From all eigenvalues: nothing is estimated."""
    theta = objective.theta
    hessian = objective.hessian(theta, lambda done, n: tick("Hessian", done, n))
    tick("verdict", 0, 0)
    point = fastopt.critical_point(objective.gradient, theta, hessian=hessian, f=objective.value)
    values = point.eigenvalues
    assert values is not None  # all of them: the Hessian is dense
    diagonal = np.diag(hessian)
    at, density = bells(values)
    return {
        "point": point,
        "min_ratio": point.min_ratio,
        "min_ratio_beyond": point.min_ratio,
        "beyond": 0.0,
        "smallest": values[:EXTREMES].tolist(),
        "largest": values[-EXTREMES:].tolist(),
        "density": Density(at.tolist(), density.tolist(), None, None),
        "layers": [
            LayerTrace(name, where.stop - where.start, float(diagonal[where].sum()), 0.0)
            for name, where in layers(objective).items()
        ],
    }


def bells(values: Array) -> tuple[Array, Array]:
    """(places, density) of eigenvalues, each drawn as a bell of area 1 / n."""
    low, high = float(values[0]), float(values[-1])
    width = BELL * (high - low) or 1e-3 * abs(high) or 1.0
    at = np.linspace(low - 4 * width, high + 4 * width, POINTS)
    density = np.zeros(POINTS)
    for some in np.array_split(values, -(-len(values) // 256)):
        density += np.exp(-0.5 * ((at - some[:, None]) / width) ** 2).sum(axis=0)
    return at, density / (len(values) * width * np.sqrt(2 * np.pi))


def lanczos(objective: Objective, tick: Tick) -> dict[str, Any]:
    """From products alone."""
    products = _CountedProducts(objective, tick)
    products.next("verdict")
    point = fastopt.critical_point(objective.gradient, objective.theta, hvp=products, f=objective.value)
    values = point.eigenvalues
    assert values is not None  # the extreme ones
    half = len(values) // 2
    products.next("spectral density", PROBES * STEPS)
    width = BELL * float(values[-1] - values[0]) or 1e-3
    grid = np.linspace(values[0] - 4 * width, values[-1] + 4 * width, POINTS)
    density = spectral_density(products, objective.n, probes=PROBES, steps=STEPS, sigma=width, grid=grid)
    parts = layers(objective)
    products.next("trace per layer", TRACE * len(parts))
    return {
        "point": point,
        "min_ratio": positive(density),
        "min_ratio_beyond": decided(density),
        "beyond": BEYOND,
        "smallest": values[:half].tolist(),
        "largest": values[half:].tolist(),
        "density": Density(*(a.tolist() for a in (grid, density.density, density.low, density.high))),
        "layers": [_layer(name, where, products) for name, where in parts.items()],
    }


class _CountedProducts:
    """Products with the Hessian that tell how many there were in this phase, and of how many."""

    def __init__(self, objective: Objective, tick: Tick) -> None:
        self.objective, self.tick = objective, tick

    def next(self, phase: str, total: int = 0) -> None:
        self.phase, self.total, self.before = phase, total, self.objective.products

    def __call__(self, v: Array) -> Array:
        self.tick(self.phase, self.objective.products - self.before, self.total)
        return self.objective.hvp(self.objective.theta, v)


def _layer(name: str, where: slice, products: _CountedProducts) -> LayerTrace:
    of_layer = block(products, where, products.objective.n)
    found = trace(of_layer, products=TRACE)
    return LayerTrace(name, of_layer.n, float(found.estimate), float(found.error))


def layers(objective: Objective) -> dict[str, slice]:
    """Where the parameters of each layer lie in the flat vector."""
    found: dict[str, slice] = {}
    for name, where in objective.slices.items():
        layer = name.split(".")[0]
        start = found[layer].start if layer in found else where.start
        found[layer] = slice(start, where.stop)
    return found


def decided(density: SpectralDensity) -> tuple[float, float]:
    """The share of positive ones among the eigenvalues beyond `BEYOND` of the largest in magnitude.

    The interval holds the chance of the random vectors with about 95 % confidence, no more.
    """
    beyond = BEYOND * max(map(abs, density.extremes))
    up, up_error = density.share(beyond, math.inf)
    down, down_error = density.share(-math.inf, -beyond)
    if up + down == 0:
        return 0.0, 1.0
    ratio = up / (up + down)
    error = STUDENT * math.hypot(up_error * down, down_error * up) / (up + down) ** 2
    return max(0.0, ratio - error), min(1.0, ratio + error)


def positive(density: SpectralDensity) -> tuple[float, float]:
    """The share of positive ones among all eigenvalues, as an interval of about 95 % confidence.

    For each probe the nodes of its quadrature bound the share of eigenvalues up to 0 from both sides by the
    sums of their weights without and with the two nodes beside 0 (Chebyshev, Markov, Stieltjes: see Szego,
    Orthogonal Polynomials, section 3.41). The mean over the probes has its standard error.
    """
    bounds = np.array([_up_to_zero(t, w) for t, w in zip(density.nodes, density.weights, strict=True)])
    low, high = bounds.mean(axis=0)
    errors = STUDENT * bounds.std(axis=0, ddof=1) / math.sqrt(len(bounds))
    return max(0.0, 1 - float(high + errors[1])), min(1.0, 1 - float(low - errors[0]))


def _up_to_zero(nodes: Array, weights: Array) -> tuple[float, float]:
    """Bounds of the share of eigenvalues up to 0 from one quadrature."""
    below = int(np.searchsorted(nodes, 0.0))
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    return float(sums[max(below - 1, 0)]), float(sums[min(below + 1, len(nodes))])
