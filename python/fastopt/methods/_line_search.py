"""A line search for the strong Wolfe conditions that spends no gradient where the value says enough.

With phi(a) = f(x + a d), a step is accepted if

    phi(a) <= phi(0) + c1 a phi'(0)  and  |phi'(a)| <= c2 |phi'(0)|            (strong Wolfe), or
    |phi(a) - phi(0)| <= noise       and  c2 phi'(0) <= phi'(a) <= (2 delta - 1) phi'(0)   (approximate
    Wolfe),

the second (Hager & Zhang, SIAM J. Optim. 16, 2005, eq. 23-27) for where the fall of phi is lost in its
rounding. Between trials an interval is kept whose lower end has the lowest value met and a slope into the
interval, as in Moré & Thuente, ACM TOMS 20, 1994. A trial whose value is too high becomes the upper end
without its gradient being asked for: the parabola through three known numbers places the next trial. What was
measured for these choices is in docs/design/minimize.md.

Every search ends: after `_TRIALS` evaluations, or when the interval has no more numbers in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastopt.methods._interpolation import cubic, parabola, secant
from fastopt.methods._problem import Problem
from fastopt.methods._result import Stop

__all__ = ["LineSearch"]

_TRIALS = 50
_DELTA = 0.1  # of the approximate Wolfe conditions; Hager & Zhang's value
_NOISE = 10  # relative to f, in units of its precision: what summing a few terms leaves uncertain
_INTO_NOWHERE = 0.1  # of the way to a trial where f was not finite
_MARGIN = 0.1  # a trial keeps this share of the interval from its ends
_GROW = 9.0  # an interval without an upper end
#: So many times in a row f rose in proportion to the step, where its slope promised a fall beyond rounding:
#: curvature would have made it rise with the square. Either f turns within a small share of the step, as
#: x - log(x) does from beside 0, and steps shrink faster from now on; or its slope is wrong, if that goes on
#: until the promise is lost in rounding, or so often where f has none (it is 0).
_BROKEN, _HOPELESS = 3, 25
_FASTER = 0.1
#: Elements with less than this share of the slope do not count in what a step is short for.
_SHARE = 0.01
_WIDTH = 1e-14  # of an interval, relative to its upper end: no room for another trial


class LineSearch:
    """Searches along `vectors.d`; what was found is in `alpha`, `fun`, `slope` and `largest` (max
    |gradient|).

    The accepted point is `vectors.trial`. While a search is under way, and after it was cut short, `lower`
    says whether the kept vectors are a better point than the iterate; its value is `best_fun`. After a
    failure `disagree` says that f rose where its slope promised a fall well above rounding. `turned` says
    that f turns within a small share of the steps tried, if at all: its fall is no measure of what is left.
    """

    __slots__ = (
        "_best",
        "_broken",
        "_c1",
        "_c2",
        "_least",
        "_problem",
        "_promise",
        "_rate",
        "_risen",
        "_vectors",
        "alpha",
        "best_fun",
        "disagree",
        "fun",
        "high",
        "high_fun",
        "high_slope",
        "largest",
        "low",
        "low_fun",
        "low_slope",
        "lower",
        "slope",
        "turned",
    )  # fmt: skip

    def __init__(self, problem: Problem, vectors: Any, c1: float, c2: float) -> None:
        self._problem, self._vectors, self._c1, self._c2 = problem, vectors, c1, c2
        self.lower = self.disagree = self.turned = False
        self.high_slope: float | None = None
        self.best_fun = math.inf
        self._broken, self._risen = 0, math.inf

    def __call__(self, fun: float, slope: float, alpha: float) -> bool:
        """Search from phi(0) = `fun`, phi'(0) = `slope` < 0, trying `alpha` first. False: nothing lower
        found.
        """
        problem, vectors = self._problem, self._vectors
        armijo, flat, loose = self._c1 * slope, self._c2 * slope, (2 * _DELTA - 1) * slope
        noise = _NOISE * problem.eps * abs(fun)
        near = fun + noise
        self.turned = False
        for trial in range(_TRIALS):
            x = vectors.step(alpha)
            if not problem.exact:
                x[:] = problem.representable(x)
            f = problem.fun(x)
            low = f <= fun + alpha * armijo
            if low or f <= near:
                if f == -math.inf:
                    raise Stop("unbounded")
                s, largest = vectors.take(problem.raw_grad(x))
                if flat <= s and ((s <= loose and f >= fun - noise) or (low and s <= -flat)):
                    if trial > 0 and self._broken >= _BROKEN and f >= fun - noise:
                        break
                    self.alpha, self.fun, self.slope, self.largest = alpha, f, s, largest
                    if trial > 0 and self.lower and self.best_fun < f:
                        self._put_aside()
                    self.lower = False
                    return True
                if trial == 0:
                    self._begin(fun, slope, noise)
                if f < self.best_fun and math.isfinite(s):
                    vectors.keep()
                    self._best, self.best_fun, self.lower = (alpha, f, s, largest), f, True
                if not math.isfinite(s):
                    alpha = self._too_high(alpha, math.inf)
                elif s >= 0.0 or f > self.low_fun:
                    alpha = self._upper(alpha, f, s, f > near)
                else:
                    alpha = self._go_on(alpha, f, s, trial)
            else:
                if trial == 0:
                    self._begin(fun, slope, noise)
                alpha = self._too_high(alpha, f)
            if not alpha > 0.0:
                break
        return self._lowest(fun - noise)

    def _put_aside(self) -> None:
        """A trial that was lower than the accepted one, but too steep: the best point is promised."""
        self._vectors.keep()
        self._problem.record(self._vectors.trial.copy(), self.best_fun, self._vectors.trial_g.copy())
        self._vectors.keep()

    def _begin(self, fun: float, slope: float, noise: float) -> None:
        self.low, self.low_fun, self.low_slope = 0.0, fun, slope
        self.best_fun = fun
        self.high, self.high_fun, self.high_slope = math.inf, math.inf, None
        self.lower = False
        self._broken, self._rate, self._risen = 0, math.inf, math.inf
        self._promise = 1e3 * noise  # a fall that rounding cannot hide
        self._least = 1e-3 * noise  # a fall that nobody could see

    def _too_high(self, alpha: float, f: float) -> float:
        """A trial whose gradient was not asked for, or is not finite, ends the interval."""
        self.high, self.high_slope = alpha, None
        self.high_fun = f if f < math.inf else math.inf  # NaN counts as too high
        if self.high_fun == math.inf:
            return self._room(self.low + _INTO_NOWHERE * (alpha - self.low))
        if self.low == 0.0:
            if not -alpha * self.low_slope > self._promise:
                return 0.0 if self._broken >= _BROKEN else self._between(alpha, f)
            rate = (f - self.low_fun) / alpha
            self._broken = self._broken + 1 if rate > 0.5 * self._rate else 0
            self._rate, self._risen = rate, alpha
            if self._broken >= _BROKEN:
                self.turned = True
                return self._room(_FASTER * alpha) if self._broken < _HOPELESS else 0.0
        return self._between(alpha, f)

    def _between(self, alpha: float, f: float) -> float:
        """A trial short of `alpha`, where f is too high."""
        return self._within(parabola(self.low, self.low_fun, self.low_slope, alpha, f))

    def _upper(self, alpha: float, f: float, s: float, high: bool) -> float:
        """A minimum lies between the lower end and a trial that is higher, or where f rises."""
        low, low_fun, low_slope = self.low, self.low_fun, self.low_slope
        at = cubic(low, low_fun, low_slope, alpha, f, s)
        if f > low_fun:
            other = parabola(low, low_fun, low_slope, alpha, f) if high else secant(low, low_slope, alpha, s)
            if at is None or not high:
                at = other
            elif other is not None and abs(at - low) >= abs(other - low):
                at = 0.5 * (at + other)
        else:
            other = secant(low, low_slope, alpha, s)
            if at is None or (other is not None and abs(other - alpha) > abs(at - alpha)):
                at = other
        self.high, self.high_fun, self.high_slope = alpha, f, s
        if low == 0.0 and -alpha * low_slope < self._least:
            return 0.0
        return self._within(at)

    def _go_on(self, alpha: float, f: float, s: float, trial: int) -> float:
        """The lowest trial so far, and f still falls there: it is the new lower end."""
        before, before_fun, before_slope = self.low, self.low_fun, self.low_slope
        self.low, self.low_fun, self.low_slope = alpha, f, s
        if self.high == math.inf:
            step = alpha - before
            at = secant(before, before_slope, alpha, s)
            other = cubic(before, before_fun, before_slope, alpha, f, s)
            if at is not None and other is not None and other > alpha:
                at = max(at, other)
            most = alpha + _GROW ** (1 if trial < 4 else trial - 2) * step
            return most if at is None else min(max(at, alpha + 1.1 * step), most)
        if self.high_slope is not None:
            return self._within(cubic(alpha, f, s, self.high, self.high_fun, self.high_slope))
        if self.high_fun < math.inf:
            return self._within(parabola(alpha, f, s, self.high, self.high_fun))
        return self._within(secant(before, before_slope, alpha, s))

    def _within(self, at: float | None) -> float:
        """`at`, kept away from the ends of the interval; its middle for None."""
        width = self.high - self.low
        if at is None or not math.isfinite(at):
            at = self.low + 0.5 * width
        return self._room(min(max(at, self.low + _MARGIN * width), self.high - _MARGIN * width))

    def _room(self, alpha: float) -> float:
        """`alpha`, or 0 when the interval has become a point."""
        return alpha if self.high - self.low > _WIDTH * self.high else 0.0

    def _lowest(self, clearly_lower: float) -> bool:
        """No trial met the conditions: the lowest is taken all the same, if there was one."""
        if self.high == math.inf:
            raise Stop("unbounded")
        self.disagree = self._broken >= _BROKEN and self._risen <= self._short()
        if not self.lower or (self.disagree and self.best_fun >= clearly_lower):
            self.lower = False
            return False
        self._vectors.keep()
        self.alpha, self.fun, self.slope, self.largest = self._best
        self.lower = False
        return True

    def _short(self) -> float:
        """The step that takes an element which counts to 0: f may turn within less, below its rounding."""
        d, x = self._vectors.d, self._vectors.x
        with np.errstate(all="ignore"):
            slopes = np.abs(d * self._vectors.g)
            counts = (slopes >= _SHARE * np.max(slopes)) & (x != 0)
            return float(np.min(np.abs(x[counts] / d[counts]), initial=math.inf))
