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
    rules = list(opt._rules)
    for (values, group_arrays), shadow in zip(checked, shadows, strict=True):
        end = first + len(group_arrays)
        of_arrays = [
            _state.rule_for(type(opt), values, a.shape, opt._names[i] if opt._names else None)
            for i, a in enumerate(group_arrays)
        ]
        made = _native(opt, values, group_arrays, labels[first:end], of_arrays)
        numbers = range(len(opt._params) + first, len(opt._params) + end)
        native.append({**made, "shadows": shadow, "numbers": list(numbers)})
        states += [
            {n: a for n, a in zip(rule["states"], row, strict=True) if n}
            for rule, row in zip(of_arrays, made["states"], strict=True)
        ]
        rules += of_arrays
        remainders += made["masters"]
        ema += [a for a in made["ema"] if a is not None]
        first = end
    opt._plan.add_groups(
        native, _mirrors(opt, checked, [*opt._params, *arrays], states, remainders, ema, rules)
    )


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


def _native(
    opt: Optimizer,
    values: dict[str, Any],
    arrays: list[Array],
    labels: list[str],
    rules: list[dict[str, Any]],
) -> dict[str, Any]:
    """A group as the plan takes it, with memory for states and averages."""
    cls = type(opt)
    for rule in (_state.find_rule(opt.rule.kernel, opt._flags(values)), *rules):
        opt._storage.check(cls.__name__, rule, _state.states_of(cls))
    ema: list[Array | None] = [None] * len(arrays)
    if opt._ema_decay is not None:
        wide = [np.dtype(np.float64 if a.dtype == np.float64 else np.float32) for a in arrays]
        ema = list(buffers(arrays, wide, slot=8))
    batch_axes = [cls._batch_axes(values, a.ndim) for a in arrays]
    return {
        **native_rules(cls, values, rules, batch_axes),
        "arrays": arrays,
        "labels": labels,
        "states": opt._storage.states(rules, arrays, labels, batch_axes),
        "ema": ema,
        "masters": opt._storage.remainders(arrays, labels),
        "stochastic": opt._storage.rounding == "stochastic",
    }


def native_rules(
    cls: type[Optimizer],
    values: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]],
    batch_axes: Sequence[int],
) -> dict[str, Any]:
    """What a group's parameters are stepped by; `rules` are theirs."""
    hypers, maximize, scheduled = cls._native_group(values)
    decay = cls.rule.decay(values)
    other = None
    if cls._other is not None:
        flags = _state.find_rule(cls._other, set())["flags"]
        other = {"rule": cls._other, "flags": flags, "decay_kind": "decoupled", "starts": {}}
    return {
        "rule": cls.rule.kernel,
        "flags": _state.find_rule(cls.rule.kernel, cls._flags(values))["flags"],
        "hypers": hypers,
        # "in the rule": the engine leaves it to the formula
        "decay_kind": "rule" if decay == "own" else decay,
        "maximize": maximize,
        "scheduled": scheduled,
        "starts": dict(cls._starts(values)),
        "other": other,
        "others": [] if other is None else [rule["name"] == cls._other for rule in rules],
        "batch_axes": list(batch_axes),
    }


def _mirrors(
    opt: Optimizer,
    checked: Sequence[tuple[dict[str, Any], list[Array]]],
    params: list[Array],
    states: list[dict[str, Array | Coded]],
    remainders: list[Remainder | None],
    ema: list[Array],
    rules: list[dict[str, Any]],
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
        "_rules": rules,
        "_schedules": {**opt._schedules, **schedules},
        "_adapt": opt._adapt and (opt._names is not None or len(params) == 1),
    }
    return [
        (vars(opt), changed),
        (vars(opt.param_groups), {"_groups": (*opt.param_groups, *groups)}),
    ]
