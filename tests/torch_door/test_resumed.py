"""What a run has kept survives the engine's being made anew: averages, step counts, positions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastopt  # noqa: E402
import fastopt.torch as ft  # noqa: E402


def deep_copied(p: Any, opt: Any) -> tuple[Any, Any]:
    return copy.deepcopy((p, opt))


def loaded(p: Any, opt: Any) -> tuple[Any, Any]:
    q = torch.nn.Parameter(p.detach().clone())
    other = type(opt)([q], lr=opt.param_groups[0]["lr"], **vars_of(opt))
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    return q, other


def vars_of(opt: Any) -> dict[str, Any]:
    kept = ("ema_decay", "state_dtype", "rounding", "master", "seed")
    return {name: getattr(opt._options, name) for name in kept}


def state_replaced(p: Any, opt: Any) -> tuple[Any, Any]:
    q, other = deep_copied(p, opt)
    other.state[q] = {k: v.clone() for k, v in other.state[q].items()}
    return q, other


def group_added(p: Any, opt: Any) -> tuple[Any, Any]:
    q, other = deep_copied(p, opt)
    other.add_param_group({"params": [torch.nn.Parameter(torch.ones(3, dtype=p.dtype))]})
    return q, other


def memory_replaced(p: Any, opt: Any) -> tuple[Any, Any]:
    q, other = deep_copied(p, opt)
    q.data = q.data.clone()
    return q, other


WAYS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    f.__name__: f for f in (deep_copied, loaded, state_replaced, group_added, memory_replaced)
}
KEPT: dict[str, tuple[Any, dict[str, Any]]] = {
    "average": (torch.float32, {"ema_decay": 0.9}),
    "average of a master": (torch.bfloat16, {"ema_decay": 0.9, "master": "split16"}),
    "stochastic": (torch.bfloat16, {"rounding": "stochastic"}),
    "split8": (torch.bfloat16, {"master": "split8", "rounding": "stochastic"}),
    "int8": (torch.float32, {"state_dtype": "int8"}),
    "bfloat16 states": (torch.float32, {"state_dtype": torch.bfloat16}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize(
    ("name", "options"), [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}), ("RMSprop", {})]
)
def test_goes_on_bit_for_bit(way: str, kept: str, name: str, options: dict[str, Any]) -> None:
    dtype, keywords = KEPT[kept]
    if kept in ("int8", "bfloat16 states") and (name, options) == ("SGD", {}):
        keywords = {}
    if way == "loaded" and options:
        pytest.skip("its keywords come with the state dict")
    p = torch.nn.Parameter(torch.linspace(0.5, 2, 5000).to(dtype))
    opt = getattr(ft, name)([p], lr=1e-2, **options, **keywords)
    generator = torch.Generator().manual_seed(1)
    grads = [torch.randn(5000, generator=generator).to(dtype) for _ in range(8)]
    for g in grads[:4]:
        p.grad = g
        opt.step()
    q, other = WAYS[way](p, opt)
    for g in grads[4:]:
        p.grad, q.grad = g, g.clone()
        opt.step()
        other.step()
    assert torch.equal(p, q)
    for key, value in opt.state[p].items():
        assert torch.equal(value, other.state[q][key]), key


def test_in_the_backward_pass_each_parameter_has_bits_of_its_own() -> None:
    def made() -> Any:
        return [torch.nn.Parameter(torch.ones(5000, dtype=torch.bfloat16)) for _ in range(2)]

    inside, outside = made(), made()
    opt = ft.Adam(inside, lr=1e-3, rounding="stochastic")
    ft.step_in_backward(opt)
    twin = ft.Adam(outside, lr=1e-3, rounding="stochastic")
    for _ in range(3):
        sum(p.sum() for p in inside).backward()
        sum(p.sum() for p in outside).backward()
        twin.step()
        twin.zero_grad()
    assert not torch.equal(*inside)
    for a, b in zip(inside, outside, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "keywords",
    [
        {"state_dtype": "int8"},
        {"dtype": "bfloat16", "master": "split16"},
        {"dtype": "bfloat16", "master": "split8", "rounding": "stochastic", "state_dtype": "int8"},
        {"dtype": "bfloat16", "rounding": "kahan"},
    ],
)
def test_a_run_on_arrays_goes_on_here(keywords: dict[str, Any]) -> None:
    half = "dtype" in keywords
    w = np.linspace(0.5, 2, 5000).astype(np.float32).reshape(50, 100)
    w = (w.view(np.uint32) >> 16).astype(np.uint16) if half else w
    opt = fastopt.Adam([w], lr=1e-3, **keywords)
    grads = np.random.default_rng(0).standard_normal((8, 50, 100)).astype(np.float32)
    if half:
        grads = (grads.view(np.uint32) >> 16).astype(np.uint16)
    for g in grads[:4]:
        opt.step([g])
    p = torch.nn.Parameter(tensor(w))
    other = ft.Adam([p], lr=1e-3, **{k: v for k, v in keywords.items() if k != "dtype"})
    other.load_state_dict(opt.state_dict())
    for g in grads[4:]:
        opt.step([g])
        p.grad = tensor(g)
        other.step()
    assert torch.equal(p.detach(), tensor(w))


def tensor(a: Any) -> Any:
    """A copy; bit patterns as bfloat16."""
    copied = torch.from_numpy(a.view(np.int16 if a.dtype == np.uint16 else a.dtype).copy())
    return copied.view(torch.bfloat16) if a.dtype == np.uint16 else copied


@pytest.mark.parametrize("seed", [0, 11])
@pytest.mark.parametrize("numpy", [False, True], ids=["from torch", "from NumPy"])
def test_kron_goes_on_with_the_numbers_that_it_would_have_drawn(seed: int, numpy: bool) -> None:
    """Also in an optimizer made with another seed: of float32, where nothing is rounded at random."""
    source = torch.Generator().manual_seed(1)
    start = torch.randn(5, 4, generator=source)
    grads = [torch.randn(5, 4, generator=source) for _ in range(8)]
    keywords: dict[str, Any] = {"lr": 0.1, "balance_prob": 0.5}

    def steps(p: Any, opt: Any, begin: int, end: int) -> None:
        for g in grads[begin:end]:
            p.grad = g.clone()
            opt.step()

    whole = torch.nn.Parameter(start.clone())
    steps(whole, ft.Kron([whole], seed=seed, **keywords), 0, 8)
    if numpy:
        w = start.numpy().copy()
        first: Any = fastopt.Kron([w], seed=seed, **keywords)
        for g in grads[:4]:
            first.step([g.numpy()])
        half = torch.nn.Parameter(torch.from_numpy(w))
    else:
        half = torch.nn.Parameter(start.clone())
        first = ft.Kron([half], seed=seed, **keywords)
        steps(half, first, 0, 4)
    second = ft.Kron([half], seed=5, **keywords)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(half, second, 4, 8)
    assert torch.equal(half, whole)
