"""An optimizer's state as a dict and as a file, and back."""

from __future__ import annotations

import functools
import reprlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _dispatch
from fastopt._checks import integer, real, shown

if TYPE_CHECKING:
    from os import PathLike

    from fastopt.optimizer import Optimizer

Array = NDArray[Any]
VERSION = 1

#: Keys of PyTorch's groups that say how, not what; they are passed over.
_FOREIGN_KEYS = {"foreach", "capturable", "differentiable", "fused", "initial_lr", "param_names", "params"}


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


def rule_of(opt: Optimizer, group: int) -> dict[str, Any]:
    """The rule that a group of an optimizer uses."""
    return find_rule(opt.rule.kernel, opt._flags(opt.param_groups[group]))


# --- to a dict ---


def collect(opt: Optimizer) -> dict[str, Any]:
    """See `Optimizer.state_dict`: the copies are made while nobody else can use the optimizer."""
    with opt._plan.exclusive():
        state: dict[int, dict[str, Any]] = {}
        groups = []
        index = 0
        for number, group in enumerate(opt.param_groups):
            scalar_names = rule_of(opt, number)["scalars"]
            indices = list(range(index, index + len(group["params"])))
            index += len(indices)
            groups.append({**_group_values(opt, number), "params": indices})
            if opt._names is not None:  # then there is one group
                groups[-1]["param_names"] = list(opt._names)
            for i in indices:
                count = opt._plan.count(i)
                if count > 0:
                    arrays = {name: a.copy(order="K") for name, a in opt._states[i].items()}
                    scalars = dict(zip(scalar_names, opt._plan.scalars(i), strict=True))
                    state[i] = {"step": count, **arrays, **scalars}
        return {"state": state, "param_groups": groups, "fastopt": _own_section(opt)}


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
        for a, group in zip(opt._ema, _group_numbers(opt), strict=bool(opt._ema))
    ]
    return {
        "version": VERSION,
        "optimizer": type(opt).__name__,
        "step_count": opt.step_count,
        "skipped": opt.skipped,
        "options": _options(opt),
        "ema": ema if any(begun) else None,
    }


def _options(opt: Optimizer) -> dict[str, Any]:
    return {
        "clip_value": opt._clip_value,
        "clip_norm": opt._clip_norm,
        "nonfinite": opt._nonfinite,
        "ema_decay": opt._ema_decay,
    }


# --- from a dict ---


def restore(opt: Optimizer, state_dict: Mapping[str, Any]) -> None:
    """See `Optimizer.load_state_dict`: everything is read and checked, then written in one native call."""
    if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
        raise TypeError(
            f'state_dict: expected a dict with "state" and "param_groups", got {shown(state_dict)}'
        )
    with opt._plan.exclusive():
        opt._plan.refuse_elsewhere("load_state_dict()")
        own = state_dict.get("fastopt")
        if own is not None:
            _check_own(opt, own)
        groups = _read_groups(opt, state_dict["param_groups"], own is not None)
        order = saved_order(opt, state_dict["param_groups"])
        entries = _by_index(opt, state_dict["state"])
        tensors = [
            _read_tensor(opt, i, order[i], entries[order[i]], own is not None) for i in range(len(order))
        ]
        ema = _read_ema(opt, own.get("ema"), order) if own else [None] * len(opt._params)
        _write(opt, groups, tensors, ema, own)


def _write(
    opt: Optimizer,
    groups: Sequence[dict[str, Any]],
    tensors: Sequence[tuple[int, dict[str, Array], list[float]]],
    ema: Sequence[Array | None],
    own: Any,
) -> None:
    values = {
        number: {**group, **new}
        for number, (group, new) in enumerate(zip(opt.param_groups, groups, strict=True))
    }
    numbers = _group_numbers(opt)
    native = []
    for i, (count, arrays, scalars) in enumerate(tensors):
        names = rule_of(opt, numbers[i])["states"]
        states = tuple(arrays[name] if name else None for name in names) if count else None
        native.append((count, scalars, states, ema[i]))
    begun = [
        any(a is not None for a, n in zip(ema, numbers, strict=True) if n == g) for g in range(len(groups))
    ]
    opt._plan.restore(
        native,
        [opt._native_group(v) for v in values.values()],
        own["step_count"] if own else max((t[0] for t in tensors), default=0),
        own["skipped"] if own else 0,
        begun,
        opt._mirrors(values),
    )


