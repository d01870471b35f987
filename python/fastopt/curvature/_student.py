"""Quantiles of Student's t distribution, for intervals from a handful of probes."""

from __future__ import annotations

import math

__all__ = ["student_quantile"]


def student_quantile(confidence: float, freedom: int) -> float:
    """t such that a Student t variable of `freedom` degrees is within [-t, t] with this probability.

    >>> round(student_quantile(0.95, 9), 3)
    2.262
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| <= t): the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    term = 1.0 if freedom % 2 == 0 else math.cos(angle)
    total = term if freedom > 1 else 0.0
    for k in range(1 if freedom % 2 == 0 else 2, freedom - 2, 2):
        term *= square * k / (k + 1)
        total += term
    if freedom % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)
