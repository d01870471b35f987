"""Buffers of an optimizer: states and averages, laid out like the parameters they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_LINE = 64  # bytes; a tensor's state starts on a cache line of its own


def buffers_like(params: Sequence[Array], dtype: np.dtype[Any], slot: int) -> list[Array]:
    """One array for each parameter, of its shape and in its order of memory, in one uninitialised allocation.

    `slot` tells the buffers of one optimizer apart: large allocations all start at the same offset in a page,
    and a store 4096 bytes apart from a load delays it; each slot is shifted by an odd number of lines.
    """
    starts = [0]
    for p in params:
        starts.append(starts[-1] + -(-p.size * dtype.itemsize // _LINE) * _LINE)
    shift = (5 * slot + 3) * _LINE
    raw = np.empty(starts[-1] + shift + _LINE, np.uint8)
    base = shift + -(raw.ctypes.data + shift) % _LINE
    return [_like(p, dtype, raw, base + start) for p, start in zip(params, starts, strict=False)]


def _like(p: Array, dtype: np.dtype[Any], raw: Array, offset: int) -> Array:
    strides = tuple(s // p.itemsize * dtype.itemsize for s in p.strides)
    # the first element of an axis that is walked backwards lies at its end
    offset += sum((n - 1) * -s for n, s in zip(p.shape, strides, strict=True) if s < 0 and n > 0)
    buffer: Array = np.ndarray(p.shape, dtype, raw, offset, strides)
    return buffer
