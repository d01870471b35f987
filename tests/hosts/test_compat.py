"""`compat`: our classes beside Keras and optax themselves, in float64."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from frameworks import CASES, Case, error, rate, start
from hosts.common import host

#: Names that are not the class's own.
KERAS = {"NAdam": "Nadam", "LAMB": "Lamb"}
#: Of the largest weight; both round in float64, thirty times.
BOUND = 1e-13


def keras(case: Case) -> list[Any]:
    """On PyTorch, which is here anyway."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras, torch = host("keras"), host("torch")
    keras.backend.set_floatx("float64")
    params, grads = start()
    variables = [keras.Variable(p, dtype="float64") for p in params]
    opt = getattr(keras.optimizers, KERAS.get(case.name, case.name))(**case.theirs)
    assert float(opt.learning_rate) == case.default_lr
    opt.build(variables)
    for k, row in enumerate(grads):
        opt.learning_rate = rate(k)
        opt.apply([torch.from_numpy(g) for g in row], variables)
    return [np.asarray(v.value.detach()) for v in variables]


def optax(case: Case) -> list[Any]:
    jax, optax = host("jax"), host("optax")
    jax.config.update("jax_enable_x64", True)
    params, grads = start()
    weights = [jax.numpy.asarray(p) for p in params]
    falling: Callable[[Any], Any] = lambda count: jax.numpy.where(count < 11, rate(0), rate(11))  # noqa: E731
    opt = getattr(optax, case.name.lower())(falling, **case.theirs)
    state = opt.init(weights)
    for row in grads:
        updates, state = opt.update([jax.numpy.asarray(g) for g in row], state, weights)
        weights = optax.apply_updates(weights, updates)
    return [np.asarray(w) for w in weights]


def ours(case: Case) -> list[Any]:
    params, grads = start()
    opt = getattr(fastopt, case.name)(params, rate, compat=case.framework, **case.ours)
    for row in grads:
        opt.step(row)
    return params


def through_torch(case: Case) -> list[Any]:
    """The same class for PyTorch, which keeps NAdam's product in the default dtype."""
    torch, door = host("torch"), host("fastopt.torch")
    params, grads = start()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return _through_torch(torch, getattr(door, case.name), case, params, grads)
    finally:
        torch.set_default_dtype(before)


def _through_torch(torch: Any, cls: Any, case: Case, params: list[Any], grads: list[Any]) -> list[Any]:
    tensors = [torch.nn.Parameter(torch.from_numpy(p)) for p in params]
    opt = cls(tensors, lr=rate(0), compat=case.framework, **case.ours)
    for k, row in enumerate(grads):
        opt.param_groups[0]["lr"] = rate(k)
        for p, g in zip(tensors, row, strict=True):
            p.grad = torch.from_numpy(g)
        opt.step()
    return [p.detach().numpy() for p in tensors]


@pytest.mark.parametrize("case", [c for c in CASES if c.framework == "keras"], ids=str)
def test_keras(case: Case) -> None:
    exact = keras(case)
    assert error(ours(case), exact) < BOUND
    assert error(through_torch(case), exact) < BOUND


@pytest.mark.parametrize("case", [c for c in CASES if c.framework == "optax"], ids=str)
def test_optax(case: Case) -> None:
    exact = optax(case)
    assert error(ours(case), exact) < BOUND
    assert error(through_torch(case), exact) < BOUND