def _check_own(opt: Optimizer, own: Any) -> None:
    if not isinstance(own, Mapping):
        raise TypeError(f'state_dict["fastopt"]: expected a dict, got {shown(own)}')
    if own.get("version") != VERSION:
        raise ValueError(
            'state_dict["fastopt"]["version"]: this fastopt reads version '
            f"{VERSION}, got {shown(own.get('version'))}"
        )
    if own.get("optimizer") != type(opt).__name__:
        raise ValueError(
            f"state_dict: expected the state of {type(opt).__name__}, got that of {own.get('optimizer')}"
        )
    for key in ("step_count", "skipped"):
        integer(f'state_dict["fastopt"][{key!r}]', own.get(key), minimum=0)
    mine = _options(opt)
    if own.get("options") != mine:
        raise ValueError(f"state_dict: expected the options {mine}, got {own.get('options')}")


def _by_index(opt: Optimizer, state: Any) -> list[Mapping[str, Any]]:
    if not isinstance(state, Mapping):
        raise TypeError(f'state_dict["state"]: expected a dict, got {shown(state)}')
    n = len(opt._params)
    unknown = [key for key in state if type(key) is not int or not 0 <= key < n]
    if unknown:
        raise ValueError(f'state_dict["state"]: expected indices below {n}, got {unknown[0]!r}')
    return [state.get(i, {}) for i in range(n)]


def saved_order(opt: Optimizer, groups: Any) -> list[int]:
    """Of each parameter: its index in a state dict whose groups were read.

    By name where both sides have names.
    """
    n = len(opt._params)
    saved = groups[0].get("param_names") if opt._names is not None else None
    if opt._names is None or saved is None:
        return list(range(n))
    label = 'state_dict["param_groups"][0]["param_names"]'
    if not isinstance(saved, (list, tuple)) or not all(isinstance(name, str) for name in saved):
        raise TypeError(f"{label}: expected a list of names, got {_brief(saved)}")
    if len(set(saved)) < len(saved):
        raise ValueError(f"{label}: expected names that differ, got {_brief(saved)}")
    missing = [name for name in opt._names if name not in saved]
    unknown = [name for name in saved if name not in opt._names]
    if missing or unknown:
        raise ValueError(
            f"{label}: expected the names of this optimizer's parameters, missing {_brief(missing)}, "
            f"not known here {_brief(unknown)}"
        )
    return [list(saved).index(name) for name in opt._names]


def _read_groups(opt: Optimizer, groups: Any, own: bool) -> list[dict[str, Any]]:
    if not isinstance(groups, (list, tuple)) or len(groups) != len(opt.param_groups):
        raise ValueError(
            f'state_dict["param_groups"]: expected {len(opt.param_groups)} groups, got '
            f"{len(groups) if isinstance(groups, (list, tuple)) else shown(groups)}"
        )
    numbers = _group_numbers(opt)
    indices = [[i for i, n in enumerate(numbers) if n == g] for g in range(len(groups))]
    return [_read_group(opt, i, saved, indices[i], own) for i, saved in enumerate(groups)]


