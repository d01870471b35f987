"""What may stand for a symmetric matrix: an array, a function, an object with ``matvec``.."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import dtype_name, integer, is_computed, shown

__all__ = ["Operator", "as_operator"]

Array = NDArray[Any]

_EXPECTED = "a square matrix, a callable v -> H v (with n), or an object with matvec and shape"


class Operator:
    """A symmetric operator on flat vectors: checked, counted, the same to call whatever the user gave.

    Attributes
    ----------
    n : int
        The order: `matvec` takes and returns vectors of shape (n,).
    dtype : numpy.dtype or None
        float32 or float64: what vectors are given in and results are returned in. A matrix has its own; an
        object may say so in an attribute ``dtype``; a function that says nothing is given float64, and the
        dtype of its first result decides (None until then).
    matrix : ndarray or None
        The matrix, where one was given, in float32 or float64; not a copy if it was.
    products : int
        Calls of `matvec` so far.
    """

    def __init__(self, apply: Callable[[Array], Any], n: int, dtype: np.dtype[Any] | None) -> None:
        self.n = n
        self.dtype = dtype
        self.matrix: Array | None = None
        self.products = 0
        self._apply = apply

    @property
    def shape(self) -> tuple[int, int]:
        return self.n, self.n

    def matvec(self, v: Array) -> Array:
        """H v for `v` of shape (n,), in an array of its own.

        The user's function gets a fresh copy of `v`, which it may keep or change, and it may return a buffer
        that it uses again.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the product holds NaN or infinity.
        ValueError, TypeError
            If the product has another shape than (n,), or is not real. What the user's function raises
            passes through.
        """
        given = np.array(v, dtype=self.dtype or np.float64)
        if given.shape != (self.n,):
            raise ValueError(f"v: expected shape ({self.n},), got {given.shape}")
        result = np.asarray(self._apply(given))
        self.products += 1
        if result.shape != (self.n,):
            raise ValueError(f"op: expected products of shape ({self.n},), got {result.shape}")
        self._settle(result.dtype)
        product = np.array(result, dtype=self.dtype)
        if not _finite(product):
            raise np.linalg.LinAlgError(f"op: product {self.products} holds NaN or infinity")
        return product

    def _settle(self, result: np.dtype[Any]) -> None:
        """float32 results make a float32 operator, whatever was announced: they hold no more digits."""
        came = _working_dtype(result)
        if came is None:
            raise TypeError(f"op: expected products in float64 or float32, got {result}")
        if self.dtype is None or came == np.float32:
            self.dtype = came


def as_operator(op: Any, n: int | None = None) -> Operator:
    """`op` as an `Operator`; an `Operator` is returned as it is, and goes on counting.

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        A matrix is multiplied whole, as it lies (no triangle is preferred). A callable takes a flat vector of
        shape (n,) and returns one; attributes ``shape`` and ``dtype`` are used if it has them. SciPy's
        LinearOperator and its sparse matrices are such objects.
    n : int, optional
        The order, at least 1; needed for a callable without ``shape``, else compared.

    Raises
    ------
    TypeError
        If `op` is none of these, or is not real (float32, float64, or integers, which become float64).
    ValueError
        If `op` is not square or empty, `n` is missing, or they disagree.
    """
    if n is not None:
        n = integer("n", n, minimum=1)
    operator = op if isinstance(op, Operator) else _wrapped(op, n)
    if n is not None and n != operator.n:
        raise ValueError(f"n: expected {operator.n}, the order of op, got {n}")
    return operator


def _wrapped(op: Any, n: int | None) -> Operator:
    if callable(getattr(op, "matvec", None)):
        return Operator(op.matvec, _order(getattr(op, "shape", None)), _announced(op))
    if isinstance(op, (np.ndarray, list, tuple)) or hasattr(op, "__array__"):
        return _from_matrix(np.asarray(op))
    if callable(op):
        shape = getattr(op, "shape", None)
        if n is None and shape is None:
            raise ValueError("n: expected the order of op, as op is a function without shape; got None")
        return Operator(op, _order(shape) if shape is not None else int(n or 0), _announced(op))
    if hasattr(op, "shape") and hasattr(op, "__matmul__"):  # a sparse matrix
        return Operator(op.__matmul__, _order(op.shape), _announced(op))
    raise TypeError(f"op: expected {_EXPECTED}, got {shown(op)}")


def _from_matrix(a: Array) -> Operator:
    order = _order(a.shape)
    dtype = _working_dtype(a.dtype)
    if dtype is None:
        raise TypeError(f"op: expected float64, float32 or integers, got {dtype_name(a.dtype)}")
    matrix = a.astype(dtype, copy=False)
    operator = Operator(matrix.__matmul__, order, dtype)
    operator.matrix = matrix
    return operator


def _order(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise ValueError(f"op: expected a square shape (n, n) with n >= 1, got {shape}")
    return integer("op.shape[0]", shape[0], minimum=1)


def _announced(op: Any) -> np.dtype[Any] | None:
    """The dtype that an object says it has; None for none, or for one that NumPy does not know."""
    said = getattr(op, "dtype", None)
    if said is None:
        return None
    try:
        dtype = np.dtype(said)
    except TypeError:  # another library's, as torch.float32: the first result will tell
        return None
    working = _working_dtype(dtype)
    if working is None:
        raise TypeError(f"op: expected dtype float64 or float32, got {dtype_name(dtype)}")
    return working


def _working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype to compute in; None if there is none."""
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(dtype.type) if is_computed(dtype) else None


def _finite(v: Array) -> bool:
    """Whether all entries are finite. A square that overflows is no proof, a finite sum of squares is."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(v, v)) or np.isfinite(v).all())
