"""What a user may pass as `params`, made into groups of arrays with labels for messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown

Array = NDArray[Any]

_EXPECTED = "params: expected an array, an iterable or dict of arrays, or a sequence of group dicts"


def read_params(params: Any) -> tuple[list[dict[str, Any]], list[str] | None, bool]:
    """Return the groups (dicts whose "params" is a list), the names if `params` is a dict, whether it is one
    array.
    """
    if isinstance(params, np.ndarray):
        return [{"params": [params]}], None, True
    if isinstance(params, Mapping):
        if "params" in params and not isinstance(params["params"], np.ndarray):
            raise TypeError(f"{_EXPECTED}; a single group dict belongs in a list")
        return [{"params": _not_empty(list(params.values()))}], _names(params), False
    if isinstance(params, (str, bytes)) or not isinstance(params, Iterable):
        raise TypeError(f"{_EXPECTED}, got {shown(params)}")
    items = list(params)
    if any(isinstance(item, Mapping) for item in items):
        return [read_group(item, f"params[{i}]") for i, item in enumerate(items)], None, False
    return [{"params": _not_empty(items)}], None, False


def read_group(group: Any, label: str) -> dict[str, Any]:
    """One group dict with its arrays in a list."""
    if not isinstance(group, Mapping) or "params" not in group:
        raise TypeError(f'{label}: expected a dict with the key "params", got {shown(group)}')
    arrays = group["params"]
    if isinstance(arrays, np.ndarray):
        arrays = [arrays]
    elif isinstance(arrays, (str, bytes, Mapping)) or not isinstance(arrays, Iterable):
        raise TypeError(f'{label}["params"]: expected an array or an iterable of arrays, got {shown(arrays)}')
    return {**group, "params": list(arrays)}


def give_shadow(groups: list[dict[str, Any]], names: list[str] | None, shadow: Any) -> None:
    """Put the keyword `shadow` into the group that it belongs to."""
    if len(groups) != 1 or "shadow" in groups[0]:
        raise TypeError('shadow: give it in the group dicts, as "shadow" beside "params"')
    if names is not None:
        if not isinstance(shadow, Mapping) or {str(key) for key in shadow} != set(names):
            raise TypeError(f"shadow: expected a dict with the keys {names}, as params is one")
        by_name = {str(key): array for key, array in shadow.items()}
        shadow = [by_name[name] for name in names]
    groups[0]["shadow"] = shadow


def _names(params: Mapping[Any, Any]) -> list[str]:
    names = [str(name) for name in params]
    if len(set(names)) < len(names):
        raise ValueError(f"params: expected names that differ as strings, got {list(params)}")
    return names


def _not_empty(arrays: Sequence[Any]) -> list[Any]:
    if not arrays:
        raise ValueError("params: expected at least one array, got none")
    return list(arrays)
