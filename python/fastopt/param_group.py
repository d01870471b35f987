"""Parameter groups: what `opt.param_groups` and `opt.param_groups[i]` are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NoReturn, overload

from fastopt._fixed import Fixed

__all__ = ["ParamGroup", "ParamGroups"]

_GONE = "the optimizer of this group is gone: keep a reference to it"


def same_arrays(given: Any, mine: Sequence[Any]) -> bool:
    """Are these the very arrays (as in ``{**group, "lr": 0.1}``)?"""
    return (
        isinstance(given, (list, tuple))
        and len(given) == len(mine)
        and all(a is b for a, b in zip(given, mine, strict=True))
    )


class ParamGroup(Fixed, MutableMapping[str, Any]):
    """The hyper-parameters of one group of parameters, as a mapping.

    Assigning to a key validates the value and takes effect at the next step; ``update`` takes several
    together, all or none. Keys that choose the formula (such as ``amsgrad``) are fixed when the group is
    made; ``"params"`` is the tuple of its arrays. A copy is a plain dict.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> opt = fastopt.Adam([np.zeros(3)])
    >>> opt.param_groups[0]["lr"] = 0.1
    >>> opt.param_groups[0].update(betas=(0.8, 0.99), weight_decay=0.01)
    >>> opt.param_groups[0]["betas"]
    (0.8, 0.99)
    """

    def __init__(
        self, values: dict[str, Any], change: Callable[[], Callable[..., None] | None], index: int
    ) -> None:
        self._values = values  # replaced as a whole, never changed
        self._change = (
            change  # a weak reference: groups do not keep their optimizer alive, nor make a cycle with it
        )
        self._index = index

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._assign({key: value})

    def __delitem__(self, key: str) -> NoReturn:
        raise TypeError(f"{key}: a hyper-parameter can be changed, not removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Assign several values together: what must hold between them is checked of the result, and on any
        error nothing has changed.
        """
        self._assign({**dict(other), **values})

    def __ior__(self, other: Any) -> ParamGroup:  # type: ignore[misc]  # a mapping, or pairs, as a dict's
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping) or self.keys() != other.keys():
            return False
        rest = ((value, other[key]) for key, value in self.items() if key != "params")
        return same_arrays(other["params"], self["params"]) and all(a == b for a, b in rest)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._values, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self._values}

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value; a key that the group does not have is refused."""
        if key not in self._values:
            self._assign({key: default})
        return self._values[key]

    def pop(self, key: str, *default: Any) -> NoReturn:
        """Refused: a hyper-parameter can be changed, not removed."""
        raise TypeError(f"{key}: a hyper-parameter can be changed, not removed")

    def popitem(self) -> NoReturn:
        """Refused: a hyper-parameter can be changed, not removed."""
        raise TypeError("popitem(): a hyper-parameter can be changed, not removed")

    def clear(self) -> NoReturn:
        """Refused: a hyper-parameter can be changed, not removed."""
        raise TypeError("clear(): a hyper-parameter can be changed, not removed")

    def copy(self) -> dict[str, Any]:
        """The values as a plain dict, which changes nothing here."""
        return dict(self._values)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self._values, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self._values),)

    def __repr__(self) -> str:
        shown = {k: v for k, v in self._values.items() if k != "params"}
        return f"ParamGroup({len(self._values['params'])} parameters, {shown})"

    def _why_fixed(self, name: str) -> str:
        return f'assign group["{name}"] = ..., an attribute would do nothing'

    def _assign(self, values: dict[str, Any]) -> None:
        change = self._change()
        if change is None:
            raise RuntimeError(_GONE)
        change(self._index, values)


class ParamGroups(Fixed, Sequence[ParamGroup]):
    """The groups of an optimizer, a sequence that grows by `Optimizer.add_param_group` alone."""

    def __init__(self) -> None:
        self._groups: tuple[ParamGroup, ...] = ()

    @overload
    def __getitem__(self, index: int) -> ParamGroup: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ParamGroup, ...]: ...
    def __getitem__(self, index: int | slice) -> ParamGroup | tuple[ParamGroup, ...]:
        return self._groups[index]

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[ParamGroup]:
        return iter(self._groups)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (list, tuple, ParamGroups)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self._groups))

    def __deepcopy__(self, memo: dict[int, Any]) -> list[dict[str, Any]]:
        return [group.__deepcopy__(memo) for group in self._groups]

    def __copy__(self) -> list[ParamGroup]:
        return list(self._groups)

    def _why_fixed(self, name: str) -> str:
        return f'assign opt.param_groups[i]["{name}"] = ..., an attribute would do nothing'

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            "param_groups: groups are neither replaced, removed nor put in another order; add one with "
            "add_param_group(), change one with param_groups[i].update(lr=...)"
        )

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse
