"""The values of a parameter group of `torch.optim`, as the NumPy classes know them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fastopt._hypers import COMMON, Hyper
from fastopt._state import find_rule, rule_for
from fastopt._storage import shape_of_state
from fastopt.optimizer import Optimizer
from fastopt.torch._options import defaults_of
from fastopt.torch._tensors import Array

_NONE: Mapping[str, Hyper] = {}
_FIXED = (float, int, bool, str, type(None))  # who is the same object has the same value


class Values:
    """The hyper-parameters of one group, checked."""

    def __init__(
        self,
        formula: type[Optimizer],
        group: Mapping[str, Any],
        required: Iterable[str] = (),
        wider: Mapping[str, Hyper] = _NONE,
        label: str = "param_groups",
    ) -> None:
        """`wider`: hyper-parameters of which PyTorch's class of that name takes more than the NumPy class."""
        self.formula, self.label = formula, label
        for key in required:
            if key not in group:
                raise ValueError(f"{label}: expected a group with {key!r}, got {list(group)}")
        given = {key: _given(group, key, default) for key, default in defaults_of(formula).items()}
        self._read = dict(group)
        self._fixed_but_lr = all(_is_fixed(value) for key, value in given.items() if key != "lr")
        self.volatile = not (self._fixed_but_lr and _is_fixed(given["lr"]))
        check = {**dict.fromkeys(given, formula._check), **{key: h.check for key, h in wider.items()}}
        self.initial_lr = group.get("initial_lr")
        self.values = {key: self._checked(check[key], key, value) for key, value in given.items()}
        if callable(self.values["lr"]):
            raise TypeError(
                f"{label}['lr']: expected a number; a schedule is torch.optim.lr_scheduler's here"
            )
        self.flags = formula._flags(self.values)
        self.decay = formula.rule.decay(self.values)

    def _checked(self, check: Callable[[str, Any], Any], key: str, value: Any) -> Any:
        try:
            plain = _plain(value)
            return check(key, _not_below_zero(plain, self.initial_lr) if key == "lr" else plain)
        except (TypeError, ValueError, RuntimeError) as error:
            why = str(error)
            named = why.removeprefix(key) if why.startswith(key) else f": {why}"
            raise type(error)(f"{self.label}[{key!r}]{named}") from None

    def new_rate(self, group: Mapping[str, Any]) -> float | None:
        """The rate of a group in which nothing else may differ from what was read; None where it may.

        What a scheduler leaves at every step, and so found without checking all else again.
        """
        if not self._fixed_but_lr or len(group) != len(self._read):
            return None
        for key, value in group.items():
            known = self._read.get(key, self)
            if value is known or key in ("lr", "params"):
                continue
            if type(value) is not type(known) or not _is_fixed(value) or value != known:
                return None
        lr = group.get("lr")
        if _is_fixed(lr) == self.volatile:  # a number in place of what may change unseen, or the reverse
            return None
        rate = _plain(lr)
        return rate if self.formula._takes_rate(rate, self.values) else None

    def with_rate(self, lr: float, group: Mapping[str, Any]) -> None:
        """Take the rate of `new_rate`."""
        self.values["lr"] = lr
        self._read = dict(group)

    def check(self, arrays: Sequence[Array]) -> None:
        """What must hold between the values and the parameters."""
        try:
            self.formula._check_group({**self.values, "params": [_Typed(a) for a in arrays]})
        except ValueError as error:
            key, _, why = str(error).partition(": ")
            raise ValueError(f"{self.label}[{key!r}]: {why}") from None

    def same_formula(self, other: Values) -> bool:
        return self._formula_of() == other._formula_of()

    def _formula_of(self) -> tuple[Any, ...]:
        return self.flags, self.decay, self._looks(), self._choices()

    def _looks(self) -> list[Any]:
        """What looks at whole tensors, which is not for shards: where it changes, all is read anew."""
        return [self.values[key] for key in ("cautious", "centralize")]

    def _choices(self) -> dict[str, Any]:
        """What decides which of a class's two rules takes a parameter, or what shapes states have."""
        if self.formula._other is None and not self.formula.rule.matrix:
            return {}
        return {key: self.values[key] for key, hyper in self.formula._hypers.items() if hyper.fixed}

    def other_start(self, other: Values) -> str | None:
        """The key by which others say only where states begin, or None."""
        for key, hyper in self.formula._hypers.items():
            if hyper.starts and self.values[key] != other.values[key]:
                return key
        return None

    def chosen_with(self, other: Values, state: str) -> str | None:
        """The key by which others choose a formula that keeps this state, which this one has not; or None."""
        if state in find_rule(self.formula.rule.kernel, self.flags)["states"]:
            return None
        for key, value in other.values.items():
            if value != self.values[key]:
                hyper = self.formula._hypers.get(key)
                if (hyper and hyper.fixed) or self.formula._flags({**self.values, key: value}) != self.flags:
                    return key
        return None

    def _rule_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return find_rule(self.formula.rule.kernel, self.formula._flags(values))

    def restarted_by(self, other: Values, shape: tuple[int, ...], name: str | None) -> str | None:
        """The key by which others give a parameter another rule, or states of other shapes; or None."""
        for key, value in other.values.items():
            hyper, values = self.formula._hypers.get(key), {**self.values, key: value}
            if hyper is None or not hyper.fixed or self._rule_of(values) is not self._rule_of(self.values):
                continue
            if _states_of(self.formula, values, shape, name) != _states_of(
                self.formula, self.values, shape, name
            ):
                return key
        return None

    def numbers(self) -> tuple[dict[str, float], bool]:
        """What the plan knows of a group that may change: its numbers, and whether it maximises."""
        return self.formula._native_group(self.values)[:2]

    def starts(self) -> dict[str, float]:
        """What states and scalars hold before the first step, where it is not 0 or the rule's own."""
        starts = {k: v for k, v in self.formula._starts(self.values).items() if v is not None}
        lr = self.values["lr"]
        return {**starts, "eta": lr, "step_size": lr, "mu_product": 1.0}


