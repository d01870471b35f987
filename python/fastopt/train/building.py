"""From settings to fastopt objects: the optimizer with its parameter groups, learning rate and schedule."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt
from fastopt.train import specs
from fastopt.train.model import MLP
from fastopt.train.settings import Settings
from fastopt.train.specs import Spec, SpecError

Array = NDArray[Any]

# Learning rates for this model, its inputs being standardised and its gradients means over a batch; each the
# best or nearly so of a coarse search on the digits. Any other optimizer starts from its own default.
DEFAULT_LR = {
    "adabelief": 5e-3,
    "adagrad": 0.1,
    "adam": 5e-3,
    "adamax": 1e-2,
    "adamw": 5e-3,
    "adan": 1e-2,
    "asgd": 0.3,
    "lamb": 1e-2,
    "lars": 5.0,
    "lion": 1e-3,
    "nadam": 5e-3,
    "radam": 5e-3,
    "rmsprop": 3e-3,
    "rprop": 1e-3,
    "sgd": 0.3,
    "signsgd": 1e-3,
}

# Optimizers that compare the signs of successive gradients: those of mini-batches differ by chance.
FULL_BATCH = ("rprop",)

# Optimizers whose weight_decay shrinks the weights beside the gradient, and is no term of the loss.
DECAY_BESIDE = ("adamw", "adan", "lamb", "lars", "lion")

# Keywords that act on the weights only: biases, scales and shifts are left alone, as is usual.
PENALTIES = ("weight_decay", "l1", "l1_proximal")


def optimizer_class(name: str) -> type:
    """The fastopt class called `name`, in lower case."""
    known: dict[str, type] = fastopt.optimizers()
    if name not in known:
        raise SpecError(f"optimizer: expected one of {', '.join(sorted(known))}, got {name!r}")
    return known[name]


def optimizer_options(spec: Spec, settings: Settings) -> dict[str, Any]:
    """Keywords for the optimizer: the general settings, over them --opt, over them the spec's own."""
    general = {
        "clip_norm": settings.clip_norm,
        "clip_value": settings.clip_value,
        "weight_decay": settings.weight_decay,
        "l1": settings.l1,
    }
    given = {key: value for key, value in general.items() if value is not None}
    return given | specs.options(list(settings.options), "opt") | spec.options


def base_lr(spec: Spec, settings: Settings) -> float:
    """The learning rate before the schedule: the spec's `lr`, --lr, or the default for this optimizer."""
    options = optimizer_options(spec, settings)
    lr = options.get("lr", settings.lr)
    if lr is None:
        return _default_lr(spec.name, options)
    if isinstance(lr, bool) or not isinstance(lr, (int, float)):
        raise SpecError(f"optimizer {spec.name}: lr: expected a number, got {lr!r}")
    return float(lr)


def _default_lr(name: str, options: dict[str, Any]) -> float:
    parameters = inspect.signature(optimizer_class(name)).parameters
    lr = float(DEFAULT_LR.get(name, parameters["lr"].default))
    momentum = options.get("momentum")
    sums = "momentum" in parameters and options.get("momentum_form") != "average"
    if sums and isinstance(momentum, float) and 0 <= momentum < 1:
        # Gradients that are summed up make steps longer by 1 / (1 - momentum).
        lr *= (1 - momentum) / (1 - parameters["momentum"].default)
    return float(f"{lr:.3g}")


def order(model: MLP) -> tuple[list[int], list[int]]:
    """Indices of the weight matrices, and of all other parameters: the two parameter groups."""
    weights = [i for i, p in enumerate(model.parameters) if p.ndim == 2]
    return weights, [i for i in range(len(model.parameters)) if i not in weights]


def build_optimizer(spec: Spec, settings: Settings, model: MLP, total_steps: int) -> Any:
    """The optimizer over the model's parameters, bound to its gradients: `step()` needs no argument."""
    lr = base_lr(spec, settings)
    options = {key: value for key, value in optimizer_options(spec, settings).items() if key != "lr"}
    try:
        schedule = fastopt.schedules.parse(settings.schedule, lr, total_steps)
    except (TypeError, ValueError) as error:
        raise SpecError(f"schedule {settings.schedule}: {error}") from None
    groups = []
    for indices, penalised in zip(order(model), (True, False), strict=True):
        unpenalised = (
            {} if penalised else {key: 0.0 for key in PENALTIES if key in options or key == "weight_decay"}
        )
        groups.append({"params": pick(model.parameters, indices)} | unpenalised)
    try:
        optimizer = optimizer_class(spec.name)(groups, lr=schedule, **options)
    except (TypeError, ValueError) as error:
        raise SpecError(f"optimizer {spec.text}: {error}") from None
    optimizer.bind_grads([g for indices in order(model) for g in pick(model.gradients, indices)])
    return optimizer


def l2_in_loss(name: str, optimizer: Any) -> float:
    """The factor of the weights' L2 penalty, |W|^2 / 2 each, in the loss that this optimizer minimises."""
    group = optimizer.param_groups[0]
    beside = name in DECAY_BESIDE or group.get("decoupled_weight_decay", False)
    return 0.0 if beside else float(group["weight_decay"])


def pick(arrays: Sequence[Array], indices: Sequence[int]) -> list[Array]:
    return [arrays[i] for i in indices]


def gradient_norm(optimizer: Any, model: MLP) -> float:
    """Norm of the whole gradient: the engine's own where it took one in its step, else computed here."""
    if optimizer.grad_norm is not None:
        return float(optimizer.grad_norm)
    return float(np.sqrt(sum(np.vdot(g, g).astype(np.float64) for g in model.gradients)))
