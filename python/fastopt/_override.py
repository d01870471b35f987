"""What a user wants otherwise than a saved state has it: the keyword `override` of everything that loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastopt._checks import brief, shown
from fastopt._state import options_of

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["Override", "read_override"]


class Override(NamedTuple):
    """An override that was checked against its optimizer."""

    options: set[str]  # whose saved values do not matter
    groups: list[dict[str, Any]]  # of each group: hyper-parameters in place of the saved ones


def read_override(opt: Optimizer, override: Mapping[str, Any] | None) -> Override:
    """Check it; every error is the caller's, so it is a TypeError or ValueError and names the key."""
    count = len(opt.param_groups)
    if override is None:
        return Override(set(), [{}] * count)
    if not isinstance(override, Mapping):
        raise TypeError(f"override: expected a dict, got {shown(override)}")
    options, values = set(), {}
    for key, value in override.items():
        if key in options_of(opt):
            _check_option(opt, key, value)
            options.add(key)
        elif key != "param_groups":
            values[key] = _hyper(opt, f"override[{key!r}]", key, value)
    groups = override.get("param_groups", [{}] * count)
    if not isinstance(groups, (list, tuple)) or len(groups) != count:
        raise ValueError(f'override["param_groups"]: expected a list of {count} dicts, got {shown(groups)}')
    return Override(options, [{**values, **_group(opt, i, group)} for i, group in enumerate(groups)])


def _check_option(opt: Optimizer, key: str, value: Any) -> None:
    """Options belong to the optimizer as it was made: the override says that the difference is meant."""
    mine = options_of(opt)[key]
    alike = (mine, float(mine)) if key == "clip_norm_type" else (mine,)  # "inf" and infinity
    if type(value) is bool or isinstance(value, np.ndarray) or value not in alike:
        raise ValueError(
            f"override[{key!r}]: expected {mine!r}, with which this optimizer was made, got {brief(value)}; "
            f"make it with {key}={brief(value)}"
        )


def _group(opt: Optimizer, index: int, group: Any) -> dict[str, Any]:
    label = f'override["param_groups"][{index}]'
    if not isinstance(group, Mapping):
        raise TypeError(f"{label}: expected a dict, got {shown(group)}")
    return {key: _hyper(opt, f"{label}[{key!r}]", key, value) for key, value in group.items()}


def _hyper(opt: Optimizer, label: str, key: Any, value: Any) -> Any:
    known = [key for key in opt.param_groups[0] if key != "params"]
    if key not in known:
        raise TypeError(
            f"{label}: expected one of {', '.join([*options_of(opt), *known])} or param_groups, "
            f"which {type(opt).__name__} has"
        )
    try:
        return opt._check(key, value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"override: {error}") from None
