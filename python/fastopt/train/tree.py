"""The state of a session, a tree of dicts and lists of arrays and plain values, as a checkpoint file.

A checkpoint file stores named arrays and JSON; the state of a run is a tree. JSON alone would turn integer
keys into text, tuples into lists and refuse NaN, so the skeleton marks those: {"$array": name}, {"$dict":
[[key, value], ...]}, {"$tuple": [...]}, {"$float": "nan"}.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import checkpoint
from fastopt.checkpoint import CheckpointError

Arrays = dict[str, NDArray[Any]]

FORMAT = "fastopt.train"
VERSION = 3


def save(path: Path, tree: Any) -> None:
    """Write the tree to `path`, whole or not at all."""
    arrays, skeleton = take_apart(tree)
    checkpoint.write(path, arrays, {"format": FORMAT, "version": VERSION, "tree": skeleton})


def load(path: Path) -> Any:
    """The tree that `save` wrote; CheckpointError for any other file."""
    arrays, meta = checkpoint.read(path)
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of fastopt train")
    if meta.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: version {meta.get('version')!r} of the format; this fastopt reads {VERSION}"
        )
    return put_together(arrays, meta["tree"])


def take_apart(tree: Any, name: str = "") -> tuple[Arrays, Any]:
    """(arrays by path, JSON-able skeleton) of a tree.

    >>> arrays, skeleton = take_apart({"state": {0: {"step": 3, "exp_avg": np.zeros(2)}}})
    >>> list(arrays)
    ['state.0.exp_avg']
    >>> put_together(arrays, skeleton)["state"][0]["step"]
    3
    """
    arrays: Arrays = {}
    return arrays, _take(tree, name, arrays)


def _take(tree: Any, name: str, arrays: Arrays) -> Any:
    if isinstance(tree, np.ndarray):
        if name in arrays:
            raise ValueError(f"tree: two arrays have the path {name!r}")
        arrays[name] = tree
        return {"$array": name}
    if isinstance(tree, dict):
        items = [(key, _take(value, _join(name, key), arrays)) for key, value in tree.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in tree):
            return dict(items)
        return {"$dict": [list(item) for item in items]}
    if isinstance(tree, (list, tuple)):
        values = [_take(value, _join(name, i), arrays) for i, value in enumerate(tree)]
        return {"$tuple": values} if isinstance(tree, tuple) else values
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"$float": repr(tree)}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(
        f"tree: {name}: expected arrays, dicts, lists and plain values, got {type(tree).__name__}"
    )


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def put_together(arrays: Arrays, skeleton: Any) -> Any:
    """The tree that `take_apart` took apart."""
    if isinstance(skeleton, list):
        return [put_together(arrays, value) for value in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if len(skeleton) == 1:
        (mark, content), *_ = skeleton.items()
        if mark == "$array":
            return arrays[content]
        if mark == "$dict":
            return {key: put_together(arrays, value) for key, value in content}
        if mark == "$tuple":
            return tuple(put_together(arrays, value) for value in content)
        if mark == "$float":
            return float(content)
    return {key: put_together(arrays, value) for key, value in skeleton.items()}
