"""Fewer bytes for PyTorch's parameters: codes, remainders, random rounding beside `torch.optim`'s state."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastopt  # noqa: E402
import fastopt.torch as ft  # noqa: E402
from torch_door.door import native  # noqa: E402

HALVES = (torch.bfloat16, torch.float16)

FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "int8": (torch.float32, {"state_dtype": "int8"}),
    "one state": (torch.float32, {"state_dtype": {"exp_avg_sq": "int8"}}),
    "bfloat16 states": (torch.float32, {"state_dtype": torch.bfloat16}),
    "stochastic": (torch.bfloat16, {"rounding": "stochastic"}),
    "kahan": (torch.bfloat16, {"rounding": "kahan"}),
    "kahan float16": (torch.float16, {"rounding": "kahan"}),
    "split16": (torch.bfloat16, {"master": "split16"}),
    "all": (torch.bfloat16, {"master": "split8", "rounding": "stochastic", "state_dtype": "int8"}),
}


def made(form: str, memory_format: Any = torch.contiguous_format, **options: Any) -> tuple[Any, Any]:
    dtype, kept = FORMS[form]
    start = torch.linspace(0.5, 2, 8 * 8 * 9 * 10).reshape(8, 8, 9, 10)
    p = torch.nn.Parameter(start.to(dtype).to(memory_format=memory_format))
    return p, ft.AdamW([p], **{"lr": 1e-3, "weight_decay": 0.0, **options}, **kept)


def gradients(count: int, dtype: Any, seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(8, 8, 9, 10, generator=generator).to(dtype) for _ in range(count)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_moves_as_float32_does(form: str, memory_format: Any) -> None:
    p, opt = made(form, memory_format)
    exact = torch.nn.Parameter(p.detach().float().clone())
    before = exact.detach().clone()
    twin = torch.optim.AdamW([exact], lr=1e-3, weight_decay=0.0)
    for g in gradients(40, p.dtype):
        p.grad, exact.grad = g, g.float()
        opt.step()
        twin.step()
    moved = (exact - before).norm()
    if form == "stochastic":  # right on average
        assert (p.detach().float() - before).mean() == pytest.approx((exact - before).mean().item(), rel=0.02)
        return
    half = 2**-8 * exact.detach().norm() if p.dtype == torch.bfloat16 else 0.0  # what reading it rounds
    assert (p.detach().float() - exact.detach()).norm() < 0.05 * moved + half


@pytest.mark.parametrize("form", ["int8", "stochastic", "all"])
@pytest.mark.parametrize("source", ["torch", "numpy"])
def test_a_state_brings_its_seed(form: str, source: str) -> None:
    """A run that goes on in an optimizer made with another seed draws the bits that it would have drawn."""
    p, opt = made(form, seed=11)
    grads = gradients(6, p.dtype)
    if source == "numpy":
        start = (
            p.detach().view(torch.int16).numpy().view(np.uint16) if p.dtype in HALVES else p.detach().numpy()
        )
        other = fastopt.AdamW(
            [start.copy()], lr=1e-3, weight_decay=0.0, seed=11, dtype="bfloat16", **FORMS[form][1]
        )
    for g in grads[:3]:
        p.grad = g
        opt.step()
        if source == "numpy":
            other.step([g.view(torch.int16).numpy().view(np.uint16) if g.dtype in HALVES else g.numpy()])
    saved = copy.deepcopy(opt.state_dict() if source == "torch" else other.state_dict())
    q, resumed = made(form, seed=5)
    q.data.copy_(p.detach())
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["seed"] == 11
    for g in grads[3:]:
        p.grad, q.grad = g, g.clone()
        opt.step()
        resumed.step()
    assert torch.equal(p, q)


def test_states_without_a_seed_go_on_with_the_optimizers_own() -> None:
    """Such as earlier editions wrote, and PyTorch."""
    _, opt = made("int8", seed=5)
    saved = opt.state_dict()
    del saved["param_groups"][0]["seed"]
    opt.load_state_dict(saved)
    assert opt.param_groups[0]["seed"] == 5
    plain = ft.AdamW([torch.nn.Parameter(torch.ones(2))])
    assert "seed" not in plain.state_dict()["param_groups"][0]
    plain.load_state_dict(opt.state_dict())
    assert plain.state_dict()["param_groups"][0]["seed"] == 5


def test_seeds_that_differ_or_are_none_are_refused() -> None:
    p = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    opt = ft.AdamW([{"params": p[:1]}, {"params": p[1:]}], seed=5)
    for seed in (6, "x", -1, None):
        saved = copy.deepcopy(opt.state_dict())
        saved["param_groups"][1]["seed"] = seed
        if seed != 6:
            saved["param_groups"][0]["seed"] = seed
        with pytest.raises((TypeError, ValueError), match="seed"):
            opt.load_state_dict(saved)
        assert [group["seed"] for group in opt.param_groups] == [5, 5]
        opt.param_groups[0]["seed"] = seed
        p[0].grad = torch.ones(2)
        with pytest.raises(ValueError, match="seed"):
            opt.step()
        opt.param_groups[0]["seed"] = 5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["state_dict", "file", "deepcopy"])
def test_resumes_bit_for_bit(form: str, way: str) -> None:
    p, opt = made(form)
    grads = gradients(10, p.dtype)
    for g in grads[:5]:
        p.grad = g
        opt.step()
    if way == "deepcopy":
        q, other = copy.deepcopy((p, opt))
        q = other.param_groups[0]["params"][0]
    else:
        q = torch.nn.Parameter(p.detach().clone())
        other = ft.AdamW([q], lr=1e-3, weight_decay=0.0, **FORMS[form][1])
        saved = copy.deepcopy(opt.state_dict())  # loading shares tensors, as PyTorch's does
        if way == "file":
            file = io.BytesIO()
            torch.save(saved, file)
            file.seek(0)
            saved = torch.load(file)
        other.load_state_dict(saved)
    for g in grads[5:]:
        p.grad = g
        q.grad = g.clone()
        opt.step()
        other.step()
    assert torch.equal(p, q)
    for name, value in opt.state[p].items():
        assert torch.equal(value, other.state[q][name]), name


def channels_last(opt: Any, p: Any) -> None:
    p.data = p.data.to(memory_format=torch.channels_last)


def transposed(opt: Any, p: Any) -> None:
    p.data = p.data.transpose(0, 1).contiguous().transpose(0, 1)


@pytest.mark.parametrize("change", [channels_last, transposed])
@pytest.mark.parametrize("form", FORMS)
def test_a_parameter_that_changes_its_order_of_memory(form: str, change: Any) -> None:
    """Its states follow; codes are refused, whose scales are those of neighbours in memory."""
    ends = []
    for moved in (False, True):
        p, opt = made(form)
        for k, g in enumerate(gradients(6, p.dtype)):
            if moved and k == 3:
                change(opt, p)
                before = p.detach().clone()
            p.grad = g
            if moved and k == 3 and any(t.dtype == torch.uint8 for t in opt.state[p].values()):
                with pytest.raises(ValueError, match=r"params\[0\]: .*order of memory"):
                    opt.step()
                assert torch.equal(p, before)
                opt.state.clear()
                opt.step()
                return
            opt.step()
        ends.append(p.detach())
    if form not in ("stochastic", "bfloat16 states"):  # whose bits go by places in memory
        assert torch.equal(*ends)


@pytest.mark.parametrize("form", ["int8", "all", "split16", "kahan"])
def test_states_loaded_for_another_order_of_memory(form: str) -> None:
    p, opt = made(form)
    p.grad = gradients(1, p.dtype)[0]
    opt.step()
    q, other = made(form, torch.channels_last)
    saved = copy.deepcopy(opt.state_dict())
    if form in ("int8", "all"):
        with pytest.raises(ValueError, match=r"params\[0\]: .*order of memory"):
            other.load_state_dict(saved)
        assert not other.state
        return
    q.data.copy_(p.detach())
    other.load_state_dict(saved)
    for g in gradients(3, p.dtype):
        p.grad, q.grad = g, g.clone()
        opt.step()
        other.step()
    assert torch.equal(p, q)


def test_axes_of_one_element_are_no_order_of_memory() -> None:
    """A convolution of one channel, whose strides differ."""
    ends = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 8 * 9 * 90).reshape(8, 1, 9, 90))
        opt = ft.AdamW([p], state_dtype="int8")
        for k in range(4):
            if k == 2:
                p.data = p.data.to(memory_format=memory_format)
            p.grad = torch.linspace(1, 2, p.numel()).reshape(p.shape)
            opt.step()
        ends.append(p.detach())
    assert torch.equal(*ends)


@native
def test_the_step_is_native() -> None:
    for form in FORMS:
        p, opt = made(form)
        for g in gradients(2, p.dtype):
            p.grad = g
            opt.step()
        assert opt._engine.plain


def test_the_same_bits_as_on_arrays() -> None:
    p, opt = made("int8", seed=3)
    w = p.detach().numpy().copy()
    numpy_opt = fastopt.AdamW([w], lr=1e-3, weight_decay=0.0, state_dtype="int8", seed=3)
    for g in gradients(5, p.dtype):
        p.grad = g
        opt.step()
        numpy_opt.step([g.numpy()])
    assert (p.detach().numpy() == w).all()


def test_a_state_that_the_host_has_filled_keeps_its_form() -> None:
    p, opt = made("int8")
    p.grad = gradients(1, p.dtype)[0]
    opt.step()
    q = torch.nn.Parameter(p.detach().clone())
    other = ft.AdamW([q], lr=1e-3)
    other.load_state_dict(opt.state_dict())
    q.grad = p.grad.clone()
    other.step()
    assert other.state[q]["exp_avg.codes"].dtype == torch.uint8


@pytest.mark.parametrize(
    ("dtype", "options", "error", "text"),
    [
        (torch.float32, {"state_dtype": "int4"}, TypeError, "state_dtype"),
        (torch.float32, {"state_dtype": torch.int32}, TypeError, "state_dtype"),
        (torch.float32, {"state_dtype": {"exp_av": "int8"}}, ValueError, "exp_av"),
        (torch.float32, {"rounding": "stochastic"}, TypeError, "rounding"),
        (torch.float32, {"master": "split8"}, TypeError, "master"),
        (torch.bfloat16, {"master": "split4"}, ValueError, "master"),
        (torch.bfloat16, {"seed": -1}, ValueError, "seed"),
    ],
)
def test_refused(dtype: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ft.AdamW([torch.nn.Parameter(torch.ones(5000, dtype=dtype))], **options)


def test_codes_of_float64_are_refused_at_the_step() -> None:
    p = torch.nn.Parameter(torch.ones(5000, dtype=torch.float64))
    opt = ft.AdamW([p], state_dtype="int8")
    p.grad = torch.ones_like(p)
    with pytest.raises((TypeError, ValueError), match="float64"):
        opt.step()
    assert torch.equal(p, torch.ones_like(p))


@pytest.mark.parametrize("damage", ["scales", "remainder", "no master"])
def test_damaged_states_are_refused(damage: str) -> None:
    p, opt = made("all")
    p.grad = gradients(1, p.dtype)[0]
    opt.step()
    before = p.detach().clone()
    if damage == "scales":
        opt.state[p]["exp_avg.scales"] = torch.zeros(3)
    elif damage == "remainder":
        opt.state[p]["remainder"] = torch.zeros(3, dtype=torch.int8)
    else:
        saved = opt.state_dict()
        opt = ft.AdamW([p], lr=1e-3)
        opt.load_state_dict(saved)
    with pytest.raises(ValueError, match="scales" if damage == "scales" else "remainder"):
        opt.step()
    assert torch.equal(p, before)
