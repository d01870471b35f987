"""Large models: products with the Hessian alone, and what can be said from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt
from fastopt.curvature import SpectralDensity, spectral_density, trace
from fastopt.train.analysis.dense import BELL, POINTS
from fastopt.train.analysis.findings import Density, Layer, Tick
from fastopt.train.analysis.place import Place

Array = NDArray[Any]

NAME = "Lanczos"
# Random vectors, and Lanczos steps with each, of the spectral density.
PROBES, STEPS = 6, 60
# Steps of a reading while training, which must be quick.
STEPS_READING = 40
# Products can count the signs of eigenvalues beyond this share of the largest in magnitude: nearer to 0 most
# of them crowd, and one node stands for thousands of both signs. Against whole Hessians of 1970 parameters,
# from the first to the last epoch, the count was within its interval; at 0.01 it was not.
BEYOND = 0.05
# Products for the trace of each layer.
TRACE = 30
# Student's t: this many standard errors over 6 probes hold the mean with a probability of 95 %.
STUDENT = 2.571


def findings(place: Place, tick: Tick) -> dict[str, Any]:
    """The point, and the fields of `Analysis` beside it."""
    objective, theta = place.objective, place.objective.theta
    products = _Told(place, tick)
    point = fastopt.critical_point(objective.gradient, theta, hvp=products, f=objective.value)
    values = point.eigenvalues
    assert values is not None  # the extreme ones
    half = len(values) // 2
    products.what = "spectral density"
    width = BELL * float(values[-1] - values[0]) or 1e-3
    grid = np.linspace(values[0] - 4 * width, values[-1] + 4 * width, POINTS)
    density = spectral_density(products, objective.n, probes=PROBES, steps=STEPS, sigma=width, grid=grid)
    products.what = "trace per layer"
    return {
        "point": point,
        "min_ratio": positive(density),
        "min_ratio_beyond": decided(density),
        "beyond": BEYOND,
        "smallest": values[:half].tolist(),
        "largest": values[half:].tolist(),
        "density": Density(*(a.tolist() for a in (grid, density.density, density.low, density.high))),
        "layers": [_layer(name, where, products) for name, where in place.layers().items()],
    }


class _Told:
    """Products with the Hessian that tell how many they are, and what they are for."""

    def __init__(self, place: Place, tick: Tick) -> None:
        self.place, self.tick, self.what = place, tick, "verdict"

    def __call__(self, v: Array) -> Array:
        self.tick(self.what, self.place.objective.products, 0)
        return self.place.product(v)


def _layer(name: str, where: slice, products: _Told) -> Layer:
    n = products.place.objective.n

    def block(v: Array) -> Array:
        whole = np.zeros(n)
        whole[where] = v
        return products(whole)[where]

    size = where.stop - where.start
    found = trace(block, size, products=TRACE)
    return Layer(name, size, float(found.estimate), float(found.error))


def reading(place: Place) -> tuple[float, float]:
    """The minimum ratio at a place among the eigenvalues beyond `BEYOND`, as an interval."""
    n = place.objective.n
    return decided(spectral_density(place.product, n, probes=PROBES, steps=STEPS_READING))


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
