"""The gradient at five points of a line through x: a slope, what a step twice as long says, and the noise."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.counted import VectorFunction
from fastopt.functions.lengths import norm, ulps

__all__ = ["NOTHING", "ROUNDED", "Line", "Stencil"]

Array = NDArray[Any]

#: The standard deviation of a rounding error, in units of eps.
ROUNDED = 0.29
#: H may be larger across a line than along it.
BENT = 2.0
#: The fourth difference of independent noise: 1 + 16 + 36 + 16 + 1.
FOURTH = math.sqrt(70.0)
#: Steps to zero are shorter than this times anything that a search looks at.
NOTHING = 2.0**-1000


class Stencil(NamedTuple):
    """Differences along a line at the steps t and 2t. Vectors are float64, NaN where g is not finite."""

    t: float
    slope: Array  #: D(t), the central difference over the steps really taken
    change: Array  #: D(2t) - D(t): three times the error of a smooth function, about the noise of others
    rough: Array  #: the fourth difference over sqrt(70): the noise of g, and next to nothing of a smooth one
    still: bool  #: all five gradients are the same
    finite: bool
    floor: float  #: what rounding the gradient itself costs, two calls at x differ by, or a bent line: of |g|

    grain: float  #: the error of D if the last digit of x is lost inside g, as in sin(1e6 x)

    @property
    def size(self) -> float:
        return norm(self.slope)

    @property
    def noise(self) -> float:
        return max(norm(self.rough), self.floor)


class Line:
    """x + t u, for a u whose largest entry is 1, and the gradient on it."""

    def __init__(
        self,
        g: VectorFunction,
        flat: Array,
        at_x: Array,
        u: Array,
        noise: float = 0.0,
        place: int | None = None,
    ) -> None:
        self.g, self.u, self.noise, self.place = g, u, noise, place
        self.x, self.at_x = flat.astype(np.float64), at_x.astype(np.float64)
        moved = u != 0
        self.rows: Array | None = None  # the components to be looked at, if not all
        self.calls = 0
        self.square = norm(u) ** 2
        #: The shortest step that still moves x as it should; next to 0 there is hardly any.
        self.shortest = max(norm(ulps(g.layout, flat)[moved]) / math.sqrt(self.square), NOTHING)

    @classmethod
    def coordinate(cls, g: VectorFunction, flat: Array, at_x: Array, i: int, noise: float = 0.0) -> Line:
        u = np.zeros(flat.size)
        u[i] = 1.0
        return cls(g, flat, at_x, u, noise, i)

    def part(self, rows: Array, noise: float) -> Line:
        """The same line, with a gradient that is 0 but for the components `rows`."""
        part = copy.copy(self)
        part.rows, part.noise, part.calls = rows, noise, 0
        part.at_x = np.where(rows, self.at_x, 0.0)
        return part

    def stencil(self, t: float) -> Stencil:
        """Four gradients."""
        t = self._representable(t)
        one, one_taken, bend = self._pair(t)
        two, two_taken, _ = self._pair(2.0 * t)
        with np.errstate(all="ignore"):
            slope = (one[0] - one[1]) / one_taken
            change = (two[0] - two[1]) / two_taken - slope
            fourth = (two[0] - self.at_x) + (two[1] - self.at_x)
            fourth -= 4.0 * ((one[0] - self.at_x) + (one[1] - self.at_x))
        values = np.stack([*one, *two])
        moved = (values != self.at_x).any(axis=0)
        still = not moved.any()
        if self.place is not None:
            moved[self.place] = True
        if still:
            moved[:] = True
        largest = norm(np.max(np.abs(np.vstack([values, self.at_x]))[:, moved], axis=0))
        return Stencil(
            t,
            slope,
            change,
            fourth / FOURTH,
            still,
            bool(np.isfinite(values).all() and np.isfinite(slope).all() and np.isfinite(change).all()),
            max(
                ROUNDED * self.g.eps * largest,
                self.noise / math.sqrt(2.0),
                BENT * bend * t * norm(slope),
            ),
            norm(slope) * self.shortest / t,
        )

    def slope(self, t: float) -> Array:
        """D(t) alone, for two gradients; not finite where they are not."""
        pair, taken, _ = self._pair(self._representable(t))
        with np.errstate(all="ignore"):
            difference: Array = (pair[0] - pair[1]) / taken
        return difference

    def _pair(self, t: float) -> tuple[tuple[Array, Array], float, float]:
        """Both gradients, the step between them along u, and how far it goes aside, as a share of it."""
        above, below = self._point(t), self._point(-t)
        # Rounding bends a line that is not along a coordinate: its length along u is what counts.
        moved = above - below
        taken = float(moved[self.place]) if self.place is not None else float(moved @ self.u) / self.square
        aside = 0.0 if self.place is not None else norm(moved - taken * self.u)
        if taken == 0.0:
            raise ValueError(
                f"step: expected a step that changes x, got none {self.where(t)}: too small for its dtype"
            )
        self.calls += 2
        with np.errstate(all="ignore"):  # a step may leave the domain
            pair = self.g(above).astype(np.float64), self.g(below).astype(np.float64)
        if self.rows is not None:
            pair = np.where(self.rows, pair[0], 0.0), np.where(self.rows, pair[1], 0.0)
        return pair, taken, aside / abs(taken) / math.sqrt(self.square)

    def _point(self, t: float) -> Array:
        point = self.x.copy()
        if self.place is None:
            point += t * self.u
        else:
            point[self.place] += t
        return self.g.layout.rounded(point)

    def _representable(self, t: float) -> float:
        """t such that x + t, x + 2t are numbers of x's dtype: unequal steps would look like noise."""
        if self.place is None:
            return t
        dtype = self._dtype()
        gap = float(np.spacing(dtype(abs(self.x[self.place]) + 2.0 * t)))
        return round(t / gap) * gap if t < 1e6 * gap and t >= 0.5 * gap else t

    def _dtype(self) -> Callable[[float], Any]:
        assert self.place is not None
        parts = self.g.layout.slices().values()
        k = next(k for k, part in enumerate(parts) if part.start <= self.place < part.stop)
        return self.g.layout.dtypes[k].type

    def where(self, t: float) -> str:
        if self.place is None:
            return f"near x (x -+ {t:.2g} v)"
        return f"at {self.g.layout.where(self.place)} -+ {abs(t):.2g}"
