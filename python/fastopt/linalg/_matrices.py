"""The checks that every function of dense matrices makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt._checks import brief, dtype_name, is_computed

Array = NDArray[Any]


def matrices(a: ArrayLike) -> Array:
    """`a` as float32 or float64 matrices that the engine can read where they lie."""
    array = np.asarray(a)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise np.linalg.LinAlgError(f"a: expected square matrices (..., n, n), got shape {array.shape}")
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    if not is_computed(array.dtype):
        raise TypeError(f"a: expected float64, float32 or integers, got {dtype_name(array.dtype)}")
    if array.flags.aligned and array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def is_lower(uplo: str) -> bool:
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        raise ValueError(f"UPLO: expected 'L' or 'U', got {brief(uplo)}")
    return uplo.upper() == "L"
