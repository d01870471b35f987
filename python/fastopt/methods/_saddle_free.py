"""Saddle-free Newton: the Hessian with its eigenvalues' absolute values, within a trust region."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastopt.methods._model_descent import descend
from fastopt.methods._models import Model
from fastopt.methods._problem import Problem
from fastopt.methods._rule import Outcome
from fastopt.methods._secular import Step, trust_region_step
from fastopt.methods._trust_region import Ball

__all__ = ["saddle_free_newton"]


class Absolute(Ball):
    """Steps of the model with |H| over a ball; what f should do is still told by H."""

    def __init__(self, radius: float | None) -> None:
        super().__init__(radius)
        self._leaving = False

    def step(self, model: Model) -> Step:
        w = np.abs(model.w)
        order = np.argsort(w, kind="stable")
        sorted_step = trust_region_step(w[order], model.c[order], self.radius)
        y = np.empty_like(sorted_step.y)
        y[order] = sorted_step.y
        if self._leaving:  # |H| says nothing about which way to leave where g = 0
            y[0] = math.copysign(self.radius, -model.c[0])
        return sorted_step._replace(y=y)

    def accepted(self, outcome: Outcome) -> None:
        super().accepted(outcome)
        self._leaving = False

    def escape(self, model: Model, length: float) -> None:
        super().escape(model, length)
        self._leaving = True


def saddle_free_newton(
    problem: Problem,
    *,
    initial_radius: float | None = None,
    subproblem: str = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by saddle-free Newton steps: :math:`s = -(|H| + \lambda I)^{-1} g`.

    :math:`|H| = V |\operatorname{diag}(w)| V^T`: directions of negative curvature are followed downhill,
    where Newton's method would climb to the saddle. The damping :math:`\lambda \ge 0` is what keeps the step
    within a trust region (radius adapted as in method "trust-region"). In the Krylov space of "lanczos" H is
    the tridiagonal matrix. Where g is 0 the step is 0 as well: such a saddle is left along its lowest
    eigenvector, if `second_order` is on.

    Source: Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio, NIPS 2014, algorithm 1; the trust region
    instead of its fixed damping is ours.

    Parameters
    ----------
    initial_radius, subproblem, second_order, krylov_size, seed
        As in method "trust-region".

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: (1 - x[0] * x[1]) ** 2                       # a saddle at 0
    >>> grad = lambda x: -2 * (1 - x[0] * x[1]) * x[::-1]
    >>> fastopt.minimize(f, grad, np.zeros(2), "saddle-free-newton").fun < 1e-10
    True
    """
    descend(
        problem,
        Absolute(initial_radius),
        subproblem=subproblem,
        second_order=second_order,
        krylov_size=krylov_size,
        seed=seed,
    )
