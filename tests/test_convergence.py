"""Every optimizer arrives: on a sphere, on an ill-conditioned ellipse, in Rosenbrock's valley."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pairs import CLASSES


@dataclass(frozen=True)
class Landscape:
    """A function with minimum 0, where to start, how long to walk, and what share of the loss may be left."""

    start: Any
    value: Callable[[Any], float]
    gradient: Callable[[Any], Any]
    steps: int
    gap: float


_rng = np.random.default_rng(0)
_START = _rng.normal(size=10)
_AXES = np.linalg.qr(_rng.normal(size=(10, 10)))[0]
_MATRIX = _AXES @ np.diag(np.geomspace(0.1, 100.0, 10)) @ _AXES.T

# Shares of the loss at the start (2.8, 203 and 24.2); reached only by following the valleys to their end. The
# ellipse has eigenvalues from 0.1 to 100, its axes turned at random.
SPHERE_GAP = 1e-9
ELLIPSE_GAP = 1e-9
ROSENBROCK_GAP = 1e-9
LANDSCAPES = {
    "sphere": Landscape(_START, lambda x: float(0.5 * x @ x), lambda x: 1.0 * x, 2_000, SPHERE_GAP),
    "ellipse": Landscape(
        _START,
        lambda x: float(0.5 * (x - 1) @ _MATRIX @ (x - 1)),
        lambda x: _MATRIX @ (x - 1),
        10_000,
        ELLIPSE_GAP,
    ),
    "rosenbrock": Landscape(
        np.array([-1.2, 1.0]),
        lambda x: float((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2),
        lambda x: np.array([-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)]),
        20_000,
        ROSENBROCK_GAP,
    ),
}


@dataclass(frozen=True)
class Plan:
    """Learning rates for the three landscapes, by how many decades they fall, and keywords."""

    sphere: float
    ellipse: float
    rosenbrock: float
    decades: float = 4.0
    options: tuple[tuple[str, Any], ...] = ()


# A class that is not listed takes these.
USUAL = Plan(0.1, 0.03, 0.03)
PLANS = {
    "SGD": Plan(0.01, 0.01, 0.001, decades=0.0, options=(("momentum", 0.9),)),
    "Adagrad": Plan(1.0, 1.0, 1.0, decades=0.0),  # its own sum is the decay
    "FTRL": Plan(1.0, 1.0, 1.0, decades=0.0, options=(("beta", 0.0),)),
    "Adadelta": Plan(10.0, 10.0, 10.0),
    "Rprop": Plan(0.01, 0.01, 0.01, options=(("step_sizes", (1e-9, 50.0)),)),
    "ASGD": Plan(0.5, 0.018, 0.0015, decades=0.0, options=(("lambd", 1e-9),)),  # plain descent: below 2 / 100
    "AdEMAMix": Plan(0.3, 0.3, 0.1, options=(("alpha_warmup", 1e5), ("beta3_warmup", 1e5))),
    "ADOPT": Plan(0.3, 1.0, 0.3, options=(("betas", (0.9, 0.999)),)),  # 0.9999 remembers half of the way
    "LaProp": Plan(0.3, 1.0, 0.3),
    "Grams": Plan(0.3, 1.0, 0.3),
    "Adam": Plan(0.3, 1.0, 0.3),
    "AdamW": Plan(0.3, 1.0, 0.3, options=(("weight_decay", 0.0),)),  # decay would move the minimum
    "Adamax": Plan(1.0, 1.0, 1.0),
    "NAdam": Plan(0.3, 0.3, 0.3),
    "RAdam": Plan(0.3, 1.0, 0.3),
    "RowWiseAdagrad": Plan(1.0, 1.0, 1.0, decades=0.0),
    "RowWiseAdam": Plan(0.3, 1.0, 0.3),
    "Lion": Plan(0.03, 0.01, 0.01),
    "SignSGD": Plan(0.03, 0.01, 0.01, options=(("momentum", 0.9),)),
    "Signum": Plan(0.03, 0.01, 0.01),
    "AdaBelief": Plan(0.3, 1.0, 0.3),
    "LARS": Plan(1.0, 0.1, 0.3, options=(("trust_coefficient", 0.01), ("weight_decay", 0.0))),
    # without the rate that falls with t and rises with theta
    "Adafactor": Plan(0.3, 0.3, 0.3, options=(("relative_step", False), ("scale_parameter", False))),
    "SOAP": Plan(0.3, 1.0, 0.3, options=(("weight_decay", 0.0),)),
    "Shampoo": Plan(1.0, 1.0, 1.0, decades=0.0),  # its own sum is the decay
    "LAMB": Plan(0.1, 0.02, 0.03, options=(("weight_decay", 0.0),)),
    "MARS": Plan(0.3, 0.3, 0.1, options=(("optimize_1d", True),)),
    "StableAdamW": Plan(0.1, 0.03, 0.03, options=(("weight_decay", 0.0),)),
    # an average of all steps forgets the first ones only if the later ones weigh more
    "ScheduleFreeSGD": Plan(1.0, 0.015, 0.003, decades=0.0, options=(("r", 10.0),)),
    "ScheduleFreeAdamW": Plan(0.3, 1.0, 0.1, options=(("r", 10.0),)),
    "ScheduleFreeRAdam": Plan(0.3, 1.0, 0.1, options=(("r", 10.0),)),
    "Prodigy": Plan(1.0, 1.0, 1.0),
}


@pytest.mark.parametrize("where", LANDSCAPES)
@pytest.mark.parametrize("name", CLASSES)
def test_it_arrives(name: str, where: str) -> None:
    """A hundred steps of warm-up (RAdam's first five are plain momentum), then the rate falls by decades."""
    land, plan = LANDSCAPES[where], PLANS.get(name, USUAL)
    peak = getattr(plan, where)

    def rate(k: int) -> float:
        return float(peak * min(1.0, (k + 1) / 100) * 10 ** (-plan.decades * k / land.steps))

    theta = land.start.copy()
    opt = CLASSES[name]([theta], rate, **dict(plan.options))
    for _ in range(land.steps):
        opt.step([land.gradient(theta)])
    assert land.value(theta) <= land.gap * land.value(land.start)
