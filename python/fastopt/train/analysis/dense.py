"""Small models: the whole Hessian, so that nothing is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt
from fastopt.train.analysis.findings import Density, Layer, Tick
from fastopt.train.analysis.place import Place

Array = NDArray[Any]

NAME = "dense"
# Up to this number of parameters the whole Hessian is formed: 128 MB, and half a minute at most.
LARGEST = 4096
# Eigenvalues shown of either end.
EXTREMES = 6
# Points of the density's curve.
POINTS = 400
# Width of the bell that stands for one eigenvalue, as a share of the spectrum's.
BELL = 0.008


def findings(place: Place, tick: Tick) -> dict[str, Any]:
    """The point, and the fields of `Analysis` beside it."""
    objective, theta = place.objective, place.objective.theta
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
            Layer(name, where.stop - where.start, float(diagonal[where].sum()), 0.0)
            for name, where in place.layers().items()
        ],
    }


def bells(values: Array) -> tuple[Array, Array]:
    """(places, density) of eigenvalues, each drawn as a bell of area 1 / n."""
    low, high = float(values[0]), float(values[-1])
    width = BELL * (high - low) or 1e-3 * abs(high) or 1.0
    at = np.linspace(low - 4 * width, high + 4 * width, POINTS)
    density = np.zeros(POINTS)
    for block in np.array_split(values, -(-len(values) // 256)):
        density += np.exp(-0.5 * ((at - block[:, None]) / width) ** 2).sum(axis=0)
    return at, density / (len(values) * width * np.sqrt(2 * np.pi))
