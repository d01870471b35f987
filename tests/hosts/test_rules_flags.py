"""Cautious steps and centred gradients beside timm's and pytorch_optimizer's, in float64."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

import pytest

from frameworks import error, rate, start
from hosts.common import host

BOUND = 1e-13
#: Class there (module and name), class here, keywords there, further keywords here. timm's Adan masks one of
#: its two averages and its NAdamW the average that it keeps: those are not the paper's.
CAUTIOUS: dict[str, tuple[str, str, str, dict[str, Any], dict[str, Any]]] = {
    "AdamW": ("adamw", "AdamWLegacy", "AdamW", {"weight_decay": 0.1}, {}),
    "AMSGrad": ("adamw", "AdamWLegacy", "AdamW", {"weight_decay": 0.1, "amsgrad": True}, {}),
    "Lion": ("lion", "Lion", "Lion", {"weight_decay": 0.1}, {}),
    "SGD": ("sgdw", "SGDW", "SGD", {"momentum": 0.9, "weight_decay": 0.1}, {"decoupled_weight_decay": True}),
    "Nesterov": (
        "sgdw",
        "SGDW",
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"decoupled_weight_decay": True},
    ),
    "RMSprop of TensorFlow 1": ("rmsprop_tf", "RMSpropTF", "RMSprop", {"momentum": 0.9}, {"compat": "tf1"}),
    "centred": (
        "rmsprop_tf",
        "RMSpropTF",
        "RMSprop",
        {"momentum": 0.9, "centered": True, "weight_decay": 0.1},
        {"compat": "tf1"},
    ),
}


def timm(module: str) -> Any:
    """A module of `timm.optim`, without all of timm around it (which wants models and images)."""
    if "timm" not in sys.modules:
        spec = importlib.util.find_spec("timm")
        if spec is None:
            pytest.skip("no timm here: it wants torchvision, and is not among the pinned hosts")
        for name, path in (("timm", ""), ("timm.optim", "/optim")):
            package = types.ModuleType(name)
            package.__path__ = [p + path for p in spec.submodule_search_locations or []]
            sys.modules[name] = package
    return importlib.import_module(f"timm.optim.{module}")


def trained(cls: Any, keywords: dict[str, Any], change: Any = None) -> list[Any]:
    torch = host("torch")
    params, grads = start()
    tensors = [torch.nn.Parameter(torch.from_numpy(p)) for p in params]
    opt = cls(tensors, lr=rate(0), **keywords)
    for k, row in enumerate(grads):
        opt.param_groups[0]["lr"] = rate(k)
        for p, g in zip(tensors, row, strict=True):
            p.grad = torch.from_numpy(g)
            if change is not None:
                change(p.grad)
        opt.step()
    return [p.detach().numpy() for p in tensors]


@pytest.mark.parametrize("name", CAUTIOUS)
@pytest.mark.parametrize("cautious", [False, True])
def test_timm(name: str, cautious: bool) -> None:
    module, theirs, mine, keywords, more = CAUTIOUS[name]
    exact = trained(getattr(timm(module), theirs), {**keywords, "caution": cautious})
    got = trained(getattr(host("fastopt.torch"), mine), {**keywords, **more, "cautious": cautious})
    assert error(got, exact) < BOUND


def test_cautious_is_another_step() -> None:
    """And no test above compares a step with itself."""
    results = [
        trained(host("fastopt.torch").AdamW, {"weight_decay": 0.1, "cautious": on}) for on in (False, True)
    ]
    assert error(*results) > 1e-2


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "NAdam", "Lion"])
def test_pytorch_optimizer_s_centred_gradients(name: str) -> None:
    centre = host("pytorch_optimizer.optimizer.gradient_centralization").centralize_gradient
    cls = getattr(host("fastopt.torch"), name)
    exact = trained(cls, {"weight_decay": 0.1}, change=centre)
    assert error(trained(cls, {"weight_decay": 0.1, "centralize": True}), exact) < BOUND
    assert error(trained(cls, {"weight_decay": 0.1}), exact) > 1e-3
