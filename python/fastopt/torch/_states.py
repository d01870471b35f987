"""The state of one parameter as tensors under `torch.optim`'s names: made, or taken as it is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastopt.torch._tensors import FLOATS, HALF, local

EMA = "ema"


class States(NamedTuple):
    """What the engine gets of a parameter's state. All tensors are those of this machine."""

    step: Tensor | None  # none: the rule counts only whether it has begun
    scalars: tuple[Tensor, ...]
    tensors: tuple[Tensor | None, ...]  # in the rule's order; None where it has none
    ema: Tensor | None
    found: bool  # some were there before
    made: tuple[Tensor, ...]


def scalar_dtype() -> torch.dtype:
    """As `torch.optim` keeps step counts."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def dtype_of(parameter: Tensor, wanted: torch.dtype | None) -> torch.dtype:
    """How the states of a parameter are stored: half precision in float32 unless the user wants otherwise."""
    if wanted is not None:
        if wanted == torch.float64 and parameter.dtype != torch.float64:
            raise TypeError(
                f"state_dtype: expected at most float32 for {parameter.dtype} parameters, got {wanted}"
            )
        return wanted
    return torch.float32 if parameter.dtype in HALF else parameter.dtype


#: What begins at 0 when its option is switched on in mid-training.
_MAY_COME_LATER = ("max_exp_avg_sq", "max_exp_avg_var", "momentum_buffer", "grad_avg")


class Maker:
    """Takes states as they are found in a parameter's dict, and makes those that are missing."""

    def __init__(
        self, rule: Mapping[str, Any], label: str, wanted: torch.dtype | None, average: bool
    ) -> None:
        self.rule, self.label, self.wanted, self.average = rule, label, wanted, average

    def of(
        self, parameter: Tensor, stage: Tensor, state: dict[str, Any], starts: Mapping[str, float]
    ) -> States:
        """The states of a parameter, entered into `state` where they are new.

        `stage` is what the engine steps: the parameter's own elements, or a dense copy of them.
        """
        names = [name for name in self.rule["states"] if name]
        found = any(torch.is_tensor(state.get(name)) for name in names)
        self.check(state, names)
        made: list[Tensor] = []
        dtype = self._common_dtype(stage, state, names)
        step = None if self.rule["name"] == "sgd" else self._number(state, "step", 0.0)
        scalars = tuple(
            self._number(state, name, starts.get(name, first))
            for name, first in zip(self.rule["scalars"], self.rule["first_scalars"], strict=True)
        )
        tensors = tuple(
            self._tensor(parameter, stage, state, name, dtype, starts.get(name, 0.0), made) if name else None
            for name in self.rule["states"]
        )
        ema = self._ema(parameter, stage, state, made) if self.average else None
        return States(step, scalars, tensors, ema, found, tuple(made))

    def check(self, state: Mapping[str, Any], names: list[str]) -> None:
        """Raise for a damaged state, which lacks a part of what it had: training would go on, wrongly."""
        for name in names:
            value = state.get(name)
            if value is not None and not (torch.is_tensor(value) and local(value).dtype in FLOATS):
                kind = value.dtype if torch.is_tensor(value) else type(value).__name__
                raise TypeError(f"{self.label}: state {name!r}: expected a floating-point tensor, got {kind}")
        if not state.get("step"):
            return
        missing = [name for name in names if state.get(name) is None and name not in _MAY_COME_LATER]
        if missing:
            raise ValueError(
                f"{self.label}: its state has a step but no {missing[0]!r}; to begin anew, clear all of it"
            )

    def _common_dtype(self, stage: Tensor, state: Mapping[str, Any], names: list[str]) -> torch.dtype:
        """The engine keeps the states of a parameter in one dtype: that of those there are, if they agree."""
        there = {local(state[name]).dtype for name in names if torch.is_tensor(state.get(name))}
        half = {name for name in self.rule["squared"] if name} and torch.float16 in there
        if len(there) == 1 and not half:
            dtype = next(iter(there))
            if dtype in FLOATS and (dtype != torch.float64 or stage.dtype == torch.float64):
                return dtype
        if there:
            return torch.float64 if stage.dtype == torch.float64 else torch.float32
        return dtype_of(stage, self.wanted)

    def _tensor(
        self,
        parameter: Tensor,
        stage: Tensor,
        state: dict[str, Any],
        name: str,
        dtype: torch.dtype,
        start: float,
        made: list[Tensor],
    ) -> Tensor:
        value = state.get(name)
        if torch.is_tensor(value):
            here = local(value)
            if here.shape != stage.shape:
                raise ValueError(
                    f"{self.label}: state {name!r}: expected shape {tuple(stage.shape)}, "
                    f"got {tuple(here.shape)}"
                )
            fits = here.dtype == dtype and here.stride() == stage.stride() and not here.is_neg()
            if fits and here.device.type == "cpu":
                return here
        new = torch.full_like(parameter.detach(), start, dtype=dtype)
        here = local(new)
        if here.stride() != stage.stride():  # a parameter with gaps
            new = here = torch.full_like(stage, start, dtype=dtype)
        if torch.is_tensor(value):
            here.copy_(local(value))
        else:
            made.append(here)
        state[name] = new
        return here

    def _number(self, state: dict[str, Any], name: str, start: float) -> Tensor:
        value: Any = state.get(name)
        if torch.is_tensor(value):
            fits = value.dim() == 0 and value.dtype in (torch.float32, torch.float64)
            if fits and value.device.type == "cpu" and not value.requires_grad:
                return value
        start = start if value is None else float(value)
        new = torch.tensor(start, dtype=scalar_dtype())
        state[name] = new
        return new

    def _ema(self, parameter: Tensor, stage: Tensor, state: dict[str, Any], made: list[Tensor]) -> Tensor:
        wide = torch.float64 if stage.dtype == torch.float64 else torch.float32
        there = torch.is_tensor(state.get(EMA))
        ema = self._tensor(parameter, stage, state, EMA, wide, 0.0, made)
        if not there:
            ema.copy_(stage)
        return ema


def is_one_of(tensor: Tensor, tensors: tuple[Tensor, ...] | list[Tensor]) -> bool:
    """By identity: `in` would compare elements."""
    return any(tensor is other for other in tensors)
