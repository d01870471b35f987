"""Groups of parameters, added to an optimizer: all that can fail comes before the first change."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _state
from fastopt._memory import buffers
from fastopt._precision import Coded, Remainder
from fastopt._storage import read_shadow
from fastopt.param_group import ParamGroup

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

Array = NDArray[Any]


def add_groups(opt: Optimizer, groups: Sequence[dict[str, Any]]) -> None:
    """Check the groups, have their memory, and make them known to plan and `opt` in one native call."""
    groups = [dict(group) for group in groups]
    shadows = [
        read_shadow(group.pop("shadow", None), group["params"], _shadow_label(number, len(groups)))
        for number, group in enumerate(groups, len(opt.param_groups))
    ]
    checked = [
        _check(opt, number, group, len(groups)) for number, group in enumerate(groups, len(opt.param_groups))
    ]
    arrays = [a for _, group_arrays in checked for a in group_arrays]
    labels = _labels(opt, len(opt._params), len(arrays))
    opt._plan.check_parameters(arrays, labels)
    if not opt._params:
        opt._storage.check_use(arrays)
    first, native = 0, []
    states, remainders, ema = list(opt._states), list(opt._remainders), list(opt._ema)
    for (values, group_arrays), shadow in zip(checked, shadows, strict=True):
        end = first + len(group_arrays)
        made = _native(opt, values, group_arrays, labels[first:end])
        numbers = range(len(opt._params) + first, len(opt._params) + end)
        native.append({**made, "shadows": shadow, "numbers": list(numbers)})
        names = _names(opt, values)
        states += [{n: a for n, a in zip(names, row, strict=True) if n} for row in made["states"]]
        remainders += made["masters"]
        ema += [a for a in made["ema"] if a is not None]
        first = end
    opt._plan.add_groups(native, _mirrors(opt, checked, [*opt._params, *arrays], states, remainders, ema))


def _check(
    opt: Optimizer, number: int, group: dict[str, Any], count: int
) -> tuple[dict[str, Any], list[Array]]:
    """The values of a group, defaults included, and its arrays."""
    try:
        values = {k: opt._check(k, v) for k, v in group.items() if k != "params"}
        values = {**opt._defaults, **values}
        opt._check_group({**values, "params": group["params"]})
    except (TypeError, ValueError) as error:
        if count + len(opt.param_groups) == 1 and set(group) == {"params"}:
            raise
        raise type(error)(f"params[{number}]: {error}") from None
    return values, group["params"]


def _shadow_label(number: int, count: int) -> str:
    return "shadow" if number == 0 and count == 1 else f"params[{number}]['shadow']"


def _labels(opt: Optimizer, first: int, count: int) -> list[str]:
    if opt._names is not None:
        return [f"params[{name!r}]" for name in opt._names]
    return [f"params[{i}]" for i in range(first, first + count)]


def _names(opt: Optimizer, values: Mapping[str, Any]) -> list[str]:
    """The rule's states by name; empty where this one keeps none."""
    return list(_state.find_rule(opt.rule.kernel, opt._flags(values))["states"])


def _native(opt: Optimizer, values: dict[str, Any], arrays: list[Array], labels: list[str]) -> dict[str, Any]:
    """A group as the plan takes it, with memory for states and averages."""
    hypers, maximize, scheduled = opt._native_group(values)
    decay = opt.rule.decay(values)
    rule = _state.find_rule(opt.rule.kernel, opt._flags(values))
    opt._storage.check(type(opt).__name__, rule, _state.all_states(opt.rule.kernel))
    ema: list[Array | None] = [None] * len(arrays)
    if opt._ema_decay is not None:
        wide = [np.dtype(np.float64 if a.dtype == np.float64 else np.float32) for a in arrays]
        ema = list(buffers(arrays, wide, slot=8))
    return {
        "rule": opt.rule.kernel,
        "flags": rule["flags"],
        "hypers": hypers,
        "decay_kind": "rule"
        if decay == "own"
        else decay,  # "in the rule": the engine leaves it to the formula
        "maximize": maximize,
        "scheduled": scheduled,
        "starts": dict(opt._starts(values)),
        "arrays": arrays,
        "labels": labels,
        "states": opt._storage.states(rule, arrays, labels),
        "ema": ema,
        "masters": opt._storage.remainders(arrays, labels),
        "stochastic": opt._storage.rounding == "stochastic",
    }


def _mirrors(
    opt: Optimizer,
    checked: Sequence[tuple[dict[str, Any], list[Array]]],
    params: list[Array],
    states: list[dict[str, Array | Coded]],
    remainders: list[Remainder | None],
    ema: list[Array],
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    change, first = weakref.WeakMethod(opt._change_group), len(opt.param_groups)
    groups = [
        ParamGroup({"params": tuple(arrays), **values}, change, index)
        for index, (values, arrays) in enumerate(checked, first)
    ]
    schedules = {i: values["lr"] for i, (values, _) in enumerate(checked, first) if callable(values["lr"])}
    changed = {
        "_params": params,
        "_states": states,
        "_remainders": remainders,
        "_ema": ema,
        "_schedules": {**opt._schedules, **schedules},
        "_adapt": opt._adapt and (opt._names is not None or len(params) == 1),
    }
    return [
        (vars(opt), changed),
        (vars(opt.param_groups), {"_groups": (*opt.param_groups, *groups)}),
    ]
