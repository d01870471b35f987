"""Values that PyTorch's classes take, however unusual, are taken; groups of which nothing is stepped wait."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import allowed, clones, default_of, drive, given, mine, ours_alone, theirs, torch, worst

INFINITE: list[tuple[str, dict[str, Any]]] = [
    ("Adafactor", {"d": float("inf")}),
    ("Rprop", {"step_sizes": (0, float("inf"))}),
    ("Rprop", {"step_sizes": (1e-6, float("inf"))}),
    ("ASGD", {"t0": float("inf")}),
]
VECTORS: list[tuple[str, dict[str, Any]]] = [
    (name, {key: torch.tensor(values, dtype=torch.float64)})
    for name, key, values in (
        ("Adam", "betas", [0.5, 0.75]),
        ("Adamax", "betas", [0.5, 0.75]),
        ("NAdam", "betas", [0.5, 0.75]),
        ("RAdam", "betas", [0.5, 0.75]),
        ("Rprop", "step_sizes", [1e-6, 50.0]),
        ("Rprop", "etas", [0.5, 1.25]),
        ("Adafactor", "eps", [1e-30, 1e-3]),
    )
]
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
    ("SGD", {"momentum": False, "dampening": False, "weight_decay": False}),
    ("SGD", {"momentum": 0.5, "dampening": True}),
    ("Adam", {"eps": False, "weight_decay": False}),
    ("RMSprop", {"alpha": False, "momentum": False}),
    ("ASGD", {"lambd": False, "alpha": False, "t0": False}),
    ("NAdam", {"momentum_decay": False}),
    ("Adadelta", {"rho": True}),
    *(case for case in INFINITE if case[0] != "Adafactor"),
    *(case for case in VECTORS if case[0] not in ("Adafactor", "Adam")),
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "values"), INFINITE + VECTORS, ids=str)
def test_infinity_that_is_off_and_vectors(name: str, values: dict[str, Any], dtype: Any) -> None:
    def run(cls: Any, params: Any, grads: Any) -> Any:
        own = clones(params)
        typed = {k: v.to(own[0].dtype) if torch.is_tensor(v) else v for k, v in values.items()}
        drive(cls(own, **typed), own, grads)
        return own

    with default_of(dtype):
        params, grads = given(dtype, twin=name)
        exact, bound = allowed(run, params, grads, name)
        assert worst(run(mine(name), params, grads), exact) <= bound


@ours_alone
def test_a_vector_that_is_changed_in_place_is_seen() -> None:
    opt, p = optimizer(mine("Adamax"), "Adamax", betas=torch.tensor([0.5, 0.75], dtype=torch.float64))
    twin, q = optimizer(mine("Adamax"), "Adamax", betas=(0.5, 0.75))
    steps(opt, p, 0, 2)
    steps(twin, q, 0, 2)
    opt.param_groups[0]["betas"][0] = 0.25
    twin.param_groups[0]["betas"] = (0.25, 0.75)
    steps(opt, p, 2, 4)
    steps(twin, q, 2, 4)
    assert torch.equal(p, q)


@ours_alone
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("SGD", {"lr": True}),
        ("Adam", {"eps": float("inf")}),
        ("Adam", {"weight_decay": float("inf")}),
        ("Adafactor", {"d": float("-inf")}),
        ("Adafactor", {"d": float("nan")}),
        ("Rprop", {"step_sizes": (0.0, float("nan"))}),
        ("NAdam", {"momentum_decay": float("inf")}),
        ("AdamW", {"betas": torch.tensor([0.5])}),
    ],
    ids=str,
)
def test_what_is_still_no_value(name: str, values: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, IndexError)):
        optimizer(mine(name), name, **values)


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
