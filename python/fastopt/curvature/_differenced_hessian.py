"""The Hessian from differences of the gradient, and its error from what its columns have shown."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.columns import Column, Columns
from fastopt.functions.components import BACK, doubtful, first_change, hidden, own_step
from fastopt.functions.counted import VectorFunction
from fastopt.functions.lengths import norm
from fastopt.functions.line import Line
from fastopt.functions.progress import Report
from fastopt.functions.step_search import ChosenStep
from fastopt.linalg._norm import spectral_norm

Array = NDArray[Any]

#: Noise counts as so many standard deviations.
DEVIATIONS = 1.5
#: A component that is seen may have hidden another, of a length shorter still.
ROUNDS = 3


def from_gradients(
    g: VectorFunction, flat: Array, step: float | None, k: int, workers: int, report: Report
) -> tuple[Array, float, int]:
    """The matrix, its error, and the gradients that it took."""
    n = g.layout.size
    at_x = g.layout.finite(g(flat), "grad at x")
    repeat = norm(g.layout.finite(g(flat), "grad at x").astype(np.float64) - at_x)
    columns = Columns(g, flat, at_x, step, repeat)
    again = np.arange(n) if k == n else np.sort(np.random.default_rng(0).choice(n, k, replace=False))
    row_of = {int(i): j for j, i in enumerate(again)}
    rows, estimate = np.empty((n, n), at_x.dtype), ErrorEstimate(again, n, at_x.dtype)
    columns.learn(row_of)

    def fill(i: int) -> None:
        column = columns.column(i, measured=i in row_of)
        rows[i] = column.slope
        estimate.note(i, row_of.get(i), column)

    each(fill, n, workers, report)
    calls = 2 + estimate.calls + (recheck(columns, rows, estimate) if step is None else 0)
    skew = symmetrise(rows)
    shortest = float(columns.guess.min())
    if not np.isfinite(estimate.errors).all():
        _warn_unseen(g.layout.where(int(np.argmax(estimate.errors))))
    else:
        _warn(repeat / shortest, skew, rows, g.eps, float(np.max(np.abs(at_x))) / shortest)
    return rows, max(skew, estimate.error), calls


def _warn(noise: float, skew: float, rows: Array, eps: float, slope: float) -> None:
    """`noise` and `slope`: what two calls differ by, and the largest |g|, each over the step."""
    largest = float(np.max(np.abs(rows)))
    if noise > np.sqrt(eps) * largest:  # a sum in another order from call to call stays far below
        message = (
            f"not deterministic: two calls at the same x differ, in second derivatives by {noise:.2g} "
            f"where the largest is {largest:.2g}; the Hessian's error, {skew:.2g} or more, has that in it"
        )
    elif skew > max(0.01 * largest, 1e3 * eps * slope):
        message = (
            f"not the gradient of a function: its differences are not symmetric, by {skew:.2g} where the "
            f"largest is {largest:.2g}; check_grad says where it is wrong"
        )
    else:
        return
    warnings.warn(f"grad: {message}", RuntimeWarning, stacklevel=5)


def _warn_unseen(where: str) -> None:
    warnings.warn(
        f"grad: no slope is seen along {where} at any step, down to one rounding error of x: a kink at x, or "
        "more noise or bends than the digits of x can resolve; the Hessian's error is infinite",
        RuntimeWarning,
        stacklevel=5,
    )


class ErrorEstimate:
    """Collects what the columns `again` of n have measured, one row each; `note` may be called in threads."""

    def __init__(self, again: Array, n: int, dtype: Any) -> None:
        self.again, self.n = again, n
        self.changes = np.zeros((len(again), n), dtype)
        self.roughs = np.zeros((len(again), n), dtype)
        self.floors, self.steps = np.zeros(len(again)), np.ones(len(again))
        self.errors, self.counts = np.zeros(n), np.zeros(n, np.int64)

    def note(self, i: int, row: int | None, column: Column) -> None:
        self.errors[i], self.counts[i] = column.error, column.calls
        if row is not None and column.change is not None and column.rough is not None:
            self.steps[row] = column.t
            self.changes[row] = column.change
            self.roughs[row] = column.rough / (math.sqrt(2.0) * column.t)
            self.floors[row] = column.floor / (math.sqrt(2.0) * column.t)

    def replace(self, i: int, row: int, part: Array, found: ChosenStep) -> None:
        """The components `part` of column i have been found over a step of their own."""
        s = found.stencil
        self.errors[i] = math.hypot(self.errors[i], found.error)
        self.changes[row, part] = s.change[part]
        self.roughs[row, part] = s.rough[part] / (math.sqrt(2.0) * s.t)

    @property
    def calls(self) -> int:
        return int(self.counts.sum())

    @property
    def error(self) -> float:
        """The largest of: Richardson's, the diagonal's, the noise's, and that of columns searched for."""
        k = len(self.again)
        extent = math.sqrt(self.n / k)
        richardson = extent * spectral_norm(self.changes) / 3.0
        # Noise on the diagonal has no skew part, and dividing by 3 is right for a truncation error only.
        diagonal = float(np.max(np.abs(self.changes[np.arange(k), self.again])))
        return max(richardson, diagonal, self._noise(), norm(self.errors))

    def _noise(self) -> float:
        """The norm of a matrix of independent errors, symmetrised: about that of a column.

        Each row of `roughs` is one sample for every component of the gradient; all together say what it is.
        """
        largest = float(np.max(np.abs(self.roughs))) or 1.0  # squares may leave the range
        level = largest * np.sqrt(np.mean(np.square(self.roughs / largest, dtype=np.float64), axis=0))
        floor = norm(self.floors) / math.sqrt(len(self.floors))
        return DEVIATIONS * max(norm(level), floor)


