"""Hessians and their products from differences of the gradient, with steps in the function's own units.

A step begins as cbrt(eps) times what x has been seen to move by, or is; never times 1. One probe along all
of the steps at once, at an eighth, then says whether that was a good guess: a step that is far too long
(sin(x - 1e6)) or too short shows there, and is replaced by one that agrees with its eighth.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.lengths import norm
from fastopt.linalg._norm import spectral_norm
from fastopt.methods._lengths import length_from_values
from fastopt.methods._line_differences import AGREE, SETTLED, SHORTER, Difference, TrialLine
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop

__all__ = ["Differences"]

Array = NDArray[Any]

#: What a scale keeps of what it was: the last moves before convergence are too short to be one, and where x
#: tends to 0 a step that followed it would only show noise. A step that is now too long, the probe will see.
KEPT = 0.9
#: A step found by trying is forgotten when its scale has changed by so much.
STALE = 64.0
#: So often in a row no good step was found before no more are tried: the gradient is noisy, or has kinks.
HOPELESS = 2


class Differences:
    """The Hessian of one run; `error` estimates the spectral norm of what is wrong in the last matrix."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rng = np.random.default_rng(0)
        self._scale = np.zeros(problem.n)
        self._x = problem.start
        self._found = np.full(problem.n, np.nan)  # steps that were found by trying, and their scales then
        self._found_at = np.ones(problem.n)
        self._factor = 1.0  # of the steps of products
        self._bend = 0.0  # the largest product so far, in units of f over a length
        self._hopeless = 0
        self.error = 0.0

    def matrix(self, at: Point) -> Array:
        """The Hessian, symmetric: 2 n + 2 gradients, more where the steps have to be found."""
        n, h = self._problem.n, self._steps(at)
        lines = [TrialLine(self._problem, at, h[i] * np.eye(1, n, i)[0], h) for i in range(n)]
        columns = [line.difference() for line in lines]
        wrong = self._probe(at, h, columns)
        if wrong > AGREE and self._hopeless < HOPELESS:
            columns = _settled(lines, columns)
            self._learn(h, columns)
            wrong = self._probe(at, h, columns)
        with np.errstate(over="ignore"):
            rows = _in_range(np.array([column.value for column in columns]) / h[:, None])
        self.error = max(spectral_norm(rows / 2 - rows.T / 2), self.error)
        symmetric: Array = rows / 2 + rows.T / 2
        return symmetric

    def product(self, at: Point) -> Any:
        """v -> H v: 2 gradients each, and 2 more for the first."""
        scale = self._scales(at)
        relative = self._problem.eps ** (1.0 / 3.0)
        whole, least = norm(scale), np.maximum(scale, norm(scale) / np.sqrt(scale.size))
        first = True

        def product(v: Array) -> Array:
            nonlocal first
            length = norm(v)
            if length == 0.0:
                return np.zeros_like(v)
            u: Array = v / length
            t = self._factor * relative / max(1.0 / whole, float((np.abs(u) / least).max()))
            line = TrialLine(self._problem, at, t * u, scale)
            line.least = t * self._bend
            found = line.difference()
            self._bend = max(self._bend, line.size(found.value) / t)
            if first and self._hopeless < HOPELESS:
                found = self._checked(line, found)
            first = False
            with np.errstate(over="ignore"):
                return _in_range(found.value * (length / t))

        return product

    # --- steps ---

    def _scales(self, at: Point) -> Array:
        moved = np.abs(at.x - self._x)
        self._x = at.x
        self._scale = np.maximum(np.maximum(np.abs(at.x), moved), KEPT * self._scale)
        size = norm(self._scale) / math.sqrt(self._scale.size)
        other = size or length_from_values(at.fun, norm(at.jac), 0.0)
        scale: Array = np.where(self._scale > 0.0, self._scale, other)
        return scale

    def _steps(self, at: Point) -> Array:
        scale = self._scales(at)
        change = scale / self._found_at
        self._found[(change > STALE) | (change < 1.0 / STALE)] = np.nan
        h = np.where(np.isnan(self._found), self._problem.eps ** (1.0 / 3.0) * scale, self._found)
        return np.maximum(h, 8.0 * self._problem.eps * np.abs(at.x))

    def _learn(self, h: Array, columns: list[Difference]) -> None:
        steps = np.array([column.step for column in columns])
        good = [column.error <= AGREE for column in columns]
        self._hopeless = 0 if all(good) else self._hopeless + 1
        # no longer than x: far out a gradient that saturates agrees with itself, and means nothing
        self._found = np.where(good, np.minimum(steps * h, norm(self._scale)), self._found)
        self._found_at = np.where(good, self._scale, self._found_at)

    def _checked(self, line: TrialLine, found: Difference) -> Difference:
        shorter = line.at(SHORTER * found.step)
        if shorter is None:
            return found
        error = line.disagreement(shorter, found.value)
        if error <= AGREE:
            if error <= SETTLED:
                self._factor = min(1.0, self._factor / SHORTER)
            return found
        better = line.settle(found)
        self._factor *= better.step
        self._hopeless = 0 if better.error <= AGREE else self._hopeless + 1
        return better

    # --- what is wrong ---

    def _probe(self, at: Point, h: Array, columns: list[Difference]) -> float:
        """How far the matrix disagrees with a difference along all steps, at an eighth of them.

        The signs are random, so that no two columns' errors cancel each time. Leaves the error in `error`.
        """
        steps = h * np.array([column.step for column in columns])
        signs = self._rng.choice((-1.0, 1.0), h.size)
        line = TrialLine(self._problem, at, steps * signs, h)
        seen = line.at(SHORTER)
        self.error = 0.0
        if seen is None:
            return 0.0
        terms = np.array([column.value * column.step for column in columns])
        wrong = np.abs(seen - signs @ terms)
        self.error = max(float((wrong / steps).max()), norm(wrong) / norm(steps))
        total = float((np.abs(terms) @ steps).sum())
        return float(wrong @ steps) / total if total else float(wrong.any())


def _settled(lines: list[TrialLine], columns: list[Difference]) -> list[Difference]:
    """Columns with good steps, judged in units of f and beside the largest: a column of noise beside
    columns that are not has no step of its own to be found, however short.
    """
    least = max(line.size(column.value) for line, column in zip(lines, columns, strict=True))
    for line in lines:
        line.least = least
    return [line.settle(column) for line, column in zip(lines, columns, strict=True)]


def _in_range(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise Stop("nan", "differences of grad are beyond what double precision holds.")
    return values
