"""A saved state, read into an optimizer: all that differs is listed, and then nothing has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt._authors import from_authors
from fastopt._checks import flag, integer, real, shown
from fastopt._clipping import BEFORE
from fastopt._errors import CheckpointError
from fastopt._override import Override, read_override
from fastopt._problems import Problems, brief, equal, plain
from fastopt._restore_arrays import read_arrays
from fastopt._restore_groups import read_groups
from fastopt._state import VERSION, group_numbers, options_of

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["prepare", "restore"]

Array = NDArray[Any]


def restore(opt: Optimizer, state_dict: Mapping[str, Any], override: Mapping[str, Any] | None = None) -> None:
    """See `Optimizer.load_state_dict`: everything is read and checked, then written in one native call."""
    with opt._plan.exclusive():
        opt._plan.refuse_elsewhere("load_state_dict()")
        opt._plan.restore(*prepare(opt, state_dict, override))


def prepare(opt: Optimizer, state_dict: Any, override: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """The arguments of the plan's `restore`, in a block that the caller has opened, or an error."""
    given = read_override(opt, override)
    if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
        raise CheckpointError(
            f'state_dict: expected a dict with "state" and "param_groups", got {shown(state_dict)}'
        )
    own = state_dict.get("fastopt")
    if own is None:
        state_dict = from_authors(opt.rule.kernel, state_dict, [p.shape for p in opt._params], ())
    problems = Problems()
    if own is not None:
        problems.attempt(_check_kind, opt, own)
        problems.refuse()  # of another class everything else differs as well
        problems += _differing(opt, own, given)
    groups = problems.attempt(read_groups, opt, state_dict["param_groups"], own is not None, given)
    order = problems.attempt(_saved_order, opt, state_dict["param_groups"])
    entries = problems.attempt(_by_index, opt, state_dict["state"])
    if order is None or entries is None:
        problems.refuse()
    tensors = [
        problems.attempt(_read_tensor, opt, i, saved, entries[saved], own is not None, given.options)
        for i, saved in enumerate(order)
    ]
    dropped = opt._ema_decay is None and "ema_decay" in given.options
    averages = None if own is None or dropped else own.get("ema")
    ema = problems.attempt(_read_ema, opt, averages, order)
    training = problems.attempt(_read_mode, opt, own, state_dict["param_groups"])
    problems.refuse()
    return (*_native(opt, groups, tensors, ema, own), training)


def _native(
    opt: Optimizer,
    groups: Sequence[dict[str, Any]],
    tensors: Sequence[tuple[int, dict[str, Any], list[float], Array | None]],
    ema: Sequence[Array | None],
    own: Any,
) -> tuple[Any, ...]:
    memories = [pair for new in groups for pair in new.pop("", ())]
    values = {
        number: {**group, **new}
        for number, (group, new) in enumerate(zip(opt.param_groups, groups, strict=True))
    }
    numbers = group_numbers(opt)
    native = []
    for i, (count, arrays, scalars, remainder) in enumerate(tensors):
        names = opt._rules[i]["states"]
        states = tuple(arrays[name] if name else None for name in names) if count else None
        native.append((count, scalars, states, ema[i], remainder))
    begun = [False] * len(groups)
    for average, number in zip(ema, numbers, strict=True):
        begun[number] = begun[number] or average is not None
    return (
        native,
        [opt._native_group(v) for v in values.values()],
        own["step_count"] if own else max((t[0] for t in tensors), default=0),
        own["skipped"] if own else 0,
        begun,
        [*opt._mirrors(values), *memories],
    )


def _check_kind(opt: Optimizer, own: Any) -> None:
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


def _read_mode(opt: Optimizer, own: Mapping[str, Any] | None, groups: Any) -> bool:
    """Whether the parameters that were saved beside it are where gradients are taken."""
    if not opt._modes():
        return True
    label, found = 'state_dict["fastopt"]', own
    if found is None:
        label = 'state_dict["param_groups"][0]'
        found = groups[0] if isinstance(groups, (list, tuple)) and groups else None
        if not isinstance(found, Mapping) or "train_mode" not in found:
            return True
    if "train_mode" not in found:
        raise ValueError(f"{label}: expected 'train_mode', it is missing")
    return flag(f'{label}["train_mode"]', found["train_mode"])


def _differing(opt: Optimizer, own: Mapping[str, Any], given: Override) -> Problems:
    """What is wrong with counters and options."""
    problems = Problems()
    for key in ("step_count", "skipped"):
        problems.attempt(lambda key: integer(f'state_dict["fastopt"][{key!r}]', own.get(key), minimum=0), key)
    saved, mine = own.get("options"), options_of(opt)
    if not isinstance(saved, Mapping):
        problems.append(f"state_dict: expected the options {mine}, got {saved}")
        return problems
    unsaid = {key: mine[key] for key in ("state_dtype", "rounding", "master", "seed")}  # of earlier editions
    saved = {**BEFORE, **unsaid, **saved}
    keys = [key for key in mine if key not in given.options and not equal(saved.get(key), mine[key])]
    if keys or not saved.keys() <= mine.keys():
        meant = ", ".join(f"{key!r}: {mine[key]!r}" for key in keys)
        problems.append(
            f"state_dict: expected the options {mine}, got {saved}"
            + (f"; if the change is meant: override={{{meant}}}" if keys else "")
        )
    return problems