def recheck(columns: Columns, rows: Array, estimate: ErrorEstimate) -> int:
    """Replace what is found to be wrong in `rows`, of the columns that `seen` has measured. Gradients spent.

    All columns in doubt share one line, so that many of them cost no more than one. Those where x is 0 have
    one of their own: no last digit ends it.
    """
    look = _Recheck(columns, rows, estimate)
    with np.errstate(all="ignore"):
        for zero in (False, True):
            look.still(zero)
            for _ in range(ROUNDS):
                if not look.doubts(zero):
                    break
    return look.calls


class _Recheck:
    def __init__(self, columns: Columns, rows: Array, estimate: ErrorEstimate) -> None:
        self.columns, self.rows, self.estimate = columns, rows, estimate
        self.rng = np.random.default_rng(0)
        self.calls = 0
        self.at_x = np.abs(columns.at_x.astype(np.float64))
        self.is_zero = columns.flat[estimate.again] == 0

    def still(self, zero: bool) -> None:
        """Columns of zeros, where x_i has no length: a gradient that lives on any length is 0 further on."""
        if not zero:
            return
        changes = self.estimate.changes.any(axis=1)
        dead = self.is_zero & ~(changes | self.rows[self.estimate.again].any(axis=1))
        if not dead.any():
            return
        line, start = self._line(dead, self.columns.guess[self.estimate.again])
        t = first_change(line, start)
        self.calls += line.calls
        if t > 0.0:
            self._look(dead, np.broadcast_to(dead[:, None], self.estimate.changes.shape), t * BACK)

    def doubts(self, zero: bool) -> bool:
        """Entries that are in doubt; whether any was found to be wrong."""
        again, estimate = self.estimate.again, self.estimate
        doubt, eps = np.empty(estimate.changes.shape, bool), self.columns.g.eps
        for k, i in enumerate(again):  # row by row: a matrix more would be one too many
            doubt[k] = doubtful(self.rows[i], estimate.changes[k], self.at_x, float(estimate.steps[k]), eps)
        some = doubt.any(axis=1) & (self.is_zero == zero)
        return bool(some.any()) and self._look(some, doubt, None)

    def _look(self, some: Array, doubt: Array, start: float | None) -> bool:
        line, first = self._line(some, self.estimate.steps)
        claimed, known = np.zeros(len(line.u)), np.zeros(len(line.u))
        for k in np.flatnonzero(some):
            i = self.estimate.again[k]
            claimed += line.u[i] * self.rows[i]
            known += abs(line.u[i]) * np.abs(self.estimate.changes[k])
        steps = hidden(line, first if start is None else start, claimed, known)
        self.calls += line.calls
        for k in np.flatnonzero(some) if steps.any() else ():
            for t in np.unique(steps[(steps > 0) & doubt[k]]):
                self._replace(int(k), doubt[k] & (steps == t), float(t))
        return bool(steps.any())

    def _replace(self, k: int, part: Array, t: float) -> None:
        i = int(self.estimate.again[k])
        c = self.columns
        line = Line.coordinate(c.g, c.flat, c.at_x, i, c.noise)
        found = own_step(line, part, t, c.noise)
        self.calls += line.calls
        if found.stencil.finite:
            self.rows[i, part] = found.stencil.slope[part]
            self.estimate.replace(i, k, part, found)

    def _line(self, some: Array, steps: Array) -> tuple[Line, float]:
        """A line along the columns `some`, each with a random sign, and the longest step of theirs."""
        c, places = self.columns, self.estimate.again[some]
        u = np.zeros(c.flat.size)
        u[places] = c.sizes[places] / np.max(c.sizes[places]) * self.rng.choice([-1.0, 1.0], len(places))
        start = float(np.max(steps[some] / np.abs(u[places])))
        return Line(c.g, c.flat, c.at_x, u, c.noise), start


def each(fill: Callable[[int], None], n: int, workers: int, report: Report) -> None:
    """`fill(0..n-1)`, in threads if asked; the first exception ends it and is raised."""
    if workers == 1:
        for i in range(n):
            fill(i)
            report(i + 1, n)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i, _ in enumerate(pool.map(fill, range(n))):
                report(i + 1, n)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def symmetrise(rows: Array) -> float:
    """(H + H') / 2 in row_of; returns ||H - H'||_2 / 2."""
    skew = rows - rows.T
    skew *= 0.5
    rows -= skew
    np.copyto(rows, rows.T, where=np.tri(len(rows), k=-1, dtype=bool))  # equal to the last bit
    return spectral_norm(skew)
