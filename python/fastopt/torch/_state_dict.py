"""State dicts: of PyTorch's classes, of ours, of the NumPy classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastopt._memory import axes_of
from fastopt._state import rule_for
from fastopt.torch._states import CODES, EMA, UNCOUNTED, Maker, number_dtype, scalar_dtype
from fastopt.torch._tensors import as_array, is_dense, is_lazy, local, name_of

if TYPE_CHECKING:
    from fastopt.torch._optimizer import Optimizer


class LacksKey(ValueError, KeyError):
    """A state dict lacks a part: PyTorch's raises KeyError."""

    def __init__(self, key: object) -> None:
        super().__init__(f"load_state_dict: expected {key} in it; is it another class's?")

    __str__ = Exception.__str__  # KeyError's is in quotes


def refuse_other_parts(saved: Mapping[str, Any]) -> None:
    """Raise for what is no state dict, of whatever class."""
    for key in ("param_groups", "state"):
        if key not in saved:
            raise LacksKey(repr(key))
    groups, state = saved["param_groups"], saved["state"]
    if isinstance(groups, (Mapping, str)) or not isinstance(groups, Collection):
        raise TypeError(
            f"load_state_dict: 'param_groups': expected a list of dicts, got {type(groups).__name__}"
        )
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: 'state': expected a dict, got {type(state).__name__}")
    for g, group in enumerate(groups):
        if not isinstance(group, Mapping):
            raise TypeError(
                f"load_state_dict: param_groups[{g}]: expected a dict, got {type(group).__name__}"
            )
        if "params" not in group:
            raise LacksKey("'params'")