def _by_index(opt: Optimizer, state: Any) -> list[Mapping[str, Any]]:
    if not isinstance(state, Mapping):
        raise TypeError(f'state_dict["state"]: expected a dict, got {shown(state)}')
    n = len(opt._params)
    unknown = [key for key in state if type(key) is not int or not 0 <= key < n]
    if unknown:
        raise ValueError(f'state_dict["state"]: expected indices below {n}, got {unknown[0]!r}')
    return [state.get(i, {}) for i in range(n)]


def _saved_order(opt: Optimizer, groups: Any) -> list[int]:
    """Of each parameter: its index in a state dict whose groups were read.

    By name where both sides have names.
    """
    first = groups[0] if isinstance(groups, (list, tuple)) and groups else None
    saved = first.get("param_names") if isinstance(first, Mapping) else None
    if opt._names is None or saved is None:
        return list(range(len(opt._params)))
    label = 'state_dict["param_groups"][0]["param_names"]'
    if not isinstance(saved, (list, tuple)) or not all(isinstance(name, str) for name in saved):
        raise TypeError(f"{label}: expected a list of names, got {brief(saved)}")
    if len(set(saved)) < len(saved):
        raise ValueError(f"{label}: expected names that differ, got {brief(saved)}")
    missing = [name for name in opt._names if name not in saved]
    unknown = [name for name in saved if name not in opt._names]
    if missing or unknown:
        raise ValueError(
            f"{label}: expected the names of this optimizer's parameters, missing {brief(missing)}, "
            f"not known here {brief(unknown)}"
        )
    return [list(saved).index(name) for name in opt._names]


def _read_tensor(
    opt: Optimizer, i: int, saved: int, entry: Any, own_format: bool, convert: set[str]
) -> tuple[int, dict[str, Any], list[float], Array | None]:
    label = f'state_dict["state"][{saved}]'
    if not isinstance(entry, Mapping):
        raise TypeError(f"{label}: expected a dict, got {shown(entry)}")
    unnamed = [name for name in entry if not isinstance(name, str)]
    if unnamed:
        raise TypeError(f"{label}: expected names of states, got {shown(unnamed[0])}")
    mine = opt._states[i]
    rule = opt._rules[i]
    scalar_names = rule["scalars"]
    present = {k: v for k, v in entry.items() if v is not None and k != "step"}
    # PyTorch's SGD counts nothing: what matters is only whether the buffer has begun
    count = _read_step(f'{label}["step"]', entry.get("step", 1 if present else 0))
    unknown = {name.split(".")[0] for name in present} - set(mine) - set(scalar_names) - {"axes", "master"}
    if unknown:
        raise ValueError(
            f"{label}: {type(opt).__name__} has no state {sorted(unknown)[0]!r}; "
            f"its states are {sorted(mine)}"
        )
    if count == 0:
        return 0, {}, rule["first_scalars"], None
    arrays, remainder = read_arrays(opt, i, label, present, convert)
    scalars = []
    for name, value in zip(scalar_names, rule["first_scalars"], strict=True):
        if name not in present and own_format:
            raise ValueError(f"{label}: expected {name!r}, it is missing")
        scalars.append(real(f"{label}[{name!r}]", plain(present[name])) if name in present else value)
    return count, arrays, scalars, remainder


def _read_step(label: str, saved: Any) -> int:
    """A step count; PyTorch keeps it as a floating-point tensor."""
    number = plain(saved)
    return integer(
        label, int(number) if isinstance(number, float) and number.is_integer() else number, minimum=0
    )


def _read_ema(opt: Optimizer, saved: Any, order: Sequence[int]) -> list[Array | None]:
    """The averages, None where none has begun."""
    n = len(opt._ema)
    if saved is None:
        return [None] * len(order)
    if n == 0:
        raise ValueError(f'state_dict["fastopt"]["ema"]: expected None, as here, got {brief(saved)}')
    if not isinstance(saved, (list, tuple)) or len(saved) != n:
        raise ValueError(f'state_dict["fastopt"]["ema"]: expected a list of {n} arrays, got {brief(saved)}')
    arrays = [None if saved[j] is None else np.asarray(saved[j]) for j in order]
    for array, mine, j in zip(arrays, opt._ema, order, strict=True):
        if array is not None and (array.shape != mine.shape or array.dtype != mine.dtype):
            raise ValueError(
                f'state_dict["fastopt"]["ema"][{j}]: expected {mine.dtype} of shape {mine.shape}, '
                f"got {array.dtype} of shape {array.shape}"
            )
    numbers = group_numbers(opt)
    sizes, without = Counter(numbers), dict[int, list[int]]()
    for array, number, j in zip(arrays, numbers, order, strict=True):
        if array is None:
            without.setdefault(number, []).append(j)
    for number, missing in without.items():
        if len(missing) < sizes[number]:
            raise ValueError(
                f'state_dict["fastopt"]["ema"][{missing[0]}]: expected an array, as others of its group have'
            )
    return arrays
