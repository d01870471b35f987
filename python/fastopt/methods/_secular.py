r"""Global minimisers of the two model functions, in the eigenbasis of the (projected) Hessian.

With :math:`H = V \operatorname{diag}(w) V^T`, :math:`c = V^T g` and :math:`s = V y`, both are solved by
:math:`y_i = -c_i / (w_i + \lambda)` with :math:`\lambda \ge \max(0, -w_1)`, where

- trust region: :math:`\lambda = 0` if :math:`\|y\| \le \Delta` then, else :math:`\|y(\lambda)\| = \Delta`;
- cubic: :math:`\|y(\lambda)\| = \lambda / \sigma`.

The unknown here is :math:`\delta = \lambda + \min(0, w_1)`, the distance from the pole, so that next to it,
in the nearly hard case, no digit is lost. :math:`1 / \|y\|` and :math:`-\sigma / \lambda` are concave and
increasing: Newton's method on their sum (minus :math:`1 / \Delta`) climbs from any point left of the root
without ever passing it. In the hard case, c without a part in the lowest eigenspace and y too short at the
pole, a multiple of the lowest eigenvector is added.

Numbers of any size are met: where they are far from 1, lengths and forces are first divided by powers of two,
so that the largest of them is about 1.

Sources: Moré and Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553-572; Cartis, Gould and Toint, Math.
Program. 127 (2011) 245-295, section 6.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.lengths import norm

__all__ = ["Step", "cubic_step", "trust_region_step"]

Array = NDArray[Any]

EPS = float(np.finfo(np.float64).eps)
#: Newton's iterations at most. Usually 3 to 6; next to the hard case each gains a factor of 1.5.
MOST = 80
#: Below this, scaled, the cube is nothing; and its inverse is still in range.
_LEAST_SIGMA = 1e-290
#: Of the unit of length: the shortest normal number.
_MOST_EXPONENT = 1021


class Step(NamedTuple):
    """A minimiser: `y` in the eigenbasis, and its multiplier."""

    y: Array
    multiplier: float


def trust_region_step(w: Array, c: Array, radius: float) -> Step:
    """The minimiser of c'y + y'diag(w)y / 2 over |y| <= radius; `w` ascending, `radius` > 0."""
    force, bend, length = _exponent(c), _exponent(w), _exponent(radius)
    if _moderate(force, bend, length):
        return _in_the_ball(w, c, radius)
    if not w[0] < 0.0:  # Newton's step may lie inside
        if force is None:
            return Step(np.zeros_like(c), 0.0)
        if bend is not None:
            length = min(length, force - bend)
    length = max(length, -_MOST_EXPONENT)
    unit = max(e for e in (force, None if bend is None else bend + length) if e is not None)
    step = _in_the_ball(
        np.ldexp(w, length - unit), _small(c, -unit), _ldexp(min(radius, sys.float_info.max), -length)
    )
    return _unscaled(step, length, unit)


def cubic_step(w: Array, c: Array, sigma: float) -> Step:
    """The minimiser of c'y + y'diag(w)y / 2 + sigma |y|^3 / 3; `w` ascending, `sigma` > 0."""
    force, bend, cube = _exponent(c), _exponent(w), _exponent(sigma)
    if _moderate(force, bend, cube):
        return _with_the_cube(w, c, sigma)
    lengths = []
    if force is not None:
        lengths.append(min([(force - cube) // 2, *([] if bend is None else [force - bend])]))
    if w[0] < 0.0:  # |y| is at least -w[0] / sigma
        lengths.append(_exponent(float(w[0])) - cube)
    if not lengths:
        return Step(np.zeros_like(c), 0.0)
    length = max(lengths)
    forces = (force, None if bend is None else bend + length, cube + 2 * length)
    unit = max(e for e in forces if e is not None)
    scaled = _ldexp(sigma, 2 * length - unit)
    step = _with_the_cube(np.ldexp(w, length - unit), _small(c, -unit), max(scaled, _LEAST_SIGMA))
    step = _unscaled(step, length, unit)
    if scaled < _LEAST_SIGMA:  # Newton's step to the last bit, its multiplier is what the cube would ask for
        step = step._replace(multiplier=max(sigma * norm(step.y), -float(w[0])))
    return step


def _exponent(values: Any) -> Any:
    """e with the largest magnitude in [2^(e-1), 2^e); None if all are 0."""
    largest = float(np.abs(values).max())
    return math.frexp(min(largest, sys.float_info.max))[1] if largest else None


def _moderate(*exponents: int | None) -> bool:
    """Whether no product or quotient of a few such numbers leaves the range."""
    return all(e is None or abs(e) < 200 for e in exponents)


def _ldexp(value: float, exponent: int) -> float:
    """value 2^exponent, or the largest number where that is beyond the range."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return sys.float_info.max


