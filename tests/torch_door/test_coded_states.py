"""Codes of eight bits under names of their own: nobody takes them for numbers, nor numbers for them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastopt  # noqa: E402
import fastopt.torch as ft  # noqa: E402

SHAPE = (64, 80)


def trained(steps: int = 3, memory_format: Any = None, **options: Any) -> tuple[Any, Any]:
    start = torch.linspace(0.5, 2, 64 * 80).reshape(SHAPE)
    if memory_format == "transposed":
        start = start.t().contiguous().t()
    p = torch.nn.Parameter(start)
    opt = ft.AdamW([p], lr=1e-3, weight_decay=0.0, seed=3, **{"state_dtype": "int8", **options})
    for g in gradients(steps):
        p.grad = g
        opt.step()
    return p, opt


def gradients(count: int, seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator) for _ in range(count)]


def test_codes_have_names_of_their_own() -> None:
    p, opt = trained()
    assert set(opt.state[p]) == {
        "step",
        "exp_avg.codes",
        "exp_avg.scales",
        "exp_avg_sq.codes",
        "exp_avg_sq.scales",
    }
    assert opt.state[p]["exp_avg.codes"].dtype == torch.uint8
    assert opt.state[p]["exp_avg.codes"].shape == p.shape


@pytest.mark.parametrize("name", ["AdamW", "Adam", "RAdam", "NAdam", "Adamax", "RMSprop"])
def test_pytorch_does_not_step_on_codes(name: str) -> None:
    p = torch.nn.Parameter(torch.ones(SHAPE))
    opt = getattr(ft, name)([p], lr=1e-3, state_dtype="int8")
    p.grad = gradients(1)[0]
    opt.step()
    q = torch.nn.Parameter(p.detach().clone())
    theirs = getattr(torch.optim, name)([q], lr=1e-3)
    theirs.load_state_dict(copy.deepcopy(opt.state_dict()))
    q.grad = p.grad.clone()
    with pytest.raises(KeyError):
        theirs.step()
    assert torch.equal(p, q)


@pytest.mark.parametrize("memory_format", [None, "transposed"])
def test_arrays_and_tensors_take_each_others_states(memory_format: Any) -> None:
    p, opt = trained(4, memory_format)
    w = np.asarray(p.detach().numpy()).copy(order="K")
    ours = fastopt.AdamW([w], lr=1e-3, weight_decay=0.0, state_dtype="int8", seed=3)
    ours.load_state_dict(copy.deepcopy(opt.state_dict()))
    q = torch.nn.Parameter(p.detach().clone(memory_format=torch.preserve_format))
    back = ft.AdamW([q], lr=1e-3, weight_decay=0.0, seed=3, state_dtype="int8")
    back.load_state_dict(ours.state_dict())
    for g in gradients(4, 1):
        p.grad, q.grad = g, g.clone()
        opt.step()
        back.step()
        ours.step([g.numpy()])
    assert (w == p.detach().numpy()).all()
    assert torch.equal(p, q)
    for key in ("exp_avg.codes", "exp_avg_sq.codes"):
        assert torch.equal(opt.state[p][key], back.state[q][key])


def test_codes_of_tensors_in_another_order_of_memory_are_refused() -> None:
    _, opt = trained(2, "transposed")
    ours = fastopt.AdamW([np.ones(SHAPE, np.float32)], lr=1e-3, state_dtype="int8")
    with pytest.raises(fastopt.CheckpointError, match="order of memory"):
        ours.load_state_dict(opt.state_dict(), override={"lr": 1e-3})


def test_codes_of_tensors_in_another_precision() -> None:
    p, opt = trained(2)
    ours = fastopt.AdamW([np.ones(SHAPE, np.float32)], lr=1e-3)
    with pytest.raises(fastopt.CheckpointError, match="eight bits"):
        ours.load_state_dict(opt.state_dict())
    ours.load_state_dict(opt.state_dict(), override={"state_dtype": None})
    twin = fastopt.AdamW([np.ones(SHAPE, np.float32)], lr=1e-3, state_dtype="int8")
    twin.load_state_dict(opt.state_dict())
    assert np.array_equal(ours.state[0]["exp_avg"], twin.state[0]["exp_avg"])
    assert p.shape == SHAPE


DAMAGE: dict[str, tuple[Any, str]] = {
    "codes cast to float": (
        lambda s: s.update({"exp_avg.codes": s["exp_avg.codes"].float()}),
        "exp_avg.codes",
    ),
    "codes cast to int32": (lambda s: s.update({"exp_avg.codes": s["exp_avg.codes"].int()}), "exp_avg.codes"),
    "numbers beside scales": (
        lambda s: s.update({"exp_avg": s.pop("exp_avg.codes").float()}),
        "exp_avg",
    ),
    "numbers beside both": (lambda s: s.update({"exp_avg": torch.zeros(SHAPE)}), "exp_avg"),
    "codes without scales": (lambda s: s.pop("exp_avg_sq.scales"), "exp_avg_sq"),
    "scales without codes": (lambda s: s.pop("exp_avg_sq.codes"), "exp_avg_sq"),
    "scales of float64": (
        lambda s: s.update({"exp_avg.scales": s["exp_avg.scales"].double()}),
        "exp_avg",
    ),
    "codes under the name of numbers": (
        lambda s: s.update({"exp_avg": s.pop("exp_avg.codes"), "x": s.pop("exp_avg.scales")}),
        "exp_avg",
    ),
}


@pytest.mark.parametrize("way", ["in place", "loaded"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_neither_numbers_nor_codes_is_refused(damage: str, way: str) -> None:
    change, text = DAMAGE[damage]
    p, opt = trained()
    before = p.detach().clone()
    if way == "in place":
        change(opt.state[p])
        p.grad = gradients(1)[0]
        with pytest.raises((TypeError, ValueError), match=rf"params\[0\]: state '{text}"):
            opt.step()
        assert torch.equal(p, before)
        return
    saved = copy.deepcopy(opt.state_dict())
    change(saved["state"][0])
    held = {key: value.clone() for key, value in opt.state[p].items()}
    with pytest.raises((TypeError, ValueError), match=rf"params\[0\]: state '{text}"):
        opt.load_state_dict(saved)
    assert all(torch.equal(opt.state[p][key], value) for key, value in held.items())


def test_a_detour_through_pytorch_is_refused() -> None:
    """Its class casts what it loads to the parameter's dtype."""
    p, opt = trained()
    theirs = torch.optim.AdamW([p], lr=1e-3)
    theirs.load_state_dict(opt.state_dict())
    with pytest.raises(
        TypeError, match=r"'exp_avg.codes': expected codes, a uint8 tensor, got torch.float32"
    ):
        opt.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(
    ("name", "kept", "narrow"),
    [("ScheduleFreeAdamW", "z", "exp_avg_sq"), ("Prodigy", "p0", "exp_avg_sq")],
)
def test_what_parameters_are_formed_of_is_not_rounded(name: str, kept: str, narrow: str) -> None:
    p = torch.nn.Parameter(torch.linspace(0.5, 2, 4096))
    opt = getattr(ft, name)([p], lr=1e-3, state_dtype=torch.bfloat16)
    before = p.detach().clone()
    for _ in range(3):
        p.grad = torch.zeros_like(p)
        opt.step()
    assert torch.equal(p, before)
    assert opt.state[p][kept].dtype == torch.float32
    assert opt.state[p][narrow].dtype == torch.bfloat16
    with pytest.raises(TypeError, match=rf"'{kept}' of {name} is kept as it is computed"):
        getattr(ft, name)([p], lr=1e-3, state_dtype={kept: torch.bfloat16})
    opt.state[p][kept] = opt.state[p][kept].to(torch.bfloat16)  # as a host's cast of everything leaves it
    p.grad = torch.zeros_like(p)
    opt.step()
    assert opt.state[p][kept].dtype == torch.float32


