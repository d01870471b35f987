"""What `hessian` may return: an array or its like, a sparse matrix, or an operator with products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown

__all__ = ["dense", "read"]

Array = NDArray[Any]

#: Elements and their mirror images may differ by this share of the largest: users difference too.
SYMMETRIC = 1e-2


def read(value: Any, n: int) -> Any:
    """An array (n, n) of float64, a copy; or the sparse matrix or operator itself, its shape checked."""
    if hasattr(value, "toarray") or hasattr(value, "matvec"):
        shape = tuple(getattr(value, "shape", ()))
        if shape != (n, n):
            raise ValueError(f"hessian: expected shape ({n}, {n}), got {shape}")
        kind = getattr(getattr(value, "dtype", None), "kind", "f")
        if kind not in "fiub":
            raise TypeError(f"hessian: expected real numbers, got {value.dtype}")
        return value
    return _array(value, n)


def dense(value: Any, n: int) -> Array:
    """As an array (n, n), symmetric; an error names an element that its mirror image contradicts."""
    if hasattr(value, "toarray"):
        value = _array(value.toarray(), n)
    elif hasattr(value, "matvec"):
        value = np.column_stack([_array(value.matvec(e), n, vector=True) for e in np.eye(n)])
    if np.isfinite(value).all():  # else the caller says so
        skew = np.abs(value - value.T)
        i, j = np.unravel_index(int(skew.argmax()), skew.shape)
        if skew[i, j] > SYMMETRIC * float(np.abs(value).max()):
            raise ValueError(
                f"hessian: expected a symmetric matrix, got {value[i, j]:.6g} at [{i}, {j}] "
                f"and {value[j, i]:.6g} at [{j}, {i}]"
            )
    symmetric: Array = value / 2 + value.T / 2
    return symmetric


def _array(value: Any, n: int, vector: bool = False) -> Array:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as e:
        raise TypeError(f"hessian: expected an array of shape ({n}, {n}), got {shown(value)}") from e
    if array.dtype.kind not in "fiub":
        what = shown(value) if array.dtype.kind in "OUS" else str(array.dtype)
        raise TypeError(f"hessian: expected real numbers of shape ({n}, {n}), got {what}")
    if vector and array.size == n:
        return array.astype(np.float64).reshape(n)
    if n == 1 and array.size == 1:
        array = array.reshape(1, 1)
    if array.shape != (n, n):
        raise ValueError(f"hessian: expected shape ({n}, {n}), got {array.shape}")
    return np.array(array, dtype=np.float64)
