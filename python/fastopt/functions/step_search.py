r"""Which step a difference of the gradient is to take along a line, by what the gradient says at other steps.

With D(t) the central difference, a smooth g gives :math:`D(t) = d + O(t^2 / L^2) \pm \nu / t`. Neither the
length L, on which g changes its slope, nor the noise :math:`\nu` follows from x: L may be 1 where x is 1e12,
or 1e-30 where x is 0. A step is good if D(2t) agrees with D(t) to about :math:`\epsilon^{2/3}` and rounding
could not hide more; no other step does better, and four gradients have said so. If it is not, steps are tried
down to the last digit of x, because a function that bends faster than the step looks like a noisy one. Then
steps grow for as long as noise is all that limits them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.lengths import norm
from fastopt.functions.line import NOTHING, ROUNDED, Line, Stencil

__all__ = ["ChosenStep", "error_of", "good_share", "search_step"]

Array = NDArray[Any]

#: A good step: errors below so many eps^(2/3).
GOOD = 30.0
#: The slope over short steps is taken for that of g, and not of a ripple on it, if it is known to this power
#: of eps (1e-6, or 3e-3 in float32). A ripple of wavelength l has an error of (eps x / l)^(2/3).
CERTAIN = 0.375
#: A ripple: within about the length of x, that is so many first steps, g moves so many times as much.
OUTSIDE, RIPPLE = 2.0**14, 30.0
#: Where twice the step changes the slope by less than this share, errors fall with the square of the step.
SMOOTH = 0.1
#: A slope is seen where its error is below this share of it.
SEEN = 0.3
#: Two stencils contradict each other beyond so many times the error of the one with the shorter step.
CONTRADICTS = 4.0
#: Octaves between the steps tried: within four of the best step a difference is off by 2^8 of its best error.
STRIDE = 8
#: Next to 0 there is no last digit: one goes on in strides like this, down and up by so many octaves.
LEAP, DEPTH, HEIGHT = 32, 256, 256
#: So many times what rounding the results costs is still rounding: that of the operations before.
ROUNDING = 32.0
#: Without a slope that is seen, steps grow no further than so many strides.
BLIND = 6


class ChosenStep(NamedTuple):
    """The stencil to use, and the error of its slope: infinite if nothing can be told from g at any step."""

    stencil: Stencil
    error: float


def good_share(eps: float) -> float:
    """The relative error of a difference with a good step."""
    return GOOD * float(eps ** (2.0 / 3.0))


def error_of(s: Stencil, noise: float | None = None) -> float:
    """How far D(t) may be from the slope: half of what D(2t) differs by, or what noise or x's digits do."""
    if not s.finite:
        return math.inf
    noise = s.noise if noise is None else noise
    change = norm(s.change)
    # Of g = x^1.5 at 0, D(2t) is off by 0.4 of D(t), which is all error: only what is smooth falls fourfold.
    change *= 0.5 if change < SMOOTH * s.size else 1.5
    return max(change, 1.5 * noise / (math.sqrt(2.0) * s.t), s.grain)


def search_step(line: Line, first: Stencil, known: float = 0.0) -> ChosenStep:
    """The best step along `line`, having looked at `first`; `known` is noise that needs no explanation."""
    tried = [first]
    share = good_share(line.g.eps)
    with np.errstate(all="ignore"):
        if not _explained(first, known):
            _shorten(line, tried, share)
        _lengthen(line, tried, share)
        _refine(line, tried, share)
        found = _chosen(line, tried, known)
        if found.error > max(share, line.g.eps**CERTAIN) * found.stencil.size and _is_ripple(
            line, tried, found
        ):
            return found._replace(error=max(found.error, _ripple(tried, found.stencil)))
    return found


def _explained(s: Stencil, known: float) -> bool:
    """Whether rounding or a known noise is all that a stencil shows: shorter steps cannot show more."""
    return s.finite and (s.still or max(s.noise, _as_noise(s)) <= max(ROUNDING * s.floor, 4.0 * known))


def _as_noise(s: Stencil) -> float:
    """The noise that would make D(2t) differ from D(t) as it does."""
    return norm(s.change) * s.t * math.sqrt(2.0 / 1.25)


def _shorten(line: Line, tried: list[Stencil], share: float) -> None:
    """Steps down to the last digit of x, or until one is good."""
    begin = tried[0]
    for octaves in _descent():
        t = begin.t * 2.0**-octaves
        last = t <= line.shortest
        s = line.stencil(max(t, line.shortest))
        tried.append(s)
        error = error_of(s)
        if last or (s.finite and not s.still and error <= share * s.size):
            return
        small = s.finite and not s.still and begin.finite and error <= line.g.eps * error_of(begin)
        if small and line.shortest > NOTHING:  # from 0, a cube may be all that is seen of a slope for long
            return


