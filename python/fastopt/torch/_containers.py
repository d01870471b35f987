"""What holds groups, parameters and states: PyTorch reads any container, the native code lists and dicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastopt.torch._optimizer import Optimizer


def refuse_containers(opt: Optimizer) -> None:
    """Raise for what has been put in the place of groups, their parameters or their states and is none."""
    groups: Any = opt.param_groups
    if isinstance(groups, (Mapping, Tensor, str)) or not _is_collection(groups):
        raise TypeError(f"param_groups: expected a list of dicts, got {_kind(groups)}")
    for g, group in enumerate(groups):
        label = f"param_groups[{g}]"
        if not isinstance(group, MutableMapping):
            raise TypeError(f"{label}: expected a dict, got {_kind(group)}")
        if "params" not in group:
            raise ValueError(f"{label}: expected a group with 'params', got {list(group)}")
        _refuse_params(f"{label}['params']", group["params"])
    if not isinstance(opt.state, MutableMapping):
        raise TypeError(f"state: expected a dict, got {_kind(opt.state)}; an empty one begins anew")


def _refuse_params(label: str, params: Any) -> None:
    expected = f"{label}: expected a list of tensors, got {_kind(params)}"
    if isinstance(params, Mapping) and not all(map(torch.is_tensor, params)):
        raise TypeError(f"{expected}; pass list(d.values())")
    if isinstance(params, Tensor):
        raise TypeError(f"{expected}; pass [tensor]")
    if not _is_collection(params):
        raise TypeError(f"{expected}; pass list(...)" if hasattr(params, "__iter__") else expected)
    for i, p in enumerate(params):
        if not torch.is_tensor(p):
            raise TypeError(f"{label}[{i}]: expected a tensor, got {_kind(p)}")


def _is_collection(value: Any) -> bool:
    """Whether it can be gone through at every step: an iterator is used up by the first."""
    return isinstance(value, Collection) or (hasattr(value, "__iter__") and hasattr(value, "__len__"))


def _kind(value: Any) -> str:
    return type(value).__name__


def are_builtin(opt: Optimizer) -> bool:
    """Whether the native code can look at the groups and the state by itself."""
    return (
        isinstance(opt.param_groups, list)
        and isinstance(opt.state, dict)
        and all(isinstance(g, dict) and isinstance(g["params"], (list, tuple)) for g in opt.param_groups)
    )


def state_of(opt: Optimizer, parameter: Tensor, label: str) -> Any:
    """The dict of a parameter, entered where there is none, whether or not `opt.state` would do so itself."""
    state = opt.state.setdefault(parameter, {})
    if not isinstance(state, (dict, MutableMapping)):  # dict first: an ABC is slow to ask
        raise TypeError(
            f"{label}: expected a dict as its state, got {_kind(state)}; to begin anew, delete it"
        )
    return state
