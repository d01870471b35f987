"""The state of one parameter as tensors under `torch.optim`'s names: made, or taken as it is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastopt._memory import flat_of
from fastopt._precision import GROUP, why_no_scales
from fastopt._storage import REMAINDERS, Storage, shape_of_state
from fastopt.torch._tensors import (
    FLOATS,
    HALF,
    as_array,
    as_it_lies,
    is_dense,
    local,
    same_order,
    why_no_elements,
    wraps,
)

EMA = "ema"
#: A state in eight bits has other names than its numbers would have: whoever knows only those must not take
#: codes for them.
CODES, SCALES = ".codes", ".scales"


def held(state: Mapping[str, Any], name: str) -> Any:
    """A state in whatever form a parameter's dict has it."""
    codes = state.get(name + CODES)
    return state.get(name) if codes is None else codes


class LacksState(ValueError):
    """A parameter's state has begun, and has not all that its rule keeps."""

    def __init__(self, label: str, name: str) -> None:
        super().__init__(f"{label}: its state has begun but has no {name!r}; to begin anew, clear all of it")
        self.name = name


class States(NamedTuple):
    """What the engine gets of a parameter's state. All tensors are those of this machine."""

    step: Tensor | None  # none: the rule counts only whether it has begun
    scalars: tuple[Tensor, ...]
    tensors: tuple[Tensor | None, ...]  # in the rule's order; None where it has none
    scales: tuple[Tensor | None, ...]  # of those that are codes
    positive: tuple[bool, ...]
    remainder: tuple[str, Tensor] | None  # what a half-precision parameter leaves out, by its kind
    ema: Tensor | None
    found: bool  # some were there before
    made: tuple[Tensor, ...]


def scalar_dtype() -> torch.dtype:
    """As `torch.optim` keeps step counts."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


#: The engine's rules whose state holds no step, as PyTorch's: what matters is whether it has begun.
UNCOUNTED = ("sgd", "muon")
#: What begins at 0 when its option is switched on in mid-training.
_MAY_COME_LATER = ("max_exp_avg_sq", "max_exp_avg_var", "momentum_buffer", "grad_avg")


#: Numbers that PyTorch keeps, besides step counts; others are sums and estimates, of which float32 loses.
_AS_PYTORCH = ("step", "eta", "mu", "mu_product")


def number_dtype(name: str) -> torch.dtype:
    """Of a number in a state."""
    return scalar_dtype() if name in _AS_PYTORCH else torch.float64


_TORCH = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "uint16": torch.bfloat16,
}


class _Like:
    """What the choice of a state's dtype asks of a parameter."""

    def __init__(self, parameter: Tensor) -> None:
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if parameter.dtype == torch.float64 else np.float32)
        self.size = parameter.numel()


def wanted_dtype(
    storage: Storage, rule: Mapping[str, Any], state: int, parameter: Tensor, label: str
) -> torch.dtype:
    """How a new state is kept."""
    wanted = storage.dtype_of(rule, state, _Like(parameter), label)
    return torch.uint8 if wanted.itemsize == 1 else _TORCH[str(wanted)]


