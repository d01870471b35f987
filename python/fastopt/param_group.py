"""A parameter group: what `opt.param_groups[i]` is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

__all__ = ["ParamGroup"]


class ParamGroup(MutableMapping[str, Any]):
    """The hyper-parameters of one group of parameters, as a mapping.

    Assigning to a key validates the value and takes effect at the next step. Keys that choose the formula
    (such as ``amsgrad``) are fixed when the group is made; ``"params"`` is the tuple of its arrays.
    """

    def __init__(self, values: dict[str, Any], assign: Callable[[str, Any], Any]) -> None:
        self._values = values
        self._assign = assign

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = self._assign(key, value)

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{key}: a hyper-parameter can be changed, not removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = {k: v for k, v in self._values.items() if k != "params"}
        return f"ParamGroup({len(self._values['params'])} parameters, {shown})"
