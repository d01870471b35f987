"""The columns of a Hessian by differences, each over a step that its own gradients have agreed on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.counted import VectorFunction
from fastopt.functions.lengths import lengths, norm, relative_step, scales
from fastopt.functions.line import Line, Stencil
from fastopt.functions.step_search import error_of, good_share, settle

__all__ = ["Column", "Columns"]

Array = NDArray[Any]

#: A column is taken as it is if its error is below so many times that of the column which was searched for.
AS_GOOD = 4.0
#: ... but not if that one was known no better than this.
POOR = 0.1
#: Up to so many columns, each is looked at with a second stencil, at this many times the step.
FEW, BESIDE = 3, 0.7
#: A column that is small beside the matrix may be known to so few digits.
DULL = 1e-4
#: A column of zeros is believed if a step of about the length of x changes nothing either.
FAR = 2.0**14


class Column(NamedTuple):
    """One column. What was not measured (with a single step) is None."""

    slope: Array
    t: float
    change: Array | None
    rough: Array | None
    floor: float  #: what is left where both are 0 by luck
    #: Beyond what `change` and `rough` say of all columns together: of one that had to be searched for.
    error: float
    calls: int


class _Standard(NamedTuple):
    """What the first column that is not zero has taught about the others."""

    step: float = 1.0  #: in units of the first guess
    share: float = 0.0  #: the relative error that is good enough
    error: float = 0.0  #: ... and the error, where the column itself is smaller
    scaled: float = 0.0  #: the same in units in which all lengths are 1
    noise: float = 0.0


class Columns:
    """Columns of the Hessian at a point: `learn` from a few in turn, then `column` in any order, in threads.

    The result for one column does not depend on which others were computed before, but for the ones that
    `learn` went through.
    """

    def __init__(self, g: VectorFunction, flat: Array, at_x: Array, step: float | None, noise: float) -> None:
        self.g, self.flat, self.at_x, self.noise = g, flat, at_x, noise
        self.given = step is not None
        self.sizes = scales(flat) if self.given else lengths(g.layout, flat)
        self.guess = relative_step(step, g.eps) * self.sizes
        self.standard = _Standard(share=good_share(g.eps), noise=noise)
        self.known: dict[int, Column] = {}
        #: Whether the columns are too few for their errors to be a sample.
        self.few = not self.given and flat.size <= FEW
        #: Whether a gradient that does not change over a long step may be believed not to change at all.
        self.blind = bool(flat.any())

    def learn(self, order: Iterable[int]) -> None:
        """Compute columns until one is not zero, and let it set the step for the others."""
        for i in () if self.given else order:
            column = self.known[i] = self._measured(i)
            size = norm(column.slope)
            if size > 0.0:
                assert column.change is not None
                assert column.rough is not None
                error = max(column.error, norm(column.change) / 2.0)
                relative = AS_GOOD * error / size
                share = self.standard.share if not relative <= POOR else max(self.standard.share, relative)
                noise = max(self.noise, norm(column.rough)) if relative <= POOR else self.noise
                enough = max(share * size, AS_GOOD * error if np.isfinite(error) else 0.0)
                step = column.t / float(self.guess[i])
                self.standard = _Standard(step, share, enough, self._scaled(enough, i), noise)
                return
            self.blind = True

    def column(self, i: int, measured: bool = True) -> Column:
        """Column i; without `measured` from a single step, which is only looked at where it is not finite."""
        if i in self.known:
            return self.known[i]
        if measured:
            return self._measured(i)
        line = self._line(i)
        t = self._first_step(i, line)
        slope = line.slope(t)
        if not np.isfinite(slope).all():
            return self._measured(i)
        return Column(slope, t, None, None, 0.0, 0.0, line.calls)

    def _measured(self, i: int) -> Column:
        line = self._line(i)
        t = self._first_step(i, line)
        s = line.stencil(t)
        error = 0.0
        if not self.given and not (self._good(s, i) and error_of(s) <= self.standard.share * s.size):
            s = self._widened(line, self._by_itself(line, s, i))
            if not (self._good(s, i) or (s.still and self.blind and s.t > t)):
                found = settle(line, s, self.standard.noise)
                s, error = found.stencil, found.error
        if not s.finite:
            self.g.layout.finite(s.slope + s.change, f"{self.g.name} {line.where(t)}")
        if self.few:
            error = max(error, self._second_opinion(line, s))
        return Column(s.slope, s.t, s.change, s.rough, s.floor, error, line.calls)

    def _second_opinion(self, line: Line, s: Stencil) -> float:
        """The error of s by a stencil beside it: one sample of noise is small by luck too often."""
        other = line.stencil(BESIDE * s.t)
        if not other.finite:
            return 0.0
        return max(error_of(s, max(s.noise, other.noise)), norm(other.slope - s.slope) / 2.0)

    def _line(self, i: int) -> Line:
        return Line.coordinate(self.g, self.flat, self.at_x, i, self.noise)

    def _first_step(self, i: int, line: Line) -> float:
        t = float(self.guess[i]) * self.standard.step
        return t if self.given else max(t, line.shortest)

    def _good(self, s: Stencil, i: int) -> bool:
        """Whether the error is small beside the column, or beside the matrix in whatever units of x."""
        if not s.finite:
            return False
        error = error_of(s)
        if error <= self.standard.share * s.size and not s.still:
            return True
        if DULL * s.size < error < s.size:  # there is more to be seen
            return False
        return error <= self.standard.error and self._scaled(error, i) <= self.standard.scaled

    def _scaled(self, size: float, i: int) -> float:
        return size * float(self.sizes[i]) * float(np.max(self.sizes))

    def _by_itself(self, line: Line, s: Stencil, i: int) -> Stencil:
        """`s`, or a stencil over the column's own length where it does not share that of the others."""
        own = relative_step(None, self.g.eps) * (abs(float(self.flat[i])) or float(self.sizes[i]))
        if s.still or 0.5 < own / s.t < 2.0 or own < line.shortest:
            return s
        other = line.stencil(own)
        return other if other.finite and error_of(other) <= good_share(self.g.eps) * other.size else s

    def _widened(self, line: Line, s: Stencil) -> Stencil:
        """`s`, or one over a far longer step where neither sees the gradient change at all."""
        if not s.still:
            return s
        far = line.stencil(FAR * s.t)
        return far if far.still else s
