"""What methods with a line search share: the loop of search, acceptance, tests and next direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastopt import _dispatch
from fastopt.methods._line_search import LineSearch
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop
from fastopt.methods._secular import norm

__all__ = ["descend"]

_IDLE = 10  # iterations without progress

#: Accepts the trial point and chooses a direction: (vectors, search) -> (slope, first step to try).
#: given the slope the search began with.
Turn = Callable[[Any, LineSearch, float], tuple[float, float]]


def descend(problem: Problem, pairs: int, c1: float, c2: float, turn: Turn) -> None:
    """Line searches along the directions that `turn` chooses, until the problem says stop.

    A direction that does not descend, or in which nothing lower is found, is replaced by the steepest; if
    that fails as well, f cannot be lowered.
    """
    x, fun, jac = problem.begin()
    vectors = _dispatch.core.LineVectors(x, jac, pairs)
    search = LineSearch(problem, vectors, c1, c2)
    walk = _Walk(problem, vectors, search, fun, float(np.abs(jac).max()))
    try:
        walk.run(turn)
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

    def run(self, turn: Turn) -> None:
        problem, vectors, search = self.problem, self.vectors, self.search
        slope, alpha = self._steepest()
        fresh = True
        while True:
            if not search(self.fun, slope, alpha):
                if fresh or search.disagree:
                    raise Stop("wrong gradient" if search.disagree else "precision")
                slope, alpha = self._steepest()
                fresh = True
                continue
            before, fun = self.fun, search.fun
            if fun > before:  # by no more than the noise; yet the best point is promised
                problem.record(vectors.x.copy(), before, vectors.g.copy())
            slope, alpha = turn(vectors, search, slope)
            self.fun = fun
            fresh = False
            step = self._step() if problem.limits.xtol else math.inf
            problem.advance(before, fun, search.largest, step, self._x)
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
