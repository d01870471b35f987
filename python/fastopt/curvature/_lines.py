"""Along which lines a check goes: every coordinate, or random directions and the largest coordinates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.layout import Layout
from fastopt.functions.lengths import lengths, norm, reach, ulps

__all__ = ["EVERY_COORDINATE", "Direction", "lines", "random_direction"]

Array = NDArray[Any]

#: Up to so many variables each coordinate is checked.
EVERY_COORDINATE = 200
#: Beyond: at least so many random directions, and so many coordinates, those with the largest gradient.
DIRECTIONS = 10
LARGEST = 10


#: A coordinate has its own length, unless it lies so far below the others that it may be like them, near 0.
FAR = 1e-2


class Direction(NamedTuple):
    where: str
    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index
    place: int | None  # in the flat vector
    unit: Array | None  # None for a coordinate
    scale: float  # the length that the relative steps are multiples of
    shortest: float  # the step that moves x by its last digit; 0 where x says nothing of any length

    def vector(self, n: int) -> Array:
        if self.unit is not None:
            return self.unit
        e = np.zeros(n)
        e[self.place] = 1.0
        return e


def lines(
    layout: Layout, flat: Array, gradient: Array, directions: int | None, rng: np.random.Generator
) -> list[Direction]:
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


def _coordinate(layout: Layout, flat: Array, i: int) -> Direction:
    parameter, index = layout.element(i)
    own, size, gap = (float(a[i]) for a in (np.abs(flat), lengths(layout, flat), ulps(layout, flat)))
    size = own if own > FAR * size else size
    shortest = gap if own else float(np.finfo(layout.dtype).eps) * size * bool(flat.any())
    return Direction(layout.where(i), parameter, index, i, None, size, shortest)


def random_direction(
    layout: Layout,
    flat: Array,
    rng: np.random.Generator,
    name: str = "x",
    part: slice = slice(None),
    where: str = "",
) -> Direction:
    u = np.zeros(layout.size)
    u[part] = rng.standard_normal(u[part].size)
    u /= np.linalg.norm(u)
    sizes = lengths(layout, flat)
    whole = norm(flat[part]) or float(np.max(sizes[part]))
    eps = float(np.finfo(layout.dtype).eps)
    shortest = norm(ulps(layout, flat)[part]) if flat[part].any() else eps * whole * bool(flat.any())
    return Direction(where, name, None, None, u, reach(whole, sizes, u), shortest)
