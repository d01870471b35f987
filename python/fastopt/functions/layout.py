"""How a point `x`, one array or a collection of parameter arrays, lies in one flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import dtype_name, is_computed, shown

Array = NDArray[Any]

_EXPECTED = "expected a float32 or float64 array, or a list or dict of such arrays"


class Layout:
    """Shapes, dtypes and names of the arrays of a point, in the order of its flat vector.

    The flat vector has the widest of their dtypes and holds each array in C order. Everything that computes
    with curvature works on flat vectors; the user's functions only ever see the structure they passed.

    >>> import numpy as np
    >>> from fastopt.functions.layout import Layout
    >>> layout, flat = Layout.of([np.ones((2, 2)), np.zeros(3)])
    >>> flat
    array([1., 1., 1., 1., 0., 0., 0.])
    >>> layout.where(5)
    'x[1][1]'
    """

    __slots__ = ("_bounds", "dtype", "dtypes", "keys", "kind", "name", "shapes", "size")

    def __init__(self, arrays: list[Array], kind: type, keys: list[Any] | None, name: str) -> None:
        self.name = name
        self.kind = kind
        self.keys = keys
        self.shapes = [a.shape for a in arrays]
        self.dtypes = [a.dtype for a in arrays]
        self.dtype: np.dtype[Any] = np.result_type(*arrays)
        ends = np.cumsum([a.size for a in arrays], dtype=np.int64)
        self._bounds = [(int(end) - a.size, int(end)) for a, end in zip(arrays, ends, strict=True)]
        self.size = int(ends[-1])

    @classmethod
    def of(cls, x: Any, name: str = "x") -> tuple[Layout, Array]:
        """The layout of `x` and a flat copy of its values; an error says what is wrong with it."""
        kind, keys, arrays = _parts(x, name)
        for i, a in enumerate(arrays):
            _check(a, name if kind is np.ndarray else f"{name}[{keys[i] if keys else i!r}]")
        layout = cls(arrays, kind, keys, name)
        if layout.size == 0:
            raise ValueError(f"{name}: expected at least one element, got shapes {layout.shapes}")
        return layout, layout.flat(arrays)

    def flat(self, arrays: list[Array]) -> Array:
        """A fresh flat vector with the values of arrays of this layout."""
        if len(arrays) == 1:
            return np.array(arrays[0], dtype=self.dtype, order="C").reshape(-1)
        return np.concatenate([a.reshape(-1) for a in arrays]).astype(self.dtype, copy=False)

    def structured(self, flat: Array) -> Any:
        """A flat vector in the structure and the dtypes of `x`: fresh arrays, the caller's to keep."""
        if self.kind is np.ndarray:
            return np.array(flat, dtype=self.dtypes[0]).reshape(self.shapes[0])
        return self.collected(self.arrays(flat))

    def arrays(self, flat: Array) -> list[Array]:
        """Fresh arrays with the values of a flat vector, one for each of x, in their shapes and dtypes."""
        parts = zip(self.parts(flat), self.dtypes, strict=True)
        return [np.array(part, dtype=dtype) for part, dtype in parts]

    def parts(self, flat: Array) -> list[Array]:
        """Views of a flat vector of any dtype, in the shapes of the arrays of x."""
        return [
            flat[low:high].reshape(shape)
            for (low, high), shape in zip(self._bounds, self.shapes, strict=True)
        ]

    def collected(self, arrays: list[Array]) -> Any:
        """Arrays, one for each of x, in the structure of x: itself, if that is one array."""
        if self.kind is np.ndarray:
            return arrays[0]
        if self.keys is not None:
            return dict(zip(self.keys, arrays, strict=True))
        return tuple(arrays) if self.kind is tuple else arrays

    def slices(self) -> dict[str, slice]:
        """Where each array lies in the flat vector, under the name that messages give it."""
        return {self._label(i): slice(low, high) for i, (low, high) in enumerate(self._bounds)}

    def element(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The array that holds one element of the flat vector, by name, and its index there."""
        for i, (low, high) in enumerate(self._bounds):
            if low <= index < high:
                return self._label(i), tuple(int(p) for p in np.unravel_index(index - low, self.shapes[i]))
        raise IndexError(f"index: expected 0 <= index < {self.size}, got {index}")

    def where(self, index: int) -> str:
        """The name of one element: `x[1][3, 0]` is the element (3, 0) of the second array."""
        label, place = self.element(index)
        return label + (f"[{', '.join(str(p) for p in place)}]" if place else "")

    def read(self, value: Any, name: str) -> Array:
        """A fresh flat vector from what a user's function returned, in the precision it has there.

        Raises TypeError or ValueError with `name`, what was expected and what came.
        """
        if self.kind is np.ndarray:
            return _read(value, self.shapes[0], name).reshape(-1)
        parts = self._elements(value, name)
        arrays = [
            _read(part, shape, f"{name}[{self.keys[i] if self.keys else i!r}]").reshape(-1)
            for i, (part, shape) in enumerate(zip(parts, self.shapes, strict=True))
        ]
        return np.concatenate(arrays)

    def rounded(self, flat: Array) -> Array:
        """The point that the user's function really gets, each array in its own dtype; in float64."""
        return self.read(self.structured(flat), self.name).astype(np.float64, copy=False)

    def finite(self, values: Array, what: str, kind: str = "values") -> Array:
        """`values`, or a ValueError that names the first element that is NaN or infinite."""
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            first = int(bad[0])
            raise ValueError(f"{what}: expected finite {kind}, got {values[first]} for {self.where(first)}")
        return values

    def _elements(self, value: Any, name: str) -> list[Any]:
        if self.keys is not None:
            if not isinstance(value, Mapping) or set(value) != set(self.keys):
                raise TypeError(f"{name}: expected a dict with the keys {self.keys}, got {shown(value)}")
            return [value[key] for key in self.keys]
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name}: expected a list of {len(self.shapes)} arrays, got {shown(value)}")
        if len(value) != len(self.shapes):
            raise ValueError(f"{name}: expected {len(self.shapes)} arrays, got {len(value)}")
        return list(value)

    def _label(self, i: int) -> str:
        if self.kind is np.ndarray:
            return self.name
        return f"{self.name}[{self.keys[i]!r}]" if self.keys else f"{self.name}[{i}]"


