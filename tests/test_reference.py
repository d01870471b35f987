"""The oracle itself, against PyTorch in float64 wherever PyTorch has the class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from battery import STEPS, Meter, problem
from draws import GROUP, VARIANTS, draw
from oracle import Oracle
from witness import NAMES, Witness, default_dtype, require_torch, takes

require_torch()
CASES = [(name, i) for name in NAMES for i in range(len(VARIANTS[name]))]


@pytest.mark.parametrize(("name", "variant"), CASES)
@pytest.mark.parametrize("common", [True, False], ids=["common keywords", "own keywords"])
def test_the_oracle_is_torch(name: str, variant: int, common: bool) -> None:
    rng = np.random.default_rng(100 * NAMES.index(name) + variant)
    setting = takes(name, {**VARIANTS[name][variant], **(GROUP if common else {})})
    problem_ = problem(np.float64, seed=variant)
    groups = problem_.groups(draw(setting, rng), draw(setting, rng))
    oracle = Oracle(name, groups)
    meter = Meter(oracle.params)
    with default_dtype(np.float64):
        torch = Witness(name, groups, np.float64)
        for k in range(STEPS):
            if k == 11:
                for side in (oracle.param_groups, torch.param_groups):
                    side[0]["lr"] *= 0.3
                    side[1]["lr"] *= 2.5
            oracle.step(problem_.grads[k])
            torch.step(problem_.grads[k])
            meter.seen(oracle.params)
        assert meter.error(torch.params) < 1e-12
        for i, tensor in enumerate(torch.tensors):
            for key, value in torch.optimizer.state[tensor].items():
                mine = oracle.steps[i] if key == "step" else oracle.state[i][key]
                np.testing.assert_allclose(
                    mine, value.numpy(), rtol=1e-10, atol=1e-12, err_msg=f"state {key} of {i}"
                )


@pytest.mark.parametrize("name", NAMES)
def test_the_oracles_defaults_are_torchs(name: str) -> None:
    torch = Witness(name, [{"params": [np.ones(1)]}], np.float64)
    (theirs,), (ours,) = torch.param_groups, Oracle(name, [np.ones(1)]).param_groups
    hidden = {"params", "foreach", "fused", "capturable", "differentiable"}
    if (
        name == "AdamW"
    ):  # torch's AdamW is Adam with the flag set; ours has no such keyword, it always decouples
        hidden.add("decoupled_weight_decay")
    assert {key: ours[key] for key in theirs.keys() - hidden} == {
        key: theirs[key] for key in theirs.keys() - hidden
    }


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}], ids=str)
def test_decoupled_sgd_is_torchs_on_weights_that_shrink_as_in_its_adamw(options: dict[str, Any]) -> None:
    """torch.optim.SGD has no such keyword: ``p.mul_(1 - lr * weight_decay)`` before it steps, as AdamW."""
    given = problem(np.float64, seed=0, holes=False)
    groups = given.groups({"lr": 0.05, **options}, {"lr": 0.02, **options})
    ours = fastopt.SGD(
        given.groups({"lr": 0.05, **options}, {"lr": 0.02, **options}),
        weight_decay=0.3,
        decoupled_weight_decay=True,
    )
    meter = Meter([p for group in groups for p in group["params"]])
    with default_dtype(np.float64):
        torch = Witness("SGD", groups, np.float64)
        for grads in given.grads:
            for group in torch.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["lr"] * 0.3)
            torch.step(grads)
            ours.step(grads)
            meter.seen(torch.params)
    assert meter.error(list(ours.params.values())) < 1e-13
