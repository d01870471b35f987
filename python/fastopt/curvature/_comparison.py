"""A function and its gradient, compared along lines; by complex steps where f is analytic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.curvature._gradient_report import Finding, Target, finding_of
from fastopt.curvature._kink import Slope
from fastopt.curvature._lines import ProbeDirection, Walk, random_direction
from fastopt.curvature._probe import probe, unsteadiness
from fastopt.functions.counted import ScalarFunction, VectorFunction
from fastopt.functions.lengths import lengths, ulps

Array = NDArray[Any]

#: The other points lie so far from x, in units of its own lengths.
AROUND = 0.1
#: Two calls at the same point may differ by so many eps: sums in another order.
REORDERED = 1e3
#: Of the arithmetic here.
EPS = float(np.finfo(np.float64).eps)
#: Directions that the noise of f is taken from, the worst of them: one alone can miss that f moves in jumps.
NOISE_DIRECTIONS = 4
#: Its square is lost beside anything, in float32 too.
STEP = 1e-20


class Comparison:
    """The two functions, and how they are compared."""

    complex_step = False

    def __init__(
        self,
        f: ScalarFunction,
        g: VectorFunction,
        tol: float,
        rng: np.random.Generator,
    ) -> None:
        self.f, self.g, self.tol, self.rng = f, g, tol, rng
        self.noise = 0.0

    def evaluated(self, flat: Array) -> tuple[Array, float, Array]:
        """The point with f and its gradient there: finite, and the same at every call."""
        value = self.f(flat)
        gradient = self.g(flat)
        if not np.isfinite(value):
            raise ValueError(f"f at x: expected a finite value, got {value}")
        self.g.layout.finite(gradient, "grad at x")
        others = [self.f(flat) for _ in range(2)]
        apart = max(abs(other - value) for other in others)
        if not apart <= REORDERED * self.f.eps * abs(value):
            raise ValueError(
                f"f: expected the same value at every call, got {value!r} and "
                f"{max(others, key=lambda o: abs(o - value))!r} at the same x: fix what is random in it"
            )
        again = self.g(flat)
        size = float(np.max(np.abs(gradient)))
        change = np.abs(again.astype(np.float64) - gradient)
        if not np.max(change) <= REORDERED * self.g.eps * size:
            i = int(np.argmax(change))
            raise ValueError(
                f"grad: expected the same values at every call, got {gradient[i]!r} and {again[i]!r} for "
                f"{self.g.layout.where(i)} at the same x: fix what is random in it"
            )
        return flat, value, gradient.astype(np.float64)

    def measure_noise(self, flat: Array, value: float, gradient: Array) -> None:
        """The noise of f at this point, along a direction that moves every digit: some lines move too few.

        It moves each element by a share of itself. Steps of one length are too long for the small ones: of
        sqrt(x) at 1e-14 they show the jump to its values around 1, which is none of noise.
        """
        self.noise = abs(self.f(flat) - value)
        for _ in range(NOISE_DIRECTIONS):
            line = random_direction(self.g.layout, flat, self.rng, digits=True)
            walk, share = self._walk(flat, gradient, line), self.rng.uniform(0.3, 1.0)
            self.noise = max(self.noise, unsteadiness(walk, value, line, share, self.f.eps))

    def random_point(self, flat: Array) -> tuple[Array, float, Array]:
        """A random point around x; nearer to it if the functions are not finite there."""
        move = AROUND * self.rng.standard_normal(flat.size) * lengths(self.g.layout, flat)
        for _ in range(10):
            with np.errstate(all="ignore"):
                at = self.g.layout.rounded(flat + move).astype(flat.dtype)
                if np.isfinite(self.f(at)) and np.isfinite(self.g(at)).all():
                    return self.evaluated(at)
            move *= 0.5
        raise ValueError("points: expected finite values of f and grad around x, got none at ten distances")

    def gradient(
        self, flat: Array, value: float, gradient: Array, line: ProbeDirection, point: int
    ) -> Finding:
        """The finding along one line."""
        u = line.vector(flat.size)
        claimed = float(gradient @ u)
        # What rounding the gradient costs: its largest terms may have cancelled in the small ones.
        floor = 8.0 * self.g.eps * max(float(np.abs(gradient) @ np.abs(u)), float(np.max(np.abs(gradient))))
        target = Target("grad", line.where, line.parameter, line.index, point)
        walk = self._walk(flat, gradient, line)
        finding = probe(target, walk, value, line, claimed, self.f.eps, self.noise, floor, self.tol)
        if self.complex_step and finding.kink is None and not finding.one_sided:
            return complex_slope(self.f, flat, u, finding, floor, self.tol)
        return finding

    def _walk(self, flat: Array, gradient: Array, line: ProbeDirection) -> Walk:
        x = flat.astype(np.float64)
        u = line.vector(flat.size)

        def walk(t: float) -> tuple[float, float]:
            move = self.g.layout.rounded(x + t * u) - x
            if line.unit is None:
                taken = float(move @ u)
                return taken, self.f((x + move).astype(flat.dtype))
            # Rounding of x bends the line. The elements with the finest digits say how far it went.
            gaps = ulps(self.g.layout, x + move)
            finest = u * (np.min(gaps[u != 0]) / gaps) ** 2
            taken = float(move @ finest) / float(u @ finest)
            aside = move - taken * u
            # The gradient in question is good enough to straighten it, for elements that have not gone far.
            aside[np.abs(move) > np.abs(x)] = 0.0
            straight = np.max(np.abs(aside)) <= 8.0 * EPS * abs(t)
            bent = 0.0 if straight else float(gradient @ aside)
            return taken, self.f((x + move).astype(flat.dtype)) - bent

        return walk


def complex_slope(
    f: ScalarFunction, flat: Array, u: Array, finding: Finding, floor: float, tol: float
) -> Finding:
    r"""`finding` again, with :math:`\operatorname{Im} f(x + ihu) / h` in place of the differences.

    Raises ValueError if the two disagree beyond the uncertainty of the differences: f is not analytic.
    Source: Squire and Trapp, SIAM Review 40 (1998).
    """
    kind = np.complex64 if flat.dtype == np.float32 else np.complex128
    f.calls += 1
    shifted = flat.astype(kind) + (1j * STEP * u).astype(kind)
    value = f.function(f.layout.collected(f.layout.parts(shifted)))
    result = np.asarray(value)
    if result.size != 1 or result.dtype.kind != "c":
        raise TypeError(f"f: expected a complex number for complex x (complex_step), got {shown(value)}")
    slope = float(result.reshape(()).imag) / STEP
    if not abs(slope - finding.found) <= finding.uncertainty + 1e-6 * max(abs(slope), abs(finding.found)):
        raise ValueError(
            f"complex_step: expected an analytic f, got {slope:.10g} along {finding.where} where differences "
            f"give {finding.found:.10g} +- {finding.uncertainty:.1g}"
        )
    error = 32.0 * f.eps * abs(slope)
    target = Target(*finding[:5])
    return finding_of(target, finding.claimed, Slope(slope, error, (slope, slope), None, False), floor, tol)