def _read_group(opt: Optimizer, index: int, saved: Any, indices: list[int], own: bool) -> dict[str, Any]:
    label, group = f'state_dict["param_groups"][{index}]', opt.param_groups[index]
    if not isinstance(saved, Mapping):
        raise TypeError(f"{label}: expected a dict, got {shown(saved)}")
    params = saved.get("params")
    if not isinstance(params, (list, tuple)) or list(params) != indices:
        raise ValueError(f'{label}["params"]: expected the indices {_brief(indices)}, got {_brief(params)}')
    missing = [key for key in group if key not in saved]
    if own and missing:
        raise ValueError(f"{label}: expected {missing[0]!r}, it is missing")
    values = {}
    for key, value in saved.items():
        if key in _FOREIGN_KEYS or key == "lr_schedule" or (key not in group and not own):
            continue
        if key not in group:
            raise ValueError(f"{label}: {type(opt).__name__} has no hyper-parameter {key!r}")
        try:
            values[key] = opt._check(key, _plain(value))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{label}: {error}") from None
    try:
        opt._check_group({**group, **values})
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {error}") from None
    changed = opt._flags({**group, **values}) ^ opt._flags(group)
    fixed = [
        k for k, v in values.items() if {**opt._hypers}.get(k) and opt._hypers[k].fixed and v != group[k]
    ]
    if changed or fixed:
        key = (fixed or sorted(changed))[0]
        raise ValueError(
            f"{label}: expected {key}={group.get(key)!r}, as this optimizer was made, got {values.get(key)!r}"
        )
    lr = _read_lr(label, group["lr"], saved, own)
    return {**values, "lr": values.get("lr", group["lr"]) if lr is None else lr}


def _read_lr(label: str, mine: Any, saved: Mapping[str, Any], own: bool) -> Any:
    """The learning rate to go on with, or None for the saved number."""
    schedule = saved.get("lr_schedule")
    if schedule is None:
        if callable(mine) and own:
            raise ValueError(
                f"{label}: expected the schedule {mine!r}, got the constant lr {saved.get('lr')}"
            )
        if callable(mine):
            _warn(
                f"{label}: the saved lr {saved.get('lr')} is not used, "
                f"this optimizer has the schedule {mine!r}"
            )
            return mine
        return None
    if schedule == "callable":
        _warn(
            f"{label}: the saved lr was a callable, which cannot be saved; "
            f"this optimizer's own ({mine!r}) is kept"
        )
        return mine
    from fastopt.schedules import from_description

    wanted = from_description(schedule)
    if wanted != mine:
        raise ValueError(f"{label}: expected the schedule that this optimizer has, {mine!r}, got {wanted!r}")
    return mine


def _warn(message: str) -> None:
    """Warn in the name of the first caller outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] == "fastopt":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def _brief(value: Any) -> str:
    return reprlib.repr(value)


def _plain(value: Any) -> Any:
    """A number out of a 0-d tensor of another library."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _read_tensor(
    opt: Optimizer, i: int, saved: int, entry: Any, own_format: bool
) -> tuple[int, dict[str, Array], list[float]]:
    label = f'state_dict["state"][{saved}]'
    if not isinstance(entry, Mapping):
        raise TypeError(f"{label}: expected a dict, got {shown(entry)}")
    mine = opt._states[i]
    rule = rule_of(opt, _group_numbers(opt)[i])
    scalar_names = rule["scalars"]
    present = {k: v for k, v in entry.items() if v is not None and k != "step"}
    # PyTorch's SGD counts nothing: what matters is only whether the buffer has begun
    count = _read_step(f'{label}["step"]', entry.get("step", 1 if present else 0))
    unknown = set(present) - set(mine) - set(scalar_names)
    if unknown:
        raise ValueError(
            f"{label}: {type(opt).__name__} has no state {sorted(unknown)[0]!r}; "
            f"its states are {sorted(mine)}"
        )
    if count == 0:
        return 0, {}, rule["first_scalars"]
    arrays = {}
    for name, own in mine.items():
        if name not in present:
            raise ValueError(f"{label}: expected {name!r}, it is missing")
        array = _as_stored(np.asarray(present[name]), own.dtype)
        if array.dtype != own.dtype:
            raise TypeError(f"{label}[{name!r}]: expected dtype {own.dtype}, got {array.dtype}")
        if array.shape != own.shape:
            raise ValueError(f"{label}[{name!r}]: expected shape {own.shape}, got {array.shape}")
        arrays[name] = array
    scalars = []
    for name, value in zip(scalar_names, rule["first_scalars"], strict=True):
        if name not in present and own_format:
            raise ValueError(f"{label}: expected {name!r}, it is missing")
        scalars.append(real(f"{label}[{name!r}]", _plain(present[name])) if name in present else value)
    return count, arrays, scalars


