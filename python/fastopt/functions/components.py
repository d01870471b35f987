"""Components of a slope that its norm hides: too small beside the others to have been looked at.

In the column (sin(x / u), c x / u) of a Hessian the second component agrees over any two steps, and the first
is rounding beside it wherever the step is far longer than u. So every component is judged by itself: one that
changes with the step, by more than rounding of its own values, is in doubt. Noise is too, so a doubt says
nothing yet. Shorter steps do: a slope that two of them agree on, 2^8 apart, is none of noise.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.line import Line
from fastopt.functions.step_search import (
    CONTRADICTS,
    ROUNDING,
    SMOOTH,
    ChosenStep,
    error_of,
    good_share,
    search_step,
)

__all__ = ["BACK", "doubtful", "first_change", "hidden", "own_step"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: In doubt is what changes by more than this share: a bend far shorter than the step seldom does less.
DOUBT = 1e-4
#: Octaves below the first step: as steps for a search, then wider; a slope shows over 43 of them or more.
DESCENT = (range(0, 41, 8), range(56, 257, 16))
#: Where nothing at all was seen to change: down to the smallest numbers.
FAR = range(0, 1000, 48)
#: A step that changes g for the first time is looked at again from so many times as far.
BACK = 2.0**48


def doubtful(slope: Array, change: Array, at_x: Array, t: float, eps: float) -> Mask:
    """Components whose D(2t) is not D(t), and not for rounding of their own values."""
    size, apart = np.abs(slope), np.abs(change)
    with np.errstate(all="ignore"):
        values = np.abs(at_x) / t + 2.0 * (size + apart)
        doubt: Mask = (apart > DOUBT * size) & (apart > ROUNDING * eps * values)
    return doubt


def hidden(line: Line, start: float, claimed: Array, known: Array) -> Array:
    """For each component the step at which g has another slope than `claimed`, give or take `known`.

    0 where there is none. It is a slope if a step of 2^-8 or less of the one before agrees with it.
    """
    found, before = np.zeros(len(claimed)), None
    for octaves in chain(*DESCENT):
        t = start * 2.0**-octaves
        if t < line.shortest:
            break
        s = line.stencil(t)
        if before is not None:
            with np.errstate(all="ignore"):
                size = np.abs(s.slope)
                rounding = ROUNDING * line.g.eps * (np.abs(line.at_x) / s.t + size)
                error = np.maximum(np.maximum(np.abs(s.slope - before), np.abs(s.change)), rounding)
                slope = error < SMOOTH * size
                found[slope & (found == 0) & (np.abs(s.slope - claimed) > CONTRADICTS * error + known)] = s.t
        before = s.slope
    return found


def first_change(line: Line, start: float) -> float:
    """The longest step, in large jumps, that changes g at all; 0 if none down to the smallest numbers."""
    for octaves in FAR:
        t = start * 2.0**-octaves
        if t < line.shortest:
            break
        if line.slope(t).any():
            return t
    return 0.0


def own_step(line: Line, rows: Mask, t: float, known: float) -> ChosenStep:
    """The slope of the components `rows` along `line`, with a step of their own, looked for from t."""
    part = line.part(rows, known)
    s = part.stencil(max(t, line.shortest))
    found = ChosenStep(s, 0.0)
    if not (s.finite and not s.still and error_of(s) <= good_share(line.g.eps) * s.size):
        found = search_step(part, s, known)
    line.calls += part.calls
    return found
