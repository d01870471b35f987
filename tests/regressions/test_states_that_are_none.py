"""Found by `make fuzz`: state dicts that raised what Python or NumPy raise, in place of CheckpointError."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import everything, make


def stepped(name: str, **options: Any) -> Any:
    opt = make(name, [np.ones(3, np.float32), np.ones((2, 2), np.float32)], **{"lr": 0.1, **options})
    opt.step([np.ones(3, np.float32), np.ones((2, 2), np.float32)])
    return opt


def authors(d: Any) -> Any:
    """As the packages of Schedule-Free and Prodigy write it: numbers and counts are the group's."""
    del d["fastopt"]
    group, entries = d["param_groups"][0], d["state"].values()
    for name in ("weight_sum", "lr_max", "d", "d_max", "d_numerator"):
        for entry in entries:
            if name in entry:
                group[name] = entry.pop(name)
    for entry in entries:
        group["k"] = entry.pop("step")
    return d


def foreign(d: Any) -> Any:
    del d["fastopt"]
    return d


def at(*path: Any, value: Any) -> Callable[[Any], Any]:
    def change(d: Any) -> Any:
        here = d
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = value
        return d

    return change


SEVERAL = np.ones(3)  # to which == gives no single answer
ENTRY = ("state", 0)
CASES: dict[str, tuple[str, dict[str, Any], list[Callable[[Any], Any]]]] = {
    "an option that is an array": ("Adam", {}, [at("fastopt", "options", "clip_norm", value=SEVERAL)]),
    "an option that is no array": (
        "SGD",
        {},
        [at("fastopt", "options", "ema_decay", value=np.zeros((2, 2)))],
    ),
    "averages of one that keeps none": ("Adam", {}, [at("fastopt", "ema", value=[])]),
    "a state without a name": ("Adam", {}, [at(*ENTRY, 3, value=np.ones(3))]),
    "a state named None": ("Adam", {}, [foreign, at(*ENTRY, None, value=np.ones(3))]),
    "a state of 8 bits without a name": ("Adam", {"state_dtype": "int8"}, [at(*ENTRY, 0, value=1)]),
    "a callable learning rate": ("Adam", {}, [at("param_groups", 0, "lr", value=print)]),
    "a callable learning rate, and that it was one": (
        "AdamW",
        {},
        [at("param_groups", 0, "lr", value=float), at("param_groups", 0, "lr_schedule", value="callable")],
    ),
    "a callable learning rate of another library": (
        "Adam",
        {},
        [foreign, at("param_groups", 0, "lr", value=print)],
    ),
    "a rate that a plateau cannot have come to": (
        "Adam",
        {"lr": fastopt.schedules.reduce_on_plateau(0.1)},
        [at("param_groups", 0, "lr_schedule", "state", "rate", value=1e308)],
    ),
    "a momentum that is callable": ("SGD", {}, [at("param_groups", 0, "momentum", value=print)]),
    "no groups at all": ("ScheduleFreeAdamW", {}, [foreign, at("param_groups", value=[])]),
    "groups that are a dict": ("ScheduleFreeSGD", {}, [foreign, at("param_groups", value={})]),
    "groups that are none": ("ScheduleFreeSGD", {}, [foreign, at("param_groups", value=None)]),
    "params that are a number": (
        "ScheduleFreeAdamW",
        {},
        [authors, at("param_groups", 0, "params", value=3)],
    ),
    "params that are lists": ("Prodigy", {}, [authors, at("param_groups", 0, "params", value=[[0], [1]])]),
    "params that are text": ("Prodigy", {}, [authors, at("param_groups", 0, "params", value=["0", "1"])]),
    "a start that is a number": ("Prodigy", {}, [authors, at(*ENTRY, "p0", value=3)]),
    "a start that is text": ("Prodigy", {}, [authors, at(*ENTRY, "s", value="x")]),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_a_checkpoint_error_and_nothing_has_changed(case: str) -> None:
    name, options, changes = CASES[case]
    opt = stepped(name, **options)
    d = copy.deepcopy(opt.state_dict())
    for change in changes:
        d = change(d)
    before = everything(opt)
    with pytest.raises(fastopt.CheckpointError, match="expected"):
        opt.load_state_dict(d)
    assert everything(opt) == before


@pytest.mark.parametrize("name", ["Prodigy", "ScheduleFreeAdamW", "ScheduleFreeSGD", "ScheduleFreeRAdam"])
def test_what_the_authors_write_is_still_taken(name: str) -> None:
    opt, other = stepped(name), stepped(name)
    d = authors(copy.deepcopy(opt.state_dict()))
    other.load_state_dict(d)
    if name == "Prodigy":
        del d["state"][0]["exp_avg"]  # left out where beta1 is 0
        other.load_state_dict(d)
    assert other.step_count == 1
