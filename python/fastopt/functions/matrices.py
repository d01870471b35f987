"""A Hessian as a user may give it, as an array: dense or sparse matrices, and operators multiplied out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import dtype_name, is_computed, real, shown
from fastopt.functions.layout import Layout

__all__ = ["Products", "at_point", "dense", "given_hessian", "square", "symmetric_part"]

Array = NDArray[Any]

#: Beyond this share of |H| asymmetry is no rounding or differencing error: the matrix is no Hessian.
GROSS = 1e-2

_EXPECTED = "a square matrix (an array, a sparse matrix, or an operator with matvec and shape)"


class Products:
    """A sparse matrix or an operator as an object with ``matvec`` and ``shape``, never multiplied out."""

    def __init__(self, h: Any) -> None:
        self.given, self.shape = h, tuple(h.shape)
        matvec = getattr(h, "matvec", None)
        self.matvec = matvec if callable(matvec) else h.__matmul__

    @classmethod
    def of(cls, h: Any) -> Products | None:
        """None for arrays, lists and functions."""
        sparse = callable(getattr(h, "toarray", None)) or callable(getattr(h, "matvec", None))
        return cls(h) if sparse and hasattr(h, "shape") else None

    def check(self, n: int) -> Products:
        """Itself, if it is of real numbers and of order n; else the errors of `square`."""
        if self.shape != (n, n):
            raise ValueError(f"hessian: expected shape ({n}, {n}), got {self.shape}")
        _check_real(getattr(self.given, "dtype", None))
        return self


def at_point(h: Any, layout: Layout, flat: Array) -> Any:
    """What `h` returns at a point, if it is a function of x; else `h` itself."""
    of_x = callable(h) and not callable(getattr(h, "matvec", None))
    return h(layout.structured(flat)) if of_x else h


def given_hessian(h: Any, n: int | None, error: float | None) -> tuple[Array, float]:
    """`h` as `dense` checks it, and the error it claims; `n` is the number of elements of x, if known."""
    array = dense(h, n)
    claimed = _claimed(h, len(array)) if error is None else error
    if claimed is None:  # a matrix computed from a Hessian: not exact, and no longer measured
        raise ValueError("error: expected a number, as hessian was computed from one with an error; got None")
    # An infinite error is known too: nothing is resolved then.
    infinite = isinstance(claimed, float) and claimed == math.inf
    return array, math.inf if infinite else real("error", claimed, minimum=0.0)


def _claimed(h: Any, n: int) -> Any:
    claimed = getattr(h, "error", 0.0)
    if not callable(claimed):
        return claimed
    return math.sqrt(sum(float(claimed(unit)) ** 2 for unit in np.eye(n)))  # of products by differences


def dense(h: Any, n: int | None = None) -> Array:
    """A square matrix of finite float32 or float64; every error names the argument `hessian`."""
    array = square(h, n)
    if not np.isfinite(array).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"hessian: expected finite numbers, got {array[bad]} at {bad}")
    return array


def square(h: Any, n: int | None = None) -> Array:
    """As `dense`, finite or not. Of one variable a number is a matrix too."""
    array = np.asarray(_array(h, n))
    if array.dtype.kind not in "biufc" and array.ndim != 2:
        raise TypeError(f"hessian: expected {_EXPECTED}, got {shown(h)}")
    if n == 1 == array.size:
        array = array.reshape(1, 1)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"hessian: expected a square matrix (n, n) with n >= 1, got shape {array.shape}")
    if n is not None and len(array) != n:
        raise ValueError(f"hessian: expected shape ({n}, {n}), got {array.shape}")
    _check_real(array.dtype)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def _check_real(dtype: Any) -> None:
    """What says nothing of its numbers will be seen by what it returns."""
    if getattr(dtype, "kind", "b") not in "iub" and not is_computed(dtype):
        raise TypeError(f"hessian: expected float64 or float32, got {dtype_name(dtype)}")


def _array(h: Any, n: int | None) -> Any:
    if np.ma.is_masked(h):
        raise ValueError("hessian: expected a value for every entry, got a masked array")
    if isinstance(h, np.ndarray):
        return h
    toarray = getattr(h, "toarray", None)
    if callable(toarray):  # a sparse matrix, of whichever library
        return toarray()
    if callable(getattr(h, "matvec", None)):
        return _multiplied_out(h, n)
    if callable(h):
        raise TypeError(
            f"hessian: expected {_EXPECTED} where there is no x to evaluate it at, got {shown(h)}"
        )
    try:
        return np.asarray(h)
    except (TypeError, ValueError) as e:  # rows of different lengths
        raise ValueError(f"hessian: expected {_EXPECTED}, got {shown(h)}") from e


def _multiplied_out(h: Any, n: int | None) -> Array:
    """The columns of an operator: n products."""
    shape = getattr(h, "shape", None) or (n, n)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0] or (n is not None and shape[0] != n):
        wanted = "(n, n)" if n is None else f"({n}, {n})"
        raise ValueError(f"hessian: expected an operator of shape {wanted}, got {tuple(shape)}")
    columns = []
    for unit in np.eye(int(shape[0])):
        column = np.asarray(h.matvec(unit))
        if column.size != shape[0]:
            raise ValueError(
                f"hessian: expected products of shape ({shape[0]},), got shape {column.shape} from its matvec"
            )
        columns.append(column.reshape(-1))
    return np.stack(columns, axis=1)


def symmetric_part(h: Array) -> tuple[Array, float]:
    """(H + H') / 2 and the Frobenius norm of (H - H') / 2, which bounds its 2-norm; H itself if symmetric.

    Raises ValueError if H is not symmetric beyond `GROSS` of its norm, or not finite.
    """
    if _is_symmetric(h):
        return h, 0.0
    if not np.isfinite(h).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(h))[0])
        raise ValueError(f"hessian: expected finite numbers, got {h[bad]} at {bad}")
    scale = float(np.abs(h).max())
    unit = h / scale
    skew = float(np.linalg.norm(unit - unit.T)) / 2
    norm = float(np.linalg.norm(unit))
    if skew > GROSS * norm:
        i, j = (int(k) for k in np.unravel_index(np.abs(unit - unit.T).argmax(), h.shape))
        raise ValueError(
            f"hessian: expected a symmetric matrix, got an asymmetry of {skew / norm:.2g} of its norm; "
            f"worst at ({i}, {j}): {h[i, j]:.6g}, transposed {h[j, i]:.6g}"
        )
    return (unit + unit.T) * (h.dtype.type(0.5) * scale), skew * scale


def _is_symmetric(h: Array, rows: int = 256) -> bool:
    """Exactly; in strips that stay in the cache when read across. NaN is unequal to itself: not symmetric."""
    return all(
        np.array_equal(h[i : i + rows, : i + rows], h[: i + rows, i : i + rows].T)
        for i in range(0, len(h), rows)
    )