def _descent() -> Iterator[int]:
    yield from range(STRIDE, 9 * STRIDE, STRIDE)
    yield from range(3 * LEAP, DEPTH + 1, LEAP)


def _lengthen(line: Line, tried: list[Stencil], share: float) -> None:
    """Longer steps while the longest so far is the best, and not for want of resolution."""
    octaves, blind = 0, 0
    while octaves < HEIGHT:
        longest = max(tried, key=lambda s: s.t)
        if not longest.finite or (not longest.still and _best(tried) is not longest):
            return
        if not longest.still and error_of(longest) <= share * longest.size:
            return
        blind = 0 if longest.still or _error(tried, longest) < SEEN * longest.size else blind + 1
        if blind > BLIND:
            return
        leap = LEAP if longest.still and octaves >= 4 * STRIDE else STRIDE
        octaves += leap
        tried.append(line.stencil(longest.t * 2.0**leap))


def _refine(line: Line, tried: list[Stencil], share: float) -> None:
    """Between the strides: to where the step's error and the noise's are of one size."""
    for _ in range(3):
        best = _best(tried)
        if best is None or best.still or error_of(best) <= share * best.size:
            return
        step, noise = norm(best.change) / 3.0, _noise(tried, best) / best.t
        factor = (noise / step) ** (1.0 / 3.0) if step > 2.0 * noise > 0.0 else 8.0
        t = best.t * min(max(factor, 2.0**-STRIDE), 8.0)
        if t < line.shortest or any(0.6 < s.t / t < 1.7 for s in tried):
            return
        tried.append(line.stencil(t))


def _noise(tried: list[Stencil], s: Stencil) -> float:
    """The noise at a step: what it and all shorter ones show, as one sample alone may be small by luck.

    An odd function has no fourth difference at 0, so the third counts too, where it cannot be truncation.
    """
    shorter = [o for o in tried if o.finite and not o.still and o.t < s.t]
    return max([s.noise, *(max(o.noise, _as_noise(o)) for o in shorter)])


def _best(tried: list[Stencil]) -> Stencil | None:
    """The stencil with the least error, of those that see a slope if any does."""
    usable = [s for s in tried if s.finite and not s.still]
    seen = [s for s in usable if _error(tried, s) < SEEN * s.size]
    return min(seen or usable, key=lambda s: _error(tried, s), default=None)


def _error(tried: list[Stencil], s: Stencil) -> float:
    """Its own error, and what slopes over shorter steps differ by beyond theirs.

    All shorter ones must agree: over whole periods of an oscillation longer steps agree by chance.
    """
    error = error_of(s, _noise(tried, s))
    for o in tried:
        if o.t < s.t and o.finite and not o.still:
            apart = norm(s.slope - o.slope)
            if apart > CONTRADICTS * error_of(o, _noise(tried, o)):
                error = max(error, apart)
    return error


def _chosen(line: Line, tried: list[Stencil], known: float) -> ChosenStep:
    best = _best(tried)
    if best is None:
        still = [s for s in tried if s.finite]
        longest = max(still, key=lambda s: s.t, default=tried[0])
        return ChosenStep(longest, error_of(longest))
    error = _error(tried, best)
    if error >= SEEN * best.size:
        return ChosenStep(best, _unseen(line, tried, best, error, known))
    return ChosenStep(best, error)


def _is_ripple(line: Line, tried: list[Stencil], found: ChosenStep) -> bool:
    """Whether g goes far beyond the noise that it seems to have at steps longer than the one found."""
    first, best = tried[0], found.stencil
    between = [_as_noise(s) for s in tried if s.finite and best.t < s.t <= first.t]
    if not between:
        return False
    far = line.stencil(first.t * OUTSIDE)
    return not far.finite or norm(far.slope) * far.t > RIPPLE * max(between)


def _ripple(tried: list[Stencil], best: Stencil) -> float:
    """What a slope over long steps differs by, if two of them agree on it: is the short one's a ripple's?"""
    longer = sorted((s for s in tried if s.finite and s.t > best.t), key=lambda s: s.t)
    enough, apart = SEEN * best.size, 0.0
    for one, two in pairwise(longer):
        known = max(error_of(one), error_of(two)) < enough
        if known and norm(one.slope - two.slope) < enough:
            apart = max(apart, norm(one.slope - best.slope))
    return apart


def _unseen(line: Line, tried: list[Stencil], best: Stencil, error: float, known: float) -> float:
    """No step has seen a slope. It is small if all that g does is rounding, or falls with the step."""
    shortest = min((s for s in tried if s.finite and not s.still), key=lambda s: s.t)
    floor = max(shortest.floor, ROUNDED * line.g.eps * norm(line.at_x))
    rounding = _noise(tried, best) <= max(ROUNDING * floor, 4.0 * known)
    falls = error_of(shortest) <= 4.0 * error
    return max(error, best.size) if rounding or falls else math.inf
