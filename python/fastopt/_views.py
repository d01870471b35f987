"""What `opt.params` and `opt.state` are: parameters and their states by name, to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastopt._checks import shown
from fastopt._fixed import Fixed
from fastopt._precision import Coded
from fastopt._signature import Array

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["State", "parameters"]


def parameters(opt: Optimizer) -> Mapping[Any, Array]:
    """The arrays by name, or by position where they were not given as a dict."""
    return MappingProxyType(dict(zip(_names(opt), opt._params, strict=True)))


class State(Fixed, Mapping[Any, Mapping[str, Any]]):
    """The state of each parameter, under its name or position; the array itself is a key as well."""

    def __init__(self, opt: Optimizer) -> None:
        self._opt = opt

    def __getitem__(self, key: Any) -> Mapping[str, Any]:
        opt, index = self._opt, self._index(key)
        with opt._plan.exclusive():
            if opt._plan.count(index) == 0:  # there is memory for a state, with nothing in it
                return MappingProxyType({"step": 0})
            scalar_names = opt._rules[index]["scalars"]
            arrays = {name: _read_only(state) for name, state in opt._states[index].items()}
            remainder = opt._remainders[index]
            if remainder is not None:
                arrays["master"] = _read_only(remainder.exact(opt._params[index]))
            scalars = zip(scalar_names, opt._plan.scalars(index), strict=True)
            return MappingProxyType({"step": opt._plan.count(index), **arrays, **dict(scalars)})

    def __iter__(self) -> Iterator[Any]:
        return iter(_names(self._opt))

    def __len__(self) -> int:
        return len(self._opt._params)

    def __repr__(self) -> str:
        return f"State({ {name: dict(state) for name, state in self.items()} })"

    def _index(self, key: Any) -> int:
        if isinstance(key, np.ndarray):
            found = (i for i, theta in enumerate(self._opt._params) if theta is key)
        else:
            found = (i for i, name in enumerate(_names(self._opt)) if name == key and type(name) is type(key))
        index = next(found, None)
        if index is None:
            raise KeyError(f"no parameter of this {type(self._opt).__name__}: {shown(key)}")
        return index


def _names(opt: Optimizer) -> list[Any]:
    return list(range(len(opt._params))) if opt._names is None else list(opt._names)


def _read_only(a: Array | Coded) -> Array:
    view: Array = a.decoded() if isinstance(a, Coded) else a.view()
    view.flags.writeable = False
    return view