def from_numpy(opt: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """The state dict of a NumPy class as PyTorch's; any other as it is."""
    if "fastopt" not in saved:
        return saved
    refuse_other_parts(saved)
    averages = saved["fastopt"].get("ema")
    state: dict[int, dict[str, Any]] = {}
    params = [p for group in opt.param_groups for p in group["params"]]
    for i, entry in saved["state"].items():
        shaped = i < len(params) and not is_lazy(params[i])
        state[i] = _entry(entry, local(params[i]).detach() if shaped else None)
        if opt._formula.rule.kernel == "sgd" or (
            "momentum_buffer" in entry and opt._formula.rule.kernel == "muon"
        ):
            state[i].pop("step", None)
        if averages is not None and averages[i] is not None:
            state[i][EMA] = _as_tensor(averages[i])
    groups = []
    seed = saved["fastopt"].get("options", {}).get("seed", 0)
    for current, group in zip(opt.param_groups, saved["param_groups"], strict=False):
        theirs = {k: v for k, v in group.items() if k in current and k != "params"}
        rest = {k: v for k, v in current.items() if k != "params"}
        modes = {key: saved["fastopt"][key] for key in ("train_mode",) if key in saved["fastopt"]}
        if seed != 0 or "seed" in current:
            theirs["seed"] = seed
        groups.append({**rest, **theirs, **modes, "params": group["params"]})
    groups += saved["param_groups"][len(groups) :]  # too many: refused as PyTorch refuses it
    return {"state": state, "param_groups": groups}


@contextmanager
def dtypes_kept(opt: Optimizer) -> Iterator[None]:
    """Within, loading leaves states in the dtype they were saved in; it casts to that of their parameters.

    Between the user's hooks: those before loading may have changed what is loaded, those after it have the
    last word.
    """
    loaded: dict[str, Any] = {}
    before = opt.register_load_state_dict_pre_hook(lambda _, saved: _note(opt, saved, loaded))
    after = opt.register_load_state_dict_post_hook(lambda _: _keep_dtypes(opt, loaded), prepend=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _note(opt: Optimizer, saved: Any, loaded: dict[str, Any]) -> None:
    """What the hooks have left."""
    if not isinstance(saved, Mapping):
        raise TypeError(f"load_state_dict: a hook returned {type(saved).__name__}: expected a dict")
    refuse_other_parts(saved)
    check_names(opt, saved)
    loaded.update(saved)


def _keep_dtypes(opt: Optimizer, saved: dict[str, Any]) -> None:
    ids = [i for group in saved["param_groups"] for i in group["params"]]
    params = [p for group in opt.param_groups for p in group["params"]]
    for i, p in zip(ids, params, strict=True):
        for name, value in saved["state"].get(i, {}).items():
            loaded = opt.state[p].get(name)
            if torch.is_tensor(value) and torch.is_tensor(loaded) and loaded.dtype != value.dtype:
                opt.state[p][name] = value.detach().to(device=loaded.device, copy=True)


def check_names(opt: Optimizer, saved: Mapping[str, Any]) -> None:
    """Raise for other names than this optimizer's, where they decide between two rules.

    States are matched by their place, as PyTorch's; names that came with them would take the others' place.
    """
    if opt._formula._other is None:
        return
    for g, (group, theirs) in enumerate(zip(opt.param_groups, saved["param_groups"], strict=False)):
        mine, names = group.get("param_names"), theirs.get("param_names")
        if names is not None and names != mine:
            raise ValueError(
                f"load_state_dict: expected the names of param_groups[{g}], which choose the rule of each "
                f"parameter, {mine!r}, got {names!r}"
            )


def check(opt: Optimizer) -> None:
    """Raise for groups and states that this optimizer could not go on with."""
    number = 0
    for g, group in enumerate(opt.param_groups):
        values = opt._values(group, g)
        for place, p in enumerate(group["params"]):
            label, state = f"params[{number}]", opt.state.get(p)
            number += 1
            if not state:
                continue
            if not isinstance(state, Mapping):
                raise TypeError(f"{label}: expected a dict as its state, got {type(state).__name__}")
            if is_lazy(p):
                continue  # its shape decides what its state has to be: the first step looks
            rule = rule_for(opt._formula, values.values, tuple(p.shape), name_of(group, place))
            names = [name for name in rule["states"] if name]
            if rule["name"] not in UNCOUNTED and "step" not in state:
                raise ValueError(
                    f"{label}: expected a state with 'step', got {list(state)}; is it another class's?"
                )
            tensors = [name for name, value in state.items() if torch.is_tensor(value) and value.dim() > 0]
            mine = {name.removesuffix(CODES) for name in tensors} & set(names)
            if opt._formula._other is not None and tensors and not mine:
                raise ValueError(
                    f"{label}: expected a state with {names[0]!r}, got {tensors}; is it another rule's?"
                )
            maker = Maker(rule, label, opt._options.storage, False)
            maker.check({**state, "step": _number(f"{label}: state 'step'", state.get("step", 0))}, names)
            maker.refuse_order(_stage(p), state, names)
            maker.refuse_scales(state, names)


def _number(label: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{label}: expected a number, got {type(value).__name__}") from None


def _stage(p: Tensor) -> Tensor:
    """Laid out as what the engine steps."""
    here = local(p)
    return here if is_dense(here) else torch.empty(here.shape, device="meta")


def _entry(entry: dict[str, Any], p: Tensor | None) -> dict[str, Any]:
    """A parameter's state under the names that it has here."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        if name.endswith(CODES):
            found[name] = _laid_out(value, entry, p)
        elif name.startswith("master."):
            found["remainder"] = _laid_out(value, entry, p)
        elif name != "axes":
            found[name] = _as_tensor(value, number_dtype(name))
    return found


def _laid_out(flat: Any, entry: dict[str, Any], p: Tensor | None) -> Tensor:
    """Numbers in the order of memory, laid out as the parameter."""
    numbers = _as_tensor(flat)
    if p is None or p.numel() != numbers.numel():
        return numbers  # refused by its shape
    axes = axes_of(as_array(p))
    if list(entry.get("axes", sorted(map(abs, axes)))) != axes:
        raise ValueError("state_dict: its codes are in another order of memory than the parameter")
    laid_out = torch.empty_like(p, dtype=numbers.dtype)
    laid_out.as_strided((p.numel(),), (1,)).copy_(numbers)
    return laid_out


def _as_tensor(value: Any, dtype: torch.dtype | None = None) -> Tensor:
    if isinstance(value, np.ndarray):
        if value.dtype.name in ("bfloat16", "uint16"):
            return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(value.copy())
    return torch.tensor(float(value), dtype=dtype or scalar_dtype(), device="cpu")
