"""Sparse gradients with one sparse dimension, as `torch.nn.Embedding(sparse=True)` leaves them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastopt
from torch_door.door import EVERY, FILLS_FIRST, mine, ours_alone, torch

pytestmark = [ours_alone, pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")]

REFUSED = (
    *("ADOPT", "ASGD", "Adafactor", "Adan", "LAMB", "LARS", "MARS", "Muon", "SOAP", "Shampoo", "StableAdamW"),
    *("Kron", "Prodigy", "ScheduleFreeAdamW", "ScheduleFreeRAdam", "ScheduleFreeSGD"),
)


def model(dtype: Any = torch.float64) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return torch.nn.Embedding(50, 8, sparse=True, dtype=dtype), torch.nn.Linear(8, 2, dtype=dtype)


def trained(made: tuple[Any, Any], optimizers: list[Any], steps: int = 10) -> list[Any]:
    table, layer = made
    draws = torch.Generator().manual_seed(1)
    for _ in range(steps):
        words = torch.randint(0, 50, (30,), generator=draws)
        for opt in optimizers:
            opt.zero_grad()
        layer(table(words)).square().mean().backward()
        for opt in optimizers:
            opt.step()
    return [p.detach() for module in made for p in module.parameters()]


@pytest.mark.parametrize("coalesced", [False, True])
@pytest.mark.parametrize("name", ["Adam", "Adagrad", "SGD"])
def test_a_model_with_an_embedding_trains_as_with_pytorchs_classes(name: str, coalesced: bool) -> None:
    """Adam beside SparseAdam for the table, whose epsilon is added before the correction: hence none."""
    options = {"lr": 0.05, **({"eps": 1e-300} if name == "Adam" else {})}
    here, there = model(), model()
    if coalesced:
        here[0].weight.register_hook(lambda g: g.coalesce())
    table, layer = (list(module.parameters()) for module in there)
    theirs = getattr(torch.optim, name)
    peers = (
        [torch.optim.SparseAdam(table, **options), theirs(layer, **options)]
        if name == "Adam"
        else [theirs([*table, *layer], **options)]
    )
    ours = trained(here, [mine(name)([p for m in here for p in m.parameters()], **options)])
    for a, b in zip(ours, trained(there, peers), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_other_rows_stay(name: str, dtype: Any) -> None:
    p = torch.nn.Parameter(torch.zeros(6, 3, dtype=dtype))
    opt = mine(name)([p], lr=0.1)
    p.grad = torch.sparse_coo_tensor(torch.tensor([[4, 1, 4]]), torch.ones(3, 3, dtype=dtype), (6, 3))
    if name in REFUSED:
        with pytest.raises(TypeError, match=r"params\[0\].*got sparse rows: "):
            opt.step()
        assert torch.equal(p.detach(), torch.zeros(6, 3, dtype=dtype))
        return
    version = p._version
    for _ in range(1 + (name in FILLS_FIRST)):
        opt.step()
    moved = (p.detach() != 0).any(1)
    assert moved.tolist() == [False, True, False, False, True, False]
    assert p._version > version


def test_momentum_of_sgd_is_refused() -> None:
    p = torch.nn.Parameter(torch.ones(6, 3))
    opt = mine("SGD")([p], lr=0.1, momentum=0.9)
    p.grad = torch.sparse_coo_tensor(torch.tensor([[4]]), torch.ones(1, 3), (6, 3))
    with pytest.raises(RuntimeError, match=r"params\[0\]: expected a dense gradient for SGD with momentum"):
        opt.step()
    assert torch.equal(p.detach(), torch.ones(6, 3))
    p.grad = torch.ones(6, 3)
    opt.step()
    assert not torch.equal(p.detach(), torch.ones(6, 3))


def test_no_rows_and_rows_beyond_the_table() -> None:
    p = torch.nn.Parameter(torch.ones(6, 3))
    opt = mine("AdamW")([p], lr=0.1)
    p.grad = torch.sparse_coo_tensor(torch.zeros(1, 0, dtype=torch.int64), torch.ones(0, 3), (6, 3))
    opt.step()
    assert torch.equal(p.detach(), torch.ones(6, 3))
    bad = torch.sparse_coo_tensor(torch.tensor([[9]]), torch.ones(1, 3), (10, 3))
    p.grad = torch.sparse_coo_tensor(bad._indices(), bad._values(), (6, 3), check_invariants=False)
    with pytest.raises(ValueError, match=r"params\[0\].indices: expected 0 to 5, .* got 9 at position 0"):
        opt.step()
    assert torch.equal(p.detach(), torch.ones(6, 3))


def row_three(shape: Any, size: float = 1.0) -> Any:
    return torch.sparse_coo_tensor(
        torch.tensor([[3, 3]]), torch.full((2, *shape[1:]), size), shape, check_invariants=False
    )


#: What PyTorch's users can do wrong with sparse gradients: class, keywords, parameter, gradient.
WRONG: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "whole": ("LARS", {}, torch.zeros(5, 2), row_three((5, 2))),
    "averages": ("ASGD", {}, torch.zeros(5, 2), row_three((5, 2))),
    "start": ("Adan", {}, torch.zeros(5, 2), row_three((5, 2))),
    "codes": ("Adam", {"state_dtype": "int8"}, torch.zeros(100, 65), row_three((100, 65))),
    "order": ("SGD", {}, torch.zeros(2, 5).t(), row_three((5, 2))),
    "beyond": ("SGD", {}, torch.zeros(3, 2), row_three((3, 2))),
    "no rows": ("SGD", {}, torch.zeros(0, 2), row_three((0, 2))),
    "infinite": ("SGD", {"nonfinite": "raise"}, torch.zeros(5, 2), row_three((5, 2), size=3e38)),
    "two sparse": ("SGD", {}, torch.zeros(5, 2), torch.eye(5, 2).to_sparse()),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_speak_of_tensors_and_not_of_numpys_class(case: str) -> None:
    name, options, start, gradient = WRONG[case]
    p = torch.nn.Parameter(start)
    opt = mine(name)([p], lr=0.1, **options)
    p.grad = gradient
    with pytest.raises((TypeError, ValueError), match=r"params\[0\]") as error:
        opt.step()
    assert "SparseRows" not in str(error.value)
    assert torch.equal(p.detach(), start)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RowWiseAdagrad", {"initial_accumulator_value": 0.2}),
        ("RowWiseAdam", {"row_steps": True}),
        ("RowWiseAdam", {"weight_decay": 0.1}),
        ("Adam", {"row_steps": True}),
        ("AdamW", {"row_steps": True, "amsgrad": True}),
    ],
)
def test_what_is_kept_of_rows_is_a_tensor_of_the_state(name: str, options: Any, dtype: Any) -> None:
    """The numbers are the NumPy class's, and another optimizer goes on with them."""
    draws = torch.Generator().manual_seed(1)
    start = torch.randn(12, 5, generator=draws).to(dtype)
    p = torch.nn.Parameter(start.clone())
    array = start.view(torch.int16).numpy().view(np.uint16) if dtype == torch.bfloat16 else start.numpy()
    array = array.copy()
    ours = mine(name)([p], lr=0.1, **options)
    theirs = getattr(fastopt, name)([array], lr=0.1, dtype="bfloat16", **{"weight_decay": 0.01, **options})
    ours.param_groups[0]["weight_decay"] = theirs.param_groups[0]["weight_decay"]
    for k in range(6):
        index = torch.randint(0, 12, (7,), generator=draws)
        values = torch.randn(7, 5, generator=draws).to(dtype)
        p.grad = torch.sparse_coo_tensor(index[None], values, (12, 5), check_invariants=False)
        bits = values.view(torch.int16).numpy().view(np.uint16) if dtype == torch.bfloat16 else values.numpy()
        ours.step()
        theirs.step([fastopt.SparseRows(index.numpy(), bits)])
        if k == 3:
            saved, ours = copy.deepcopy(ours.state_dict()), mine(name)([p], lr=0.1, **options)
            ours.load_state_dict(saved)
    for key, state in theirs._states[0].items():
        assert np.array_equal(ours.state[p][key].numpy(), state), key
    assert {len(s) for key, s in ours.state[p].items() if key in ("sum", "row_steps")} <= {12}
    moved = p.detach()
    assert np.array_equal(
        moved.view(torch.int16).numpy().view(np.uint16) if dtype == torch.bfloat16 else moved, array
    )
