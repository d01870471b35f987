"""`escape`: leave a saddle along its most negative curvature, by a step that is seen to work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, shown
from fastopt.curvature._point import signed
from fastopt.curvature._source import spectrum_at
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.lengths import norm

Array = NDArray[Any]

__all__ = ["EscapeResult", "escape"]

#: The first step is to lower f by so many times its noise.
ABOVE_NOISE = 10.0
#: A decrease counts from so many times the noise.
REAL = 2.0
#: Steps from x = 0 need not be larger than this.
SMALLEST = 1e-300
#: From x = 0, where nothing is known of lengths, steps shrink by so many octaves until f follows its Hessian.
SHORTER = 32
#: Strides of a growing step, in octaves: the longest, and the last where the first step was a guess.
LONGEST, FINEST = 32.0, 2.0**-8


class Attempt(NamedTuple):
    """One evaluation: the signed step along the direction, and f there."""

    step: float
    value: float


@dataclass(frozen=True, eq=False)
class EscapeResult:
    """What `escape` did. Print it to read it.

    Attributes
    ----------
    x : structure of the given x
        The new point; a copy of the given one if `moved` is False.
    moved : bool
        Whether a point with a really smaller f was found.
    decrease : float
        f at the given point minus f at `x`; 0 if not moved.
    value : float
        f at `x`.
    step : float
        The length of the step taken, negative if against `direction`.
    direction : structure of x, or None
        The unit direction of the most negative curvature, downhill; None if there is none.
    curvature : float
        u'Hu along it, or the smallest eigenvalue found.
    noise : float
        The level below which differences of f were not believed.
    attempts : tuple of (step, value)
        Every evaluation along the direction, in order; no step occurs twice.
    message : str
        What happened, in words.
    """

    x: Any
    moved: bool
    decrease: float
    value: float
    step: float
    direction: Any
    curvature: float
    noise: float
    attempts: tuple[Attempt, ...]
    message: str

    def __str__(self) -> str:
        lines = [self.message]
        before = self.value + self.decrease
        lines += [f"  step {a.step:+.4g}: f changes by {a.value - before:+.4g}" for a in self.attempts]
        return "\n".join(lines)


def escape(
    f: Callable[..., Any],
    grad: Callable[..., Any] | None,
    x: Any,
    *,
    hessian: Any = None,
    hvp: Any = None,
    error: float | None = None,
    max_attempts: int = 60,
) -> EscapeResult:
    r"""Leave a saddle or a maximum along its most negative curvature.

    With u the unit eigenvector of the smallest eigenvalue :math:`\lambda < -\tau`, f falls like
    :math:`\lambda t^2 / 2` on both sides of x. The first step is long enough for the decrease to stand out of
    the noise of f, :math:`t_0 = \sqrt{2 \cdot 10\, \mathrm{noise} / |\lambda|}`: a shorter one leads back to
    the same saddle. Downhill (:math:`-\mathrm{sign}(g^T u)`) is tried first, then the other side, then both
    with longer steps, last with shorter ones. From the first real decrease the step grows, faster and faster,
    for as long as f falls by half of what g and H promise, then doubles while f falls. At x = 0, where
    neither x nor the noise says how long a step is, it begins where f ceases to keep that promise.

    Parameters
    ----------
    f : callable
        The loss: takes x, or its like in new arrays, and returns a number.
    grad : callable or None
        Its gradient; None if `hessian` or `hvp` is given.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The point to leave. Not changed.
    hessian, hvp, error
        As in :func:`fastopt.critical_point`.
    max_attempts : int, default 60
        Evaluations of f along the direction, at most.

    Returns
    -------
    EscapeResult
        ``x``, ``moved``, ``decrease``, ``attempts``, ``message``, ...

    Raises
    ------
    TypeError, ValueError
        As :func:`fastopt.critical_point`. Where f is not finite away from x, the step is refused; at x it is
        an error. What the user's functions raise passes through.

    Notes
    -----
    A decrease counts if it is above twice the noise of f, which is measured at x. The noise and 60 steps
    cost as many evaluations of f. Perturbed gradient descent (Jin et al., ICML 2017) escapes by chance and
    needs no Hessian; here the direction is computed, so one success is certain where f follows its Hessian.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda w: (1 - w[0] * w[1]) ** 2
    >>> grad = lambda w: -2 * (1 - w[0] * w[1]) * w[::-1]
    >>> result = fastopt.escape(f, grad, np.zeros(2))
    >>> result.moved, result.value < 0.5, len(result.attempts) < 40
    (True, True, True)
    """
    if f is None:
        raise TypeError(f"f: expected a function of x, got {shown(f)}")
    max_attempts = integer("max_attempts", max_attempts, minimum=1)
    at = Evaluation(f, grad, x)
    g = None if at.problem.grad is None else at.g
    start = at.value
    spectrum = spectrum_at(at, hessian, hvp, error)
    curvature, u = spectrum.lowest()
    if not curvature < -spectrum.tau:
        return _result(at, None, curvature, (), 0.0, _nothing(curvature, spectrum.tau))
    u = signed(u, g)
    search = _Search(at, u, start, max_attempts, curvature, 0.0 if g is None else float(g @ u))
    step = search.run()
    return _result(at, u, curvature, tuple(search.attempts), step, search.message)


class _Search:
    """Evaluations along one direction, no step twice."""

    def __init__(
        self, at: Evaluation, u: Array, start: float, limit: int, curvature: float, slope: float
    ) -> None:
        self.at, self.u, self.start, self.limit = at, u, start, limit
        self.curvature, self.slope = curvature, slope
        self.noise = at.value_noise
        self.attempts: list[Attempt] = []
        self.values: dict[float, float] = {}
        self.message = ""

    def run(self) -> float:
        """The step to take, 0 for none."""
        first, guessed = self._first_step()
        step = self._short_enough(first) if guessed else 0.0
        if step:
            return self._expand(step, True)
        for step in self._ladder(first):
            if self._value(step) < self.start - REAL * self.noise:
                return self._expand(step, False)
            if len(self.attempts) >= self.limit:
                break
        self.message = (
            f"not moved: curvature {self.curvature:.4g} promised a decrease, but f did not fall by more than "
            f"its noise, {self.noise:.2g}, in {len(self.attempts)} attempts with steps up to "
            f"{max(abs(a.step) for a in self.attempts):.3g}; f and the Hessian may not belong together"
        )
        return 0.0

    def _first_step(self) -> tuple[float, bool]:
        """Above the noise of f, and above what rounding of x swallows; whether it has any unit but 1."""
        size = norm(self.at.x)
        heard = math.sqrt(2 * ABOVE_NOISE * self.noise / -self.curvature)
        swallowed = math.sqrt(self.at.f.eps) * (size or 1.0)
        return max(heard, swallowed), size == 0.0 and heard < swallowed

    def _short_enough(self, first: float) -> float:
        """Down from `first` to a step on which f does what its derivatives say; 0 if there is none."""
        step = first
        while step > SMALLEST and len(self.attempts) < self.limit // 2:
            for signed_step in (step, -step):
                if self._follows(signed_step):
                    return signed_step
            step *= 2.0**-SHORTER
        return 0.0

    def _follows(self, step: float) -> bool:
        """Whether f falls by half or more of what its derivatives promise, and beyond noise."""
        promised = -(self.slope + 0.5 * self.curvature * step) * step
        fall = self.start - self._value(step)
        return math.isfinite(fall) and fall > REAL * self.noise and fall >= 0.5 * promised > 0.0

    def _ladder(self, first: float) -> Iterator[float]:
        size = norm(self.at.x)
        step = first
        while step <= max(first, 10 * (size or 1.0)):
            yield step
            yield -step
            step *= 4
        shortest = 4 * self.at.f.eps * size or SMALLEST
        step = first / 2
        while step > shortest:
            yield step
            yield -step
            step /= 16

    def _expand(self, step: float, guessed: bool) -> float:
        best = self._far_as_promised(step, guessed)
        value = self._value(best)
        ended = "until f rose again"
        while True:
            if len(self.attempts) >= self.limit:
                ended = f"and f was still falling after {self.limit} attempts"
                break
            after = self._value(2 * best)
            if not (math.isfinite(after) and after < value - self.noise):
                break
            best, value = 2 * best, after
        self.message = (
            f"moved by {abs(best):.4g} along the direction of curvature, f from {self.start:.8g} to "
            f"{value:.8g}: the step was doubled {ended}"
        )
        return best

    def _far_as_promised(self, step: float, guessed: bool) -> float:
        """About the longest step on which f does what its derivatives say, in strides that double.

        That length is the function's own: found to 1/256 of an octave where the first step was a guess, so
        that what follows does not depend on the unit of x.
        """
        low, leap, high = 0.0, 1.0, math.inf
        finest = FINEST if guessed else 1.0
        while high - low > finest and len(self.attempts) < self.limit:
            octaves = low + leap if high == math.inf else 0.5 * (low + high)
            if finest == 1.0:
                octaves = math.floor(octaves)
            if self._follows(step * 2.0**octaves):
                low, leap = octaves, min(2.0 * leap, LONGEST)
            else:
                high = octaves
        return step * float(2.0**low)

    def _value(self, step: float) -> float:
        if step in self.values:
            return self.values[step]
        at = self.at
        with np.errstate(all="ignore"):
            value = at.f((at.x + step * self.u).astype(at.x.dtype, copy=False))
        self.attempts.append(Attempt(step, value))
        self.values[step] = math.inf if math.isnan(value) else value
        return self.values[step]


def _nothing(curvature: float, tau: float) -> str:
    return (
        f"not moved: there is no negative curvature to follow; the smallest eigenvalue is {curvature:.4g}, "
        f"known within {tau:.2g}"
    )


def _result(
    at: Evaluation,
    u: Array | None,
    curvature: float,
    attempts: tuple[Attempt, ...],
    step: float,
    message: str,
) -> EscapeResult:
    value = next((a.value for a in attempts if a.step == step), at.value)
    flat = at.x if u is None else at.x + step * u
    return EscapeResult(
        at.problem.structured(flat),
        step != 0.0,
        at.value - value,
        value,
        step,
        None if u is None else at.problem.structured(u),
        curvature,
        at.value_noise,
        attempts,
        message,
    )