def _small(c: Array, exponent: int) -> Array:
    """c 2^exponent, at most 1 in size; what then is below the normal numbers is 0, and costs no precision."""
    scaled = np.ldexp(c, exponent)
    return np.where(np.abs(scaled) < _LEAST_SIGMA, 0.0, scaled)


def _unscaled(step: Step, length: int, unit: int) -> Step:
    with np.errstate(over="ignore"):
        y = np.ldexp(step.y, length)
    return step._replace(y=y, multiplier=_ldexp(step.multiplier, unit - length))


def _in_the_ball(w: Array, c: Array, radius: float) -> Step:
    pole = max(0.0, -float(w[0]))
    gaps = w + pole
    # |y| is at least each |y_i|, so the root is right of where any of them alone reaches the radius.
    left = max(0.0, float((np.abs(c) / radius - gaps).max()))
    if left == 0.0 and _lengths(c, gaps, 0.0)[0] <= radius:
        return _at_the_pole(gaps, c, pole, radius)

    def newton(delta: float, length: float, q: float) -> float:
        return delta + (length - radius) / radius / q

    delta = _root(c, gaps, left, newton)
    return Step(_y(c, gaps, delta), delta + pole)


def _with_the_cube(w: Array, c: Array, sigma: float) -> Step:
    pole = max(0.0, -float(w[0]))
    gaps = w + pole
    left = _cubic_bound(gaps, pole, sigma * np.abs(c))
    if left == 0.0 and _lengths(c, gaps, 0.0)[0] <= pole / sigma:
        return _at_the_pole(gaps, c, pole, pole / sigma)

    def newton(delta: float, length: float, q: float) -> float:
        multiplier = delta + pole
        ratio = sigma * length / multiplier
        return delta - (1.0 - ratio) / (q + ratio / multiplier)

    delta = _root(c, gaps, left, newton)
    return Step(_y(c, gaps, delta), delta + pole)


def _cubic_bound(gaps: Array, pole: float, c: Array) -> float:
    """The largest delta at which some |y_i| alone reaches lambda / sigma, c being sigma |c|; at least 0.

    They solve (delta + gap) (delta + pole) = c, taken without cancellation.
    """
    half = (gaps + pole) / 2
    product = c - gaps * pole
    root = half + np.sqrt((gaps - pole) ** 2 / 4 + c)
    return max(0.0, float((product / np.where(product > 0.0, root, 1.0)).max()))


def _root(c: Array, gaps: Array, left: float, newton: Callable[[float, float, float], float]) -> float:
    delta = left
    for _ in range(MOST):
        later = newton(delta, *_lengths(c, gaps, delta))
        if not later > delta * (1.0 + 4 * EPS):
            break
        delta = later
    return delta


def _lengths(c: Array, gaps: Array, delta: float) -> tuple[float, float]:
    """L = |y|, and -L' / L = sum (y_i / L)^2 / (gap_i + delta); the pole counts where c has a part in it."""
    y = _y(c, gaps, delta)
    length = norm(y)
    if length == 0.0:
        return 0.0, math.inf
    part = y / length
    pole = gaps + delta if delta > 0.0 else np.where(part == 0.0, 1.0, gaps)
    return length, float(part @ (part / pole))


def _y(c: Array, gaps: Array, delta: float) -> Array:
    pole = gaps + delta if delta > 0.0 else np.where((gaps == 0.0) & (c == 0.0), 1.0, gaps)
    y: Array = -c / pole
    return y


def _at_the_pole(gaps: Array, c: Array, multiplier: float, radius: float) -> Step:
    """The hard case, or Newton's step inside: nothing is added where no eigenvalue is negative."""
    y = _y(c, gaps, 0.0)
    if multiplier > 0.0:
        length = norm(y)
        y[0] = math.sqrt(max(0.0, radius - length)) * math.sqrt(radius + length)
    return Step(y, multiplier)
