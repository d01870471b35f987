"""`opt.params` and `opt.state`: parameters and states by name, position or the array itself, to look at."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, CLASSES, bits, make, setting

SHAPES = [(3, 4), (), (0,), (2, 1, 3)]


def given() -> list[Any]:
    return [np.ones(shape) for shape in SHAPES]


@pytest.mark.parametrize("name", CLASSES)
def test_the_state_is_what_state_dict_copies(name: str) -> None:
    arrays = given()
    lr = setting(name)["lr"] if getattr(fastopt, name).rule.norms == "all" else 0.02
    opt = make(name, [{"params": arrays[:1]}, {"params": arrays[1:], "lr": lr}], **setting(name))
    assert [dict(state) for state in opt.state.values()] == [{"step": 0}] * 4
    for k in range(3):
        opt.step([np.full(a.shape, 0.5) if (i, k) != (1, 0) else None for i, a in enumerate(arrays)])
    saved = opt.state_dict()["state"]
    assert bits({i: dict(state) for i, state in opt.state.items()}) == bits(saved)
    assert [state["step"] for state in opt.state.values()] == [3, 2, 3, 3]
    for i, a in enumerate(arrays):
        assert opt.params[i] is a
        assert bits(dict(opt.state[a])) == bits(saved[i])


def test_names() -> None:
    named = {"w": np.ones(2), 3: np.zeros(1)}
    opt = fastopt.Adam(named, lr=0.1)
    assert list(opt.params) == list(opt.state) == ["w", "3"]
    assert opt.params["3"] is named[3]
    opt.step({"w": np.ones(2), 3: None})
    assert opt.state["w"].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert dict(opt.state["3"]) == {"step": 0}
    assert named["w"] in opt.state
    opt = fastopt.SGD([np.ones(2)])
    opt.add_param_group({"params": [np.ones(1), np.ones(1)]})
    assert list(opt.params) == list(opt.state) == [0, 1, 2]
    assert len(opt.state) == len(opt.params) == 3


@pytest.mark.parametrize("key", [2, -1, True, "w", None, 1.0, np.ones(2)], ids=repr)
def test_what_is_no_parameter(key: Any) -> None:
    opt = fastopt.Adam([np.ones(2), np.ones(2)])
    with pytest.raises(KeyError, match="no parameter of this Adam"):
        opt.state[key]
    assert key not in opt.state


def test_names_are_the_only_keys_where_there_are_names() -> None:
    opt = fastopt.Adam({"w": np.ones(2)})
    with pytest.raises(KeyError, match="no parameter of this Adam"):
        opt.state[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, BFLOAT16], ids=str)
def test_views_are_live_and_cannot_be_written(dtype: Any) -> None:
    w = np.ones(5, dtype)
    opt = fastopt.Adam([w])
    opt.step([w.copy()])
    state = opt.state[w]
    before = state["exp_avg"].copy()
    opt.step([w.copy()])
    assert bits(state["exp_avg"]) != bits(before)
    with pytest.raises(ValueError, match="read-only"):
        state["exp_avg"][0] = 1
    for mapping, key in ((state, "step"), (opt.state, 0), (opt.params, 0)):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping[key] = 0
    for name in ("state", "params"):
        with pytest.raises(AttributeError, match=f"{name}: can be read, not assigned"):
            setattr(opt, name, {})


def test_a_look_while_another_thread_steps_is_refused_or_right() -> None:
    w, g = np.ones(1 << 18), np.ones(1 << 18)
    opt, stop = fastopt.Adam([w]), threading.Event()
    opt.step([g])

    def look() -> None:
        while not stop.is_set():
            try:
                seen.append(opt.state[w]["step"])
            except RuntimeError as error:
                assert "has not returned" in str(error) or "in use" in str(error)  # noqa: PT017

    seen: list[int] = []
    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(50):
        for _ in range(1000):
            try:
                opt.step([g])
                break
            except RuntimeError:  # the other thread is looking
                continue
    stop.set()
    thread.join()
    assert seen == sorted(seen)
    assert opt.state[w]["step"] == opt.step_count


def test_attributes_of_a_state_are_not_assigned() -> None:
    opt = fastopt.Adam([np.ones(2)])
    for name in ("step_count", "zzz"):
        with pytest.raises(AttributeError, match=name):
            setattr(opt.state, name, 5)
