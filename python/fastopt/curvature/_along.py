"""Products with a Hessian by differences of the gradient, over a step that the gradient has agreed on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._functions import VectorFunction
from fastopt.curvature._differences import finite, relative_step, scales
from fastopt.curvature._lengths import lengths, magnitude, reach
from fastopt.curvature._settle import error_of, good_share, settle
from fastopt.curvature._stencil import Line, Stencil

__all__ = ["Along"]

Array = NDArray[Any]

#: A step that moves no element further than so many times what steps that were looked at have moved it is
#: not looked at again.
FURTHER = 4.0
#: Relative errors up to here, found by a search, are good enough for the directions after it.
POOR = 0.1


class Along:
    """v -> H v for a gradient at one point.

    The first direction costs four gradients, as do others that move elements further than before; the rest
    cost two. A direction whose step the gradient does not agree with is searched for a better one.
    """

    def __init__(self, g: VectorFunction, flat: Array, at_x: Array, step: float | None) -> None:
        self.g, self.flat, self.at_x = g, flat, at_x
        self.given = step is not None
        self.relative = relative_step(step, g.eps)
        self.sizes = scales(flat) if self.given else lengths(g.layout, flat)
        size = magnitude(flat)
        self.whole = max(1.0, size) if self.given else size or float(np.max(self.sizes))
        self.share = good_share(g.eps)
        self.moved = np.zeros(flat.size)

    def product(self, v: Array) -> Array:
        """H v, float64, finite."""
        line, largest, t = self._line(v)
        if line is None:
            return np.zeros(v.size)
        if self.given or bool(np.all(t * np.abs(line.u) <= FURTHER * self.moved)):
            slope = line.slope(t)
            if self.given or np.isfinite(slope).all():
                return largest * finite(slope, self.g.layout, f"{self.g.name} {line.where(t)}")
        return largest * self._settled(line, t)[0].slope

    def error(self, v: Array) -> float:
        """How far H v may be off."""
        line, largest, t = self._line(v)
        if line is None:
            return 0.0
        s, error = self._settled(line, t)
        return largest * max(magnitude(s.change), error_of(s), error)

    def _line(self, v: Array) -> tuple[Line | None, float, float]:
        """The line along v over its largest entry, that entry, and the first step to try; None for v = 0."""
        u = v.astype(np.float64)
        largest = float(np.max(np.abs(u)))
        if largest == 0.0:
            return None, 0.0, 0.0
        u = u / largest  # its square may otherwise leave the range
        line = Line(self.g, self.flat, self.at_x, u)
        t = self.relative * reach(self.whole, self.sizes, u)
        return line, largest, t if self.given else max(t, line.shortest)

    def _settled(self, line: Line, t: float) -> tuple[Stencil, float]:
        s, error = line.stencil(t), 0.0
        if not self.given and not (s.finite and not s.still and error_of(s) <= self.share * s.size):
            found = settle(line, s)
            s, error = found.stencil, found.error
            self._learn(s, error, t)
        finite(s.slope + s.change, self.g.layout, f"{self.g.name} {line.where(t)}")
        np.maximum(self.moved, s.t * np.abs(line.u), out=self.moved)
        return s, error

    def _learn(self, s: Stencil, error: float, t: float) -> None:
        """The next direction starts with the step that this one has ended with, if it has seen a slope."""
        if s.size > 0.0 and error <= POOR * s.size:
            self.relative *= s.t / t
            self.share = max(self.share, FURTHER * error / s.size)
            self.moved[:] = 0.0
