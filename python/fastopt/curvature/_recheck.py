"""The components of a Hessian by differences that its columns have not seen, looked for along all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._columns import Columns
from fastopt.curvature._components import BACK, doubtful, first_change, hidden, settled_part
from fastopt.curvature._seen import Seen
from fastopt.functions.line import Line

__all__ = ["recheck"]

Array = NDArray[Any]

#: A component that is seen may have hidden another, of a length shorter still.
ROUNDS = 3


def recheck(columns: Columns, rows: Array, seen: Seen) -> int:
    """Replace what is found to be wrong in `rows`, of the columns that `seen` has measured. Gradients spent.

    All columns in doubt share one line, so that many of them cost no more than one. Those where x is 0 have
    one of their own: no last digit ends it.
    """
    look = _Recheck(columns, rows, seen)
    with np.errstate(all="ignore"):
        for zero in (False, True):
            look.still(zero)
            for _ in range(ROUNDS):
                if not look.doubts(zero):
                    break
    return look.calls


class _Recheck:
    def __init__(self, columns: Columns, rows: Array, seen: Seen) -> None:
        self.columns, self.rows, self.seen = columns, rows, seen
        self.rng = np.random.default_rng(0)
        self.calls = 0
        self.at_x = np.abs(columns.at_x.astype(np.float64))
        self.is_zero = columns.flat[seen.again] == 0

    def still(self, zero: bool) -> None:
        """Columns of zeros, where x_i has no length: a gradient that lives on any length is 0 further on."""
        if not zero:
            return
        changes = self.seen.changes.any(axis=1)
        dead = self.is_zero & ~(changes | self.rows[self.seen.again].any(axis=1))
        if not dead.any():
            return
        line, start = self._line(dead, self.columns.guess[self.seen.again])
        t = first_change(line, start)
        self.calls += line.calls
        if t > 0.0:
            self._look(dead, np.broadcast_to(dead[:, None], self.seen.changes.shape), t * BACK)

    def doubts(self, zero: bool) -> bool:
        """Entries that are in doubt; whether any was found to be wrong."""
        again, seen = self.seen.again, self.seen
        doubt, eps = np.empty(seen.changes.shape, bool), self.columns.g.eps
        for k, i in enumerate(again):  # row by row: a matrix more would be one too many
            doubt[k] = doubtful(self.rows[i], seen.changes[k], self.at_x, float(seen.steps[k]), eps)
        some = doubt.any(axis=1) & (self.is_zero == zero)
        return bool(some.any()) and self._look(some, doubt, None)

    def _look(self, some: Array, doubt: Array, start: float | None) -> bool:
        line, first = self._line(some, self.seen.steps)
        claimed, known = np.zeros(len(line.u)), np.zeros(len(line.u))
        for k in np.flatnonzero(some):
            i = self.seen.again[k]
            claimed += line.u[i] * self.rows[i]
            known += abs(line.u[i]) * np.abs(self.seen.changes[k])
        steps = hidden(line, first if start is None else start, claimed, known)
        self.calls += line.calls
        for k in np.flatnonzero(some) if steps.any() else ():
            for t in np.unique(steps[(steps > 0) & doubt[k]]):
                self._replace(int(k), doubt[k] & (steps == t), float(t))
        return bool(steps.any())

    def _replace(self, k: int, part: Array, t: float) -> None:
        i = int(self.seen.again[k])
        c = self.columns
        line = Line.coordinate(c.g, c.flat, c.at_x, i, c.noise)
        found = settled_part(line, part, t, c.noise)
        self.calls += line.calls
        if found.stencil.finite:
            self.rows[i, part] = found.stencil.slope[part]
            self.seen.replace(i, k, part, found)

    def _line(self, some: Array, steps: Array) -> tuple[Line, float]:
        """A line along the columns `some`, each with a random sign, and the longest step of theirs."""
        c, places = self.columns, self.seen.again[some]
        u = np.zeros(c.flat.size)
        u[places] = c.sizes[places] / np.max(c.sizes[places]) * self.rng.choice([-1.0, 1.0], len(places))
        start = float(np.max(steps[some] / np.abs(u[places])))
        return Line(c.g, c.flat, c.at_x, u, c.noise), start
