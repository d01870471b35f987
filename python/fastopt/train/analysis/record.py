"""Loss against minimum ratio while training: one reading of the curvature at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from fastopt.train.analysis import lanczos
from fastopt.train.analysis.place import Place
from fastopt.train.model import MLP
from fastopt.train.problem import Problem
from fastopt.train.settings import Settings

# Up to this number of parameters a reading forms the whole Hessian: it must not take longer than the epochs
# between two of them. Beyond, products have to do, and on fewer rows.
DENSE = 2048
# Training rows of a reading, at most.
ROWS, ROWS_OF_PRODUCTS = 1024, 512


def reading(model: MLP, settings: Settings, problem: Problem, l2: float) -> dict[str, Any]:
    """Loss, gradient norm and minimum ratio, as an interval, at the model's present parameters.

    The ratio is the share of positive eigenvalues of the Hessian; of a large model, of those whose magnitude
    is beyond a share, `beyond`, of the largest. Away from a critical point it describes the curvature and no
    more.
    """
    small = sum(p.size for p in model.parameters) <= DENSE
    place = Place.of(model, settings, problem, l2, ROWS if small else ROWS_OF_PRODUCTS)
    objective, theta = place.objective, place.objective.theta
    row = {
        "loss": objective.value(theta),
        "gradient_norm": float(np.linalg.norm(objective.gradient(theta))),
        "rows": place.rows,
        "beyond": 0.0 if small else lanczos.BEYOND,
    }
    if not place.finite():
        return row | {"low": float("nan"), "high": float("nan")}
    if small:
        low, high = fastopt.critical_point(None, None, hessian=objective.hessian(theta)).min_ratio
    else:
        low, high = lanczos.reading(place)
    return row | {"low": low, "high": high}
