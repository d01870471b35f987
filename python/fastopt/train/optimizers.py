"""From settings to the model and its optimizer, with parameter groups, learning rate and schedule."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import fastopt
from fastopt.train import specs
from fastopt.train.encoding import Encoding
from fastopt.train.initialise import InitName
from fastopt.train.model import MLP
from fastopt.train.problem import Problem
from fastopt.train.runs import Result, Run
from fastopt.train.settings import Settings
from fastopt.train.specs import Spec, SpecError

Array = NDArray[Any]

# Keywords that act on the weights only: biases, scales and shifts are left alone, as is usual.
PENALTIES = ("weight_decay", "l1", "l1_proximal")


def optimizer_class(name: str) -> Any:
    """The fastopt class called `name`, in lower case."""
    known = fastopt.optimizers()
    if name not in known:
        raise SpecError(f"optimizer: expected one of {', '.join(sorted(known))}, got {name!r}")
    return known[name]


def optimizer_options(spec: Spec, settings: Settings) -> dict[str, Any]:
    """Keywords for the optimizer: the general settings, over them --opt, over them the spec's own."""
    general = {
        "clip_norm": settings.clip_norm,
        "clip_norm_type": 2 if settings.clip_norm_type == "2" else settings.clip_norm_type,
        "clip_norm_per": settings.clip_norm_per,
        "clip_value": settings.clip_value,
        "weight_decay": settings.weight_decay,
        "l1": settings.l1,
    }
    given = {key: value for key, value in general.items() if value is not None}
    extra = specs.parse(f"all:{','.join(settings.options)}", "opt").options if settings.options else {}
    return given | extra | spec.options


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
    """What is good to compare with, for inputs that are standardised and gradients that are means."""
    cls = optimizer_class(name)
    lr, momentum = cls.rule.comparison_lr, options.get("momentum")
    sums = cls.rule.momentum == "sum" and options.get("momentum_form") != "average"
    if sums and isinstance(momentum, float) and 0 <= momentum < 1:
        # Gradients that are summed up make steps longer by 1 / (1 - momentum).
        lr *= (1 - momentum) / (1 - inspect.signature(cls).parameters["momentum"].default)
    return float(f"{lr:.3g}")


def build_model(settings: Settings, data: Problem | Encoding) -> MLP:
    """The untrained model; equal for every optimizer of one seed."""
    inputs, outputs = data.sizes
    widths = [inputs, *settings.hidden]
    if settings.residual and not any(a == b for a, b in pairwise(widths)):
        raise ValueError(
            "residual: expected a hidden layer as wide as what comes before it, got widths "
            + "-".join(map(str, widths))
        )
    init = specs.parse(settings.init, "init") if settings.init else None
    return MLP(
        [*widths, outputs],
        rng=np.random.default_rng([settings.seed, 1]),
        activation=settings.activation,
        output=data.output.name,
        batch_norm=settings.batch_norm,
        dropout=settings.dropout,
        residual=settings.residual,
        init=None if init is None else cast(InitName, init.name),  # MLP refuses another
        init_options=None if init is None else init.options,
    )


def trained_model(run: Run, problem: Problem, result: Result) -> MLP:
    """The model that a run left, as it was tested."""
    model = build_model(run.settings, problem)
    model.restore(result)
    return model


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
        groups.append({"params": [model.parameters[i] for i in indices]} | unpenalised)
    try:
        optimizer = optimizer_class(spec.name)(groups, lr=schedule, **options)
    except (TypeError, ValueError) as error:
        raise SpecError(f"optimizer {spec.text}: {error}") from None
    optimizer.bind_grads([model.gradients[i] for indices in order(model) for i in indices])
    return optimizer


def l2_in_loss(optimizer: fastopt.Optimizer) -> float:
    """The factor of the weights' L2 penalty, |W|^2 / 2 each, in the loss that this optimizer minimises."""
    group = optimizer.param_groups[0]
    return float(group["weight_decay"]) if optimizer.rule.decay(group) == "coupled" else 0.0


def gradient_norm(optimizer: Any, options: Mapping[str, Any], model: MLP) -> float:
    """2-norm of the whole gradient: the engine's own where it took it in its step, else computed here."""
    if optimizer.grad_norm is not None and options.get("clip_norm_type", 2) == 2:
        return float(optimizer.grad_norm)
    return float(np.sqrt(sum(np.vdot(g, g).astype(np.float64) for g in model.gradients)))
