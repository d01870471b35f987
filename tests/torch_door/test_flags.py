"""Flags of groups and presets, through the classes for PyTorch: the NumPy classes, to the bit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt._compat import PRESETS
from torch_door.door import AS_PYTORCHS, EVERY, door, ours_alone, torch

pytestmark = ours_alone
FLAGS = {"cautious": True, "cautious_weight_decay": True, "centralize": True}
SHAPES = [(6, 7), (130,), (4, 3, 2)]


def tensors(seed: int = 0) -> list[Any]:
    source = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=source)) for shape in SHAPES]


def step(opt: Any, params: list[Any], number: int) -> None:
    source = torch.Generator().manual_seed(100 + number)
    for p in params:
        p.grad = torch.randn(p.shape, generator=source)
    opt.step()


def run(opt: Any, params: list[Any], steps: int = 4) -> list[bytes]:
    for k in range(steps):
        step(opt, params, k)
    return [p.detach().numpy().tobytes() for p in params]


@pytest.mark.parametrize("name", ["AdamW", "Lion", "Adan", "SGD"])
def test_flags_are_those_of_the_numpy_class(name: str) -> None:
    keywords: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.1, **FLAGS}
    if name == "SGD":
        keywords |= {"momentum": 0.9, "decoupled_weight_decay": True}
    params = tensors()
    arrays = [p.detach().clone().numpy() for p in params]
    opt = getattr(fastopt, name)(arrays, **keywords)
    mine = run(getattr(door, name)(params, **keywords), params)
    for k in range(4):
        source = torch.Generator().manual_seed(100 + k)
        opt.step([torch.randn(p.shape, generator=source).numpy() for p in params])
    assert mine == [a.tobytes() for a in arrays]
    assert mine != run(getattr(door, name)(p := tensors(), **{**keywords, **dict.fromkeys(FLAGS, False)}), p)


@pytest.mark.parametrize("name", EVERY)
def test_groups_saved_before_there_were_flags_are_loaded(name: str) -> None:
    params = tensors()
    opt = getattr(door, name)(params, lr=0.1)
    step(opt, params, 0)
    old = copy.deepcopy(opt.state_dict())
    late = [key for key, hyper in fastopt._hypers.COMMON.items() if hyper.before]
    late += [key for key, hyper in opt._formula._hypers.items() if hyper.before]
    for key in late:
        old["param_groups"][0].pop(key, None)
    others = [p.detach().clone().requires_grad_() for p in params]
    other = getattr(door, name)(others, lr=0.1)
    other.load_state_dict(old)
    assert run(opt, params) == run(other, others)
    if name not in AS_PYTORCHS:
        assert not any(other.param_groups[0][key] for key in late)


def test_flags_are_saved_copied_and_pickled() -> None:
    params = tensors()
    opt = door.AdamW(params, lr=0.1, **FLAGS)
    step(opt, params, 0)
    assert {key: opt.state_dict()["param_groups"][0][key] for key in FLAGS} == FLAGS
    for again in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        twin, twins = again((opt, params))
        mine = copy.deepcopy((opt, params))
        assert run(twin, twins) == run(*mine)


def test_a_flag_of_one_group() -> None:
    params = tensors()
    opt = door.Adam([{"params": params[:1], "centralize": True}, {"params": params[1:]}], lr=0.1)
    plain = tensors()
    other = door.Adam(plain, lr=0.1)
    mine, theirs = run(opt, params), run(other, plain)
    assert [a == b for a, b in zip(mine, theirs, strict=True)] == [False, True, True]


@pytest.mark.parametrize("name", ["ASGD", "FTRL", "LAMB", "LARS"])
def test_refused_before_anything_is_changed(name: str) -> None:
    params = tensors()
    with pytest.raises(ValueError, match=f"cautious: expected False with {name}, whose update depends on"):
        getattr(door, name)(params, lr=0.1, cautious=True)
    opt = getattr(door, name)(params, lr=0.1)
    opt.param_groups[0]["cautious"] = True
    before = [p.detach().clone() for p in params]
    with pytest.raises(ValueError, match=rf"param_groups\[0\]\['cautious'\]: expected False with {name}"):
        step(opt, params, 0)
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))


# --- presets ---


@pytest.mark.parametrize(("name", "compat"), [(n, c) for n, presets in PRESETS.items() for c in presets])
def test_a_preset_gives_the_groups_of_the_numpy_class(name: str, compat: str) -> None:
    group = getattr(door, name)(tensors(), compat=compat).param_groups[0]
    expected = getattr(fastopt, name)([np.ones(2)], compat=compat).param_groups[0]
    for key, value in PRESETS[name][compat].items():
        assert group[key] == value == expected[key]


def test_arguments_by_place_win_as_those_by_name() -> None:
    group = door.RMSprop(tensors(), 0.5, 0.7, compat="keras").param_groups[0]  # lr, alpha
    assert (group["lr"], group["alpha"], group["eps"]) == (0.5, 0.7, 1e-7)
    group = door.Lion(tensors(), 0.5, compat="keras").param_groups[0]
    assert group["lr"] == 0.5
    assert door.RMSprop(tensors(), eps=0.5, compat="keras").param_groups[0]["eps"] == 0.5


def test_words_and_keywords_that_are_refused() -> None:
    with pytest.raises(ValueError, match="compat: expected one of 'torch', 'keras', 'tf1', 'optax' for Adam"):
        door.Adam(tensors(), compat="jax")
    with pytest.raises(ValueError, match="amsgrad: not with compat='optax' for Adam"):
        door.Adam(tensors(), amsgrad=True, compat="optax")
    with pytest.raises(ValueError, match="compat: expected no compat for Rprop, got 'torch'"):
        door.Rprop(tensors(), compat="torch")


@pytest.mark.parametrize(("name", "compat"), [("RMSprop", "tf1"), ("Adam", "keras"), ("Adamax", "keras")])
def test_a_preset_steps_as_the_numpy_class(name: str, compat: str) -> None:
    params = tensors()
    arrays = [p.detach().clone().numpy() for p in params]
    opt = getattr(fastopt, name)(arrays, 0.1, compat=compat)
    mine = run(getattr(door, name)(params, lr=0.1, compat=compat), params)
    for k in range(4):
        source = torch.Generator().manual_seed(100 + k)
        opt.step([torch.randn(p.shape, generator=source).numpy() for p in params])
    assert mine == [a.tobytes() for a in arrays]
