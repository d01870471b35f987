"""Where the results of eigh and eigvalsh go: new arrays, the caller's, or the matrices' own memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _checked(out: Any, name: str, stack: Array, shape: tuple[int, ...]) -> Array:
    wanted = f"{name}: expected a writeable {stack.dtype} array of shape {shape}"
    if type(out) is not np.ndarray:
        raise TypeError(f"{wanted}, got {type(out).__name__}")
    if out.dtype != stack.dtype:
        raise TypeError(f"{wanted}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"{wanted}, got shape {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{wanted}, got a read-only one")
    if not out.flags.aligned:
        raise ValueError(f"{wanted}, got a misaligned one")
    if np.may_share_memory(out, stack):
        raise ValueError(f"{name}: expected memory of its own, got memory of a")
    return out


def values_into(out: Any, stack: Array, name: str = "out") -> Array:
    """The array of the eigenvalues."""
    shape = stack.shape[:-1]
    if out is None:
        return np.empty(shape, stack.dtype)
    values = _checked(out, name, stack, shape)
    if not values.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {values.strides}")
    return values


def vectors_into(out: Any, stack: Array) -> tuple[Array, bool]:
    """The memory of the eigenvectors, C-contiguous, and whether vectors are its rows (else its columns)."""
    vectors = _checked(out, "out[1]", stack, stack.shape)
    if vectors.flags.c_contiguous:
        return vectors, False
    if vectors.swapaxes(-1, -2).flags.c_contiguous:
        return vectors.swapaxes(-1, -2), True
    raise ValueError(
        "out[1]: expected matrices that lie one behind the other, row after row or column after column, "
        f"got strides {vectors.strides}"
    )


def own_memory(a: Any, stack: Array) -> Array | None:
    """The memory of the matrices as rows of vectors, if they are the caller's and may take the results."""
    if stack is not a or type(a) is not np.ndarray or not stack.flags.writeable:
        return None
    rows: Array
    for rows in (stack, stack.swapaxes(-1, -2)):
        if rows.flags.c_contiguous:
            return rows
    return None