class Maker:
    """Takes states as they are found in a parameter's dict, and makes those that are missing."""

    def __init__(
        self, rule: Mapping[str, Any], label: str, storage: Storage, average: bool, batch_axes: int = 0
    ) -> None:
        self.rule, self.label, self.storage, self.average = rule, label, storage, average
        self.batch_axes = batch_axes

    def of(
        self, parameter: Tensor, stage: Tensor, state: dict[str, Any], starts: Mapping[str, float]
    ) -> States:
        """The states of a parameter, entered into `state` where they are new.

        `stage` is what the engine steps: the parameter's own elements, or a dense copy of them.
        """
        names = [name for name in self.rule["states"] if name]
        found = any(torch.is_tensor(held(state, name)) for name in names)
        self.check(state, names)
        self._look_at(state, names)
        self.refuse_order(stage, state, names)
        made: list[Tensor] = []
        counts = self.rule["name"] not in UNCOUNTED or self._draws(stage, state)
        step = self._number(state, "step", 0.0) if counts else None
        scalars = tuple(
            self._number(state, name, starts.get(name, first))
            for name, first in zip(self.rule["scalars"], self.rule["first_scalars"], strict=True)
        )
        tensors = tuple(
            None
            if not name
            else self._shaped(stage, state, name, i, made)
            if shape
            else self._tensor(
                parameter, stage, state, name, self._dtype(stage, state, i), starts.get(name, 0.0), made
            )
            for i, (name, shape) in enumerate(zip(self.rule["states"], self.rule["shapes"], strict=True))
        )
        scales = tuple(
            self._scales(state, name, tensor) if tensor is not None and tensor.dtype == torch.uint8 else None
            for name, tensor in zip(self.rule["states"], tensors, strict=True)
        )
        positive = tuple(codes == "u" for codes in self.rule["codes"])
        remainder = self._remainder(stage, state)
        ema = self._ema(parameter, stage, state, made) if self.average else None
        return States(step, scalars, tensors, scales, positive, remainder, ema, found, tuple(made))

    def _draws(self, stage: Tensor, state: Mapping[str, Any]) -> bool:
        """Whether a step rounds at random, with bits that depend on its number."""
        dtypes = [
            self._dtype(stage, state, i)
            for i, (name, shape) in enumerate(zip(self.rule["states"], self.rule["shapes"], strict=True))
            if name and not shape
        ]
        half = self.storage.rounding == "stochastic" and stage.dtype in HALF
        return half or any(dtype in (*HALF, torch.uint8) for dtype in dtypes)

    def check(self, state: Mapping[str, Any], names: list[str]) -> None:
        """Raise for a damaged state, which lacks a part of what it had: training would go on, wrongly."""
        for name in names:
            value = state.get(name)
            if state.get(name + CODES) is not None or state.get(name + SCALES) is not None:
                self._check_codes(state, name)
                continue
            if value is not None and not (torch.is_tensor(value) and local(value).dtype in FLOATS):
                kind = value.dtype if torch.is_tensor(value) else type(value).__name__
                raise TypeError(f"{self.label}: state {name!r}: expected a floating-point tensor, got {kind}")
        for name in (*self.rule["scalars"], *([EMA] if self.average else [])):
            number: Any = state.get(name)
            if torch.is_tensor(number) and local(number).dtype not in FLOATS:
                raise TypeError(
                    f"{self.label}: state {name!r}: expected a floating-point tensor, got {number.dtype}"
                )
        if self._has_begun(state, names):
            parts = (*names, *self.rule["scalars"])
            missing = [name for name in parts if held(state, name) is None and name not in _MAY_COME_LATER]
            if missing:
                raise LacksState(self.label, missing[0])

    def _has_begun(self, state: Mapping[str, Any], names: list[str]) -> bool:
        """Whether steps have been taken with this state. Others may have laid zeros out for the first."""
        if self.rule["name"] in UNCOUNTED:
            return any(held(state, name) is not None for name in names)
        step: Any = state.get("step")
        if step is None:
            moved = next((name for name in names if _holds_something(held(state, name))), None)
            if moved is not None:
                raise LacksState(self.label, "step")
        return bool(step)

    def _look_at(self, state: dict[str, Any], names: list[str]) -> None:
        """Raise for tensors whose elements are nowhere; copy those whose memory does not hold them."""
        coded = [name + part for name in names for part in (CODES, SCALES)]
        for name in ("step", *self.rule["scalars"], *names, *coded, "remainder", EMA):
            value: Any = state.get(name)
            if not torch.is_tensor(value):
                if value is not None and name in ("remainder", EMA):
                    raise TypeError(
                        f"{self.label}: state {name!r}: expected a tensor, got {type(value).__name__}"
                    )
                continue
            held = as_it_lies(value)
            if held is not value:
                state[name] = held
            reason = why_no_elements(local(held))
            if reason is not None:
                raise TypeError(f"{self.label}: state {name!r}: expected a dense tensor, but it {reason}")

    def refuse_order(self, stage: Tensor, state: Mapping[str, Any], names: list[str]) -> None:
        """Raise for codes whose scales may go by another order: one scale is that of neighbours in memory."""
        for name in names:
            codes: Any = state.get(name + CODES)
            if not torch.is_tensor(codes) or codes.numel() <= GROUP:
                continue
            if codes.shape == stage.shape and not same_order(codes, stage):
                raise ValueError(
                    f"{self.label}: state {name + CODES!r}: its codes lie in another order of memory than "
                    f"the parameter, strides {codes.stride()} and {stage.stride()}, and their scales go by "
                    "that order; give the parameter its memory format before, or clear its state"
                )

    def refuse_scales(self, state: Mapping[str, Any], names: list[str]) -> None:
        """Raise for scales that are none of their codes: looks at the numbers."""
        for name in names:
            codes, scales = (state.get(name + part) for part in (CODES, SCALES))
            if not (torch.is_tensor(codes) and torch.is_tensor(scales)) or why_no_elements(local(codes)):
                continue
            here, beside = local(codes).cpu(), local(scales).cpu()
            flat = flat_of(as_array(here)) if is_dense(here) else here.flatten().numpy()
            reason = why_no_scales(flat, as_array(beside), self.rule["codes"][self._index(name)] == "u")
            if reason is not None:
                raise ValueError(
                    f"{self.label}: state {name + SCALES!r}: expected scales of codes, >= 0, but {reason}"
                )

    def _index(self, name: str) -> int:
        index: int = self.rule["states"].index(name)
        return index

    def _check_codes(self, state: Mapping[str, Any], name: str) -> None:
        codes, scales = (state.get(name + part) for part in (CODES, SCALES))
        if not self.rule["codes"][self._index(name)]:
            raise TypeError(
                f"{self.label}: state {name!r}: expected a floating-point tensor, got codes of eight bits"
            )
        if state.get(name) is not None:
            raise ValueError(
                f"{self.label}: state {name!r}: expected numbers, or codes and scales, got both; remove one"
            )
        if not torch.is_tensor(codes) or local(codes).dtype != torch.uint8:
            raise TypeError(
                f"{self.label}: state {name + CODES!r}: expected codes, a uint8 tensor, got {_kind(codes)}: "
                "codes that were cast or decoded elsewhere are not what their scales are for"
            )
        if not torch.is_tensor(scales) or local(scales).dtype != torch.float32:
            raise ValueError(
                f"{self.label}: state {name!r} is in eight bits: expected their scales, a float32 tensor, "
                f"as {name + SCALES!r}, got {_kind(scales)}"
            )

    def _dtype(self, stage: Tensor, state: Mapping[str, Any], index: int) -> torch.dtype:
        """Of a state: the one that it has if it can go on with that, else the one that is wanted."""
        name, exact = self.rule["states"][index], self.rule["exact"][index]
        in_float16 = not (self.rule["squared"][index] or self.rule["small"][index])
        value: Any = held(state, name)
        wide = stage.dtype == torch.float64
        if not torch.is_tensor(value):
            return wanted_dtype(self.storage, self.rule, index, stage, self.label)
        there = local(value).dtype
        if there == torch.uint8:
            if wide:
                raise TypeError(
                    f"{self.label}: state {name!r}: eight bits are for what is computed in float32"
                )
            return there
        computed = torch.float64 if wide else torch.float32
        unfit = (there == torch.float64 and not wide) or (there == torch.float16 and not in_float16)
        return computed if unfit or exact else there

    def _scales(self, state: dict[str, Any], name: str, codes: Tensor) -> Tensor:
        key, count = name + SCALES, -(-codes.numel() // GROUP)
        scales: Any = state.get(key)
        if torch.is_tensor(scales):
            if scales.shape != (count,) or scales.dtype != torch.float32 or not scales.is_contiguous():
                raise ValueError(
                    f"{self.label}: state {key!r}: expected {count} scales of float32, "
                    f"got {scales.dtype} of shape {tuple(scales.shape)}"
                )
            if scales.device.type != "cpu":
                scales = state[key] = scales.to("cpu")
            return scales
        made = torch.zeros(count, dtype=torch.float32, device=codes.device)
        state[key] = made
        return made

    def _remainder(self, stage: Tensor, state: dict[str, Any]) -> tuple[str, Tensor] | None:
        kind = self.storage.remainder_of(str(stage.dtype).removeprefix("torch."), self.label)
        there: Any = state.get("remainder")
        if kind is None:
            if there is not None:
                raise ValueError(
                    f"{self.label}: its state has a 'remainder', which this optimizer does not keep; make it "
                    "with master= or rounding='kahan' as it was saved"
                )
            return None
        dtype = getattr(torch, REMAINDERS[kind]) if kind in REMAINDERS else stage.dtype
        if torch.is_tensor(there):
            if there.dtype != dtype or there.shape != stage.shape:
                raise ValueError(
                    f"{self.label}: state 'remainder': expected {dtype} of shape {tuple(stage.shape)}, "
                    f"got {there.dtype} of shape {tuple(there.shape)}"
                )
            if there.stride() == stage.stride() and there.device.type == "cpu":
                return kind, there
        made = torch.zeros_like(stage, dtype=dtype)
        if torch.is_tensor(there):
            made.copy_(there)
        state["remainder"] = made
        return kind, made

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
        key = name + CODES if dtype == torch.uint8 else name
        value = state.get(key)
        if torch.is_tensor(value):
            here = local(value)
            if here.shape != stage.shape:
                raise ValueError(
                    f"{self.label}: state {key!r}: expected shape {tuple(stage.shape)}, "
                    f"got {tuple(here.shape)}"
                )
            fits = here.dtype == dtype and here.stride() == stage.stride() and not wraps(here)
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
            if name in self.rule["copies"]:
                here.copy_(stage)
        state[key] = new
        return here

    def _shaped(
        self, stage: Tensor, state: dict[str, Any], name: str, index: int, made: list[Tensor]
    ) -> Tensor:
        """A state of another shape than the parameter's: in C order, in the type of computation."""
        wanted = shape_of_state(self.rule, index, tuple(stage.shape), self.batch_axes)
        dtype = torch.float64 if stage.dtype == torch.float64 else torch.float32
        value = state.get(name)
        if torch.is_tensor(value):
            here = local(value)
            if here.shape != wanted:
                raise ValueError(
                    f"{self.label}: state {name!r}: expected shape {wanted}, got {tuple(here.shape)}"
                )
            if here.dtype == dtype and here.is_contiguous() and not wraps(here) and here.device.type == "cpu":
                return here
        new = torch.zeros(wanted, dtype=dtype, device=stage.device)
        if torch.is_tensor(value):
            new.copy_(local(value))
        else:
            made.append(new)
        state[name] = new
        return new

    def _number(self, state: dict[str, Any], name: str, start: float) -> Tensor:
        value: Any = state.get(name)
        if torch.is_tensor(value):
            fits = value.dim() == 0 and value.dtype in (torch.float32, torch.float64)
            if fits and value.device.type == "cpu" and not value.requires_grad:
                return value
        start = start if value is None else float(value)
        new = torch.tensor(start, dtype=number_dtype(name), device="cpu")
        state[name] = new
        return new

    def _ema(self, parameter: Tensor, stage: Tensor, state: dict[str, Any], made: list[Tensor]) -> Tensor:
        wide = torch.float64 if stage.dtype == torch.float64 else torch.float32
        there = torch.is_tensor(state.get(EMA))
        ema = self._tensor(parameter, stage, state, EMA, wide, 0.0, made)
        if not there:
            ema.copy_(stage)
        return ema


def native_states(states: States) -> tuple[Any, ...]:
    """As the plan takes them."""
    return tuple(
        None if t is None else as_array(t) if scales is None else (as_array(t), as_array(scales), positive)
        for t, scales, positive in zip(states.tensors, states.scales, states.positive, strict=True)
    )


def native_remainder(states: States) -> tuple[str, Any] | None:
    """The same of what a parameter leaves out."""
    return None if states.remainder is None else (states.remainder[0], as_array(states.remainder[1]))


def _kind(value: Any) -> str:
    return str(value.dtype) if torch.is_tensor(value) else type(value).__name__


def _holds_something(value: Any) -> bool:
    if not torch.is_tensor(value):
        return False
    here = local(value)
    return why_no_elements(here) is None and bool(here.any())


def is_one_of(tensor: Tensor, tensors: tuple[Tensor, ...] | list[Tensor]) -> bool:
    """By identity: `in` would compare elements."""
    return any(tensor is other for other in tensors)
