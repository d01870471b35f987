"""The classes: each has the rule of the NumPy class of its name."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from fastopt import optim
from fastopt.optimizer import Optimizer as NumpyOptimizer
from fastopt.torch._optimizer import Optimizer
from fastopt.torch._options import defaults_of

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "SGD",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SignSGD",
]


class ASGD(Optimizer, torch.optim.ASGD):
    _formula = optim.ASGD


class Adadelta(Optimizer, torch.optim.Adadelta):
    _formula = optim.Adadelta


class Adagrad(Optimizer, torch.optim.Adagrad):
    _formula = optim.Adagrad


class Adam(Optimizer, torch.optim.Adam):
    _formula = optim.Adam


class AdamW(Optimizer, torch.optim.AdamW):
    _formula = optim.AdamW


class Adamax(Optimizer, torch.optim.Adamax):
    _formula = optim.Adamax


class NAdam(Optimizer, torch.optim.NAdam):
    _formula = optim.NAdam


class RAdam(Optimizer, torch.optim.RAdam):
    _formula = optim.RAdam


class RMSprop(Optimizer, torch.optim.RMSprop):
    _formula = optim.RMSprop


class Rprop(Optimizer, torch.optim.Rprop):
    _formula = optim.Rprop


class SGD(Optimizer, torch.optim.SGD):
    _formula = optim.SGD


class _Own(torch.optim.Optimizer):
    """For rules that `torch.optim` has not: keywords and defaults are those of the NumPy class."""

    _formula: ClassVar[type[NumpyOptimizer]]

    def __init__(self, params: Any, lr: Any = None, **keywords: Any) -> None:
        known = defaults_of(self._formula)
        chosen = {name: keywords.pop(name) for name in ("foreach", "fused") if name in keywords}
        for name in keywords:
            if name not in known:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        if lr is not None:
            keywords["lr"] = lr
        super().__init__(params, {**known, **keywords, "foreach": None, "fused": None, **chosen})
        if chosen.get("fused"):
            self._step_supports_amp_scaling = True  # GradScaler then leaves scaling to the step


class AdaBelief(Optimizer, _Own):
    _formula = optim.AdaBelief


class Adan(Optimizer, _Own):
    _formula = optim.Adan


class LAMB(Optimizer, _Own):
    _formula = optim.LAMB


class LARS(Optimizer, _Own):
    _formula = optim.LARS


class Lion(Optimizer, _Own):
    _formula = optim.Lion


class SignSGD(Optimizer, _Own):
    _formula = optim.SignSGD
