"""Values that PyTorch's classes take, however unusual, are taken; groups of which nothing is stepped wait."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import default_of, mine, ours_alone, theirs, torch

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 1.5}),
    ("SGD", {"momentum": 1.0, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "dampening": -0.5}),
    ("SGD", {"momentum": 0.9, "dampening": 1.5}),
    ("RMSprop", {"alpha": 1.0}),
    ("RMSprop", {"momentum": 1.5}),
    ("RMSprop", {"centered": True, "momentum": 2.0}),
    ("ASGD", {"lambd": -0.1}),
    ("ASGD", {"alpha": -1.0}),
    ("ASGD", {"t0": -5.0}),
    ("Rprop", {"step_sizes": (0, 50)}),
    ("Rprop", {"step_sizes": (0.0, 0.0)}),
    ("Rprop", {"step_sizes": (50.0, 1e-6)}),
    ("Rprop", {"step_sizes": (-1.0, 2.0)}),
    ("Adadelta", {"rho": 1.0}),
    ("NAdam", {"momentum_decay": 5.0}),
    ("Adam", {"amsgrad": 1}),
    ("Adam", {"amsgrad": None, "maximize": None}),
    ("AdamW", {"maximize": 1, "weight_decay": 1e3}),
]


def optimizer(cls: Any, name: str, **values: Any) -> tuple[Any, Any]:
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    return cls([p], lr=0.05, **values), p


def steps(opt: Any, p: Any, begin: int, end: int) -> None:
    for k in range(begin, end):
        p.grad = torch.tensor([0.3, (-1.0) ** k, 0.7 - k], dtype=torch.float64) * 0.5**k
        opt.step()


@pytest.mark.parametrize(("name", "values"), CASES, ids=str)
def test_what_pytorch_takes(name: str, values: dict[str, Any]) -> None:
    with default_of(torch.float64):
        made = [optimizer(cls, name, **values) for cls in (theirs(name), mine(name))]
        for opt, p in made:
            steps(opt, p, 0, 6)
    (_, exact), (_, got) = made
    torch.testing.assert_close(got, exact, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "values"), [case for case in CASES if "amsgrad" not in case[1]], ids=str)
def test_what_pytorch_takes_in_mid_training(name: str, values: dict[str, Any]) -> None:
    base = {
        key: {"momentum": 0.5, "centered": True}[key] for key in values if key in ("momentum", "centered")
    }
    with default_of(torch.float64):
        made = [optimizer(cls, name, **base) for cls in (theirs(name), mine(name))]
        for opt, p in made:
            steps(opt, p, 0, 2)
            opt.param_groups[0].update(values)
            steps(opt, p, 2, 6)
    (_, exact), (_, got) = made
    torch.testing.assert_close(got, exact, rtol=1e-11, atol=1e-12)


@ours_alone
def test_a_group_of_which_nothing_is_stepped_is_not_read() -> None:
    """Schedulers run through groups that wait for their first gradient, with values of any kind."""
    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    opt = mine("Adam")([{"params": [p]}, {"params": [q]}])
    opt.param_groups[1]["betas"] = (22.0, 0.9)
    for _ in range(3):
        p.grad = torch.ones(2)
        opt.step()
        opt.param_groups[1]["betas"] = (23.0, 0.9)
    assert (p.detach() < 1).all()
    before = p.detach().clone()
    q.grad = torch.ones(2)
    with pytest.raises(ValueError, match=r"param_groups\[1\]\['betas'\]\[0\]: expected"):
        opt.step()
    assert torch.equal(p, before)
    opt.param_groups[1]["betas"] = (0.9, 0.99)
    opt.step()
    opt.param_groups[1]["betas"] = (22.0, 0.9)
    q.grad = None
    with pytest.raises(ValueError, match=r"param_groups\[1\]\['betas'\]\[0\]: expected"):
        opt.step()
