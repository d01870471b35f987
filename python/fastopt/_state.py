"""An optimizer's state as a dict and as a file."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _dispatch
from fastopt._clipping import BEFORE
from fastopt._errors import CheckpointError
from fastopt._memory import axes_of, flat_of
from fastopt._precision import Coded

if TYPE_CHECKING:
    from os import PathLike

    from fastopt.optimizer import Optimizer

Array = NDArray[Any]
VERSION = 1

#: Of `options_of`, where the user chose nothing.
DEFAULTS = {
    "clip_value": None,
    "clip_norm": None,
    **BEFORE,
    "nonfinite": "propagate",
    "ema_decay": None,
    "state_dtype": None,
    "rounding": "nearest",
    "master": None,
    "seed": 0,
}


@functools.cache
def _rules() -> list[dict[str, Any]]:
    return list(_dispatch.core.rules())


def find_rule(name: str, flags: set[str]) -> dict[str, Any]:
    """The engine's entry for a rule with these flags."""
    for rule in _rules():
        if rule["name"] == name:
            wanted = sum(1 << i for i, flag in enumerate(rule["flag_names"]) if flag in flags)
            if rule["flags"] == wanted:
                return rule
    raise ValueError(f"the engine has no rule {name!r} with the flags {sorted(flags)}")


@functools.cache
def all_states(name: str) -> set[str]:
    """The states of a rule with any flags."""
    return {state for rule in _rules() if rule["name"] == name for state in rule["states"] if state}


def rule_of(opt: Optimizer, group: int) -> dict[str, Any]:
    """The rule of a group of an optimizer; some of its parameters may be another rule's."""
    return find_rule(opt.rule.kernel, opt._flags(opt.param_groups[group]))


def rule_for(
    cls: type[Optimizer], values: Mapping[str, Any], shape: tuple[int, ...], name: str | None
) -> dict[str, Any]:
    """The rule of a parameter: that of its class or, where the class has one beside it, the other."""
    if cls._other is None or cls._takes(values, shape, name):
        return find_rule(cls.rule.kernel, cls._flags(values))
    return find_rule(cls._other, set())


def states_of(cls: type[Optimizer]) -> set[str]:
    """The states of a class with any flags, its other rule's among them."""
    return all_states(cls.rule.kernel) | (all_states(cls._other) if cls._other else set())


def group_numbers(opt: Optimizer) -> list[int]:
    """The group of each parameter."""
    return [number for number, group in enumerate(opt.param_groups) for _ in group["params"]]


# --- to a dict ---


def collect(opt: Optimizer) -> dict[str, Any]:
    """See `Optimizer.state_dict`: the copies are made while nobody else can use the optimizer."""
    with opt._plan.exclusive():
        return collect_within(opt)


def collect_within(opt: Optimizer) -> dict[str, Any]:
    """The same, in a block that the caller has opened and other objects may share."""
    state: dict[int, dict[str, Any]] = {}
    groups = []
    index = 0
    for number, group in enumerate(opt.param_groups):
        indices = list(range(index, index + len(group["params"])))
        index += len(indices)
        groups.append({**_group_values(opt, number), "params": indices})
        if opt._names is not None:  # then there is one group
            groups[-1]["param_names"] = list(opt._names)
        for i in indices:
            if opt._plan.count(i) > 0:
                state[i] = entry_of(opt, i)
    return {"state": state, "param_groups": groups, "fastopt": _own_section(opt)}


def entry_of(opt: Optimizer, index: int) -> dict[str, Any]:
    """The state of one parameter that has been updated: its count, arrays and scalars, copied.

    Codes and remainders are in the order of memory, which is then told as ``"axes"`` if it is not C's.
    """
    arrays: dict[str, Any] = {}
    for name, state in opt._states[index].items():
        if isinstance(state, Coded):
            arrays |= {f"{name}.{part}": array for part, array in state.saved().items()}
        else:
            arrays[name] = state.copy(order="K")
    remainder = opt._remainders[index]
    if remainder is not None:
        arrays[f"master.{remainder.kind}"] = flat_of(remainder.array).copy()
    axes = axes_of(opt._params[index])
    if axes != sorted(map(abs, axes)) and any("." in name for name in arrays):
        arrays["axes"] = axes
    scalars = zip(opt._rules[index]["scalars"], opt._plan.scalars(index), strict=True)
    return {"step": opt._plan.count(index), **arrays, **dict(scalars)}


