"""Numbers in other precisions than NumPy's: bfloat16 as bit patterns, eight-bit codes, remainders."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt import _dispatch
from fastopt._memory import buffers, flat_of

__all__ = ["GROUP", "Coded", "Remainder", "is_bfloat16", "like", "narrowed", "widened"]

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


class Remainder(NamedTuple):
    """What a parameter in half precision leaves out, laid out as it is."""

    kind: str
    array: Array

    def exact(self, parameter: Array) -> Array:
        """The parameter with its remainder, as float32."""
        if self.kind == "kahan":
            return np.asarray(widened(parameter) + widened(self.array))
        shift = np.int32(0 if self.kind == "split16" else 8)
        upper = parameter.view(np.uint16).astype(np.int32) << np.int32(16)
        exact: Array = np.asarray(upper + (self.array.astype(np.int32) << shift)).view(np.float32)
        return exact


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
    """Float32 in another precision, to nearest, ties to even."""
    if dtype.itemsize != 2 or dtype == np.float16:
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
