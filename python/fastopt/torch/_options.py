"""What the optimizers here take beyond `torch.optim`'s keywords, and what of those they refuse."""

from __future__ import annotations

import inspect
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from fastopt._checks import brief, real
from fastopt._clipping import NormPer, NormType, nonfinite, norm_per, norm_type
from fastopt._hypers import COMMON, COMMON_DEFAULTS
from fastopt._storage import Storage
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule

_REFUSED = ("capturable", "differentiable")
_ONE_FORM = (
    *_REFUSED,
    "decoupled_weight_decay",
)  # of groups of PyTorch; here of one value each
_WORDS = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.int8: "int8",
}


@dataclass
class CommonOptions:
    """Of one optimizer; plain values, so that they can be pickled."""

    clip_norm: float | None = None
    clip_norm_type: NormType = 2
    clip_norm_per: NormPer = "all"
    clip_value: float | None = None
    nonfinite: str = "propagate"
    ema_decay: float | None = None
    state_dtype: torch.dtype | str | Mapping[str, torch.dtype | str] | None = None
    rounding: str = "nearest"
    master: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, real(name, value, minimum=0.0, open_low=True))
        self.clip_norm_type = norm_type(self.clip_norm_type)
        self.clip_norm_per = norm_per(self.clip_norm_per)
        if self.ema_decay is not None:
            self.ema_decay = real("ema_decay", self.ema_decay, minimum=0.0, maximum=1.0)
        self.nonfinite = nonfinite(self.nonfinite)
        _ = self.storage

    @property
    def storage(self) -> Storage:
        """How states and parameters are kept, as the NumPy classes know it."""
        given: Any = self.state_dtype
        if isinstance(given, Mapping):
            given = {name: _word(dtype) for name, dtype in given.items()}
        else:
            given = _word(given)
        return Storage.read(
            {"state_dtype": given, "rounding": self.rounding, "master": self.master, "seed": self.seed}
        )

    def seeded(self, rule: Rule) -> dict[str, int]:
        """What groups say of the seed: it matters where something may be rounded at random, and where the
        rule draws random numbers itself.
        """
        draws = rule.draws or self.rounding == "stochastic" or self.state_dtype is not None
        return {"seed": self.seed} if draws or self.seed != 0 else {}

    def check_use(self, params: Sequence[torch.Tensor]) -> None:
        """Raise if no parameter is of the precision that `rounding` and `master` are about."""
        self.storage.check_use([np.empty(0, _EXAMPLES.get(p.dtype, np.float32)) for p in params])


_EXAMPLES = {torch.bfloat16: np.uint16, torch.float16: np.float16, torch.float64: np.float64}


def _word(dtype: Any) -> Any:
    if dtype is None or (isinstance(dtype, str) and dtype == "int8"):
        return dtype
    if isinstance(dtype, torch.dtype) and dtype in _WORDS:
        return _WORDS[dtype]
    hint = f"; did you mean torch.{dtype}?" if isinstance(dtype, str) and dtype in _WORDS.values() else ""
    raise TypeError(f"state_dtype: expected a floating-point torch.dtype or 'int8', got {brief(dtype)}{hint}")


#: Keywords of the whole optimizer, as the NumPy classes have them.
NAMES: tuple[str, ...] = tuple(CommonOptions.__dataclass_fields__)


def take_options(keywords: dict[str, Any]) -> CommonOptions:
    """The options among keywords, taken out of them."""
    for name in _REFUSED:
        if keywords.get(name):
            raise ValueError(
                f"{name}=True: not available here, the step runs in native code of the CPU that is neither "
                "captured in a graph nor differentiated through"
            )
    return CommonOptions(**{name: keywords.pop(name) for name in NAMES if name in keywords})


def refuse_ineffective(
    label: str,
    group: Mapping[str, Any],
    options: CommonOptions,
    defaults: Mapping[str, Any],
    keys: Container[str],
) -> None:
    """Raise for a value in a group that nothing would read: options of the whole optimizer, and what
    PyTorch's class takes and this one has in one form only. Keys that nobody knows are the user's own.
    """
    for key, value in group.items():
        if key in NAMES:
            fixed, why = getattr(options, key), "of the whole optimizer and fixed when it is made"
        elif key in _ONE_FORM and key in defaults and key not in keys:
            fixed, why = defaults[key], "not available here" if key in _REFUSED else "fixed in this class"
        else:
            continue
        if value is not fixed and not _equal(value, fixed):
            raise ValueError(f"{label}[{key!r}]: expected {fixed!r}, got {value!r}: {why}")


def why_no_attribute(opt: Any, name: str) -> str | None:
    """Why assigning to this attribute of an optimizer would do nothing, or None if it may be done.

    What is neither a setting of the optimizer nor of its groups belongs to whoever assigns it: schedulers,
    GradScaler and trainers keep their own things in optimizers. And so does all in a class of the user's own.
    """
    if not type(opt).__module__.startswith("fastopt.torch"):
        return None
    if isinstance(getattr(type(opt), name, None), property):
        return None  # which says itself whether it may be set
    if name in NAMES:
        return f"{name}: fixed when the optimizer is made; make a new one and load_state_dict() into it"
    if name in opt._keys or name in vars(opt).get("defaults", ()):
        return f'{name}: set it in param_groups: opt.param_groups[i]["{name}"]; an attribute would do nothing'
    return None


def _equal(value: Any, fixed: Any) -> bool:
    try:
        return bool(value == fixed)
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors
        return False


def before_of(formula: type[Optimizer]) -> dict[str, Any]:
    """The keys that groups saved by an earlier edition may lack, and what they then were."""
    return {key: h.before[0] for key, h in {**COMMON, **formula._hypers}.items() if h.before}


_DEFAULTS: dict[type[Optimizer], Mapping[str, Any]] = {}  # signatures are slow to read


def defaults_of(formula: type[Optimizer]) -> Mapping[str, Any]:
    """The hyper-parameters of a NumPy class with their defaults, in the order of its signature."""
    if formula not in _DEFAULTS:
        _DEFAULTS[formula] = MappingProxyType(_defaults_of(formula))
    return _DEFAULTS[formula]


def _defaults_of(formula: type[Optimizer]) -> dict[str, Any]:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(formula.__init__).parameters.items()
        if name not in ("self", "params") and parameter.default is not parameter.empty
    }
    common = {"weight_decay": 0.0, **COMMON_DEFAULTS}
    known = {"lr", *common, *formula._hypers}
    return {name: value for name, value in {**common, **defaults}.items() if name in known}
