"""Loss against minimum ratio while training: one reading of the curvature at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from fastopt.mlp.analysis.place import Place
from fastopt.mlp.model import MLP
from fastopt.mlp.problem import Problem
from fastopt.mlp.settings import Settings

# Training rows of a reading, at most: it must not take longer than the epochs between two of them.
ROWS = 1024


def reading(model: MLP, settings: Settings, problem: Problem, l2: float) -> dict[str, Any]:
    """Loss, gradient norm and minimum ratio, as an interval, at the model's present parameters.

    The ratio is the share of positive eigenvalues of the Hessian. Away from a critical point it describes
    the curvature and no more.
    """
    place = Place.of(model, settings, problem, l2, ROWS)
    objective, theta = place.objective, place.objective.theta
    row = {
        "loss": objective.value(theta),
        "gradient_norm": float(np.linalg.norm(objective.gradient(theta))),
        "rows": place.rows,
    }
    if not place.finite():
        return row | {"low": float("nan"), "high": float("nan")}
    low, high = fastopt.critical_point(None, None, hessian=objective.hessian(theta)).min_ratio
    return row | {"low": low, "high": high}
