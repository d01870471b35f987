"""Trees of arrays, plain values and objects with a state, taken apart into named arrays and JSON, and back.

JSON has no tuples, bytes, complex numbers, infinities or keys but text, and cannot hold arrays. What it
cannot express is a dict with one key that begins with "$": {"$array": name}, {"$tuple": [...]}, {"$float":
"nan"}, {"$optimizer": state}. A user's dict with such a key is written as {"$dict": [[key, value], ...]}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt import _metadata
from fastopt._checks import shown
from fastopt._errors import CheckpointError

__all__ = ["KINDS", "Saved", "put_together", "take_apart"]

Array = NDArray[Any]

#: Objects with a state: the words for them in a file.
KINDS = ("optimizer", "schedule", "batches", "ewma", "generator")
#: Deeper trees are refused, cycles among them: a file may nest 64 deep, and a level takes up to three of it.
MAX_DEPTH = 18
#: Larger integers are written in hexadecimal: Python limits how many decimal digits it reads.
EXACT = 1 << 64


class Saved(NamedTuple):
    """The state of an object, as it is in a file."""

    kind: str
    state: Any


class _Apart:
    """The arrays found so far, and whether they are copied."""

    def __init__(self, state_of: Callable[[Any], Saved | None], copy: bool) -> None:
        self.arrays: dict[str, Array] = {}
        self._state_of, self._copy = state_of, copy

    def take(self, value: Any, path: str, where: str, depth: int = MAX_DEPTH) -> Any:
        if depth < 0:
            raise ValueError(f"{where}: expected at most {MAX_DEPTH} levels, got more, or a cycle")
        if isinstance(value, Mapping):
            return self._dict(value, path, where, depth)
        if isinstance(value, (list, tuple)):
            items = [
                self.take(item, f"{path}.{i}", f"{where}[{i}]", depth - 1) for i, item in enumerate(value)
            ]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, np.ndarray):
            return {"$array": self._store(value, path, where)}
        if isinstance(value, bytes):
            return {"$bytes": self._store(np.frombuffer(value, np.uint8), path, where)}
        if isinstance(value, np.generic) and not isinstance(value, (str, bytes)):
            return {"$scalar": self._store(np.asarray(value), path, where)}
        saved = self._state_of(value)
        if saved is not None:
            return {f"${saved.kind}": self.take(saved.state, path, where, depth + MAX_DEPTH)}
        return _plain(value, where)

    def _dict(self, value: Mapping[Any, Any], path: str, where: str, depth: int) -> Any:
        items = [
            (key, self.take(item, f"{path}.{key}", f"{where}[{key!r}]", depth - 1))
            for key, item in value.items()
        ]
        if all(type(key) is str and not key.startswith("$") for key, _ in items):
            return dict(items)
        return {"$dict": [[_key(key, where), item] for key, item in items]}

    def _store(self, array: Array, path: str, where: str) -> str:
        """Keep an array under its path, or under a number where the path is taken or no name."""
        name = path.removeprefix(".")
        if name in self.arrays or _metadata.problem_of_name(name):
            name = f"array {len(self.arrays)}"
        try:
            _metadata.entry_of(name, array)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {str(error).partition(': ')[2]}") from None
        self.arrays[name] = array.copy(order="K") if self._copy else array
        return name


def take_apart(
    tree: Any, state_of: Callable[[Any], Saved | None] = lambda value: None, *, copy: bool = False
) -> tuple[dict[str, Array], Any]:
    """(arrays by path, JSON-able skeleton) of a tree; `state_of` knows the objects.

    >>> arrays, skeleton = take_apart({"w": np.zeros(2), "x": (1j, float("inf"))})
    >>> list(arrays), skeleton
    (['w'], {'w': {'$array': 'w'}, 'x': {'$tuple': [{'$complex': ['0.0', '1.0']}, {'$float': 'inf'}]}})
    >>> put_together(arrays, skeleton)["x"]
    (1j, inf)
    """
    apart = _Apart(state_of, copy)
    skeleton = apart.take(tree, "", "tree")
    return apart.arrays, skeleton


def _key(key: Any, where: str) -> Any:
    if key is not None and not isinstance(key, (str, bool, int, float)):
        raise TypeError(f"{where}: expected keys of type str, int, float, bool or None, got {shown(key)}")
    return _plain(key, where)


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, complex):
        return {"$complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return {"$int": hex(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"{where}: expected a dict, list, tuple, NumPy array, optimizer, schedule, Batches, EWMA, "
        f"NumPy generator or plain value, got {shown(value)}"
    )


def put_together(arrays: Mapping[str, Array], skeleton: Any) -> Any:
    """The tree again, with `Saved` for objects; CheckpointError if the skeleton is none."""
    left = dict(arrays)
    try:
        tree = _put(left, skeleton)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"expected the skeleton of a tree, got one with {error!r}") from None
    if left:
        raise CheckpointError(f"expected every array in the tree once, got {next(iter(left))!r} beside it")
    return tree


def _put(left: dict[str, Array], value: Any) -> Any:
    if isinstance(value, list):
        return [_put(left, item) for item in value]
    if not isinstance(value, dict):
        return value
    mark = next(iter(value), "")
    if not mark.startswith("$"):
        return {key: _put(left, item) for key, item in value.items()}
    ((mark, content),) = value.items()
    if mark[1:] in KINDS:
        return Saved(mark[1:], _put(left, content))
    if mark == "$dict":
        items = [(_put(left, key), _put(left, item)) for key, item in content]
        if len(dict(items)) < len(items):
            raise ValueError("expected every key once")
        return dict(items)
    return _READERS[mark](left, content)


def _scalar(left: dict[str, Array], name: str) -> Any:
    array = left.pop(name)
    if array.ndim != 0:
        raise ValueError(f"expected a scalar, got shape {array.shape}")
    return array[()]


_READERS: dict[str, Callable[[dict[str, Array], Any], Any]] = {
    "$array": lambda left, name: left.pop(name),
    "$bytes": lambda left, name: left.pop(name).tobytes(),
    "$scalar": _scalar,
    "$tuple": lambda left, items: tuple([_put(left, item) for item in items]),
    "$float": lambda left, text: float(text),
    "$int": lambda left, text: int(text, 16),
    "$complex": lambda left, parts: complex(*map(float, parts)),
}
