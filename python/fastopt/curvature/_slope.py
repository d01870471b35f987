r"""What the slope of a sampled function is, how well that is known, and whether it has one at all.

With D(h) the central difference and R, L the slopes to either side, a smooth function has

.. math:: D(h) = d + O(h^2) \pm \sigma / h, \qquad J(h) = R - L = O(h) \pm 4 \sigma / h,

while at a kink J does not fall with h. Neither the third derivative nor the noise sigma is known
beforehand: both are read off neighbouring steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._kink import RUN, SEEN, STAYS, Slope, at_kink, crossed, kink_run, stays_hidden
from fastopt.curvature._lines import Samples

Array = NDArray[Any]

FLOAT32 = float(np.finfo(np.float32).eps)
#: With fewer digits than this the best steps are so long that many kinks fit into one, as in a network of
#: relus. Only a shorter step can show them, and it has ten times the noise, which then counts.
COARSE, HIDDEN = 1e-12, 5.0
#: Changes of D that fall by less from step to step do not show what they fall to.
FALLS = 0.7


def slope(samples: Samples, eps: float, noise: float = 0.0) -> Slope | None:
    """The slope at x; None if that cannot be told: finite at too few points, or at no step near an end.

    `eps` is that of the values, `noise` an error of theirs that is known beforehand.
    """
    both = samples.both()
    if both.size < RUN:
        return _one_sided(samples, eps, noise)
    up, down = samples.above[both], -samples.below[both]
    y, high, low = samples.value, samples.value_above[both], samples.value_below[both]
    h, right, left = (up + down) / 2, (high - y) / up, (y - low) / down
    central = samples.central()
    sigma = np.maximum(_rounding(y, high, low, eps), max(noise, scatter(samples)))
    jump, visible = right - left, SEEN * sigma / h
    first, last = kink_run(jump, visible, central)
    errors = np.maximum(_errors(central, sigma / h), _unexplained(jump, h, visible))
    if eps > COARSE:
        errors += HIDDEN * sigma / h
    if last >= 0 and stays_hidden(visible, jump, last):
        run = slice(first, last + 1)
        return at_kink(central[run], np.stack([right, left])[:, run], (sigma / h)[run])
    if last >= 0:  # the kink's own steps say nothing about the slope at x
        errors[: last + 1] = np.inf
    best = int(np.argmin(errors))
    if not np.isfinite(errors[best]):
        return None
    d = float(central[best])
    kink = float(h[last]) if last >= 0 else crossed(central, np.stack([right, left]), h, sigma, best)
    return Slope(d, float(errors[best]), (d, d), kink, False)


def _errors(central: Array, noise: Array) -> Array:
    """How far each D(h) may be from d, by what rounding does to it and by the other steps.

    Changes that fall by a ratio r from step to step leave r / (1 - r) of the last: 1 / 99 of it where f is
    smooth. Thrice the error found here covers that, with 1 / 33 and 1 / 2 of the changes before and after a
    step at least. Noise grows tenfold towards the next step. All smaller steps must agree within their noise:
    larger ones may agree by chance, as over whole periods of a sine. If the last that is seen of D is changes
    that do not fall, it is that of steps too long for f, as of sqrt beside 0, and d may be anything.
    """
    change = np.abs(np.diff(central))
    seen = change > 1.65 * noise[1:]
    ratio = _ratios(change, 1.65 * noise[1:])
    if _stuck(ratio, seen):
        return np.full(central.size, np.inf)
    with np.errstate(all="ignore"):
        whole = np.where(ratio < FALLS, 1.0 / (3.0 * (1.0 - ratio)), np.inf)  # of c + r c + r^2 c + ...
        rest = np.append((ratio * whole)[1:], (ratio * whole)[-1])
        before = np.concatenate([[0.0], change * np.maximum(rest, 1.0 / 33.0)])
        after = np.concatenate([change * np.maximum(whole, 0.5), [0.0]])
        # the ends have one neighbour only
        before[-1], after[0] = change[-1] * max(1.0, float(rest[-1])), change[0]
    apart = np.abs(central[:, None] - central) - 1.5 * noise  # of step k from step j, beyond j's noise
    later = np.max(np.triu(apart, 1), axis=1)
    errors: Array = np.maximum.reduce([before, after, later, 1.5 * noise])
    return np.where(np.isnan(errors), np.inf, errors)  # no change at all, and then one


def _ratios(change: Array, hidden: Array) -> Array:
    """Of each change to the one before; where it may be noise, that of the last one which is not, or less."""
    ratios = np.zeros_like(change)
    for k in range(1, change.size):
        seen, before = change[k] > hidden[k], change[k - 1]
        most = change[k] if seen else change[k] + hidden[k]
        ratio = most / before if before > 0.0 else np.inf
        ratios[k] = ratio if seen else min(ratio, ratios[k - 1])
    return ratios


def _stuck(ratio: Array, seen: Array) -> bool:
    """Whether the last `RUN` changes that are seen do not fall, nor the noise after them lies below."""
    last = int(np.max(np.flatnonzero(seen), initial=0))
    if last < RUN - 1 or not seen[last - RUN + 1 : last].all():
        return False
    return bool(np.all(ratio[last - RUN + 2 :] >= FALLS))


def _unexplained(jump: Array, h: Array, visible: Array) -> Array:
    """What J at each step has beyond a tenth of J at the step before, which curvature explains.

    It is the trace of kinks between the two, half of which D has too: a network of relus has many, each too
    small to be a run. What shorter steps have of it is in D as well, and J that grows towards x, as that of
    sqrt |x| beside 0 or of a pole, knows no end.
    """
    proportional = jump[:-1] * h[1:] / h[:-1]
    rest = np.abs(jump[1:] - proportional)
    first = rest[0] * h[0] / h[1]
    whole: Array = np.concatenate([[first], rest])
    seen = np.flatnonzero(np.abs(jump) > visible)
    if seen.size > 1 and seen[-1] == seen[-2] + 1 and abs(jump[seen[-1]]) > abs(jump[seen[-2]]) / STAYS:
        whole[: seen[-1] + 1] = np.inf
    beyond = np.maximum(whole - visible, 0.0)
    return np.maximum(whole, np.maximum.accumulate(beyond[::-1])[::-1])


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
    changes = np.abs(np.diff(samples.central()))
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
    if not np.isfinite(errors[best]):
        return None
    d = float(extrapolated[best])
    return Slope(d, float(errors[best]), (d, d), None, True)
