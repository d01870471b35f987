"""The groups of a saved state: hyper-parameters and learning rates."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastopt._checks import shown
from fastopt._hypers import COMMON
from fastopt._override import Override
from fastopt._problems import Problems, brief, plain
from fastopt._state import group_numbers

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["read_groups"]

#: Keys of PyTorch's groups that say how, not what; they are passed over.
_FOREIGN_KEYS = {"foreach", "capturable", "differentiable", "fused", "initial_lr", "param_names", "params"}


def read_groups(opt: Optimizer, groups: Any, own: bool, given: Override) -> list[dict[str, Any]]:
    """The new values of every group; under "" what its schedule is to remember."""
    if not isinstance(groups, (list, tuple)) or len(groups) != len(opt.param_groups):
        raise ValueError(
            f'state_dict["param_groups"]: expected {len(opt.param_groups)} groups, got '
            f"{len(groups) if isinstance(groups, (list, tuple)) else shown(groups)}"
        )
    indices: list[list[int]] = [[] for _ in groups]
    for i, number in enumerate(group_numbers(opt)):
        indices[number].append(i)
    problems = Problems()
    read = [
        problems.attempt(_read_group, opt, i, saved, indices[i], own, given.groups[i])
        for i, saved in enumerate(groups)
    ]
    problems.refuse()
    return read


def _read_group(
    opt: Optimizer, index: int, saved: Any, indices: list[int], own: bool, given: dict[str, Any]
) -> dict[str, Any]:
    label, group = f'state_dict["param_groups"][{index}]', opt.param_groups[index]
    if not isinstance(saved, Mapping):
        raise TypeError(f"{label}: expected a dict, got {shown(saved)}")
    params = saved.get("params")
    if not isinstance(params, (list, tuple)) or list(params) != indices:
        raise ValueError(f'{label}["params"]: expected the indices {brief(indices)}, got {brief(params)}')
    problems, values = Problems(), dict[str, Any]()
    if own:
        older = {key: _before(opt, key) for key in group if key not in saved}
        missing = [key for key, before in older.items() if not before]
        problems += [f"{label}: expected {key!r}, it is missing" for key in missing]
        values = {key: before[0] for key, before in older.items() if before and key not in given}
    for key, value in saved.items():
        if key in _FOREIGN_KEYS or key == "lr_schedule" or key in given or (key not in group and not own):
            continue
        if key not in group:
            problems.append(f"{label}: {type(opt).__name__} has no hyper-parameter {key!r}")
        elif callable(value):  # lr may be one; saved, it is a number and, apart from that, a schedule
            problems.append(
                f'{label}: expected the number that {key} was (see "lr_schedule"), got {shown(value)}'
            )
        else:
            values[key] = problems.attempt(_checked, opt, label, key, value)
    problems.refuse()
    values |= given
    problems.attempt(_check_formula, opt, label, group, values)
    lr = problems.attempt(_read_lr, label, group["lr"], saved, own) if "lr" not in given else None
    problems.refuse()
    if lr is not None:
        values["lr"], values[""] = lr
    return values


def _before(opt: Optimizer, key: str) -> tuple[Any, ...]:
    """What a hyper-parameter was, alone, before it was one; empty if it has always been."""
    hyper = opt._hypers.get(key) or COMMON.get(key)
    return () if hyper is None else hyper.before


def _checked(opt: Optimizer, label: str, key: str, value: Any) -> Any:
    try:
        return opt._check(key, plain(value))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {error}") from None


def _check_formula(opt: Optimizer, label: str, group: Mapping[str, Any], values: dict[str, Any]) -> None:
    """What must hold between the values, and what was decided when the group was made."""
    try:
        opt._check_group({**group, **values})
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {error}") from None
    changed = opt._flags({**group, **values}) ^ opt._flags(group)
    fixed = [k for k, v in values.items() if k in opt._hypers and opt._hypers[k].fixed and v != group[k]]
    if changed or fixed:
        keys = fixed or sorted(changed)
        mine = ", ".join(f"{key}={group.get(key)!r}" for key in keys)
        got = ", ".join(repr(values.get(key)) for key in keys)
        raise ValueError(f"{label}: expected {mine}, as this optimizer was made, got {got}")


def _read_lr(label: str, mine: Any, saved: Mapping[str, Any], own: bool) -> tuple[Any, list[Any]] | None:
    """The learning rate to go on with and what it is to remember, or None for the saved number."""
    schedule = saved.get("lr_schedule")
    if schedule is None:
        if callable(mine) and own:
            raise ValueError(
                f"{label}: expected the schedule {mine!r}, got the constant lr {saved.get('lr')}; "
                'if the change is meant: override={"lr": ...}'
            )
        if callable(mine):
            _warn(
                f"{label}: the saved lr {saved.get('lr')} is not used, "
                f"this optimizer has the schedule {mine!r}"
            )
            return mine, []
        return None
    if schedule == "callable":
        _warn(
            f"{label}: the saved lr was a callable, which cannot be saved; "
            f"this optimizer's own ({mine!r}) is kept"
        )
        return mine, []
    from fastopt.schedules import from_description

    try:
        wanted = from_description(schedule)
    except (TypeError, ValueError) as error:
        raise type(error)(f'{label}["lr_schedule"]: {error}') from None
    if wanted != mine:
        raise ValueError(
            f"{label}: expected the schedule that this optimizer has, {mine!r}, got {wanted!r}; "
            'if the change is meant: override={"lr": ...}'
        )
    return mine, mine._memories(wanted)


def _warn(message: str) -> None:
    """Warn in the name of the first caller outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] == "fastopt":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
