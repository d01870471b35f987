"""State dicts of the packages `schedulefree` and `prodigyopt` as `torch.optim` would have them.

These keep in the group what is a number of every tensor here, count steps there, and Prodigy's has states of
one axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["from_authors"]

#: Of a rule: the numbers that a group holds there, under their names, and the states that are flat.
_NUMBERS = {
    "schedule_free_sgd": ("weight_sum", "lr_max"),
    "schedule_free_adamw": ("weight_sum", "lr_max"),
    "schedule_free_radam": ("weight_sum", "lr_max"),
    "prodigy": ("d", "d_max", "d_numerator", "k"),
}


#: What else is in their groups.
_THEIRS = {"k", "scheduled_lr", "d_denom", "d_hat", "fsdp_in_use", "slice_p"}


def from_authors(
    rule: str,
    saved: Any,
    shapes: Sequence[tuple[int, ...] | None],
    groups_here: Sequence[Mapping[str, Any]],
) -> Any:
    """The state dict with states as they are here; any other as it is.

    Parameters
    ----------
    rule : str
        The kernel's name.
    saved : dict
        From the package, or from anywhere.
    shapes : sequence of tuple or None
        Of the parameters, in their order; None where one has no shape yet.
    groups_here : sequence of mapping
        Of which the keys are taken that theirs have not.
    """
    names = _NUMBERS.get(rule)
    groups = saved.get("param_groups") if isinstance(saved, Mapping) else None
    if names is None or not isinstance(groups, (list, tuple)) or not isinstance(saved.get("state"), Mapping):
        return saved
    state, made = dict(saved["state"]), list(groups)
    for number, group in enumerate(groups):
        if not isinstance(group, Mapping) or not {"k", *names} <= group.keys():
            continue
        here = dict(groups_here[number]) if number < len(groups_here) else {}
        rest = {key: value for key, value in group.items() if key not in {*names, *_THEIRS}}
        made[number] = {**here, **rest}
        indices = group.get("params")
        for i in indices if isinstance(indices, (list, tuple)) else ():
            entry = state.get(i) if type(i) is int else None
            if isinstance(entry, Mapping) and entry and not set(names) <= entry.keys():
                numbers = {name: group[name] for name in names}
                state[i] = {"step": group["k"], **_shaped(rule, entry, shapes[i : i + 1]), **numbers}
    return {**saved, "state": state, "param_groups": made}


def _shaped(rule: str, entry: Mapping[str, Any], shapes: Sequence[tuple[int, ...] | None]) -> dict[str, Any]:
    """Prodigy's states in the shape of the parameter, where one number may stand for a start at 0."""
    shape = shapes[0] if shapes else None
    if rule != "prodigy" or shape is None or "s" not in entry:
        return dict(entry)
    found = dict(entry)
    for name in ("s", "p0"):
        value = found.get(name)
        if value is None or not _is_array(value) or tuple(value.shape) == shape:
            continue
        fits = value.ndim > 0 and int(np.prod(value.shape)) == int(np.prod(shape))
        found[name] = value.reshape(shape) if fits else _zeros(value, shape) if value.ndim == 0 else value
    if "exp_avg" not in found and _is_array(found.get("exp_avg_sq")):  # left out where beta1 is 0
        found["exp_avg"] = _zeros(found["exp_avg_sq"], shape)
    return found


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "reshape")


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    return like.new_zeros(shape) if hasattr(like, "new_zeros") else np.zeros(shape, like.dtype)
