"""Is the gradient small enough to speak of a critical point? Measured against the curvature, never absolute.

A gradient of 1e-3 is nothing where the curvature is 1e6 and everything where it is 1e-6, so no fixed
threshold can be right. In order:

1. `gtol` given: |g| <= gtol, the caller's decision.
2. |g| at the level of its own round-off (4 times what one rounding of x changes): nothing is left to measure.
3. With `f`: no step of any length can change f by more than |g|^2 / (2 min |lambda|) in the quadratic model;
   if that is below the noise of f, nothing is left to gain.
4. The Newton step s = -H^-1 g leads to the critical point of the model. x stands for that point if
   (a) it is near: the quadratic model still holds a thousand times as far as s goes, and ends to hold further
       out; where it never does, |s| <= 1e-3 max(1, |x|) (counting flat directions as if their curvature were
       tau): a quadratic function has no length of its own, so that of x must do, or 1;
   (b) it is there: the true gradient at x + s is at most a quarter of g (or round-off);
   (c) H barely changes on the way: by less than half of what would change the verdict. The change along s is
       2 |g(x + s) - (g + H s)| / |s|.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._krylov_spectrum import Spectrum
from fastopt.functions.evaluation import Evaluation, finite_gradient
from fastopt.functions.lengths import norm

Array = NDArray[Any]

#: The longest Newton step, relative to the length on which H changes, or else to max(1, |x|), after which x
#: still stands for the critical point.
NEAR = 1e-3
#: The model is asked for its end at so many times the Newton step, if x does not say what is near.
FAR = (1e4, 1e6, 1e8, 1e10, 1e12)
#: How many times its round-off a gradient may be and still be nothing but round-off.
ROUND_OFF = 4.0


class Newton(NamedTuple):
    """The Newton step from x and what the gradient function says about it."""

    length: float  #: |s|, over the resolved eigenvalues
    flat_length: float  #: how far the step would be along unresolved directions, had they curvature tau
    decrement: float  #: sqrt |g' H^-1 g|: half of its square is what the step changes f by
    remaining: float  #: |g(x + s)| / |g|
    change: float  #: the change of H along s
    near: bool
    arrives: bool
    steady: bool

    @property
    def critical(self) -> bool:
        return self.near and self.arrives and self.steady


class Stationarity(NamedTuple):
    """Whether the point is critical, and the numbers behind it."""

    critical: bool
    norm: float | None = None
    noise: float | None = None
    newton: Newton | None = None
    notes: tuple[str, ...] = ()


def stationarity(at: Evaluation | None, spectrum: Spectrum, kind: str, gtol: float | None) -> Stationarity:
    """The four questions of this module's head, in order."""
    if at is None or not at.has_grad:
        return Stationarity(True, notes=("no gradient was given: the point is taken to be critical",))
    norm = float(np.linalg.norm(at.g))
    if gtol is not None:
        return Stationarity(norm <= gtol, norm)
    if norm <= ROUND_OFF * at.noise:
        return Stationarity(True, norm, at.noise)
    if at.has_f and _nothing_to_gain(norm, max(spectrum.smallest, spectrum.tau), at.value_noise):
        return Stationarity(True, norm, at.noise)
    newton = _newton_test(at, norm, spectrum.newton, spectrum.tau, _margin(spectrum, kind))
    return Stationarity(newton.critical, norm, at.noise, newton)


def _nothing_to_gain(norm: float, curvature: float, noise: float) -> bool:
    """|g|^2 / (2 |lambda|) bounds what any eigenvector's component can change f by."""
    return norm * norm <= 2 * curvature * ROUND_OFF * noise


def _margin(spectrum: Spectrum, kind: str) -> float:
    """By how much H must change before the verdict does."""
    if spectrum.eigenvalues is None:
        return spectrum.tau
    low, high = float(spectrum.eigenvalues[0]), float(spectrum.eigenvalues[-1])
    if kind == "saddle":
        return min(-low, high)
    resolved = np.abs(spectrum.eigenvalues[np.abs(spectrum.eigenvalues) > spectrum.tau])
    return float(resolved.min(initial=np.inf))


def _newton_test(
    at: Evaluation, size: float, step: Callable[[Array], tuple[Array, Array]], tau: float, margin: float
) -> Newton:
    """Take the Newton step and look; `margin` is the distance of the eigenvalue that decides the verdict."""
    s, left = step(at.g)
    length = float(np.linalg.norm(s))
    excess = max(0.0, float(np.linalg.norm(left)) - ROUND_OFF * at.noise)
    flat_length = (excess / tau if tau else np.inf) if excess else 0.0
    reach = NEAR * max(1.0, norm(at.x))
    decrement = float(np.sqrt(abs(np.dot(at.g, s))))
    if not _near(at, s, left, max(length, flat_length) <= reach, excess):
        return Newton(length, flat_length, decrement, np.nan, np.nan, False, False, False)
    after = finite_gradient(at.grad, (at.x + s).astype(at.x.dtype, copy=False))
    remaining = float(np.linalg.norm(after))
    off_model = max(0.0, float(np.linalg.norm(after - left)) - ROUND_OFF * at.noise)
    change = 2 * off_model / length if length else 0.0
    arrives = remaining <= max(size / 4, ROUND_OFF * at.noise)
    return Newton(
        length, flat_length, decrement, remaining / size, change, True, arrives, change <= margin / 2
    )


def _near(at: Evaluation, s: Array, left: Array, within: bool, excess: float) -> bool:
    """Question (a); `within`: the step is short beside x, `excess`: a slope that no step follows."""
    if not within and excess:
        return False
    if not s.any():
        return within
    if not _holds(at, s, left, 1.0 / NEAR):
        return False
    return within or not all(_holds(at, s, left, times) for times in FAR)


def _holds(at: Evaluation, s: Array, left: Array, times: float) -> bool:
    """Whether the gradient at x + times s is that of the quadratic model, to a half."""
    with np.errstate(all="ignore"):  # it may well be outside of the domain
        model = (1.0 - times) * (at.g - left).astype(np.float64)
        off = norm(at.gradient_at(at.x + times * s) - left - model)
        return bool(off <= 0.5 * norm(model))
