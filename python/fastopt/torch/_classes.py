"""The classes: each has the rule of the NumPy class of its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from fastopt import optim
from fastopt._checks import real
from fastopt._hypers import Hyper, finite, non_negative, pair, positive, unit
from fastopt.optimizer import Optimizer as NumpyOptimizer
from fastopt.torch._optimizer import Optimizer
from fastopt.torch._options import defaults_of
from fastopt.torch._schedule_free import ScheduleFree

__all__ = [
    "ADOPT",
    "ASGD",
    "FTRL",
    "LAMB",
    "LARS",
    "MARS",
    "SGD",
    "SOAP",
    "AdEMAMix",
    "AdaBelief",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Grams",
    "Kron",
    "LaProp",
    "Lion",
    "Muon",
    "NAdam",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "RowWiseAdagrad",
    "RowWiseAdam",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeRAdam",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignSGD",
    "Signum",
    "StableAdamW",
]


def _off_at_infinity(hyper: Hyper) -> Hyper:
    """The same or infinity, which is off: no step can tell it from the largest number of float32."""
    largest = float(np.finfo(np.float32).max)
    return hyper._replace(
        check=lambda name, value: (
            largest if isinstance(value, float) and value == math.inf else hyper.check(name, value)
        ),
    )


def _numbers(name: str, values: tuple[Any, ...]) -> tuple[float, ...]:
    number = _off_at_infinity(Hyper(real))
    return tuple(number.check(f"{name}[{i}]", value) for i, value in enumerate(values))


class _Own(torch.optim.Optimizer):
    """For rules that `torch.optim` has not: keywords and defaults are those of the NumPy class."""

    _formula: ClassVar[type[NumpyOptimizer]]

    def __init__(self, params: Any, lr: Any = None, **keywords: Any) -> None:
        known = defaults_of(self._formula)
        chosen: dict[str, Any] = {
            name: keywords.pop(name) for name in ("foreach", "fused") if name in keywords
        }
        for name in keywords:
            if name not in known:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        if lr is not None:
            keywords["lr"] = lr
        defaults: dict[str, Any] = {**known, **keywords, "foreach": None, "fused": None, **chosen}
        super().__init__(params, defaults)
        if chosen.get("fused"):
            self._step_supports_amp_scaling = True  # GradScaler then leaves scaling to the step


class ASGD(Optimizer, torch.optim.ASGD):
    """Averaged SGD: `torch.optim.ASGD`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.ASGD` that PyTorch has not. The formula is in `fastopt.ASGD`.
    """

    _formula = optim.ASGD
    _wider: ClassVar[Mapping[str, Hyper]] = {
        "lambd": finite(),
        "alpha": finite(),
        "t0": _off_at_infinity(finite()),
    }


class Adadelta(Optimizer, torch.optim.Adadelta):
    """Adadelta: `torch.optim.Adadelta`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Adadelta` that PyTorch has not. The formula is in `fastopt.Adadelta`.
    """

    _formula = optim.Adadelta


class Adafactor(Optimizer, torch.optim.Adafactor):
    """Adafactor: `torch.optim.Adafactor`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Adafactor` that PyTorch has not. The formula is in `fastopt.Adafactor`.
    """

    _formula = optim.Adafactor
    _wider: ClassVar[Mapping[str, Hyper]] = {"d": _off_at_infinity(positive())}


class Adagrad(Optimizer, torch.optim.Adagrad):
    """Adagrad: `torch.optim.Adagrad`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Adagrad` that PyTorch has not. The formula is in `fastopt.Adagrad`.
    """

    _formula = optim.Adagrad

    def _add_group(self, param_group: dict[str, Any]) -> None:
        """PyTorch's begins all states where its constructor was told to, whatever a group says of it: here
        the group then says what is done.
        """
        super()._add_group(param_group)
        key = "initial_accumulator_value"
        if param_group[key] != "gradient":  # which PyTorch's has not
            param_group[key] = self.defaults[key]


class Adam(Optimizer, torch.optim.Adam):
    """Adam, with amsgrad and decoupled decay as options: `torch.optim.Adam`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Adam` that PyTorch has not. The formula is in `fastopt.Adam`.
    """

    _formula = optim.Adam


class AdamW(Optimizer, torch.optim.AdamW):
    """Adam with decoupled weight decay: `torch.optim.AdamW`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.AdamW` that PyTorch has not. The formula is in `fastopt.AdamW`.
    """

    _formula = optim.AdamW


class Adamax(Optimizer, torch.optim.Adamax):
    """Adamax: `torch.optim.Adamax`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Adamax` that PyTorch has not. The formula is in `fastopt.Adamax`.
    """

    _formula = optim.Adamax


class NAdam(Optimizer, torch.optim.NAdam):
    """Adam with Nesterov's momentum: `torch.optim.NAdam`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.NAdam` that PyTorch has not. The formula is in `fastopt.NAdam`.
    """

    _formula = optim.NAdam


class RAdam(Optimizer, torch.optim.RAdam):
    """Rectified Adam: `torch.optim.RAdam`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.RAdam` that PyTorch has not. The formula is in `fastopt.RAdam`.
    """

    _formula = optim.RAdam


class RMSprop(Optimizer, torch.optim.RMSprop):
    """RMSprop, with momentum and centring as options: `torch.optim.RMSprop`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.RMSprop` that PyTorch has not. The formula is in `fastopt.RMSprop`.
    """

    _formula = optim.RMSprop
    _wider: ClassVar[Mapping[str, Hyper]] = {"alpha": unit(closed=True), "momentum": non_negative()}


class Rprop(Optimizer, torch.optim.Rprop):
    """Resilient backpropagation: `torch.optim.Rprop`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.Rprop` that PyTorch has not. The formula is in `fastopt.Rprop`.
    """

    _formula = optim.Rprop
    _wider: ClassVar[Mapping[str, Hyper]] = {"step_sizes": pair("smallest", "largest", check=_numbers)}


class SGD(Optimizer, torch.optim.SGD):
    """SGD, with momentum and Nesterov's momentum as options: `torch.optim.SGD`, stepped by fastopt.

    Keywords, defaults, state and errors are PyTorch's; those that come on top are `Optimizer`'s here and the
    hyper-parameters of `fastopt.SGD` that PyTorch has not. The formula is in `fastopt.SGD`.
    """

    _formula = optim.SGD
    _wider: ClassVar[Mapping[str, Hyper]] = {"momentum": non_negative(), "dampening": finite()}


class AdaBelief(Optimizer, _Own):
    """AdaBelief for PyTorch: the rule, keywords and defaults of `fastopt.AdaBelief`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.AdaBelief


class Adan(Optimizer, _Own):
    """Adan for PyTorch: the rule, keywords and defaults of `fastopt.Adan`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Adan


class AdEMAMix(Optimizer, _Own):
    """AdEMAMix for PyTorch: the rule, keywords and defaults of `fastopt.AdEMAMix`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.AdEMAMix


class ADOPT(Optimizer, _Own):
    """ADOPT for PyTorch: the rule, keywords and defaults of `fastopt.ADOPT`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.ADOPT


class FTRL(Optimizer, _Own):
    """FTRL-Proximal for PyTorch: the rule, keywords and defaults of `fastopt.FTRL`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.FTRL


class Grams(Optimizer, _Own):
    """Grams for PyTorch: the rule, keywords and defaults of `fastopt.Grams`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Grams


class Kron(Optimizer, _Own):
    """Kron (PSGD) for PyTorch: the rule, keywords and defaults of `fastopt.Kron`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Kron


class LAMB(Optimizer, _Own):
    """LAMB for PyTorch: the rule, keywords and defaults of `fastopt.LAMB`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.LAMB


class LaProp(Optimizer, _Own):
    """LaProp for PyTorch: the rule, keywords and defaults of `fastopt.LaProp`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.LaProp


class LARS(Optimizer, _Own):
    """LARS for PyTorch: the rule, keywords and defaults of `fastopt.LARS`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.LARS


class Lion(Optimizer, _Own):
    """Lion for PyTorch: the rule, keywords and defaults of `fastopt.Lion`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Lion


class MARS(Optimizer, _Own):
    """MARS for PyTorch: the rule, keywords and defaults of `fastopt.MARS`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.MARS


_TorchMuon: Any = getattr(torch.optim, "Muon", torch.optim.Optimizer)  # of torch 2.9 and later


class _AnyShape(_TorchMuon):
    """PyTorch's Muon with its defaults, but for parameters of any shape."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Any = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        torch.optim.Optimizer.__init__(self, params, defaults)


class Muon(Optimizer, _AnyShape):
    """Muon for matrices and AdamW for the rest: `torch.optim.Muon`, in float32 and for whole models.

    Keywords, defaults and state are PyTorch's; those that come on top are `Optimizer`'s here and those of
    `fastopt.Muon`, which has the formula and says which parameters are matrices. Names come with them:
    ``Muon(model.named_parameters())``.
    """

    _formula = optim.Muon


class RowWiseAdagrad(Optimizer, _Own):
    """Row-wise Adagrad for PyTorch: the rule, keywords and defaults of `fastopt.RowWiseAdagrad`.

    For embeddings, with gradients that are dense or sparse (``torch.nn.Embedding(sparse=True)``). What comes
    on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.RowWiseAdagrad


class RowWiseAdam(Optimizer, _Own):
    """Row-wise Adam for PyTorch: the rule, keywords and defaults of `fastopt.RowWiseAdam`.

    For embeddings, with gradients that are dense or sparse (``torch.nn.Embedding(sparse=True)``). What comes
    on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.RowWiseAdam


class Prodigy(Optimizer, _Own):
    """Prodigy for PyTorch: the rule, keywords and defaults of `fastopt.Prodigy`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    State dicts of the authors' package `prodigyopt` are taken as well.
    """

    _formula = optim.Prodigy


class ScheduleFreeAdamW(ScheduleFree, _Own):
    """Schedule-Free AdamW for PyTorch: the rule, keywords and defaults of `fastopt.ScheduleFreeAdamW`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    Call `train` and `eval` as of the authors' package `schedulefree`, whose state dicts are taken as well.
    """

    _formula = optim.ScheduleFreeAdamW


class ScheduleFreeRAdam(ScheduleFree, _Own):
    """Schedule-Free RAdam for PyTorch: the rule, keywords and defaults of `fastopt.ScheduleFreeRAdam`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    Call `train` and `eval` as of the authors' package `schedulefree`, whose state dicts are taken as well.
    """

    _formula = optim.ScheduleFreeRAdam


class ScheduleFreeSGD(ScheduleFree, _Own):
    """Schedule-Free SGD for PyTorch: the rule, keywords and defaults of `fastopt.ScheduleFreeSGD`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    Call `train` and `eval` as of the authors' package `schedulefree`, whose state dicts are taken as well.
    """

    _formula = optim.ScheduleFreeSGD


class Shampoo(Optimizer, _Own):
    """Shampoo for PyTorch: the rule, keywords and defaults of `fastopt.Shampoo`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Shampoo


class SignSGD(Optimizer, _Own):
    """Sign descent for PyTorch: the rule, keywords and defaults of `fastopt.SignSGD`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.SignSGD


class Signum(Optimizer, _Own):
    """Signum for PyTorch: the rule, keywords and defaults of `fastopt.Signum`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.Signum


class SOAP(Optimizer, _Own):
    """SOAP for PyTorch: the rule, keywords and defaults of `fastopt.SOAP`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.SOAP


class StableAdamW(Optimizer, _Own):
    """StableAdamW for PyTorch: the rule, keywords and defaults of `fastopt.StableAdamW`.

    What comes on top is `Optimizer`'s; ``foreach`` and ``fused`` are accepted, as `torch.optim` has them.
    """

    _formula = optim.StableAdamW
