r"""What the slope of a sampled function is, how well that is known, and whether it has one at all.

With D(h) the central difference and R, L the slopes to either side, a smooth function has

.. math:: D(h) = d + O(h^2) \pm \sigma / h, \qquad J(h) = R - L = O(h) \pm 4 \sigma / h,

while at a kink J does not fall with h. Neither the third derivative nor the noise sigma is known
beforehand: both are read off neighbouring steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._line import Samples

__all__ = ["Slope", "scatter", "slope"]

Array = NDArray[Any]

FLOAT32 = float(np.finfo(np.float32).eps)

#: J counts as seen above so many sigma / h; each of its four values errs by at most sigma / 2 by rounding.
SEEN = 8.0
#: A smooth J falls tenfold from step to step; one that falls by less than this does not vanish.
STAYS = 0.5
#: With fewer digits than this the best steps are so long that many kinks fit into one, as in a network of
#: relus. Only a shorter step can show them, and it has ten times the noise, which then counts.
COARSE, HIDDEN = 1e-12, 5.0
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


def slope(samples: Samples, eps: float, noise: float = 0.0) -> Slope | None:
    """The slope at x; None if the function is finite at too few points to tell.

    `eps` is that of the values, `noise` an error of theirs that is known beforehand.
    """
    both = samples.both()
    if both.size < RUN:
        return _one_sided(samples, eps, noise)
    up, down = samples.above[both], -samples.below[both]
    y, high, low = samples.value, samples.value_above[both], samples.value_below[both]
    h, right, left = (up + down) / 2, (high - y) / up, (y - low) / down
    central = (high - low) / (up + down)
    sigma = np.maximum(_rounding(y, high, low, eps), max(noise, scatter(samples)))
    jump, visible = right - left, SEEN * sigma / h
    first, last = _run(jump, visible, central)
    errors = np.maximum(_errors(central, sigma / h), _unexplained(jump, h))
    if eps > COARSE:
        errors += HIDDEN * sigma / h
    if last >= 0 and _stays_hidden(visible, jump, last):
        run = slice(first, last + 1)
        return _at_kink(central[run], np.stack([right, left])[:, run], (sigma / h)[run])
    if last >= 0:  # the kink's own steps say nothing about the slope at x
        errors[: last + 1] = np.inf
    best = int(np.argmin(errors))
    d = float(central[best])
    kink = float(h[last]) if last >= 0 else _crossed(central, np.stack([right, left]), h, sigma, best)
    return Slope(d, float(errors[best]), (d, d), kink, False)


def _errors(central: Array, noise: Array) -> Array:
    """How far each D(h) may be from d, by what rounding does to it and by the other steps.

    The step's error is 1 / 99 of the change from the step before, and the change to the next step (3 / 2 of
    it where f has one derivative and a half). Noise grows tenfold towards the next step. All smaller steps
    must agree within their noise: larger ones may agree by chance, as over whole periods of a sine.
    """
    change = np.abs(np.diff(central))
    before = np.concatenate([[0.0], change / 33.0])
    after = np.concatenate([change / 2.0, [0.0]])
    before[-1], after[0] = change[-1], change[0]  # the ends have one neighbour only
    apart = np.abs(central[:, None] - central) - 1.5 * noise  # of step k from step j, beyond j's noise
    later = np.max(np.triu(apart, 1), axis=1)
    errors: Array = np.maximum.reduce([before, after, later, 1.5 * noise])
    return errors


def _unexplained(jump: Array, h: Array) -> Array:
    """What J at each step has beyond a tenth of J at the step before, which curvature explains.

    It is the trace of kinks between the two, half of which D has too: a network of relus has many, each too
    small to be a run.
    """
    proportional = jump[:-1] * h[1:] / h[:-1]
    rest = np.abs(jump[1:] - proportional)
    first = rest[0] * h[0] / h[1]
    whole: Array = np.concatenate([[first], rest])
    return whole


def _rounding(y: float, high: Array, low: Array, eps: float) -> Array:
    """2 eps times the size of the values, at each step: more than one operation has rounded."""
    values = np.concatenate([high, low])
    if eps < FLOAT32 and np.unique(values).size >= 4 and np.array_equal(values, values.astype(np.float32)):
        eps = FLOAT32  # a float64 that has passed through a float32
    size: Array = np.maximum(np.abs(y), np.maximum(np.abs(high), np.abs(low)))
    return 2.0 * eps * size


def scatter(samples: Samples) -> float:
    """The error of the values that the smallest steps show, whatever its origin."""
    both = samples.both()
    if both.size < RUN:
        return 0.0
    y, high, low = samples.value, samples.value_above[both], samples.value_below[both]
    width = samples.above[both] - samples.below[both]
    changes = np.abs(np.diff((high - low) / width))
    return max(float(np.max(changes[-2:] * width[-2:])) / 2, _quantum(y, high, low))


def _quantum(y: float, high: Array, low: Array) -> float:
    """The smallest change of a function that moves in jumps: its digits end there. 0 if it does not.

    It does if it is flat at small steps and moves at larger ones on both sides, or on one side by as much at
    one step as at the next, ten times larger. Flat to one side alone is a kink.
    """
    flat = (high == y) & (low == y)
    if not flat.any() or flat.all():
        return 0.0
    moves = np.abs(np.stack([high, low]) - y)
    repeated = (moves[:, 1:] > 0.5 * moves[:, :-1]) & (moves[:, 1:] > 0)
    both = bool(np.all(np.max(moves, axis=1) > 0))
    return float(np.min(moves[moves > 0])) if both or repeated.any() else 0.0


def _run(jump: Array, visible: Array, central: Array) -> tuple[int, int]:
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


def _stays_hidden(visible: Array, jump: Array, last: int) -> bool:
    """Whether J was lost in noise after its run, not seen to vanish."""
    after = last + 1
    return after == len(jump) or bool(visible[after] > STAYS * abs(jump[last]))


def _at_kink(central: Array, sides: Array, noise: Array) -> Slope:
    """The slopes to either side, from the step in the run that knows them best."""
    moved = np.max(np.abs(np.diff(sides, axis=1)), axis=0)  # h f'' / 2, ten times as much as at the next step
    errors = np.maximum(moved / 3.0, 1.5 * noise[1:])
    best = int(np.argmin(errors)) + 1
    low, high = sorted(float(side) for side in sides[:, best])
    return Slope(float(central[best]), float(errors[best - 1]), (low, high), 0.0, False)


def _crossed(central: Array, sides: Array, h: Array, sigma: Array, best: int) -> float | None:
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


def _one_sided(samples: Samples, eps: float, noise: float) -> Slope | None:
    """At the edge of the domain: the slope to the side that has more values, extrapolated to h = 0."""
    sides = []
    for steps, values in ((samples.above, samples.value_above), (-samples.below, samples.value_below)):
        use = np.flatnonzero((steps > 0) & np.isfinite(values))
        sides.append((use.size, steps[use], values[use]))
    right = sides[0][0] >= sides[1][0]
    count, h, values = sides[0 if right else 1]
    if count < RUN + 1:
        return None
    slopes = (values - samples.value) / (h if right else -h)
    size = max(abs(samples.value), float(np.max(np.abs(values))))
    # Removes h f'' / 2; what is left falls a hundredfold per step again.
    extrapolated = (h[:-1] * slopes[1:] - h[1:] * slopes[:-1]) / (h[:-1] - h[1:])
    noise = max(noise, eps * size, float(np.max(np.abs(np.diff(slopes))[-2:] * h[-2:])))
    errors = _errors(extrapolated, 2.5 * noise / h[1:])
    best = int(np.argmin(errors))
    d = float(extrapolated[best])
    return Slope(d, float(errors[best]), (d, d), None, True)
