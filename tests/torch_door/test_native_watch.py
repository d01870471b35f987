"""The private surface of the plan that watches tensors: what a caller gets wrong is refused."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from fastopt import _dispatch
from torch_door.door import mine, native, ours_alone, torch

pytestmark = [ours_alone, native]
OPTIONS = (0.0, 0.0, 2.0, "all", "propagate", -1.0)


def trained() -> tuple[Any, Any, Any, Any]:
    """Two parameters, their optimizer, its plan, and what that watches."""
    params = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))]
    opt = mine("NAdam")(params, lr=0.1)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    engine = opt._engine
    return params, opt, engine.plan, [engine._entry(part) for part in engine.parts]


def entry(at: int, value: Any) -> Any:
    return lambda e: [*e[:at], value, *e[at + 1 :]]


TENSOR = torch.ones(2, 3)
ENTRIES: dict[str, tuple[Any, Any]] = {
    "too short": (lambda e: e[:5], "entries: parts: expected 6, got 5"),
    "too long": (lambda e: [*e, None], "entries: parts: expected 6, got 7"),
    "a group that is not there": (entry(0, 1), "entries: no such parameter"),
    "a place that is not there": (entry(1, 2), "entries: no such parameter"),
    "a step with axes": (entry(3, torch.ones(1)), "tensors without axes as numbers"),
    "a step of halves": (entry(3, torch.tensor(1.0, dtype=torch.float16)), "tensors without axes as numbers"),
    "a step of integers": (entry(3, torch.tensor(1)), "step: expected a tensor of numbers"),
    "a step that is no tensor": (entry(3, 1.0), "step: expected a tensor of numbers"),
    "a step elsewhere": (entry(3, torch.ones((), device="meta")), "step: expected a tensor of numbers"),
    "no scalar": (entry(4, ()), "scalars: expected 1, got 0"),
    "a scalar with axes": (entry(4, (torch.ones(1),)), "tensors without axes as numbers"),
    "a state of truths": (
        entry(5, (torch.ones(2, dtype=torch.bool),)),
        "state: expected a tensor of numbers",
    ),
    "a complex state": (
        entry(5, (torch.ones(2, dtype=torch.complex64),)),
        "state: expected a tensor of numbers",
    ),
    "a state over another": (entry(5, (TENSOR, TENSOR)), "a state shares memory with params"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_entries(case: str) -> None:
    """And what was watched before still is."""
    (p, q), opt, plan, entries = trained()
    change, text = ENTRIES[case]
    with pytest.raises((TypeError, ValueError, IndexError), match=text):
        plan.watch(opt.param_groups, opt.state, [entries[0], tuple(change(list(entries[1])))])
    with pytest.raises(ValueError, match="entries: expected 2, got 1"):
        plan.watch(opt.param_groups, opt.state, entries[:1])
    twins, twin, *_ = trained()
    for each in (opt, twin):
        each.step()
    assert torch.equal(p, twins[0])
    assert torch.equal(q, twins[1])


@pytest.mark.parametrize("change", [list, tuple, lambda groups: [*groups, *groups], lambda groups: []])
def test_groups_are_those_that_are_watched(change: Any) -> None:
    """Else nothing is stepped, and Python looks."""
    (p, _), opt, plan, _ = trained()
    before = p.detach().clone()
    groups = change(opt.param_groups)
    done = plan.step_tensors(groups, opt.state)
    assert (done == 0) == (groups == opt.param_groups)
    assert torch.equal(p, before) == (done != 0)


@pytest.mark.parametrize("state", [None, [], {}, {1: 2, 3: 4}])
def test_the_state_is_the_one_that_is_watched(state: Any) -> None:
    (p, _), opt, plan, _ = trained()
    before = p.detach().clone()
    assert plan.step_tensors(opt.param_groups, state) != 0
    assert torch.equal(p, before)


def test_a_plan_that_watches_nothing() -> None:
    _, opt, watching, entries = trained()
    plan = _dispatch.core.TensorPlan(*OPTIONS, None, torch.Tensor, lambda tensors: None)
    with pytest.raises(TypeError, match="watch: expected a plan with an exchange"):
        plan.watch(opt.param_groups, opt.state, entries)
    assert plan.step_tensors([], {}) == 0
    parts = opt._engine.parts
    opt._engine.plan, opt._engine.plain = plan, False
    opt._engine._fill(opt, [], {})
    assert len(parts) == 2
    with pytest.raises(TypeError, match="step_tensors: expected a plan that watches"):
        plan.step_tensors(opt.param_groups, opt.state)
    assert watching.step_tensors(opt.param_groups, opt.state) == 0


class Table(ctypes.Structure):
    """The head of DLPack's exchange table: two numbers, then addresses."""

    _fields_ = (("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("addresses", ctypes.c_void_p * 6))


def capsule(table: Any, name: bytes) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(ctypes.addressof(table), name, None)


NAME = b"dlpack_exchange_api"


@pytest.mark.parametrize("version", [0, 1, 2])
def test_an_exchange_of_another_version_or_without_its_function(version: int) -> None:
    table = Table(version, 0)
    with pytest.raises(ValueError, match=f"exchange: expected version 1 .* got version {version}"):
        _dispatch.core.TensorPlan(*OPTIONS, capsule(table, NAME), torch.Tensor, print)


def test_an_exchange_that_is_none() -> None:
    table = Table(1, 0)
    for wrong in (1, "text", torch.Tensor, capsule(table, b"dltensor")):
        with pytest.raises((ValueError, TypeError)):
            _dispatch.core.TensorPlan(*OPTIONS, wrong, torch.Tensor, print)
