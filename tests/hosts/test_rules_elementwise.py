"""Rules that PyTorch has not, beside other packages' own: the same numbers in float64, element by element.

pytorch-optimizer and optimi are pinned beside the hosts; timm wants torchvision, so it is one where both are.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from hosts.common import host

LR = 0.03
_PO, _TIMM, _OPTIMI = "pytorch_optimizer", "timm.optim", "optimi"
_DECAY = {"weight_decay": 0.1}
_BETAS = {"betas": (0.8, 0.95)}

#: case: our class and keywords, the witness's module, class and keywords
CASES: dict[str, tuple[str, dict[str, Any], str, str, dict[str, Any]]] = {
    "AdEMAMix": ("AdEMAMix", _DECAY, _PO, "AdEMAMix", {**_DECAY, "weight_decouple": True}),
    "AdEMAMix, warming up": (
        "AdEMAMix",
        {"alpha_warmup": 15, "beta3_warmup": 15},
        _PO,
        "AdEMAMix",
        {"t_alpha_beta3": 15},
    ),
    "ADOPT": (
        "ADOPT",
        _DECAY,
        _PO,
        "ADOPT",
        {**_DECAY, "weight_decouple": False, "clip_lambda": lambda t: (t - 1) ** 0.25},
    ),
    "ADOPT, timm": (
        "ADOPT",
        {**_DECAY, "decoupled_weight_decay": True},
        f"{_TIMM}.adopt",
        "Adopt",
        {**_DECAY, "clip_exp": 0.25, "decoupled": True},
    ),
    "ADOPT, timm, unclipped": ("ADOPT", {"clip_exp": None}, f"{_TIMM}.adopt", "Adopt", {"clip_exp": None}),
    "LaProp": ("LaProp", _DECAY, _PO, "LaProp", {**_DECAY, "fixed_decay": True, "foreach": False}),
    "LaProp, amsgrad": (
        "LaProp",
        {**_BETAS, "amsgrad": True},
        _PO,
        "LaProp",
        {**_BETAS, "ams_bound": True, "foreach": False},
    ),
    "LaProp, timm": ("LaProp", {**_DECAY, "fixed_decay": False}, f"{_TIMM}.laprop", "LaProp", _DECAY),
    "Grams": ("Grams", {**_DECAY, "eps_hat": False}, _PO, "Grams", _DECAY),
    # pytorch-optimizer adds epsilon to the uncorrected root; timm leaves out the first change
    "MARS": ("MARS", {**_DECAY, "eps": 0.0}, _PO, "MARS", {**_DECAY, "eps": 0.0, "lr_1d": LR}),
    "MARS, vectors too": (
        "MARS",
        {"eps": 0.0, "gamma": 0.3, "optimize_1d": True, "amsgrad": True},
        _PO,
        "MARS",
        {"eps": 0.0, "gamma": 0.3, "optimize_1d": True, "ams_bound": True},
    ),
    "MARS, Lion": (
        "MARS",
        {"eps": 0.0, "mars_type": "mars-lion"},
        _PO,
        "MARS",
        {"eps": 0.0, "mars_type": "lion", "lr_1d": LR},
    ),
    "Signum": ("Signum", {**_DECAY, "decoupled_weight_decay": True}, _PO, "SignSGD", _DECAY),
    "StableAdamW": ("StableAdamW", {"eps": 1e-8}, _PO, "StableAdamW", {"kahan_sum": False}),
    "StableAdamW, optimi": ("StableAdamW", _BETAS, _OPTIMI, "StableAdamW", {**_BETAS, "foreach": False}),
}


def witness(module: str, name: str) -> Any:
    if module.startswith(_TIMM):
        pytest.importorskip("torchvision", reason="timm wants torchvision", exc_type=ImportError)
        return getattr(pytest.importorskip(module, exc_type=ImportError), name)
    return getattr(host(module), name)


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_the_witnesss(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps, lr changed half-way, gradients over a decade of sizes and all well above 0:
    pytorch-optimizer adds 1e-15 to their squares. timm keeps its numbers in torch's default dtype.
    """
    torch = host("torch")
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    ours = importlib.import_module("fastopt.torch")
    name, keywords, module, theirs, their_keywords = CASES[case]
    cls = witness(module, theirs)
    source = torch.Generator().manual_seed(1)
    start = [torch.randn(s, dtype=torch.float64, generator=source) for s in ((9,), (5, 3), (2, 3, 4))]
    sides = []
    for each, options in ((getattr(ours, name), keywords), (cls, their_keywords)):
        params = [torch.nn.Parameter(p.clone()) for p in start]
        sides.append((params, each(params, lr=LR, **options)))
    for k in range(20):
        size = 10.0 ** ((7 * k) % 5 / 4)
        drawn = [torch.randn(p.shape, dtype=p.dtype, generator=source) for p in start]
        grads = [size * (g + g.sign()) for g in drawn]
        for params, opt in sides:
            if k == 11:
                opt.param_groups[0]["lr"] *= 0.3
            for p, g in zip(params, grads, strict=True):
                p.grad = g.clone()
            opt.step()
        for mine, other, first in zip(sides[0][0], sides[1][0], start, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11)
            assert k < 2 or not torch.equal(mine.detach(), first)
