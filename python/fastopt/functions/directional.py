"""Products with a Hessian by differences of the gradient, over a step that the gradient has agreed on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.components import BACK, doubtful, first_change, hidden, own_step
from fastopt.functions.counted import VectorFunction
from fastopt.functions.lengths import lengths, norm, reach, relative_step, scales
from fastopt.functions.line import Line, Stencil
from fastopt.functions.step_search import ChosenStep, error_of, good_share, search_step

__all__ = ["DirectionalDifferences"]

Array = NDArray[Any]

#: A step that moves no element further than so many times what steps that were looked at have moved it is
#: not looked at again.
FURTHER = 4.0
#: Relative errors up to here, found by a search, are good enough for the directions after it.
POOR = 0.1
#: So often components in doubt are looked for and turn out to be noise.
PATIENCE = 3


class DirectionalDifferences:
    """v -> H v for a gradient at one point.

    The first direction costs four gradients, as do others that move elements further than before; the rest
    cost two. A direction whose step the gradient does not agree with is searched for a better one.
    """

    def __init__(self, g: VectorFunction, flat: Array, at_x: Array, step: float | None) -> None:
        self.g, self.flat, self.at_x = g, flat, at_x
        self.given = step is not None
        self.relative = relative_step(step, g.eps)
        self.sizes = scales(flat) if self.given else lengths(g.layout, flat)
        size = norm(flat)
        self.whole = max(1.0, size) if self.given else size or float(np.max(self.sizes))
        self.share = good_share(g.eps)
        self.moved = np.zeros(flat.size)
        #: Components that need a step of their own, as a share of the others' step.
        self.parts: list[tuple[Array, float]] = []
        self.patience = PATIENCE

    def product(self, v: Array) -> Array:
        """H v, float64, finite."""
        line, largest, t = self._line(v)
        if line is None:
            return np.zeros(v.size)
        if self.given or bool(np.all(t * np.abs(line.u) <= FURTHER * self.moved)):
            slope = line.slope(t)
            if not self.given:
                self._mend(line, slope, t)
            if self.given or np.isfinite(slope).all():
                return largest * self.g.layout.finite(slope, f"{self.g.name} {line.where(t)}")
        return largest * self._searched(line, t)[0].slope

    def error(self, v: Array) -> float:
        """How far H v may be off."""
        line, largest, t = self._line(v)
        if line is None:
            return 0.0
        s, error = self._searched(line, t)
        return largest * max(norm(s.change), error_of(s), error)

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

    def _searched(self, line: Line, t: float) -> tuple[Stencil, float]:
        s, error = line.stencil(t), 0.0
        if not self.given and not (s.finite and not s.still and error_of(s) <= self.share * s.size):
            found = search_step(line, s)
            s, error = found.stencil, found.error
            self._learn(s, error, t)
        if not self.given and s.finite:
            with np.errstate(all="ignore"):
                s, error = self._looked(line, s, error)
        self.g.layout.finite(s.slope + s.change, f"{self.g.name} {line.where(t)}")
        np.maximum(self.moved, s.t * np.abs(line.u), out=self.moved)
        return s, error

    def _mend(self, line: Line, slope: Array, t: float) -> None:
        """Components that need a shorter step, for two gradients each such step."""
        for part, ratio in self.parts:
            slope[part] = line.slope(max(ratio * t, line.shortest))[part]

    def _looked(self, line: Line, s: Stencil, error: float) -> tuple[Stencil, float]:
        """`s`, with the components that it has not seen over steps of their own."""
        for part, ratio in self.parts:
            s, error = _replaced(s, error, part, own_step(line, part, ratio * s.t, 0.0))
        doubt, start = doubtful(s.slope, s.change, line.at_x, s.t, self.g.eps), s.t
        if s.still and not self.flat[line.u != 0].any():
            start = BACK * first_change(line, self.relative * reach(self.whole, self.sizes, line.u))
            doubt[:] = start > 0.0
        if self.patience == 0 or not doubt.any():
            return s, error
        steps = np.where(doubt, hidden(line, start, s.slope, np.abs(s.change)), 0.0)
        self.patience -= not steps.any()
        for step in np.unique(steps[steps > 0.0]):
            part = steps == step
            found = own_step(line, part, float(step), 0.0)
            s, error = _replaced(s, error, part, found)
            self.parts = [(p & ~part, r) for p, r in self.parts] + [(part, found.stencil.t / s.t)]
        self.parts = [(p, r) for p, r in self.parts if p.any()]
        return s, error

    def _learn(self, s: Stencil, error: float, t: float) -> None:
        """The next direction starts with the step that this one has ended with, if it has seen a slope."""
        if s.size > 0.0 and error <= POOR * s.size:
            self.relative *= s.t / t
            self.parts = [(part, ratio * (t / s.t)) for part, ratio in self.parts]
            self.share = max(self.share, FURTHER * error / s.size)
            self.moved[:] = 0.0


def _replaced(s: Stencil, error: float, part: Array, found: ChosenStep) -> tuple[Stencil, float]:
    """`s` with the components `part` as they were found over another step, and the error of both."""
    other = found.stencil
    if not other.finite:
        return s, error
    mended = s._replace(
        slope=np.where(part, other.slope, s.slope),
        change=np.where(part, other.change, s.change),
        rough=np.where(part, other.rough * (s.t / other.t), s.rough),
    )
    return mended, math.hypot(error, found.error)
