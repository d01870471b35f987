"""Along which lines a check goes, and a function sampled along one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.layout import Layout
from fastopt.functions.lengths import lengths, norm, reach, ulps

Array = NDArray[Any]

#: Up to so many variables each coordinate is checked.
EVERY_COORDINATE = 200
#: Beyond: at least so many random directions, and so many coordinates, those with the largest gradient.
DIRECTIONS = 10
LARGEST = 10
#: A coordinate has its own length, unless it lies so far below the others that it may be like them, near 0.
FAR = 1e-2
#: Along a direction so many times the shortest step, at least, takes an element to 0.
WITHIN = 1e3
#: t -> (the step really taken, the value there)
Walk = Callable[[float], tuple[float, float]]


class ProbeDirection(NamedTuple):
    where: str
    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index
    position: int | None  # in the flat vector
    unit: Array | None  # None for a coordinate
    scale: float  # the length that the relative steps are multiples of
    shortest: float  # the step that moves x by its last digit; 0 where x says nothing of any length
    nearest: float  # the shortest step that takes an element to 0

    def vector(self, n: int) -> Array:
        if self.unit is not None:
            return self.unit
        e = np.zeros(n)
        e[self.position] = 1.0
        return e


def lines(
    layout: Layout, flat: Array, gradient: Array, directions: int | None, rng: np.random.Generator
) -> list[ProbeDirection]:
    """Random directions go through the whole of x and, by turns, through one of its arrays alone."""
    if directions is None and layout.size <= EVERY_COORDINATE:
        return [_coordinate(layout, flat, i) for i in range(layout.size)]
    parts = layout.slices()
    count = max(DIRECTIONS, 2 * len(parts)) if directions is None else directions
    largest = np.argsort(-np.abs(gradient), kind="stable")[: min(LARGEST, layout.size)]
    chosen = [_coordinate(layout, flat, int(i)) for i in np.sort(largest)]
    names = [name for name, part in parts.items() if part.stop > part.start]
    for k in range(count):
        one = len(names) > 1 and k % 2 == 1
        name = names[(k // 2) % len(names)] if one else layout.name
        chosen.append(
            random_direction(
                layout,
                flat,
                rng,
                name,
                parts[name] if one else slice(None),
                f"random direction {k} of {name}",
            )
        )
    return chosen


def _coordinate(layout: Layout, flat: Array, i: int) -> ProbeDirection:
    parameter, index = layout.element(i)
    own, size, gap = (float(a[i]) for a in (np.abs(flat), lengths(layout, flat), ulps(layout, flat)))
    size = own if own > FAR * size else size
    shortest = gap if own else float(np.finfo(layout.dtype).eps) * size * bool(flat.any())
    return ProbeDirection(layout.where(i), parameter, index, i, None, size, shortest, own or size)


def random_direction(
    layout: Layout,
    flat: Array,
    rng: np.random.Generator,
    name: str = "x",
    part: slice = slice(None),
    where: str = "",
    *,
    digits: bool = False,
) -> ProbeDirection:
    """Through all elements of `part`, by like lengths; with `digits` each by a share of its own magnitude."""
    u = np.zeros(layout.size)
    u[part] = rng.standard_normal(u[part].size)
    sizes, own = lengths(layout, flat), np.abs(flat).astype(np.float64)
    eps = float(np.finfo(layout.dtype).eps)
    whole = norm(flat[part]) or float(np.max(sizes[part]))
    shortest = norm(ulps(layout, flat)[part]) if flat[part].any() else eps * whole * bool(flat.any())
    if digits:
        sizes = np.where(own > 0, own, sizes)
        u *= sizes / np.max(sizes)
    u /= np.linalg.norm(u)
    if shortest > 0.0:  # the shortest steps know f around an element that is none of zeros
        most = np.where(own > 0, own / (WITHIN * shortest), np.inf)
        u = np.clip(u, -most, most)
        u /= np.linalg.norm(u)
    far, moved = reach(whole, sizes, u), (u != 0) & (own > 0)
    nearest = float(np.min(own[moved] / np.abs(u[moved]), initial=far))
    return ProbeDirection(where, name, None, None, u, far, shortest, nearest)


class Samples(NamedTuple):
    """Values on both sides of x, steps descending; where the function is not finite, NaN."""

    above: Array  # the steps really taken, > 0
    below: Array  # and on the other side, < 0
    value_above: Array
    value_below: Array
    value: float  # at x

    def both(self) -> Array:
        """Where central differences can be formed."""
        moved = (self.above > 0) & (self.below < 0)
        return np.flatnonzero(moved & np.isfinite(self.value_above) & np.isfinite(self.value_below))

    def central(self) -> Array:
        """The central differences there."""
        both = self.both()
        rise, run = self.value_above - self.value_below, self.above - self.below
        slopes: Array = rise[both] / run[both]
        return slopes

    def then(self, more: Samples) -> Samples:
        """Both together, steps descending."""
        up, down, high, low = (np.concatenate(pair) for pair in zip(self[:4], more[:4], strict=True))
        order = np.argsort(-np.maximum(up, -down), kind="stable")
        return Samples(up[order], down[order], high[order], low[order], self.value)


def sample(walk: Walk, value: float, scale: float, exponents: Sequence[int]) -> Samples:
    """`walk` at steps scale * 10**-k on both sides, for k of `exponents`."""
    steps = [scale * 10.0 ** float(-k) for k in exponents]
    ups = [_finite(walk(t)) for t in steps]
    downs = [_finite(walk(-t)) for t in steps]
    taken_up, values_up = np.array(ups).T
    taken_down, values_down = np.array(downs).T
    return Samples(taken_up, taken_down, values_up, values_down, value)


def _finite(pair: tuple[float, float]) -> tuple[float, float]:
    return pair if np.isfinite(pair[1]) else (pair[0], np.nan)
