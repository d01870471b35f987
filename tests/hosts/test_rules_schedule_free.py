"""Schedule-Free and Prodigy beside their authors' packages: the same numbers, a change in mid-training."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
import torch

import fastopt.torch
from hosts.common import host

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ScheduleFreeSGD": ("schedulefree", "SGDScheduleFree", {"lr": 0.1, "warmup_steps": 5, "r": 0.5}),
    "ScheduleFreeAdamW": (
        "schedulefree",
        "AdamWScheduleFree",
        {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 5, "weight_lr_power": 1.5, "betas": (0.8, 0.95)},
    ),
    "ScheduleFreeRAdam": ("schedulefree", "RAdamScheduleFree", {"lr": 0.05, "weight_decay": 0.1}),
    "ScheduleFreeRAdam, loud": (
        "schedulefree",
        "RAdamScheduleFree",
        {"lr": 0.05, "silent_sgd_phase": False, "r": 0.5},
    ),
    "Prodigy": ("prodigyopt", "Prodigy", {}),
    "Prodigy, corrected": (
        "prodigyopt",
        "Prodigy",
        {"d0": 1e-3, "weight_decay": 0.1, "use_bias_correction": True, "growth_rate": 1.2},
    ),
    "Prodigy, coupled": (
        "prodigyopt",
        "Prodigy",
        {
            "d0": 1e-3,
            "weight_decay": 0.1,
            "decouple": False,
            "safeguard_warmup": True,
            "beta3": 0.9,
            "d_coef": 0.5,
            "lr": 0.7,
        },
    ),
}
STEPS = 40


def theirs(case: str) -> Any:
    package, name, _ = CASES[case]
    return getattr(host(package), name)


def ours(case: str) -> Any:
    return getattr(fastopt.torch, case.partition(",")[0])


def made(cls: Any, case: str, params: list[Any]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # Prodigy's authors print what kind of decay it is
        opt = cls(params, **CASES[case][2])
    if hasattr(opt, "train"):
        opt.train()
    return opt


def parameters(dtype: Any) -> list[Any]:
    torch.manual_seed(0)
    values = [torch.randn(5, 3), torch.zeros(4), torch.randn(())]
    return [torch.nn.Parameter(v.to(dtype)) for v in values]


def step(opt: Any, params: list[Any], k: int) -> None:
    torch.manual_seed(100 + k)
    for p in params:
        p.grad = (p.detach() - 1 + 0.1 * torch.randn(p.shape)).to(p.dtype)
    opt.step()


def close(left: list[Any], right: list[Any], dtype: Any) -> None:
    bound = {"rtol": 1e-11, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 2e-4, "atol": 2e-5}
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), **bound)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_the_authors(case: str, dtype: Any) -> None:
    mine, other = parameters(dtype), parameters(dtype)
    opt, peer = made(ours(case), case, mine), made(theirs(case), case, other)
    for k in range(STEPS):
        step(opt, mine, k)
        step(peer, other, k)
        close(mine, other, dtype)
        if hasattr(opt, "eval") and k % 9 == 4:
            opt.eval()
            peer.eval()
            close(mine, other, dtype)
            opt.train()
            peer.train()


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_from_the_authors_to_ours(case: str, mode: str) -> None:
    params, twins = parameters(torch.float64), parameters(torch.float64)
    peer, straight = made(theirs(case), case, params), made(ours(case), case, twins)
    for k in range(STEPS // 2):
        step(peer, params, k)
        step(straight, twins, k)
    getattr(peer, mode, lambda: None)()
    opt = ours(case)(params)
    opt.load_state_dict(peer.state_dict())
    if hasattr(opt, "train"):
        assert opt.train_mode == (mode == "train")
        opt.train()
    for k in range(STEPS // 2, STEPS):
        step(opt, params, k)
        step(straight, twins, k)
    close(params, twins, torch.float64)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("Schedule")])
def test_from_ours_to_the_authors(case: str, mode: str) -> None:
    """Prodigy's class keeps flat states, so there it is one way only."""
    params, twins = parameters(torch.float64), parameters(torch.float64)
    opt, straight = made(ours(case), case, params), made(ours(case), case, twins)
    for k in range(STEPS // 2):
        step(opt, params, k)
        step(straight, twins, k)
    getattr(opt, mode)()
    peer = theirs(case)(params)
    peer.load_state_dict(opt.state_dict())
    peer.train()
    for k in range(STEPS // 2, STEPS):
        step(peer, params, k)
        step(straight, twins, k)
    close(params, twins, torch.float64)
