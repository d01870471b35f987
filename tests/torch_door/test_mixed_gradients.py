"""Gradients of every kind in any order, beside torch's own optimizer.

What the native code cannot read by itself (sparse, subclasses, negated views) takes another way
through a step. A parameter must be stepped whichever way the others take, this time and the last.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from torch_door.door import torch

import fastopt.torch  # isort: skip  (torch first: without it the module skips)

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own code

KINDS = ("none", "same", "new", "strided", "sparse", "subclass", "negated", "zero")


class Kind(Tensor):
    pass


def negated(x: Tensor) -> Tensor:
    """The same numbers, as a view that is marked as negated."""
    return torch.complex(torch.zeros_like(x), -x).conj().imag


def gradient(kind: str, shape: tuple[int, ...], same: Tensor, value: float) -> Tensor | None:
    match kind:
        case "none":
            return None
        case "same":
            return same.fill_(value)
        case "strided":
            return torch.full((*shape, 2), value, dtype=torch.float64)[..., 0]
        case "sparse":
            row = torch.full((1, *shape[1:]), value, dtype=torch.float64)
            return torch.sparse_coo_tensor(torch.tensor([[1]]), row, shape, check_invariants=True)
        case "subclass":
            return torch.full(shape, value, dtype=torch.float64).as_subclass(Kind)
        case "negated":
            return negated(torch.full(shape, value, dtype=torch.float64))
        case "zero":
            return torch._efficientzerotensor(shape, dtype=torch.float64)
    return torch.full(shape, value, dtype=torch.float64)


SHAPES = ((3, 2), (2, 2), (4,), ())

RULES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "Adagrad": {"lr": 0.1},
    "Adam": {"lr": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.9},
}
SPARSE = ("SGD", "Adagrad")


def run(make: Any, plan: list[list[str]]) -> list[Tensor]:
    params = [torch.nn.Parameter(torch.ones(shape, dtype=torch.float64)) for shape in SHAPES]
    same = [torch.zeros(shape, dtype=torch.float64) for shape in SHAPES]
    opt = make(params)
    for t, kinds in enumerate(plan):
        for i, (p, kind) in enumerate(zip(params, kinds, strict=True)):
            p.grad = gradient(kind, SHAPES[i], same[i], 0.1 * (t + 1) + i)
        opt.step()
        if norm := getattr(opt, "grad_norm", None):  # ours, if it is asked for
            held = [p.grad.to_dense() for p in params if p.grad is not None]
            assert norm == pytest.approx(float(torch.nn.utils.get_total_norm(held)))
    return [p.detach().clone() for p in params]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_order(rule: str, seed: int) -> None:
    draw = random.Random(seed)

    def kinds() -> list[str]:
        chosen = [draw.choice(KINDS) for _ in SHAPES]
        return [
            k if k != "sparse" or (rule in SPARSE and len(s) > 0) else "new"
            for k, s in zip(chosen, SHAPES, strict=True)
        ]

    plan = [kinds() for _ in range(12)]
    options = RULES[rule]
    ours = run(lambda ps: getattr(fastopt.torch, rule)(ps, clip_norm=1e9, **options), plan)
    theirs = run(lambda ps: getattr(torch.optim, rule)(ps, **options), plan)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_parameter_is_looked_at_behind_a_sparse_gradient() -> None:
    table, q = torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(2))
    opt = fastopt.torch.SGD([table, q], lr=0.1)
    for _ in range(2):
        row = torch.ones(1, 2)
        table.grad = torch.sparse_coo_tensor(torch.tensor([[1]]), row, (3, 2), check_invariants=True)
        q.grad = torch.ones(2)
        opt.step()
    q.data = torch._neg_view(q.data)  # the same memory
    with pytest.raises(TypeError, match=r"params\[1\].*negated"):
        opt.step()
    torch.testing.assert_close(q.detach(), torch.full((2,), -0.8))