def _parts(x: Any, name: str) -> tuple[type, list[Any] | None, list[Array]]:
    kind: type
    keys: list[Any] | None
    if isinstance(x, np.ndarray):
        return np.ndarray, None, [x]
    if isinstance(x, Mapping):
        kind, keys, items = dict, list(x), list(x.values())
    elif isinstance(x, (list, tuple)):
        kind, keys, items = tuple if isinstance(x, tuple) else list, None, list(x)
    else:
        raise TypeError(f"{name}: {_EXPECTED}, got {shown(x)}")
    if not items:
        raise ValueError(f"{name}: {_EXPECTED}, got an empty {kind.__name__}")
    if not all(isinstance(item, np.ndarray) for item in items):
        wrong = next(item for item in items if not isinstance(item, np.ndarray))
        raise TypeError(f"{name}: {_EXPECTED}, got a {kind.__name__} that holds {shown(wrong)}")
    return kind, keys, items


def _check(a: Array, name: str) -> None:
    if not (a.dtype.isnative and is_computed(a.dtype)):
        raise TypeError(f"{name}: expected float32 or float64, got {dtype_name(a.dtype)}")
    _refuse_masked(a, name)


def _read(value: Any, shape: tuple[int, ...], name: str) -> Array:
    _refuse_masked(value, name)
    # The copy is not optional: a function may return the same buffer every time, and fill it again.
    try:
        array = np.array(value)
    except (TypeError, ValueError) as e:
        raise TypeError(f"{name}: expected an array of shape {shape}, got {shown(value)}") from e
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected floats of shape {shape}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected an array of shape {shape}, got shape {array.shape}")
    return array.astype(np.float64) if array.dtype.type is np.longdouble else array


def _refuse_masked(value: Any, name: str) -> None:
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: expected a value for every element, got a masked array")
