"""What is assigned to an optimizer or its groups has an effect at the next step, or raises."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, everything, make
from fastopt._attributes import OPTIONS
from fastopt._hypers import COMMON
from test_bad_input import Twins, text


def moved_by(opt: Any, size: int = 3) -> float:
    """How far the first parameter goes in the next step with gradient 1 everywhere."""
    before = opt._params[0].copy()
    opt.step([np.ones_like(p) for p in opt._params])
    return float((before - opt._params[0]).flat[0])


# --- the list of groups ---

LIST_CHANGES: dict[str, Callable[[Any], Any]] = {
    "setitem": lambda g: g.__setitem__(0, {**g[0], "lr": 0.5}),
    "set slice": lambda g: g.__setitem__(slice(0, 1), [{"lr": 0.5}]),
    "delitem": lambda g: g.__delitem__(0),
    "delete slice": lambda g: g.__delitem__(slice(None)),
    "append": lambda g: g.append({"params": [np.ones(2)]}),
    "extend": lambda g: g.extend([{"params": [np.ones(2)]}]),
    "insert": lambda g: g.insert(0, {"params": [np.ones(2)]}),
    "pop": lambda g: g.pop(),
    "remove": lambda g: g.remove(g[0]),
    "clear": lambda g: g.clear(),
    "reverse": lambda g: g.reverse(),
    "sort": lambda g: g.sort(key=lambda group: group["lr"]),
    "iadd": lambda g: g.__iadd__([{"params": [np.ones(2)]}]),
    "imul": lambda g: g.__imul__(2),
}


@pytest.mark.parametrize("case", LIST_CHANGES)
def test_the_list_of_groups_grows_by_add_param_group_alone(case: str) -> None:
    Twins().refuses(TypeError, "add_param_group", lambda opt: LIST_CHANGES[case](opt.param_groups))


def test_every_method_that_changes_a_list_is_thought_of() -> None:
    changing = {n for n in dir(list) if n in dir(bytearray) and n not in dir(tuple)} | {"sort"}
    changing -= {"copy"}
    groups = make("SGD", [np.ones(3)]).param_groups
    for name in changing:
        with pytest.raises(TypeError, match="add_param_group"):
            getattr(groups, name)(0)


def test_the_list_reads_as_a_list() -> None:
    opt = make("SGD", [{"params": [np.ones(3)]}, {"params": [np.ones(2)], "lr": 0.5}], lr=0.25)
    groups = opt.param_groups
    assert [g["lr"] for g in groups] == [0.25, 0.5]
    assert groups[-1]["lr"] == 0.5
    assert [g["lr"] for g in groups[::-1]] == [0.5, 0.25]
    assert len(groups) == 2
    assert groups == list(groups) == opt.param_groups
    assert groups[1] in groups
    with pytest.raises(IndexError):
        groups[2]
    opt.add_param_group({"params": [np.ones(1)]})
    assert len(groups) == 3  # as of a list that was kept
    groups[2]["lr"] = 0.75
    assert opt.param_groups[2]["lr"] == 0.75
    assert repr(groups).startswith("[ParamGroup(1 parameters")


def test_copies_are_plain_data() -> None:
    opt = make("SGD", [np.ones(3)], lr=0.25)
    for made in (
        copy.copy(opt.param_groups[0]),
        copy.deepcopy(opt.param_groups[0]),
        copy.deepcopy(opt.param_groups)[0],
        opt.param_groups[0].copy(),
        opt.param_groups[0] | {},
        {} | opt.param_groups[0],
        pickle.loads(pickle.dumps(opt.param_groups[0])),
    ):
        assert type(made) is dict
        assert made["lr"] == 0.25
        made["lr"] = 0.5
    assert moved_by(opt) == 0.25
    assert json.dumps({k: v for k, v in opt.param_groups[0].items() if k != "params"})


# --- one group ---


def test_values_have_effect_in_every_way_of_giving_them() -> None:
    def ior(g: Any) -> None:
        g |= {"lr": 0.5}

    ways: list[Callable[[Any], Any]] = [
        lambda g: g.__setitem__("lr", 0.5),
        lambda g: g.update(lr=0.5),
        lambda g: g.update({"lr": 0.5}),
        lambda g: g.update([("lr", 0.5), ("momentum", 0.0)]),
        lambda g: g.update({"lr": 7.0}, lr=0.5),
        lambda g: g.update({**g, "lr": 0.5}),
        ior,
    ]
    for way in ways:
        opt = make("SGD", [np.ones(3)], lr=0.25)
        way(opt.param_groups[0])
        assert opt.param_groups[0]["lr"] == 0.5
        assert moved_by(opt) == 0.5


BAD_UPDATES: dict[str, tuple[dict[str, Any], str]] = {
    "out of range, last": ({"lr": 0.5, "betas": (1.2, 0.9)}, "betas[0]: expected a number in [0, 1)"),
    "out of range, first": ({"betas": (1.2, 0.9), "lr": 0.5}, "betas[0]: expected a number in [0, 1)"),
    "unknown": ({"lr": 0.5, "momentun": 0.9}, "momentun: no hyper-parameter of Adam"),
    "of another type": ({"lr": 0.5, "eps": "1"}, "eps: expected a finite number"),
    "fixed": ({"lr": 0.5, "amsgrad": False}, "amsgrad: chooses the formula"),
    "parameters": ({"lr": 0.5, "params": [np.ones(3)]}, "params: no hyper-parameter"),
    "a schedule too": ({"lr": lambda k: 0.5, "eps": -1.0}, "eps: expected a finite number"),
    "maximize": ({"maximize": False, "weight_decay": -1.0}, "weight_decay: expected a finite number"),
}


@pytest.mark.parametrize("case", BAD_UPDATES)
def test_an_update_is_all_or_nothing(case: str) -> None:
    values, message = BAD_UPDATES[case]

    def ior(opt: Any) -> None:
        group = opt.param_groups[1]
        group |= values

    for call in (lambda opt: opt.param_groups[1].update(values), ior):
        Twins().refuses((TypeError, ValueError), text(message), call)


def test_an_update_whose_source_raises_half_way() -> None:
    def pairs() -> Any:
        yield "lr", 0.5
        raise ArithmeticError("half-way")

    Twins().refuses(ArithmeticError, "half-way", lambda opt: opt.param_groups[0].update(pairs()))


def test_values_that_are_only_right_together() -> None:
    """Each alone would break what must hold between them."""
    opt = make("SGD", [np.ones(3)], lr=0.5, momentum=0.9, dampening=0.5)
    with pytest.raises(ValueError, match="nesterov"):
        opt.param_groups[0].update(nesterov=True)
    rprop = make("Rprop", [np.ones(3)])
    rprop.param_groups[0].update(step_sizes=(1.0, 2.0))
    assert rprop.param_groups[0]["step_sizes"] == (1.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.pop("lr"), "lr: .*not removed"),
        (lambda g: g.pop("momentun", None), "momentun: .*not removed"),
        (lambda g: g.popitem(), "not removed"),
        (lambda g: g.clear(), "not removed"),
        (lambda g: g.__delitem__("lr"), "lr: .*not removed"),
        (lambda g: g.setdefault("momentun", 1.0), "momentun: no hyper-parameter"),
    ],
)
def test_nothing_is_removed(call: Callable[[Any], Any], message: str) -> None:
    Twins().refuses(TypeError, message, lambda opt: call(opt.param_groups[0]))


def test_setdefault_of_what_there_is() -> None:
    opt = make("SGD", [np.ones(3)], lr=0.25)
    assert opt.param_groups[0].setdefault("lr", 0.5) == 0.25
    assert moved_by(opt) == 0.25


def test_the_same_parameters_may_be_given_again() -> None:
    a, b = np.ones(3), np.ones(2)
    opt = make("SGD", [a, b], lr=0.25)
    opt.param_groups[0]["params"] = [a, b]
    for other in ([b, a], [a], [a, b.copy()], a, None):
        with pytest.raises(TypeError, match="params: no hyper-parameter"):
            opt.param_groups[0]["params"] = other


# --- attributes ---


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_that_would_do_nothing(name: str) -> None:
    cls = getattr(fastopt, name)
    twins = Twins(name)
    for key in [*cls._hypers, *COMMON]:
        twins.refuses(
            AttributeError, text(f'opt.param_groups[i]["{key}"] = ...'), lambda o, k=key: setattr(o, k, 0.5)
        )
    for key in OPTIONS:
        twins.refuses(AttributeError, f"{key}: fixed when", lambda o, k=key: setattr(o, k, 0.5))
    for key in (
        "param_groups",
        "defaults",
        "ema",
        "step_count",
        "skipped",
        "grad_norm",
        "learning_rate",
        "params",
    ):
        twins.refuses(AttributeError, f"^{key}: ", lambda o, k=key: setattr(o, k, 0.5))


@pytest.mark.parametrize("name", ["lr", "betas", "anything"])
def test_an_attribute_of_a_group_would_do_nothing(name: str) -> None:
    opt = make("Adam", [np.ones(3)], lr=0.25)
    for groups in (opt.param_groups[0], opt.param_groups):
        with pytest.raises(AttributeError, match=rf'^{name}: assign .*\["{name}"\] = ..., an attribute'):
            setattr(groups, name, 0.5)
        assert name not in vars(groups)
    assert opt.param_groups[0]["lr"] == 0.25


def test_what_is_set_when_it_is_made_is_not_assigned() -> None:
    average, rows = fastopt.EWMA(0.5), fastopt.batches(np.arange(6), batch_size=2, seed=1)
    for thing, name in ((average, "initial"), (average, "alpha"), (rows, "batch_size"), (rows, "seed")):
        with pytest.raises(AttributeError, match=f"^{name}: fixed when"):
            setattr(thing, name, 3)
    for thing, name in ((average, "value"), (rows, "epoch")):
        with pytest.raises(AttributeError, match=f"^{name}: can be read, not assigned"):
            setattr(thing, name, 3)

    class Named(fastopt.EWMA):
        pass

    named = Named(0.5)
    named.label = "loss"
    assert named.label == "loss"
    with pytest.raises(AttributeError, match="beta"):
        named.beta = 0.9


def test_the_options_are_those_of_the_constructor() -> None:
    values = {
        "nonfinite": "skip",
        "state_dtype": "float32",
        "dtype": "bfloat16",
        "clip_norm_type": "inf",
        "clip_norm_per": "tensor",
        "rounding": "nearest",
        "master": None,
        "seed": 7,
        "shadow": None,
    }
    for option in OPTIONS:
        value = values.get(option, 0.5)
        make("Adam", [np.ones(3)], **{option: value})


def test_defaults_are_read_only() -> None:
    opt = make("Adam", [np.ones(3)], lr=0.25)
    with pytest.raises(TypeError):
        opt.defaults["lr"] = 0.5
    assert opt.defaults["lr"] == 0.25
    assert dict(opt.defaults)["eps"] == 1e-8


def test_a_subclass_has_attributes_of_its_own() -> None:
    class Logging(fastopt.SGD):
        def __init__(self, params: Any, **options: Any) -> None:
            self.log: list[float] = []
            super().__init__(params, **options)
            self._private = 1

        @property
        def rate(self) -> float:
            return float(self.param_groups[0]["lr"])

        @rate.setter
        def rate(self, value: float) -> None:
            self.param_groups[0]["lr"] = value

        def step(self, *args: Any, **kwargs: Any) -> None:
            super().step(*args, **kwargs)
            self.log.append(self.rate)

    opt = Logging([np.ones(3)], lr=0.25)
    opt.rate = 0.5
    assert moved_by(opt) == 0.5
    assert opt.log == [0.5]
    opt.anything = 1
    with pytest.raises(AttributeError, match="lr"):
        opt.lr = 0.5
    with pytest.raises(AttributeError, match="clip_norm"):
        opt.clip_norm = 0.5


def test_methods_may_be_wrapped() -> None:
    """An attribute that hides a method has an effect."""
    opt = make("SGD", [np.ones(3)], lr=0.25)
    calls = []
    step = opt.step

    def counted(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        step(*args, **kwargs)

    opt.step = counted
    opt.step([np.ones(3)])
    assert calls == [1]
    assert opt.step_count == 1


def test_a_running_average_is_not_changed_from_outside() -> None:
    average = fastopt.EWMA(0.5)
    for name in ("beta", "count", "value"):
        with pytest.raises(AttributeError):
            setattr(average, name, 7.0)


def test_nothing_of_this_changed_an_optimizer() -> None:
    a, b = (make("Adam", [np.ones(3)]) for _ in range(2))
    a.param_groups[0].update(lr=0.5)
    b.param_groups[0]["lr"] = 0.5
    assert everything(a) == everything(b)
