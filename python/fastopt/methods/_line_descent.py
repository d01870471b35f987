"""Methods with a line search: a search (`LineSearch`) along the directions of a descent (`Direction`).

The descents here, conjugate gradients and quasi-Newton, are scalars; the vectors are native (`LineVectors`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastopt import _dispatch
from fastopt.functions.lengths import norm
from fastopt.methods._line_search import LineSearch
from fastopt.methods._names import Beta
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["BETAS", "ConjugateGradient", "Direction", "QuasiNewton", "descend"]

_IDLE = 10  # iterations without progress
_ETA = 0.4  # how negative Hager & Zhang's beta may be, relative to d'g / d'd
_DESCENT = 1e-10  # least d'g / g'g


class Direction(Protocol):
    """A descent: where to search next."""

    #: Pairs of steps and changes of the gradient to be remembered.
    pairs: int

    def turn(self, vectors: Any, search: LineSearch, slope: float) -> tuple[float, float]:
        """Accept the trial point and choose a direction: its slope, and the first step to try.

        `slope` is the one that the search began with.
        """
        ...


class InnerProducts(NamedTuple):
    """Of t = g(k+1), g = g(k), y = t - g and the old direction d: tt is t't, and so on."""

    td: float
    gd: float
    tt: float
    tg: float
    yy: float
    yt: float
    yd: float
    gg: float
    dd: float


#: The choices of beta, as method "cg" documents them; each is asked for only where y'd > 0.
BETAS: dict[Beta, Callable[[InnerProducts], float]] = {
    "hager-zhang": lambda p: max((p.yt - 2.0 * p.td * (p.yy / p.yd)) / p.yd, _ETA * p.gd / p.dd),
    "polak-ribiere": lambda p: max(0.0, p.yt / p.gg),
    "hestenes-stiefel": lambda p: max(0.0, p.yt / p.yd),
    "dai-yuan": lambda p: p.tt / p.yd,
    "fletcher-reeves": lambda p: p.tt / p.gg,
}


class QuasiNewton:
    """-H g with L-BFGS's H, made of the last `pairs` steps."""

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs

    def turn(self, vectors: Any, search: LineSearch, slope: float) -> tuple[float, float]:
        direction = vectors.quasi_newton()
        return (0.0, 0.0) if direction is None else (direction[0], 1.0)


class ConjugateGradient:
    """-g + beta d, or -g after a restart; the first step tried is the last one times the ratio of slopes."""

    pairs = 0

    def __init__(self, beta: Beta, powell: float | None, every: int) -> None:
        self.beta, self.powell, self.every = BETAS[beta], powell, every
        self.since = 0  # iterations since the last restart

    def turn(self, vectors: Any, search: LineSearch, slope: float) -> tuple[float, float]:
        p = InnerProducts(search.slope, slope, *vectors.products())
        self.since += 1
        restart = self.since == self.every or (self.powell is not None and abs(p.tg) >= self.powell * p.tt)
        vectors.accept()
        beta = self.beta(p) if p.yd > 0.0 and not restart else 0.0
        following = vectors.conjugate(beta)[0]
        if not following <= -_DESCENT * p.tt:  # for NaN too
            following = vectors.steepest(1.0)[0]
            restart = True
        if restart:
            self.since = 0
        return following, search.alpha * (slope / following) if following < 0.0 else 0.0


def descend(problem: Problem, direction: Direction, c1: float, c2: float) -> None:
    """Line searches with Wolfe constants c1 and c2 along the directions chosen, until the problem says stop.

    A direction that does not descend, or in which nothing lower is found, is replaced by the steepest; if
    that fails as well, f cannot be lowered.
    """
    x, fun, jac = problem.begin()
    vectors = _dispatch.core.LineVectors(x, jac, direction.pairs)
    search = LineSearch(problem, vectors, c1, c2)
    walk = _Walk(problem, vectors, search, fun, float(np.abs(jac).max()))
    try:
        walk.run(direction)
    except Stop as stop:
        if search.lower and not stop.success:  # cut short: a better point lies aside
            vectors.keep()
            vectors.accept()
            walk.fun = search.best_fun
        problem.current = Point(vectors.x, walk.fun, vectors.g)
        problem.record(*problem.current)
        raise


class _Walk:
    """The loop, with f at the iterate."""

    def __init__(
        self, problem: Problem, vectors: Any, search: LineSearch, fun: float, largest: float
    ) -> None:
        self.problem, self.vectors, self.search = problem, vectors, search
        self.fun = self.lowest = fun
        self.least = largest  # the smallest max |gradient| that counted as progress
        self.idle = 0

    def run(self, direction: Direction) -> None:
        problem, vectors, search = self.problem, self.vectors, self.search
        slope, alpha = self._steepest()
        fresh = True
        while True:
            if not search(self.fun, slope, alpha):
                if (fresh or search.turned) and not (search.disagree and problem.is_coarser(vectors.x)):
                    raise Stop("wrong gradient" if search.disagree else "precision")
                slope, alpha = self._steepest()
                fresh = True
                continue
            before, fun = self.fun, search.fun
            if fun > before:  # by no more than the noise; yet the best point is promised
                problem.record(vectors.x.copy(), before, vectors.g.copy())
            slope, alpha = direction.turn(vectors, search, slope)
            self.fun = fun
            fresh = False
            step = self._step() if problem.limits.xtol else math.inf
            problem.advance(math.nan if search.turned else before, fun, search.largest, step, self._x)
            self._progress(fun, search.largest)
            if not (slope < 0.0 and 0.0 < alpha < math.inf):
                slope, alpha = self._steepest()
                fresh = True

    def _progress(self, fun: float, largest: float) -> None:
        """Where f is all rounding, steps may wander without end unless the gradient still shrinks."""
        if fun < self.lowest - self.problem.eps * abs(fun):
            self.lowest, self.idle = fun, 0
            return
        if largest < 0.5 * self.least:
            self.least, self.idle = largest, 0
            return
        self.idle += 1
        if self.idle == _IDLE:
            raise Stop("precision")

    def _steepest(self) -> tuple[float, float]:
        """Down the gradient: as far as x's elements are large, or less if f, were it a square, ended before.

        Where x and f are both 0 there is no length to be had, and 1 is taken.
        """
        slope, square = self.vectors.steepest(1.0)
        if not 1e-280 < square < 1e280:  # a direction of moderate length, or the slope is out of range
            largest = float(np.abs(self.vectors.g).max())
            slope, square = self.vectors.steepest(math.ldexp(1.0, -max(math.frexp(largest)[1], -1022)))
        x = norm(self.vectors.x) / math.sqrt(self.problem.n)
        alpha = x / math.sqrt(square) if square > 0.0 else 0.0
        if self.fun != 0.0 and slope < 0.0:
            falls = 2.0 * abs(self.fun) / -slope
            return slope, min(alpha, falls) or falls
        return slope, alpha or 1.0 / math.sqrt(square or 1.0)

    def _step(self) -> float:
        """|dx| / (xtol + |x|); after a turn the trial vector is the previous iterate."""
        x, before = self.vectors.x, self.vectors.trial
        return float(np.linalg.norm(x - before) / (self.problem.limits.xtol + np.linalg.norm(x)))

    def _x(self) -> Any:
        return self.vectors.x
