"""Kinks: the slopes to either side of x, and kinks so near that steps cross them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: J counts as seen above so many sigma / h; each of its four values errs by at most sigma / 2 by rounding.
SEEN = 8.0
#: A smooth J falls tenfold from step to step; one that falls by less than this does not vanish.
STAYS = 0.5
#: Steps in a row that must show the same J: one ratio is not enough.
RUN = 3
#: Central differences of a smooth function fall onto d a hundredfold per step, some hundredfold from far
#: away; faster means that the step has stopped crossing something.
ABRUPT = 1e-4


class Slope(NamedTuple):
    """`value`, known to within `error`; or, at a kink, anything in `interval`."""

    value: float
    error: float
    #: The slopes to the left and to the right where they differ, smaller one first; else `value` twice.
    interval: tuple[float, float]
    #: A kink within so much of x that the check's own steps crossed it (0 if x is on it, as far as can be
    #: seen); None if none was seen.
    kink: float | None
    one_sided: bool


def kink_run(jump: Array, visible: Array, central: Array) -> tuple[int, int]:
    """First and last step of the last run of `RUN` or more where J is seen and stays; else (-1, -1).

    D must stay as well, beside J: near a jump of the second derivative J stays while D falls tenfold.
    """
    seen = np.abs(jump) > visible
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = jump[1:] / jump[:-1]
    stays = seen[1:] & seen[:-1] & (ratio > STAYS) & (ratio < 1 / STAYS)
    stays &= np.abs(np.diff(central)) < np.abs(jump[1:])
    end = len(jump) - 1
    while end > 0:
        start = end
        while start > 0 and stays[start - 1]:
            start -= 1
        if end - start + 1 >= RUN:
            return start, end
        end = start - 1 if start == end else start
    return -1, -1


def stays_hidden(visible: Array, jump: Array, last: int) -> bool:
    """Whether J was lost in noise after its run, not seen to vanish, or to be something else."""
    after, size = last + 1, abs(jump[last])
    if after == len(jump):
        return True
    return bool(STAYS * size < visible[after] and abs(jump[after]) <= visible[after] + size)


def at_kink(central: Array, sides: Array, noise: Array) -> Slope:
    """The slopes to either side, from the step in the run that knows them best."""
    moved = np.max(np.abs(np.diff(sides, axis=1)), axis=0)  # h f'' / 2, ten times as much as at the next step
    errors = np.maximum(moved / 3.0, 1.5 * noise[1:])
    best = int(np.argmin(errors)) + 1
    low, high = sorted(float(side) for side in sides[:, best])
    return Slope(float(central[best]), float(errors[best - 1]), (low, high), 0.0, False)


def crossed(central: Array, sides: Array, h: Array, sigma: Array, best: int) -> float | None:
    """The smallest step beyond which D leaves d abruptly, and to one side: a kink at less than that.

    `sides`: the slopes to the right and to the left, shape (2, steps).
    """
    d = central[best]
    off, aside = np.abs(central - d), np.abs(sides - d)
    size = np.maximum(np.max(np.abs(sides), axis=0), abs(d))
    for k in range(best - 1, 0, -1):
        side = int(np.argmax(aside[:, k]))
        leaves = off[k] > 1e-3 * size[k] and off[k + 1] + 3 * sigma[k + 1] / h[k + 1] < ABRUPT * off[k]
        one = aside[1 - side, k] < 0.1 * aside[side, k]
        if leaves and one and any(_stays_off(central, aside[side], off, j) for j in (k, k - 1)):
            return float(h[k])
    return None


def _stays_off(central: Array, aside: Array, off: Array, k: int) -> bool:
    """Whether D stays where it has gone at step k, at the next longer one.

    Beyond a kink the slope is another one, mixed with d; beyond a step, a pole or x**12 it is not. One that
    ends just behind the kink has hardly any of the other slope in it, so the one before may be the first that
    stays.
    """
    if k < 1 or not off[k] > 0.0:
        return False
    beside = 0.5 * aside[k] < aside[k - 1] < 5.0 * aside[k]
    return bool(beside and abs(central[k - 1] - central[k]) < off[k])
