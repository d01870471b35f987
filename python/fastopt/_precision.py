"""Numbers in other precisions than NumPy's: bfloat16 as bit patterns, eight-bit codes, remainders."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt import _dispatch
from fastopt._memory import buffers, flat_of

__all__ = ["GROUP", "Coded", "Remainder", "is_bfloat16", "like", "narrowed", "why_no_scales", "widened"]

Array = NDArray[Any]

#: Elements that share a scale; as in the engine.
GROUP = 64


class Coded(NamedTuple):
    """A state in eight bits: codes laid out as the parameter, and a float32 scale for 64 of them in memory.

    Codes of squares (`positive`) have no sign.
    """

    codes: Array
    scales: Array
    positive: bool

    def saved(self) -> dict[str, Array]:
        """Copies as a state dict has them: codes of one axis, in the order of memory."""
        return {"codes": flat_of(self.codes).copy(), "scales": self.scales.copy()}

    def decoded(self) -> Array:
        """The numbers as float32, laid out as the codes."""
        return like(self.codes, _dispatch.core.decode(flat_of(self.codes), self.scales, self.positive))


def why_no_scales(codes: Array, scales: Array, positive: bool) -> str | None:
    """Why these cannot be the scales of codes, both of one axis; None if they can."""
    if not np.isfinite(scales).all():
        return f"scale {int(np.flatnonzero(~np.isfinite(scales))[0])} is not finite"
    # a sign says that some of the codes are no numbers: the code of infinity, else that of the largest square
    for group in np.flatnonzero(np.signbit(scales)):
        if not (codes[group * GROUP : (group + 1) * GROUP] == (255 if positive else 128)).any():
            return f"scale {int(group)} is negative"
    return None


class Remainder(NamedTuple):
    """What a parameter in half precision leaves out, laid out as it is."""

    kind: str
    array: Array

    def exact(self, parameter: Array) -> Array:
        """The parameter with its remainder, as float32."""
        if self.kind == "kahan":
            return _with_rest(parameter, self.array)
        shift = np.int32(0 if self.kind == "split16" else 8)
        upper = parameter.view(np.uint16).astype(np.uint32) << np.uint32(16)
        magnitude, sign = upper & np.uint32(0x7FFFFFFF), upper & np.uint32(0x80000000)
        with np.errstate(over="ignore"):  # NumPy warns of numbers without axes
            both = magnitude + np.asarray(self.array.astype(np.int32) << shift).view(np.uint32)
        void = both > 0x7F800000  # of a zero or an infinity that was written from outside
        exact: Array = np.asarray(np.where(void, magnitude, both) | sign).view(np.float32)
        return exact


def _with_rest(parameter: Array, rest: Array) -> Array:
    """Kahan's sum where it rounds to the parameter, a tie either way; else that was written from outside."""
    half_unit = 0x8000 if is_bfloat16(parameter) else 0x1000
    value = widened(parameter)
    with np.errstate(invalid="ignore", over="ignore"):
        both = np.asarray(value + widened(rest))
    away = both.view(np.uint32).astype(np.int64) - np.asarray(value).view(np.uint32)
    return np.where(np.abs(away) <= half_unit, both, value)


def is_bfloat16(array: Array) -> bool:
    """Whether the items are bfloat16, or their bit patterns."""
    return array.dtype == np.uint16 or array.dtype.name == "bfloat16"


def widened(array: Array) -> Array:
    """As float32; bit patterns of bfloat16 too."""
    if not is_bfloat16(array):
        return array.astype(np.float32)
    # without axes NumPy shifts to a number, which is no array
    bits = np.asarray(array.view(np.uint16).astype(np.uint32) << np.uint32(16))
    wide: Array = bits.view(np.float32)
    return wide


def narrowed(array: Array, dtype: np.dtype[Any]) -> Array:
    """A state in another precision, to nearest, ties to even; finite numbers stay finite in float16."""
    if dtype == np.float16:
        most = np.finfo(np.float16).max
        return np.where(np.isfinite(array), np.clip(array, -most, most), array).astype(dtype)
    if dtype.itemsize != 2:
        return array.astype(dtype)
    bits = array.astype(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    narrow: Array = np.where(np.isnan(array), quiet, rounded).astype(np.uint16).view(dtype)
    return narrow


def like(array: Array, flat: Array) -> Array:
    """The items of `flat`, in the order of memory, as an array laid out as `array`."""
    laid_out = buffers([array], [flat.dtype], slot=0)[0]
    flat_of(laid_out)[...] = flat
    return laid_out
