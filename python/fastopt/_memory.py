"""Buffers of an optimizer: states and averages, laid out like the parameters they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastopt._checks import brief

Array = NDArray[Any]

_LINE = 64  # bytes; a tensor's state starts in a cache line of its own
_WORTH_IT = 1 << 14  # bytes of a parameter


def storage_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """A dtype that states may be stored in; "bfloat16" means uint16 bit patterns where NumPy has no such
    dtype.
    """
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):  # the latter of NumPy's own message, where it cannot write the number
        if not (isinstance(dtype, str) and dtype == "bfloat16"):
            raise TypeError(f"state_dtype: expected a floating-point dtype, got {brief(dtype)}") from None
        found = np.dtype(np.uint16)
    if (
        not (isinstance(dtype, str) and dtype == "bfloat16")
        and not (found.isnative and found.type in (np.float64, np.float32, np.float16))
        and found.name != "bfloat16"
    ):
        raise TypeError(f"state_dtype: expected float64, float32, float16, bfloat16 or int8, got {found}")
    return found


def state_dtype_of(array: Array, wanted: np.dtype[Any] | None) -> np.dtype[Any]:
    """How the states of a parameter are stored: as wanted, or as precise as it is computed."""
    wide = array.dtype == np.float64
    if wanted is None:
        return np.dtype(np.float64 if wide else np.float32)
    if wanted == np.float64 and not wide:
        raise TypeError(f"state_dtype: expected at most float32 for {array.dtype} parameters, got float64")
    return wanted


def buffers(arrays: Sequence[Array], dtypes: Sequence[np.dtype[Any]], slot: int) -> list[Array]:
    """`buffers_like`, for arrays whose buffers differ in dtype."""
    result: list[Array] = [np.empty(0)] * len(arrays)
    for dtype in dict.fromkeys(dtypes):
        which = [i for i, d in enumerate(dtypes) if d == dtype]
        for i, buffer in zip(which, buffers_like([arrays[i] for i in which], dtype, slot), strict=True):
            result[i] = buffer
    return result


def buffers_like(params: Sequence[Array], dtype: np.dtype[Any], slot: int) -> list[Array]:
    """One array for each parameter, of its shape and in its order of memory, in one uninitialised allocation.

    `slot` tells the buffers of one optimizer apart: large allocations all start at the same offset in a page,
    and a store 4096 bytes apart from a load delays it; each slot is shifted by an odd number of lines.
    """
    starts, end = [], 0
    for p in params:
        starts.append(-(-end // _LINE) * _LINE + _into_line(p, dtype))
        end = starts[-1] + p.size * dtype.itemsize
    shift = (5 * slot + 3) * _LINE
    raw = np.empty(end + shift + _LINE, np.uint8)
    base = shift + -(raw.ctypes.data + shift) % _LINE
    return [_like(p, dtype, raw, base + start) for p, start in zip(params, starts, strict=True)]


def _into_line(p: Array, dtype: np.dtype[Any]) -> int:
    """How far into a cache line the parameter's memory begins, where its buffer has items as long.

    The engine walks them side by side, and then comes to a line's begin in all of them at the same time.
    """
    if p.itemsize != dtype.itemsize or p.nbytes < _WORTH_IT:
        return 0
    lowest: int = p.ctypes.data + sum((n - 1) * s for n, s in zip(p.shape, p.strides, strict=True) if s < 0)
    return lowest % _LINE


def _like(p: Array, dtype: np.dtype[Any], raw: Array, offset: int) -> Array:
    strides: tuple[int, ...] | None = None  # an empty array lies nowhere, and may have any
    if p.size:
        strides = tuple(s // p.itemsize * dtype.itemsize for s in p.strides)
    # the first element of an axis that is walked backwards lies at its end
    offset += sum((n - 1) * -s for n, s in zip(p.shape, strides or (), strict=False) if s < 0)
    buffer: Array = np.ndarray(p.shape, dtype, raw, offset, strides)
    return buffer


def flat_of(buffer: Array) -> Array:
    """The items of a dense array in the order of memory, as a view of one axis."""
    low = sum((n - 1) * s for n, s in zip(buffer.shape, buffer.strides, strict=True) if s < 0 and n > 0)
    forward = tuple(slice(None, None, -1 if s < 0 else 1) for s in buffer.strides)
    turned = buffer[forward] if low else buffer
    order = sorted(range(turned.ndim), key=lambda axis: -turned.strides[axis])
    flat: Array = turned.transpose(order).reshape(-1)
    return flat


def axes_of(array: Array) -> list[int]:
    """Axes longer than one in the order of memory, outermost first: k + 1, negative if walked backwards."""
    axes = [axis for axis in range(array.ndim) if array.shape[axis] != 1]
    axes.sort(key=lambda axis: -abs(array.strides[axis]))
    return [(axis + 1) * (-1 if array.strides[axis] < 0 else 1) for axis in axes]