def _states_of(
    formula: type[Optimizer], values: Mapping[str, Any], shape: tuple[int, ...], label: str | None
) -> tuple[str, dict[str, Any]]:
    """The rule that takes a parameter, and the shapes of its states where they are not the parameter's."""
    rule, batch_axes = rule_for(formula, values, shape, label), formula._batch_axes(values, len(shape))
    return rule["name"], {
        name: shape_of_state(rule, i, shape, batch_axes)
        for i, (name, kind) in enumerate(zip(rule["states"], rule["shapes"], strict=True))
        if name and kind
    }


class _Typed:
    """An array with the dtype by name that the check of ranges asks for: half types have their own."""

    def __init__(self, array: Array) -> None:
        self.dtype = "bfloat16" if array.dtype.name == "uint16" else array.dtype


def keys_of(formula: type[Optimizer]) -> tuple[str, ...]:
    """The keys of a group that the engine reads."""
    return tuple(dict.fromkeys([*COMMON, *defaults_of(formula)]))


def _given(group: Mapping[str, Any], key: str, default: Any) -> Any:
    value = group.get(key, default)
    # PyTorch tests its flags for truth: 1 and None are theirs too.
    if isinstance(default, bool):
        return bool(value) if value is None or isinstance(value, int) else value
    # And False is off of a number there; a rate that is True stays a mistake.
    return float(value) if isinstance(value, bool) and isinstance(default, float) and key != "lr" else value


def _not_below_zero(lr: Any, initial: Any) -> Any:
    """A rate; 0 where a scheduler that ends there arrived below it by rounding, as `LinearLR` does.

    What it began with is the measure. More than that is no rounding: such a rate is refused.
    """
    if not isinstance(lr, (int, float)) or not lr < 0 or initial is None:
        return lr
    return 0.0 if -lr <= 1e-9 * abs(_plain(initial)) else lr


def _is_fixed(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_fixed(v) for v in value)
    return isinstance(value, _FIXED)


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.numel() == 1:  # of any shape, as PyTorch's
        return value.item()
    if isinstance(value, torch.Tensor) and value.dim() == 1:
        return tuple(value.tolist())
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if isinstance(value, (tuple, list)):
        return tuple(_plain(v) for v in value)
    return value