def _read_step(label: str, saved: Any) -> int:
    """A step count; PyTorch keeps it as a floating-point tensor."""
    number = _plain(saved)
    return integer(
        label, int(number) if isinstance(number, float) and number.is_integer() else number, minimum=0
    )


def _as_stored(array: Array, dtype: np.dtype[Any]) -> Array:
    """The bits of bfloat16 arrays, which have a dtype of their own only where ml_dtypes is installed."""
    bfloat16 = {array.dtype.name, dtype.name} == {"uint16", "bfloat16"}
    return array.view(dtype) if bfloat16 else array


def _group_numbers(opt: Optimizer) -> list[int]:
    """The group of each parameter."""
    return [number for number, group in enumerate(opt.param_groups) for _ in group["params"]]


def _read_ema(opt: Optimizer, saved: Any, order: Sequence[int]) -> list[Array | None]:
    """The averages, None where none has begun."""
    n = len(opt._ema)
    if saved is None:
        return [None] * len(order)
    if not isinstance(saved, (list, tuple)) or len(saved) != n:
        raise ValueError(f'state_dict["fastopt"]["ema"]: expected a list of {n} arrays, got {_brief(saved)}')
    arrays = [None if saved[j] is None else np.asarray(saved[j]) for j in order]
    for array, mine, j in zip(arrays, opt._ema, order, strict=True):
        if array is not None and (array.shape != mine.shape or array.dtype != mine.dtype):
            raise ValueError(
                f'state_dict["fastopt"]["ema"][{j}]: expected {mine.dtype} of shape {mine.shape}, '
                f"got {array.dtype} of shape {array.shape}"
            )
    numbers = _group_numbers(opt)
    for g in set(numbers):
        missing = [j for array, n, j in zip(arrays, numbers, order, strict=True) if n == g and array is None]
        if 0 < len(missing) < numbers.count(g):
            raise ValueError(
                f'state_dict["fastopt"]["ema"][{missing[0]}]: expected an array, as others of its group have'
            )
    return arrays


# --- to and from a file ---


def save(opt: Optimizer, path: str | PathLike[str]) -> None:
    """See `Optimizer.save`."""
    from fastopt import checkpoint

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


def load(opt: Optimizer, path: str | PathLike[str]) -> None:
    """See `Optimizer.load`."""
    from fastopt import checkpoint

    arrays, meta = checkpoint.read(path)
    if meta.get("format") != "fastopt.optimizer":
        raise checkpoint.CheckpointError(
            f"{path}: expected an optimizer's checkpoint, got {meta.get('format')!r}"
        )
    try:
        state = {int(i): dict(entry) for i, entry in meta["state"].items()}
        own = dict(meta["fastopt"])
        averages = {int(name[4:]): arrays.pop(name) for name in list(arrays) if name.startswith("ema.")}
        ema = [averages.get(i) for i in range(max([len(opt._ema) - 1, *averages]) + 1)]
        own["ema"] = ema if own.pop("has_ema") else None
        for name, array in arrays.items():
            _, i, key = name.split(".", 2)
            state[int(i)][key] = array
        groups = [
            {k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in g.items()}
            for g in meta["param_groups"]
        ]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError(
            f"{path}: not the layout of an optimizer's checkpoint ({error!r})"
        ) from error
    restore(opt, {"state": state, "param_groups": groups, "fastopt": own})
