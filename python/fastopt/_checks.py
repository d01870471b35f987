"""Checks of scalar arguments, shared by the pure-Python parts.

Every message reads `name: expected ..., got ...`. A bool is refused where a number is expected: it is one for
Python, but `lr=True` is a mistake.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import operator
import os
import reprlib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

__all__ = [
    "brief",
    "dtype_name",
    "flag",
    "integer",
    "is_computed",
    "path_of",
    "positive",
    "positive_or_none",
    "real",
    "sample",
    "shown",
    "word",
]

#: Integers up to here are exact in float64, so `k / total` rounds once and never overflows.
EXACT_IN_DOUBLE = 2**53


def is_computed(dtype: Any) -> bool:
    """Whether it is float64 or float32, which are computed with, in either byte order.

    By type, for a long double of 8 bytes (Windows, macOS on ARM) has float64's kind and size, and NumPy holds
    the two equal; the compiled code does not take it.
    """
    return getattr(dtype, "type", None) in (np.float64, np.float32)


def dtype_name(dtype: Any) -> str:
    """As NumPy writes it, but for a long double of 8 bytes, which it calls float64."""
    return "longdouble" if dtype.type is np.longdouble and dtype.itemsize == 8 else str(dtype)


def brief(value: object) -> str:
    """What came, for the end of a message: `repr`, and words where Python refuses to write so many digits."""
    return _written(repr, value)


def shown(value: object) -> str:
    """The same with the type, in one line however large the value is."""
    return f"{_written(reprlib.repr, value)} of type {type(value).__name__}"


def _written(write: Callable[[object], str], value: object) -> str:
    try:
        return write(value)
    except ValueError:  # an integer beyond sys.get_int_max_str_digits(), or something that holds one
        if isinstance(value, int):
            return f"an integer of {value.bit_length()} bits"
        return f"a {type(value).__name__} with an integer of too many digits to be written"


def word(name: str, value: object, options: Collection[str], wanted: str | None = None) -> str:
    """Return `value` if it is one of these words: text, for an array equals its elements and a list has no
    hash.
    """
    if isinstance(value, str) and value in options:
        return value
    wanted = wanted or f"one of {', '.join(map(repr, options))}"
    raise ValueError(f"{name}: expected {wanted}, got {brief(value)}")


def real(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as a finite float within the interval; open ends are excluded."""

    def wanted() -> str:
        low, high = ("(" if open_low else "["), (")" if open_high else "]")
        if math.isinf(minimum) and math.isinf(maximum):
            return "a finite number"
        if math.isinf(maximum):
            return f"a finite number {'>' if open_low else '>='} {minimum:g}"
        if math.isinf(minimum):
            return f"a finite number {'<' if open_high else '<='} {maximum:g}"
        return f"a number in {low}{minimum:g}, {maximum:g}{high}"

    # NumPy's bool is not a Real; 0-d arrays are not either: an argument that can change later is refused.
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {wanted()}, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    inside = (minimum < number if open_low else minimum <= number) and (
        number < maximum if open_high else number <= maximum
    )
    if not (math.isfinite(number) and inside):
        raise ValueError(f"{name}: expected {wanted()}, got {brief(value)}")
    return number


def sample(name: str, value: object) -> float:
    """Return what was measured as a float: NaN and infinity as they are, also of any library's array without
    axes.
    """
    number: Any = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    text_or_truth = isinstance(number, (str, bytes, bool, np.bool_))
    imaginary = isinstance(number, numbers.Complex) and not isinstance(number, numbers.Real)
    if not text_or_truth and not imaginary and getattr(number, "ndim", 0) == 0:
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(number)
    raise TypeError(f"{name}: expected a number, got {shown(value)}")


def positive(name: str, value: object) -> float:
    """Return `value` as a finite float above 0."""
    return real(name, value, minimum=0.0, open_low=True)


def positive_or_none(name: str, value: object) -> float | None:
    return None if value is None else positive(name, value)


def integer(name: str, value: object, *, minimum: int, maximum: int | None = EXACT_IN_DOUBLE) -> int:
    """Return `value` as an int of at least `minimum` (NumPy's integers are accepted, floats never)."""
    wanted = f"an integer >= {minimum}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected {wanted}, got {shown(value)}")
    try:
        number = operator.index(value)
    except TypeError as error:  # an array of several elements has __index__ too
        raise TypeError(f"{name}: expected {wanted}, got {shown(value)}") from error
    if number < minimum:
        raise ValueError(f"{name}: expected {wanted}, got {brief(number)}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name}: expected {wanted} and <= {maximum}, got {brief(number)}")
    return number


def path_of(name: str, value: object) -> str:
    """Return `value` as text if it is a path: text, bytes or an object with one."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name}: expected a str or path-like object, got {shown(value)}")
    found = os.fsdecode(value)
    if "\0" in found:
        raise ValueError(f"{name}: expected a name without null characters, got {value!r}")
    return found


def flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False (NumPy's included)."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)
