"""Axes: from numbers to places on the paper, with ticks where a person would put them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high`, linear or logarithmic, laid out from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """(value, label) of about `count` round values."""
        return self._log_ticks(count) if self.log else self._linear_ticks(count)

    def _linear_ticks(self, count: int) -> list[tuple[float, str]]:
        step = nice_step((self.high - self.low) / count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(i * step, plain(i * step, digits)) for i in range(first, last + 1)]

    def _log_ticks(self, count: int) -> list[tuple[float, str]]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = max(1, round((last - first) / count))
        digits = (1,) if last - first > 2 else (1, 2, 5)
        values = [d * 10.0**e for e in range(first, last + 1, every) for d in digits]
        return [(v, power(v)) for v in values if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]


def nice_step(raw: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `raw`.

    >>> nice_step(0.13), nice_step(30.0)
    (0.2, 50.0)
    """
    base: float = 10.0 ** math.floor(math.log10(raw))
    return next(m * base for m in (1.0, 2.0, 5.0, 10.0) if m * base >= raw * (1 - 1e-9))


def plain(value: float, digits: int) -> str:
    """A tick label without needless digits; powers of ten where it would be long."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        exponent = math.floor(math.log10(abs(value)))
        return f"{value / 10**exponent:g}·10{str(exponent).translate(SUPERSCRIPTS)}"
    return f"{value:,.{digits}f}"


def power(value: float) -> str:
    """A label on a logarithmic axis.

    >>> power(0.001), power(0.5), power(2e-05)
    ('10⁻³', '0.5', '2·10⁻⁵')
    """
    if 0.01 <= value < 10000:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**exponent)
    text = f"10{str(exponent).translate(SUPERSCRIPTS)}"
    return text if digit == 1 else f"{digit}·{text}"


def span(values: Iterable[float], log: bool) -> tuple[float, float]:
    """Least and largest finite value (positive ones for a logarithmic axis), with some air around."""
    usable = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not usable:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(usable), max(usable)
    if log:
        # At least half a decade, and air in proportion to the decades shown.
        air = max(0.03 * math.log10(high / low), 0.25 - 0.5 * math.log10(high / low), 0.02)
        return low / 10**air, high * 10**air
    air = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - air, high + air
