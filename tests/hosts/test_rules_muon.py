"""Muon beside `torch.optim.Muon`, whose cast to bfloat16 is undone here: its iteration runs in float32."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.common import host

torch = host("torch")
if not hasattr(torch.optim, "Muon"):
    pytest.skip("torch.optim has no Muon before 2.9", allow_module_level=True)
SHAPES = [(16, 16), (8, 40), (40, 8), (64, 200), (1, 9), (9, 1)]


@pytest.fixture
def exact_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())


def run(cls: Any, dtype: Any, **keywords: Any) -> list[Any]:
    source = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, generator=source).to(dtype)) for s in SHAPES]
    opt = cls(params, lr=0.02, **keywords)
    for _ in range(6):
        for p in params:
            p.grad = torch.randn(p.shape, generator=source).to(dtype)
        opt.step()
    return params


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.float64, 1e-12)], ids=str)
@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"nesterov": False, "momentum": 0.8},
        {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.5},
        {"ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 1e-3},
    ],
    ids=str,
)
@pytest.mark.usefixtures("exact_torch")
def test_without_bfloat16_the_numbers_are_torchs(keywords: dict[str, Any], dtype: Any, bound: float) -> None:
    import fastopt.torch

    pairs = zip(
        run(fastopt.torch.Muon, dtype, **keywords), run(torch.optim.Muon, dtype, **keywords), strict=True
    )
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) <= bound


def test_with_it_they_are_torchs_to_its_precision() -> None:
    import fastopt.torch

    pairs = zip(run(fastopt.torch.Muon, torch.float32), run(torch.optim.Muon, torch.float32), strict=True)
    # six steps of 0.02, of which an iteration in bfloat16 gets elements to some percent, tall ones twice that
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) <= 0.01


def test_states_go_either_way() -> None:
    import fastopt.torch

    params = [torch.nn.Parameter(torch.ones(4, 6))]
    params[0].grad = torch.randn(4, 6)
    theirs, ours = torch.optim.Muon(params), fastopt.torch.Muon(params)
    assert isinstance(ours, torch.optim.Muon)
    theirs.step()
    ours.load_state_dict(theirs.state_dict())
    ours.step()
    assert ours.state_dict()["state"][0].keys() == {"momentum_buffer"}
    theirs.load_state_dict(ours.state_dict())
    theirs.step()
