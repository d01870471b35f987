"""One line of a check: sample it, find its slope, judge the claim, look closer where it is not clean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._gradient_report import Finding, Target, finding_of, unseen
from fastopt.curvature._lines import ProbeDirection, Samples, Walk, sample
from fastopt.curvature._slope import scatter, slope

Array = NDArray[Any]

#: Decades of the steps, for float64 and for anything coarser: first those, then these.
STEPS = ((range(10), range(10, 13)), (range(6), range(6, 8)))
#: How far from 1 the scale is sought at x = 0, in decades. 1 is a guess there, and no digit of x the last.
BELOW, ABOVE = 45, 45
#: A function is seen to be continuous where its changes fall to this share of the largest.
FALLS = 1e-3
#: So much shorter than the length of x steps are before a gradient is called wrong: three of them.
NEAR = 1e-3
#: A slope shows itself in a function whose noise is so many times less than what it makes.
SHOWS = 8.0
#: Changes below so many eps of the values are rounding.
ROUNDING = 32.0
#: Noise is less than this share of what a function does at all.
OF_ALL = 1e-5


def probe(
    target: Target,
    walk: Walk,
    value: float,
    line: ProbeDirection,
    claimed: float,
    eps: float,
    noise: float,
    floor: float,
    tol: float,
) -> Finding:
    """Judge `claimed` as the slope of `walk` at 0; `noise` is a known error of values, `floor` of `claimed`.

    The smallest steps say nothing new about a smooth function, so they are taken only where a first look did
    not end in "right": a kink may be closer than that look could see. Where f still changes as much at small
    steps as at large ones, it lives on a smaller scale than x, and steps go down to the last digit of x.
    """
    first, *looks = _looks(line, eps)
    with np.errstate(all="ignore"):  # a step may leave the domain
        samples = sample(walk, value, line.scale, first)
        finding = _judged(target, samples, claimed, eps, noise, floor, tol)
        for k, exponents in enumerate(looks):
            if finding.kind == "right" or (k > 0 and _exhausted(finding, samples, line, eps)):
                break
            samples = samples.then(sample(walk, value, line.scale, exponents))
            finding = _judged(target, samples, claimed, eps, noise, floor, tol)
        if finding.kind == "wrong" and (
            _hidden(finding, line, max(noise, 2.0 * eps * abs(value)))
            or _rounded_away(finding, samples, eps)
            or _seen_from_afar(finding, samples)
        ):
            return unseen(target, claimed)
        # Down to the last digit nothing tells this function from noise, or from a jump at x.
        scale_known = _falls(samples, line, eps) or not _moves(samples, eps)
        return finding if scale_known else unseen(target, claimed)


def _hidden(finding: Finding, line: ProbeDirection, noise: float) -> bool:
    """Whether f shows no slope, and need not: the one claimed is less than the noise over the length of x.

    Of sqrt |x| at 1e-20, beside larger ones, long steps see no slope at all, and short ones see nothing.
    """
    slopes = abs(finding.found) > finding.uncertainty
    return not slopes and abs(finding.claimed) * line.nearest <= SHOWS * noise


def _rounded_away(finding: Finding, samples: Samples, eps: float) -> bool:
    """Whether f is flat beside x, and what is claimed makes less than the rounding of f's larger values.

    A loss that has come to exactly 0 is the difference of numbers of ordinary size.
    """
    both = samples.both()
    high, low = samples.value_above[both], samples.value_below[both]
    moves = np.flatnonzero((high != samples.value) | (low != samples.value))
    flat = samples.above[both][int(np.max(moves, initial=-1)) + 1 :]
    if flat.size == 0 or finding.found != 0.0:
        return False
    _, size = _changes(samples)
    return abs(finding.claimed) * float(flat[0]) <= SHOWS * eps * (size or 1.0)


def _seen_from_afar(finding: Finding, samples: Samples) -> bool:
    """Whether longer steps see the slope that is claimed, one as the next, and shorter ones another.

    Of a float32 network with a float64 penalty short steps see the penalty alone: below the grain of the
    first its changes are 0. Which of the two is f's slope is for its author to say.
    """
    near = np.abs(samples.central() - finding.claimed) < 0.1 * abs(finding.claimed - finding.found)
    return bool(np.any(near[1:] & near[:-1]))


def _exhausted(finding: Finding, samples: Samples, line: ProbeDirection, eps: float) -> bool:
    """Whether more steps can say no more.

    Steps that are longer than x itself may know another function than shorter ones, as of sqrt or of 1 / x.
    """
    near = max(NEAR * line.nearest, line.shortest)
    if finding.kind == "wrong" and np.nanmin(np.maximum(samples.above, -samples.below)) > near:
        return False
    if not _falls(samples, line, eps):
        return False
    if line.shortest > 0.0:
        return finding.kind != "round-off" or finding.uncertainty < abs(finding.found)
    changes, size = _changes(samples)
    return bool(np.max(changes) > eps ** (1.0 / 3.0) * size)


def _moves(samples: Samples, eps: float) -> bool:
    changes, size = _changes(samples)
    return bool(np.max(changes, initial=0.0) > ROUNDING * eps * size)


def _falls(samples: Samples, line: ProbeDirection, eps: float) -> bool:
    """Whether f moves, and less and less towards x."""
    changes, _ = _changes(samples)
    if not (_moves(samples, eps) and np.min(changes) <= FALLS * np.max(changes)):
        return False
    # Over all scales there are, f may be anything far away: what counts is the end.
    small = changes[-1] <= OF_ALL * abs(samples.value)
    last = changes[-5:]
    falls = len(last) == 5 and np.all(last[1:] <= 0.2 * last[:-1])
    return line.shortest > 0.0 or bool(small or falls)


def _changes(samples: Samples) -> tuple[Array, float]:
    """By how much f differs from f(x) at each step, to the worse side, and the largest |f|."""
    moved = (samples.above > 0) & (samples.below < 0)
    sides = np.stack([samples.value_above, samples.value_below])[:, moved]
    changes = np.fmax.reduce(np.abs(sides - samples.value), axis=0)
    size = max(abs(samples.value), float(np.max(np.abs(sides[np.isfinite(sides)]), initial=0.0)))
    return changes[np.isfinite(changes)], size


def _looks(line: ProbeDirection, eps: float) -> list[Sequence[int]]:
    """Decades to sample, one look after the other."""
    first, then = STEPS[0 if eps < 1e-12 else 1]
    deepest = BELOW if line.shortest == 0.0 else math.ceil(math.log10(line.scale / line.shortest))
    looks: list[Sequence[int]] = [first, then, range(then.stop, min(then.stop + 4, deepest + 1))]
    looks += [range(k, min(k + 8, deepest + 1)) for k in range(then.stop + 4, deepest + 1, 8)]
    if line.shortest == 0.0:
        looks += [range(-k - 8, -k) for k in range(0, ABOVE - 8, 8)]
    return [look for look in looks if look]


def unsteadiness(walk: Walk, value: float, line: ProbeDirection, share: float, eps: float) -> float:
    """The error of the values of `walk`, by its smallest steps, `share` of those along the line.

    If it is as large as what the function does at all, the function lives on a smaller scale than they.
    """
    first, *looks = _looks(line, eps)
    with np.errstate(all="ignore"):
        samples = sample(walk, value, share * line.scale, [*first, *looks[0]])
        found = scatter(samples)
        for exponents in looks[1:]:
            noisy = found > OF_ALL * np.max(_changes(samples)[0], initial=0.0)
            if exponents[0] < 0 or not (noisy or (_moves(samples, eps) and not _falls(samples, line, eps))):
                break
            samples = samples.then(sample(walk, value, share * line.scale, exponents))
            found = min(found, scatter(samples) or found)
    return found


def _judged(
    target: Target, samples: Samples, claimed: float, eps: float, noise: float, floor: float, tol: float
) -> Finding:
    found = slope(samples, eps, noise)
    return unseen(target, claimed) if found is None else finding_of(target, claimed, found, floor, tol)
