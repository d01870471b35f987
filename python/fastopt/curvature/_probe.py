"""One line of a check: sample it, find its slope, judge the claim, look closer where it is not clean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastopt.curvature._judge import Finding, Place, judge, unseen
from fastopt.curvature._line import Samples, Walk, sample
from fastopt.curvature._lines import Direction
from fastopt.curvature._slope import scatter, slope

__all__ = ["probe", "unsteadiness"]

#: Decades of the steps, for float64 and for anything coarser: first those, then these.
STEPS = ((range(10), range(10, 13)), (range(6), range(6, 8)))
#: A slope that is known no better than this has not been seen: the function may live on another scale than x.
SEEN = 1e-2
#: Noise is less than this share of the values.
OF_ALL = 1e-5
#: How far from the length of x its scale is sought: below, next to 0, where no digit of x is the last; above.
BELOW, ABOVE = 45, 45


def probe(
    place: Place,
    walk: Walk,
    value: float,
    line: Direction,
    claimed: float,
    eps: float,
    noise: float,
    floor: float,
    tol: float,
) -> Finding:
    """Judge `claimed` as the slope of `walk` at 0; `noise` is a known error of values, `floor` of `claimed`.

    The smallest steps say nothing new about a smooth function, so they are taken only where a first look did
    not end in "right": a kink may be closer than that look could see, or x may live on a smaller scale. No
    gradient is called wrong before the last digit of x has moved, and where no slope is seen at any of these
    steps, it is looked for further away.
    """
    first, *looks = _looks(line, eps)
    with np.errstate(all="ignore"):  # a step may leave the domain
        samples = sample(walk, value, line.scale, first)
        finding = _judged(place, samples, claimed, eps, noise, floor, tol)
        for k, exponents in enumerate(looks):
            seen = finding.uncertainty <= SEEN * abs(finding.found)
            if finding.kind == "right" or (seen and k > 0 and (finding.kind != "wrong" or k > 1)):
                break
            samples = samples.then(sample(walk, value, line.scale, exponents))
            finding = _judged(place, samples, claimed, eps, noise, floor, tol)
    return finding


def _looks(line: Direction, eps: float) -> list[Sequence[int]]:
    """Decades to sample, one look after the other."""
    first, then = STEPS[0 if eps < 1e-12 else 1]
    deepest = BELOW if line.shortest == 0.0 else math.ceil(math.log10(line.scale / line.shortest))
    looks: list[Sequence[int]] = [first, then, range(then.stop, min(then.stop + 4, deepest + 1))]
    looks += [range(k, min(k + 8, deepest + 1)) for k in range(then.stop + 4, deepest + 1, 8)]
    looks += [range(-k - 8, -k) for k in range(0, ABOVE - 8, 8)]
    return [look for look in looks if look]


def unsteadiness(walk: Walk, value: float, line: Direction, share: float, eps: float) -> float:
    """The error of the values of `walk`, by its smallest steps, `share` of those along the line.

    If it is as large as what the function does at all, the function moves on a smaller scale than these steps.
    """
    first, *looks = _looks(line, eps)
    with np.errstate(all="ignore"):
        samples = sample(walk, value, share * line.scale, [*first, *looks[0]])
        found = scatter(samples)
        for exponents in looks[1:]:
            spread = np.concatenate([samples.value_above, samples.value_below]) - value
            if exponents[0] < 0 or not found > OF_ALL * np.nanmax(np.abs(spread), initial=0.0):
                break
            samples = samples.then(sample(walk, value, share * line.scale, exponents))
            found = min(found, scatter(samples) or found)
    return found


def _judged(
    place: Place, samples: Samples, claimed: float, eps: float, noise: float, floor: float, tol: float
) -> Finding:
    found = slope(samples, eps, noise)
    return unseen(place, claimed) if found is None else judge(place, claimed, found, floor, tol)