@pytest.mark.parametrize("name", ["ASGD", "Adafactor", "FTRL", "Kron", "SOAP", "ScheduleFreeSGD", "Shampoo"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_class_that_could_store_nothing_in_it_refuses_it(name: str, dtype: Any) -> None:
    with pytest.raises(TypeError, match=r"^state_dtype: "):
        getattr(ft, name)([torch.nn.Parameter(torch.ones(SHAPE))], lr=1e-3, state_dtype=dtype)


def test_finite_states_stay_finite_in_float16() -> None:
    p = torch.nn.Parameter(torch.zeros(4096))
    opt = ft.SGD([p], lr=1e-9, momentum=0.9, state_dtype=torch.float16)
    for _ in range(3):
        p.grad = torch.full_like(p, 1e6)
        opt.step()
    assert (opt.state[p]["momentum_buffer"] == 65504).all()
    assert torch.isfinite(p).all()


@pytest.mark.parametrize("damage", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("state", ["exp_avg", "exp_avg_sq"])
def test_scales_that_are_none_are_refused(damage: float, state: str) -> None:
    p, opt = trained()
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][0][f"{state}.scales"][5] = damage
    if damage < 0:  # of squares the largest has the code of infinity
        saved["state"][0][f"{state}.codes"].clamp_(max=127)
    held = {key: value.clone() for key, value in opt.state[p].items()}
    with pytest.raises(
        ValueError, match=rf"'{state}.scales': expected scales of codes, >= 0, but scale 5 is"
    ):
        opt.load_state_dict(saved)
    assert all(torch.equal(opt.state[p][key], value) for key, value in held.items())


def test_scales_of_groups_that_hold_what_is_not_finite_are_loaded() -> None:
    p, opt = trained(0)
    p.grad = gradients(1)[0]
    p.grad[3, 3] = float("inf")
    opt.step()
    assert (opt.state[p]["exp_avg.scales"] < 0).any()
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
