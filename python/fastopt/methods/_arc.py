"""Adaptive cubic regularisation: the quadratic model plus a cube of the step's length, minimised globally."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real
from fastopt.methods._lengths import first_length
from fastopt.methods._model_descent import descend
from fastopt.methods._models import Model
from fastopt.methods._problem import Point, Problem
from fastopt.methods._rule import Outcome, faster
from fastopt.methods._secular import Step, cubic_step, norm, trust_region_step

__all__ = ["arc"]

Array = NDArray[Any]

EPS = float(np.finfo(np.float64).eps)
#: Where sigma ends, well inside of what double precision holds.
LEAST, MOST = 1e-300, 1e300


class Cube:
    """Steps that minimise the cubic model, whose sigma follows the third-order term that f showed."""

    may_be_newton = False  # the cube shortens every step

    def __init__(self, sigma: float | None) -> None:
        given = sigma is not None
        self._given = real("initial_sigma", sigma, minimum=0.0, open_low=True) if given else None
        self.sigma = 0.0

    def begin(self, model: Model, at: Point) -> None:
        if self._given:
            self.sigma = self._given
            return
        length = first_length(model, at)
        first = trust_region_step(model.w, model.c, length)
        least = 1e-8 * float(np.abs(model.w).max())  # as good as 0
        self.sigma = _inside(max(first.multiplier, least) / (norm(first.y) or length) or 1.0)

    def step(self, model: Model) -> Step:
        return cubic_step(model.w, model.c, self.sigma)

    def promise(self, model: Model, y: Array) -> float:
        quadratic = -float(model.c @ y) - 0.5 * float(y @ (model.w * y))
        length = norm(y)
        return quadratic - self.sigma * length * length * length / 3.0

    def accepted(self, outcome: Outcome) -> None:
        if outcome.ratio < 0.1:
            self.rejected(outcome)
        elif outcome.ratio > 0.9:
            least = EPS * outcome.bend / outcome.length  # the cube is rounding beside the curvature there
            self.sigma = min(self.sigma, _inside(max(_seen(outcome), 0.3 * self.sigma, least)))

    def rejected(self, outcome: Outcome) -> None:
        if math.isfinite(outcome.excess):
            most = self.sigma / faster(0.01, outcome.refused)
            self.sigma = _inside(min(max(_seen(outcome), 2.0 * self.sigma), most))
        else:
            self.sigma = _inside(self.sigma / faster(0.1, outcome.refused))

    def escape(self, model: Model, length: float) -> None:
        self.sigma = min(self.sigma, _inside(-float(model.w[0]) / length))


def _seen(outcome: Outcome) -> float:
    """Half the sigma with which the model would have met f: docs/design/minimize.md says why half."""
    return 1.5 * outcome.excess / outcome.length / outcome.length / outcome.length


def _inside(sigma: float) -> float:
    """`sigma`, kept from underflow and overflow."""
    return min(max(sigma, LEAST), MOST)


def arc(
    problem: Problem,
    *,
    initial_sigma: float | None = None,
    subproblem: str = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by adaptive regularisation with cubics: :math:`\min g^T s + s^T H s/2 + \sigma \|s\|^3/3`.

    Its global minimiser satisfies :math:`(H + \lambda I) s = -g` with :math:`\lambda = \sigma \|s\|`, and is
    found in the eigenbasis of H as a root in :math:`\|s\|`. Where f exceeded the model, sigma rises to half
    of what would have met f (within factors 2 and 100); where the step kept more than 0.9 of the promise it
    falls likewise, to 0.3 of itself at most. The first sigma is the one whose step is as long as the trust
    region's.

    Source: Cartis, Gould and Toint, Math. Program. 127 (2011) 245-295 and 130 (2011) 295-319: within
    :math:`O(\epsilon^{-3/2})` iterations the gradient is below epsilon.

    Parameters
    ----------
    initial_sigma : float, optional
        The first sigma.
    subproblem, second_order, krylov_size, seed
        As in method "trust-region".

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> def grad(x):
    ...     t = 200 * (x[1] - x[0] ** 2)
    ...     return np.array([-2 * (1 - x[0]) - 2 * x[0] * t, t])
    >>> fastopt.minimize(f, grad, np.array([-1.2, 1.0]), "arc").x.round(5)
    array([1., 1.])
    """
    descend(
        problem,
        Cube(initial_sigma),
        subproblem=subproblem,
        second_order=second_order,
        krylov_size=krylov_size,
        seed=seed,
    )
