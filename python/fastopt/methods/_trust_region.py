"""The exact trust region: the quadratic model is minimised over a ball, whatever its eigenvalues' signs."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from fastopt._checks import real
from fastopt.methods._lengths import first_length
from fastopt.methods._model_descent import descend
from fastopt.methods._models import Model
from fastopt.methods._problem import Point, Problem
from fastopt.methods._rule import Outcome, faster
from fastopt.methods._secular import Step, trust_region_step

__all__ = ["Ball", "trust_region"]

#: Where a radius ends, well inside of what double precision holds.
SHORTEST, LONGEST = 1e-300, 1e300


class Ball:
    """Steps that minimise the model over a ball, whose radius follows how well f kept the promise."""

    may_be_newton = True

    def __init__(self, radius: float | None) -> None:
        given = radius is not None
        self._given = real("initial_radius", radius, minimum=0.0, open_low=True) if given else None
        self.radius = 0.0

    def begin(self, model: Model, at: Point) -> None:
        self.radius = self._given or first_length(model, at)

    def step(self, model: Model) -> Step:
        return trust_region_step(model.w, model.c, self.radius)

    def promise(self, model: Model, y: NDArray[Any]) -> float:
        return -float(model.c @ y) - 0.5 * float(y @ (model.w * y))

    def accepted(self, outcome: Outcome) -> None:
        if outcome.ratio < 0.25:
            self.rejected(outcome)
        elif outcome.ratio > 0.75:
            self.radius = min(max(self.radius, 2.0 * outcome.length), LONGEST)

    def rejected(self, outcome: Outcome) -> None:
        share = faster(0.25, outcome.refused)
        if math.isfinite(outcome.rise):
            # where the parabola through f, its slope and the new f has its minimum
            bend = 2.0 * (outcome.slope - outcome.rise)
            share = min(max(outcome.slope / bend if bend else 0.5, faster(0.1, outcome.refused)), 0.5)
        self.radius = max(outcome.length * share, SHORTEST)

    def escape(self, model: Model, length: float) -> None:
        self.radius = max(self.radius, length)


def trust_region(
    problem: Problem,
    *,
    initial_radius: float | None = None,
    subproblem: str = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by an exact trust region: each step solves :math:`\min g^T s + s^T H s / 2`, |s| <= radius.

    The minimiser satisfies :math:`(H + \lambda I) s = -g` with :math:`\lambda \ge \max(0, -\lambda_{min})`,
    which is found in the eigenbasis of H, the hard case included (Moré and Sorensen 1983). The radius begins
    as :math:`\|x_0\|`, or as :math:`\|g\| / \|H\|` if that is longer, doubles where f fell by more than 0.75
    of the model, and is cut to the minimum of an interpolating parabola, a tenth to a half, where it fell by
    less than 0.25. No length is compared with 1: x may be measured in any unit.

    The Hessian is the user's `hess`, an array, sparse matrix or operator; products `hvp`; or differences of
    the gradient, counted in njev, which shorten or become one-sided where a gradient is not finite.

    Parameters
    ----------
    initial_radius : float, optional
        The first radius, instead of that.
    subproblem : {"auto", "dense", "lanczos"}
        "dense": the whole Hessian and its eigendecomposition. "lanczos": only products; the model is
        minimised over a Krylov space that grows until the residual is below
        :math:`\min(0.1, \sqrt{|g|/|g_0|})\,|g|` (GLTR: Gould, Lucidi, Roma and Toint 1999). "auto": dense
        if `hess` returns an array, or n <= 200 and `hvp` was not given.
    second_order : bool, default True
        Where the gradient is small, ask for the lowest eigenvalue too, and go on along its vector if it is
        negative beyond rounding and the error of differences. Dense, this costs one Hessian; else Lanczos
        from a random vector, 110 products at most. The result then has `lowest_eigenvalue`.
    krylov_size : int, optional
        Dimensions of the Krylov space at most, instead of 100, or as many as fit into 256 MB, but 20.
    seed : default 0
        Of the random vectors: anything that `numpy.random.default_rng` takes.

    Notes
    -----
    A point where gradient and Hessian allow no verdict, such as a monkey saddle (both 0), ends the run as a
    minimum to second order does.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2          # a saddle at 0
    >>> grad = lambda x: np.array([x[0] ** 3 - x[0], 2 * x[1]])
    >>> result = fastopt.minimize(f, grad, np.zeros(2), "trust-region")
    >>> round(abs(float(result.x[0])), 6), round(result.lowest_eigenvalue, 6)
    (1.0, 2.0)
    """
    descend(
        problem,
        Ball(initial_radius),
        subproblem=subproblem,
        second_order=second_order,
        krylov_size=krylov_size,
        seed=seed,
    )
