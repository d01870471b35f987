"""One line of a check: sample it, find its slope, judge the claim, look closer where it is not clean."""

from __future__ import annotations

import numpy as np

from fastopt.curvature._judge import Finding, Place, judge, unseen
from fastopt.curvature._line import Samples, Walk, sample
from fastopt.curvature._slope import scatter, slope

__all__ = ["probe", "unsteadiness"]

#: Decades of the steps, for float64 and for anything coarser: first those, then these.
STEPS = ((range(10), range(10, 13)), (range(6), range(6, 8)))


def probe(
    place: Place,
    walk: Walk,
    value: float,
    scale: float,
    claimed: float,
    eps: float,
    noise: float,
    floor: float,
    tol: float,
) -> Finding:
    """Judge `claimed` as the slope of `walk` at 0; `noise` is a known error of values, `floor` of `claimed`.

    The smallest steps say nothing new about a smooth function, so they are taken only where a first look did
    not end in "right": a kink may be closer than that look could see, or x may live on a smaller scale.
    """
    first, then = STEPS[0 if eps < 1e-12 else 1]
    with np.errstate(all="ignore"):  # a step may leave the domain
        samples = sample(walk, value, scale, first)
        finding = _judged(place, samples, claimed, eps, noise, floor, tol)
        if finding.kind == "right":
            return finding
        samples = samples.then(sample(walk, value, scale, then))
        return _judged(place, samples, claimed, eps, noise, floor, tol)


def unsteadiness(walk: Walk, value: float, scale: float, eps: float) -> float:
    """The error of the values of `walk`, by its smallest steps."""
    first, then = STEPS[0 if eps < 1e-12 else 1]
    with np.errstate(all="ignore"):
        return scatter(sample(walk, value, scale, [*first, *then]))


def _judged(
    place: Place, samples: Samples, claimed: float, eps: float, noise: float, floor: float, tol: float
) -> Finding:
    found = slope(samples, eps, noise)
    return unseen(place, claimed) if found is None else judge(place, claimed, found, floor, tol)
