"""Many arrays in one buffer: one tensor for the optimizer, the old shapes for the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["flatten"]

#: A cache line, and the widest vector register in use.
ALIGNMENT = 64

Array = NDArray[Any]
Key = TypeVar("Key")


@overload
def flatten(arrays: Array) -> tuple[Array, Array]: ...
@overload
def flatten(arrays: Mapping[Key, Array]) -> tuple[Array, dict[Key, Array]]: ...
@overload
def flatten(arrays: Sequence[Array] | Iterator[Array]) -> tuple[Array, list[Array]]: ...
def flatten(arrays: Any) -> Any:
    """Copy arrays into one aligned buffer and return it with views of it in their shapes.

    The views are the new parameters: an optimizer that updates ``flat`` in place updates them all, as one
    tensor, and a model goes on using the views. The buffer starts at a multiple of 64 bytes and has no gaps.

    Parameters
    ----------
    arrays : ndarray, dict of ndarray, or iterable of ndarray
        At least one array, all of one dtype (ml_dtypes.bfloat16 included; no Python objects), of any shapes
        and strides. They are only read.

    Returns
    -------
    flat : ndarray, 1-D, of the arrays' dtype
        All elements, array after array, each in C order: ``flat.size`` is the sum of the sizes.
    views : ndarray, dict of ndarray, or list of ndarray
        As `arrays`: one array gives one view, a dict a dict with the same keys in the same order, anything
        else a list. Each is a C-contiguous view of ``flat`` in the shape of its original.

    Raises
    ------
    TypeError
        If an item is not an ndarray, is a masked array, or differs in dtype from the first.
    ValueError
        If there is no array at all.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> flat, (w, b) = fastopt.flatten([np.ones((2, 3)), np.zeros(3)])
    >>> flat[:] = np.arange(9)
    >>> w
    array([[0., 1., 2.],
           [3., 4., 5.]])
    >>> b
    array([6., 7., 8.])
    """
    if isinstance(arrays, np.ndarray):
        flat, (view,) = _flatten({"arrays": arrays})
        return flat, view
    if isinstance(arrays, Mapping):
        flat, views = _flatten({f"arrays[{key!r}]": array for key, array in arrays.items()})
        return flat, dict(zip(arrays, views, strict=True))
    if isinstance(arrays, (str, bytes)) or not isinstance(arrays, Iterable):
        raise TypeError(f"arrays: expected an array, a dict or a list of arrays, got {type(arrays).__name__}")
    return _flatten({f"arrays[{i}]": array for i, array in enumerate(arrays)})


def _flatten(named: dict[str, Array]) -> tuple[Array, list[Array]]:
    if not named:
        raise ValueError("arrays: expected at least one array, got none")
    for name, array in named.items():
        _check(name, array, *next(iter(named.items())))
    items = list(named.values())
    flat = _aligned(sum(array.size for array in items), items[0].dtype)
    views, start = [], 0
    for array in items:
        view = flat[start : start + array.size].reshape(array.shape)
        view[...] = array
        views.append(view)
        start += array.size
    return flat, views


def _check(name: str, array: object, first_name: str, first: Array) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array without mask, got a masked array: the mask would be lost")
    if array.dtype.hasobject:
        raise TypeError(f"{name}: expected a dtype of numbers, got {array.dtype}")
    if array.dtype != first.dtype:
        raise TypeError(f"{name}: expected {first.dtype}, the dtype of {first_name}, got {array.dtype}")


def _aligned(size: int, dtype: np.dtype[Any]) -> Array:
    nbytes = size * dtype.itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype)
