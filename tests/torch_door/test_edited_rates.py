"""The learning rate as schedulers leave it, at every step: read without reading all else again, and right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from draws import VARIANTS
from torch_door.door import door, torch

from fastopt.torch._groups import Values  # isort: skip  (torch first: without it the module skips)


def trained(name: str, edit: Callable[[Any, int], None], steps: int = 8, **options: Any) -> list[Any]:
    """Parameters of two groups after steps before each of which the groups are edited."""
    torch.manual_seed(0)
    params = [torch.randn(5, 4, dtype=torch.float64).requires_grad_() for _ in range(4)]
    opt = getattr(door, name)(
        [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.1}], **options
    )
    for k in range(steps):
        edit(opt, k)
        for i, p in enumerate(params):
            p.grad = torch.full_like(p, 0.1 * (i + 1)) + 0.01 * k * p.detach()
        opt.step()
    return [p.detach().clone() for p in params]


def rates(opt: Any, k: int) -> tuple[float, float]:
    one = 0.01 / (k + 1)
    return one, one if opt._formula.rule.norms == "all" else 0.02 * (k + 1)


def number(opt: Any, k: int) -> None:
    for group, lr in zip(opt.param_groups, rates(opt, k), strict=True):
        group["lr"] = lr


def filled(opt: Any, k: int) -> None:
    for group, lr in zip(opt.param_groups, rates(opt, k), strict=True):
        if not torch.is_tensor(group["lr"]):
            group["lr"] = torch.tensor(0.0, dtype=torch.float64)
        group["lr"].fill_(lr)


def written_later(opt: Any, k: int) -> None:
    """A number at first; then a tensor, changed in place from then on; a number at the end."""
    if k in (0, 1, 6, 7):
        number(opt, k)
    elif k == 2:
        for group, lr in zip(opt.param_groups, rates(opt, k), strict=True):
            group["lr"] = torch.tensor(lr, dtype=torch.float64)
    else:
        for group, lr in zip(opt.param_groups, rates(opt, k), strict=True):
            group["lr"].fill_(lr)


def in_an_array(opt: Any, k: int) -> None:
    for group, lr in zip(opt.param_groups, rates(opt, k), strict=True):
        if k < 2:
            group["lr"] = lr
        elif k == 2:
            group["lr"] = np.array(lr)
        else:
            group["lr"][...] = lr


def renewed(opt: Any, k: int) -> None:
    """Another plan for each step, made of what is there."""
    number(opt, k)
    opt._engine = opt._renewed()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("edit", [number, filled, written_later, in_an_array])
def test_every_rate_is_taken(name: str, edit: Callable[[Any, int], None]) -> None:
    for a, b in zip(trained(name, edit), trained(name, renewed), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "bad",
    [-1.0, float("nan"), float("inf"), "0.1", True, None, 1e39, [0.1], 10**400],
    ids=lambda bad: str(bad)[:9],
)
def test_what_is_no_rate_is_refused_as_ever(bad: Any) -> None:
    p = torch.ones(3, requires_grad=True)
    opt = door.AdamW([p], lr=0.1)
    for lr in (0.1, 0.2):
        p.grad = torch.ones(3)
        opt.param_groups[0]["lr"] = lr
        opt.step()
    before = p.detach().clone()
    opt.param_groups[0]["lr"] = bad
    with pytest.raises((TypeError, ValueError), match=r"param_groups\[0\]\['lr'\]"):
        opt.step()
    assert torch.equal(p, before)
    opt.param_groups[0]["lr"] = 0.2
    opt.step()
    assert not torch.equal(p, before)


def test_another_value_beside_the_rate_is_taken_too() -> None:
    def both(opt: Any, k: int) -> None:
        number(opt, k)
        opt.param_groups[0]["betas"] = (0.8 + 0.01 * k, 0.99)

    def both_anew(opt: Any, k: int) -> None:
        both(opt, k)
        opt._engine = opt._renewed()

    for a, b in zip(trained("AdamW", both), trained("AdamW", both_anew), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_group_is_read_whole_once(monkeypatch: pytest.MonkeyPatch, groups: int, lr: Any) -> None:
    """Counted, where a clock would not do: whatever the number of steps and of parameters."""
    params = [torch.ones(3, requires_grad=True) for _ in range(12)]
    share = len(params) // groups
    opt = door.AdamW([{"params": params[share * g : share * (g + 1)]} for g in range(groups)], lr=lr)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
    for p in params:
        p.grad = torch.ones(3)
    opt.step()
    scheduler.step()
    opt.step()
    read = []
    plain = Values.__init__
    monkeypatch.setattr(
        Values, "__init__", lambda self, *a, **k: (read.append(self), plain(self, *a, **k))[1]
    )
    for _ in range(5):
        scheduler.step()
        opt.step()
    assert read == []