def _group_values(opt: Optimizer, number: int) -> dict[str, Any]:
    values = {key: value for key, value in opt.param_groups[number].items() if key != "params"}
    lr = values["lr"]
    if callable(lr):
        # the number is what a reader without schedules needs; the description is what decides on loading. A
        # foreign callable is not asked here: it may count its calls, or have no answer after the last step.
        from fastopt.schedules import Schedule  # a callable lr is mostly one, and then it has been imported

        known = isinstance(lr, Schedule)
        values["lr"] = float(lr(opt.step_count)) if known else opt._plan.lr(number)
        values["lr_schedule"] = lr.describe() if known else "callable"
    return values


def _own_section(opt: Optimizer) -> dict[str, Any]:
    begun = opt._plan.averaged
    ema = [
        a.copy(order="K") if begun[group] else None
        for a, group in zip(opt._ema, group_numbers(opt), strict=bool(opt._ema))
    ]
    return {
        "version": VERSION,
        "optimizer": type(opt).__name__,
        "step_count": opt.step_count,
        "skipped": opt.skipped,
        "options": options_of(opt),
        "ema": ema if any(begun) else None,
    }


def options_of(opt: Optimizer) -> dict[str, Any]:
    """What the optimizer was made with, besides the values of groups."""
    return {
        "clip_value": opt._clip_value,
        "clip_norm": opt._clip_norm,
        "clip_norm_type": opt._clip_norm_type,
        "clip_norm_per": opt._clip_norm_per,
        "nonfinite": opt._nonfinite,
        "ema_decay": opt._ema_decay,
        **opt._storage.options(),
    }


# --- to and from a file ---


def save(opt: Optimizer, path: str | PathLike[str]) -> None:
    """See `Optimizer.save`."""
    from fastopt import checkpoint  # needed by few, and at the end

    state = collect(opt)
    arrays: dict[str, Array] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for i, entry in state["state"].items():
        numbers[str(i)] = {k: v for k, v in entry.items() if not isinstance(v, np.ndarray)}
        arrays |= {f"state.{i}.{k}": v for k, v in entry.items() if isinstance(v, np.ndarray)}
    own = {k: v for k, v in state["fastopt"].items() if k != "ema"}
    averages = state["fastopt"]["ema"]
    arrays |= {f"ema.{i}": a for i, a in enumerate(averages or []) if a is not None}
    meta = {
        "format": "fastopt.optimizer",
        "state": numbers,
        "param_groups": state["param_groups"],
        "fastopt": {**own, "has_ema": averages is not None},
    }
    checkpoint.write(path, arrays, meta)


def load(opt: Optimizer, path: str | PathLike[str], override: Mapping[str, Any] | None = None) -> None:
    """See `Optimizer.load`."""
    from fastopt import checkpoint
    from fastopt._restore import restore

    arrays, meta = checkpoint.read(path)
    if meta.get("format") != "fastopt.optimizer":
        hint = "; fastopt.load() reads it" if meta.get("format") == "fastopt.tree" else ""
        raise CheckpointError(f"{path}: expected an optimizer's checkpoint, got {meta.get('format')!r}{hint}")
    state = _state_in(path, arrays, meta, len(opt._ema))
    try:
        restore(opt, state, override)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _state_in(
    path: str | PathLike[str], arrays: dict[str, Array], meta: dict[str, Any], count: int
) -> dict[str, Any]:
    """The state dict in the content of a file."""
    try:
        state = {int(i): dict(entry) for i, entry in meta["state"].items()}
        own = dict(meta["fastopt"])
        averages = {int(name[4:]): arrays.pop(name) for name in list(arrays) if name.startswith("ema.")}
        ema = [averages.get(i) for i in range(max([count - 1, *averages]) + 1)]
        own["ema"] = ema if own.pop("has_ema") else None
        for name, array in arrays.items():
            _, i, key = name.split(".", 2)
            state[int(i)][key] = array
        groups = [
            {k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in g.items()}
            for g in meta["param_groups"]
        ]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not the layout of an optimizer's checkpoint ({error!r})") from error
    return {"state": state, "param_groups": groups, "fastopt": own}
