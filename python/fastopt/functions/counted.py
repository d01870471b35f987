"""The user's functions as functions of a flat vector: called with copies, counted, their results checked."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.functions.arguments import Exchanged
from fastopt.functions.layout import Layout

Array = NDArray[Any]

__all__ = ["ScalarFunction", "VectorFunction"]

_FLOAT64 = np.dtype(np.float64)
_LARGE = 1 << 16  # numbers


class _Counted:
    """What both kinds share. `eps` belongs to the coarsest numbers seen so far, in `x` or in a result."""

    __slots__ = ("_alone", "_held", "calls", "eps", "function", "layout", "name", "plain", "vector")

    def __init__(self, function: Callable[..., Any], layout: Layout, name: str) -> None:
        if not callable(function):
            raise TypeError(f"{name}: expected a function of x, got {shown(function)}")
        self.function = function
        self.layout = layout
        self.name = name
        self.calls = 0
        # x is one float64 array of this shape: the usual case, which is worth a way of its own
        self.plain = layout.shapes[0] if layout.kind is np.ndarray and layout.dtype == np.float64 else None
        # ... and a small one of one axis needs nothing but a copy
        self.vector = self.plain is not None and len(self.plain) == 1 and layout.size < _LARGE
        self._held: Array | None = None
        self._alone = 0
        self.eps = max(float(np.finfo(dtype).eps) for dtype in layout.dtypes)

    def _lent(self, flat: Array, shape: tuple[int, ...]) -> Array:
        """A copy for the user's function. A large one is filled again if nobody kept a reference to the last:
        fresh memory costs page faults (10^6 numbers: 15 ms per step of conjugate gradients, 9 without).
        """
        if flat.size < _LARGE:
            copy: Array = flat.reshape(shape).copy()
            return copy
        if self._held is None or self._references() != self._alone:
            self._held = flat.reshape(shape).copy()
            self._alone = self._references()
        else:
            np.copyto(self._held, flat.reshape(shape))
        return self._held

    def _references(self) -> int:
        return sys.getrefcount(self._held)


class ScalarFunction(_Counted):
    """`f`: a flat vector -> float. What a value that is not finite means is the caller's to say."""

    __slots__ = ()

    def __call__(self, flat: Array) -> float:
        self.calls += 1
        if self.vector:
            value = self.function(flat.copy())
        elif self.plain is not None:
            value = self.function(self._lent(flat, self.plain))
        else:
            value = self.function(self.layout.structured(flat))
        if type(value) is float:
            return value
        return self._read(value)

    def _read(self, value: Any) -> float:
        expected = f"{self.name}: expected a real number"
        if isinstance(value, (str, bytes, bool, complex, np.complexfloating)) or value is None:
            raise TypeError(f"{expected}, got {shown(value)}")
        dtype = getattr(value, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8:
            self.eps = max(self.eps, float(np.finfo(dtype).eps))
        try:
            array = np.asarray(value)
            if array.size != 1 or array.dtype.kind not in "fiu":
                raise TypeError
            return float(array.reshape(()))
        except (TypeError, ValueError) as e:
            shape = getattr(value, "shape", None)
            came = f"an array of shape {tuple(shape)}" if shape else shown(value)
            if self._is_gradient(value):
                raise Exchanged(f"{expected}, got {came}, which a gradient returns") from e
            raise TypeError(f"{expected}, got {came}") from e

    def _is_gradient(self, value: Any) -> bool:
        """A gradient's result where a value is expected says that the functions came in the wrong order."""
        try:
            self.layout.read(value, "value")
        except (TypeError, ValueError):
            return False
        return True


class VectorFunction(_Counted):
    """A gradient, or a Hessian-vector product: a flat vector -> a fresh flat vector of the same size."""

    __slots__ = ()

    def __call__(self, flat: Array) -> Array:
        self.calls += 1
        return self._checked(self.function(self.layout.structured(flat)))

    def peek(self, flat: Array) -> Array:
        """As a call, but the vector may be the function's own, to be read before anything else is called."""
        plain = self.plain
        if plain is None:
            return self(flat)
        self.calls += 1
        came = self.function(flat.copy() if self.vector else self._lent(flat, plain))
        if type(came) is np.ndarray and came.dtype is _FLOAT64 and came.shape == plain:
            return came if self.vector else came.reshape(-1)
        return self._checked(came)

    def _checked(self, came: Any) -> Array:
        try:
            result = self.layout.read(came, self.name)
        except (TypeError, ValueError) as error:
            if self.name == "grad" and isinstance(came, numbers.Real):  # NumPy's numbers are Real too
                raise Exchanged(f"{error}, a number, which f returns") from error
            raise
        if result.dtype.itemsize < 8:
            self.eps = max(self.eps, float(np.finfo(result.dtype).eps))
        return result if result.dtype.itemsize >= 4 else result.astype(np.float32)
