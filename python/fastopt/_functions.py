"""The user's functions as functions of a flat vector: called with copies, counted, their results checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt._layout import Layout

Array = NDArray[Any]

__all__ = ["Objective", "VectorFunction"]


class _Counted:
    """What both kinds share. `eps` belongs to the coarsest numbers seen so far, in `x` or in a result."""

    __slots__ = ("calls", "eps", "function", "layout", "name")

    def __init__(self, function: Callable[..., Any], layout: Layout, name: str) -> None:
        if not callable(function):
            raise TypeError(f"{name}: expected a function of x, got {shown(function)}")
        self.function = function
        self.layout = layout
        self.name = name
        self.calls = 0
        self.eps = max(float(np.finfo(dtype).eps) for dtype in layout.dtypes)


class Objective(_Counted):
    """`f`: a flat vector -> float. What a value that is not finite means is the caller's to say."""

    __slots__ = ()

    def __call__(self, flat: Array) -> float:
        self.calls += 1
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
            raise TypeError(f"{expected}, got {came}") from e


class VectorFunction(_Counted):
    """A gradient, or a Hessian-vector product: a flat vector -> a fresh flat vector of the same size."""

    __slots__ = ()

    def __call__(self, flat: Array) -> Array:
        self.calls += 1
        result = self.layout.read(self.function(self.layout.structured(flat)), self.name)
        if result.dtype.itemsize < 8:
            self.eps = max(self.eps, float(np.finfo(result.dtype).eps))
        return result if result.dtype.itemsize >= 4 else result.astype(np.float32)
