"""The private surface of the engine's plan: what a caller gets wrong is refused, and nothing has changed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import HALVES, LEVELS, everything, make
from fastopt import _dispatch
from test_stubs import STUB

BIG = (-1, -(2**31), 2, 3, 10**6, 2**31 - 1)


def optimizer() -> Any:
    opt = make("NAdam", [np.ones((3, 4), np.float32), np.ones(2)], lr=0.1, ema_decay=0.5)
    opt.step([np.ones((3, 4), np.float32), np.ones(2)])
    return opt


def refuses(
    call: Callable[[Any], Any], error: Any = (IndexError, ValueError, TypeError, KeyError), text: str = ""
) -> None:
    opt, twin = optimizer(), optimizer()
    before = everything(opt)
    with pytest.raises(error) as caught:
        call(opt._plan)
    assert text in str(caught.value)
    assert everything(opt) == before
    for each in (opt, twin):
        each.step([np.ones((3, 4), np.float32), None])
    assert everything(opt) == everything(twin)


BY_TENSOR: dict[str, Callable[[Any, Any], Any]] = {
    "count": lambda plan, i: plan.count(i),
    "set_count": lambda plan, i: plan.set_count(i, 1),
    "scalars": lambda plan, i: plan.scalars(i),
    "set_scalars": lambda plan, i: plan.set_scalars(i, [1.0]),
}
BY_GROUP: dict[str, Callable[[Any, Any], Any]] = {
    "set_hypers": lambda plan, i: plan.set_hypers(i, {"eps": 0.5}),
    "set_group": lambda plan, i: plan.set_group(i, {"eps": 0.5}, True, True, []),
    "lr": lambda plan, i: plan.lr(i),
    "rates": lambda plan, i: plan.step([None, None], 1.0, False, {i: 0.5}, 1),
}


@pytest.mark.parametrize("index", BIG)
@pytest.mark.parametrize("name", BY_TENSOR)
def test_indices_of_tensors(name: str, index: int) -> None:
    refuses(lambda plan: BY_TENSOR[name](plan, index), IndexError, f"tensor: expected 0 to 1, got {index}")


@pytest.mark.parametrize("index", [i for i in BIG if i != 0] + [1])
@pytest.mark.parametrize("name", BY_GROUP)
def test_indices_of_groups(name: str, index: int) -> None:
    refuses(lambda plan: BY_GROUP[name](plan, index), IndexError, f"group: expected 0 to 0, got {index}")


@pytest.mark.parametrize("index", [2**31, 2**70, 0.5, "0", None])
def test_indices_that_are_none(index: Any) -> None:
    for call in (*BY_TENSOR.values(), *BY_GROUP.values()):
        refuses(lambda plan, c=call: c(plan, index), (TypeError, RuntimeError))


@pytest.mark.parametrize("rates", [None, {}, {0: 0.5}])
def test_rates_are_those_of_the_scheduled_groups_at_this_step(rates: Any) -> None:
    """What another thread did between the question and the step would show in them."""
    theta, g = np.zeros(3), np.ones(3)
    opt = make("SGD", [theta], lr=lambda step: 0.5)
    opt.step([g])
    before = everything(opt)
    for at in (-1, 0, 2, 2**40) if rates else (1,):
        with pytest.raises(RuntimeError, match="another thread has stepped, or assigned a schedule"):
            opt._plan.step([g], 1.0, False, rates, at)
    assert everything(opt) == before
    opt._plan.step([g], 1.0, False, {0: 0.25}, 1)
    np.testing.assert_array_equal(theta, -0.75)


def test_an_empty_plan_has_no_tensors() -> None:
    plan = _dispatch.core.Plan(0, 0, 2, "all", "skip", -1, False)
    for call in (*BY_TENSOR.values(), *BY_GROUP.values()):
        with pytest.raises((IndexError, ValueError)):
            call(plan, 0)
    plan.step([])
    assert plan.averaged == []


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [1.0] * 1000, [None], "1", None])
def test_scalars(values: Any) -> None:
    refuses(lambda plan: plan.set_scalars(0, values))


def test_numbers_of_steps() -> None:
    for name in ("steps", "skipped"):
        for bad in (-1, -(2**63), 2**63, 0.5, None, "1"):
            refuses(lambda plan, n=name, b=bad: setattr(plan, n, b))
    refuses(lambda plan: plan.set_count(0, -1), ValueError, "count: expected an integer >= 0")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 0, 2, "all", "skp", -1, False), "nonfinite: expected 'propagate', 'skip' or 'raise', got 'skp'"),
        ((0, 0, 2, "all", "", -1, False), "nonfinite"),
        ((-1, 0, 2, "all", "skip", -1, False), "clip_value"),
        ((np.nan, 0, 2, "all", "skip", -1, False), "clip_value"),
        ((0, -1, 2, "all", "skip", -1, False), "clip_norm"),
        ((0, np.nan, 2, "all", "skip", -1, False), "clip_norm"),
        ((0, 0, 2, "all", "skip", 1.5, False), "ema_decay"),
        ((0, 0, 2, "all", "skip", np.nan, False), "ema_decay"),
        ((0, 1, 1, "all", "skip", -1, False), "clip_norm_type: expected 2 or inf"),
        ((0, 1, np.nan, "all", "skip", -1, False), "clip_norm_type"),
        ((0, 1, -np.inf, "all", "skip", -1, False), "clip_norm_type"),
        ((0, 1, 2, "tensors", "skip", -1, False), "clip_norm_per: expected 'all' or 'tensor'"),
    ],
    ids=str,
)
def test_options(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _dispatch.core.Plan(*arguments)


@pytest.mark.parametrize(
    "hypers", [{"bet1": 0.5}, {"lr": None}, {"lr": "x"}, {1: 0.5}, {"eps": 0.5, "l2": 0.5}]
)
def test_hyper_parameters(hypers: Any) -> None:
    refuses(lambda plan: plan.set_hypers(0, hypers), (TypeError, ValueError, RuntimeError))
    refuses(lambda plan: plan.set_group(0, hypers, False, False, []), (TypeError, ValueError, RuntimeError))


# --- new groups ---


def new_group(**changes: Any) -> dict[str, Any]:
    """An Adagrad group of one float32 parameter; its one state's start may be chosen."""
    rule = next(r for r in _dispatch.core.rules() if r["name"] == "adagrad" and r["flags"] == 0)
    given = {
        "rule": "adagrad",
        "flags": 0,
        "hypers": dict.fromkeys(rule["hypers"], 0.5),
        "decay_kind": "coupled",
        "maximize": False,
        "scheduled": False,
        "starts": {"sum": 0.25},
        "arrays": [np.zeros((3, 4), np.float32)],
        "labels": ["params[9]"],
        "states": [(np.zeros((3, 4), np.float32),)],
        "ema": [np.zeros((3, 4), np.float32)],
        "masters": [None],
        "shadows": [None],
        "stochastic": False,
        "other": None,
        "others": [],
        "batch_axes": [0],
        "numbers": [9],
    }
    assert [bool(s) for s in rule["states"]] == [True]
    return {**given, **changes}


F = np.float32
HALF = HALVES[0]  # bfloat16, where there are such arrays
HALF_PARAMETER = {"arrays": [np.zeros((3, 4), HALF)]}


def frozen() -> Any:
    a = np.zeros((3, 4), F)
    a.flags.writeable = False
    return a


BAD_BUFFERS: dict[str, Any] = {
    "none": None,
    "no array": 5,
    "too short": np.zeros((3, 3), F),
    "too long": np.zeros((30, 40), F),
    "empty": np.zeros(0, F),
    "other shape": np.zeros((4, 3), F),
    "flat": np.zeros(12, F),
    "float64": np.zeros((3, 4)),
    "int": np.zeros((3, 4), np.int32),
    "swapped": np.zeros((3, 4), ">f4"),
    "other order": np.zeros((4, 3), F).T,
    "backwards": np.zeros((3, 4), F)[::-1],
    "gaps": np.zeros((3, 8), F)[:, ::2],
    "repeats": np.broadcast_to(np.zeros(4, F), (3, 4)),
    "frozen": frozen(),
    "misaligned": np.zeros(49, np.uint8)[1:].view(F).reshape(3, 4),
    "masked": np.ma.masked_array(np.zeros((3, 4), F), mask=True),
}
BAD_GROUPS: dict[str, dict[str, Any]] = {
    **{f"state: {key}": {"states": [(value,)]} for key, value in BAD_BUFFERS.items()},
    **{f"ema: {key}": {"ema": [value]} for key, value in BAD_BUFFERS.items()},
    "ema: half": {"ema": [np.zeros((3, 4), HALF)]},
    "rule": {"rule": "adagrd"},
    "flags": {"flags": 1 << 20},
    "hypers": {"hypers": {"lrr": 0.5}},
    "decay_kind": {"decay_kind": "decoupld"},
    "starts": {"starts": {"sums": 0.0}},
    "start of another type": {"starts": {"sum": "0"}},
    "no states": {"states": [()]},
    "too many states": {"states": [(np.zeros((3, 4), F),) * 9]},
    "states of nobody": {"states": []},
    "labels": {"labels": []},
    "label": {"labels": ["x"]},
    "ema of nobody": {"ema": []},
    "no arrays": {"arrays": [None]},
    "two arrays": {"arrays": [np.zeros((3, 4), F)] * 2},
    "the same array twice": {
        "arrays": [BAD_BUFFERS["float64"]] * 2,
        "labels": ["params[9]"] * 2,
        "states": [(np.zeros((3, 4)),)] * 2,
        "ema": [np.zeros((3, 4))] * 2,
        "masters": [None] * 2,
        "shadows": [None] * 2,
        "batch_axes": [0, 0],
        "numbers": [9, 10],
    },
    "numbers of nobody": {"numbers": []},
    "masters of nobody": {"masters": []},
    "a master of float32": {"masters": [("split16", np.zeros((3, 4), np.int16))]},
    "a master of no kind": {"masters": [("split4", np.zeros((3, 4), np.int16))], **HALF_PARAMETER},
    "a master of another size": {"masters": [("split16", np.zeros((3, 4), np.int8))], **HALF_PARAMETER},
    "a master of another shape": {"masters": [("split8", np.zeros((4, 3), np.int8))], **HALF_PARAMETER},
    "a master without an array": {"masters": [("split8",)], **HALF_PARAMETER},
    "shadows of nobody": {"shadows": []},
    "a shadow of float32": {"shadows": [np.zeros((3, 4), np.float32)]},
    "a shadow of another shape": {"shadows": [np.zeros((4, 3), HALF)]},
    "a shadow that is no array": {"shadows": [1]},
    "codes of a sum": {"states": [((np.zeros((3, 4), np.uint8), np.zeros(1, np.float32), True),)]},
}

CODES, SCALES = np.zeros((3, 4), np.uint8), np.zeros(1, np.float32)
BAD_CODES: dict[str, Any] = {
    "no scales": (CODES,),
    "positive": (CODES, SCALES, True),
    "two scales": (CODES, np.zeros(2, np.float32), False),
    "scales of float64": (CODES, SCALES.astype(float), False),
    "frozen scales": (CODES, np.broadcast_to(np.float32(0), (1,)), False),
    "codes of int8": (CODES.view(np.int8), SCALES, False),
    "codes of another shape": (np.zeros((4, 3), np.uint8), SCALES, False),
    "codes of another order": (np.zeros((4, 3), np.uint8).T, SCALES, False),
    "no codes": (None, SCALES, False),
    "no array of scales": (CODES, [0.0], False),
    "scales of two axes": (CODES, np.zeros((1, 1), np.float32), False),
    "scales bytes swapped": (CODES, SCALES.astype(">f4"), False),
    "scales in half": (CODES, np.zeros(1, HALF), False),
}


BAD_GROUPS |= {
    "a master in a list": {"masters": [["split8", np.zeros((3, 4), np.int8)]], **HALF_PARAMETER},
    "a compensation of another dtype": {
        "masters": [("kahan", np.zeros((3, 4), np.int16 if np.float16 == HALF else np.float16))],
        **HALF_PARAMETER,
    },
    "a compensation of float32": {"masters": [("kahan", np.zeros((3, 4), F))]},
    "a remainder of float16": {
        "arrays": [np.zeros((3, 4), np.float16)],
        "masters": [("split16", np.zeros((3, 4), np.int16))],
    },
    "a shadow in half": {"shadows": [np.zeros((3, 4), HALF)], **HALF_PARAMETER},
    "a shadow of float64": {
        "arrays": [np.zeros((3, 4))],
        "ema": [np.zeros((3, 4))],
        "shadows": [np.zeros((3, 4), HALF)],
    },
    "codes of a float64": {
        "arrays": [np.zeros((3, 4))],
        "ema": [np.zeros((3, 4))],
        "states": [((np.zeros((3, 4), np.uint8), np.zeros(1, F), False),)],
    },
}


def lion_group(state: Any) -> dict[str, Any]:
    rule = next(r for r in _dispatch.core.rules() if r["name"] == "lion")
    hypers = dict.fromkeys(rule["hypers"], 0.5)
    return new_group(rule="lion", hypers=hypers, starts={}, states=[(state,)])


def test_codes_are_taken() -> None:
    optimizer()._plan.add_groups([lion_group((CODES.copy(), SCALES.copy(), False))], [])


@pytest.mark.parametrize("scales", [np.zeros(4, F)[::2], np.zeros(2, F)[::-1], np.broadcast_to(F(0), (2,))])
def test_scales_lie_one_behind_the_other(scales: Any) -> None:
    """Of so many codes that there are two."""
    assert len(scales) == 2
    codes, wide = np.zeros((3, 40), np.uint8), np.zeros((3, 40), F)
    good = lion_group((codes, np.zeros(2, F), False)) | {"arrays": [wide], "ema": [wide.copy()]}
    optimizer()._plan.add_groups([good], [])
    bad = good | {"states": [((codes, scales, False),)]}
    refuses(lambda plan: plan.add_groups([bad], []), TypeError, "expected 2 scales of float32")


def test_codes_without_a_sign_are_not_taken_for_others() -> None:
    rule = next(r for r in _dispatch.core.rules() if "u" in r["codes"])
    hypers = dict.fromkeys(rule["hypers"], 0.5)
    states = [
        (CODES.copy(), SCALES.copy(), kind == "u") if kind else None if not name else np.zeros((3, 4), F)
        for name, kind in zip(rule["states"], rule["codes"], strict=True)
    ]
    given = new_group(
        rule=rule["name"], flags=rule["flags"], hypers=hypers, starts={}, states=[tuple(states)]
    )
    optimizer()._plan.add_groups([given], [])
    at = rule["codes"].index("u")
    states[at] = (*states[at][:2], False)
    bad = {**given, "states": [tuple(states)], "arrays": [np.zeros((3, 4), F)]}
    refuses(lambda plan: plan.add_groups([bad], []), TypeError, "expected codes without sign")


def test_a_state_of_one_axis_with_gaps() -> None:
    flat = new_group(arrays=[np.zeros(4, F)], ema=[np.zeros(4, F)], states=[(np.zeros(8, F)[::2],)])
    text = "with strides of (2,) items, where the parameter has (1,)"
    refuses(lambda plan: plan.add_groups([flat], []), ValueError, text)


# --- a rule of matrices ---


def soap_group(**changes: Any) -> dict[str, Any]:
    """Two moments of the parameter's shape, then the matrices of both sides, one behind the other."""
    rule = next(r for r in _dispatch.core.rules() if r["name"] == "soap" and r["flags"] == 0)
    assert rule["states"] == ["exp_avg", "exp_avg_sq", "GG", "Q"]
    hypers = {**dict.fromkeys(rule["hypers"], 0.5), "max_precond_dim": 100.0, "merge_dims": 0.0}
    states = [np.zeros((3, 4), F), np.zeros((3, 4), F), np.zeros(25, F), np.zeros(25, F)]
    return new_group(rule="soap", hypers=hypers, starts={}, states=[tuple(states)]) | changes


def matrix_state(at: int, value: Any) -> dict[str, Any]:
    states = list(soap_group()["states"][0])
    states[at] = value
    return {"states": [tuple(states)]}


BAD_MATRICES: dict[str, Any] = {
    "none": None,
    "no array": 5,
    "too few": np.zeros(24, F),
    "too many": np.zeros((5, 6), F),
    "float64": np.zeros(25),
    "bytes swapped": np.zeros(25, ">f4"),
    "whole numbers": np.zeros(25, np.int32),
    "backwards": np.zeros(25, F)[::-1],
    "gaps": np.zeros((5, 10), F)[:, ::2],
    "other order": np.zeros((5, 5), F).T,
    "repeats": np.broadcast_to(np.zeros(5, F), (5, 5)),
    "read-only": np.frombuffer(bytes(100), F),
    "misaligned": np.zeros(101, np.uint8)[1:].view(F),
    "masked": np.ma.masked_array(np.zeros(25, F), mask=True),
}


@pytest.mark.parametrize("shape", [(25,), (5, 5), (1, 25), (5, 1, 5)])
def test_a_group_of_matrices_is_taken(shape: tuple[int, ...]) -> None:
    optimizer()._plan.add_groups([soap_group(**matrix_state(2, np.zeros(shape, F)))], [])


@pytest.mark.parametrize("at", [2, 3])
@pytest.mark.parametrize("case", BAD_MATRICES)
def test_a_matrix_beside_the_states(case: str, at: int) -> None:
    bad = soap_group(**matrix_state(at, BAD_MATRICES[case]))
    for groups in ([bad], [new_group(), bad]):
        refuses(lambda plan, g=groups: plan.add_groups(g, []), (TypeError, ValueError), "params[9]: state ")


@pytest.mark.parametrize("arrays", [np.zeros(12, F), np.zeros((3, 4), F)], ids=["one axis", "long sides"])
def test_a_matrix_where_the_rule_has_none(arrays: Any) -> None:
    """No side is multiplied that is longer than max_precond_dim, nor one axis without precondition_1d."""
    bad = soap_group(arrays=[arrays], ema=[arrays.copy()])
    bad["states"] = [(arrays.copy(), arrays.copy(), *bad["states"][0][2:])]
    bad["hypers"] |= {"precondition_1d": 0.0, "max_precond_dim": 2.0}
    refuses(lambda plan: plan.add_groups([bad], []), TypeError, "expected one where the rule has one")


@pytest.mark.parametrize("axes", [-1, 1, 2, 7, 2**31 - 1, -(2**31)])
def test_axes_of_a_batch_leave_a_matrix(axes: int) -> None:
    bad = soap_group(batch_axes=[axes])
    refuses(lambda plan: plan.add_groups([bad], []), ValueError, "expected an array of two axes behind")


@pytest.mark.parametrize("case", BAD_CODES)
def test_codes(case: str) -> None:
    refuses(lambda plan: plan.add_groups([lion_group(BAD_CODES[case])], []), (TypeError, ValueError))


@pytest.mark.parametrize("case", BAD_GROUPS)
def test_new_groups(case: str) -> None:
    """Also behind a good one: all or none."""
    good, bad = new_group(), new_group(**BAD_GROUPS[case])
    refuses(lambda plan: plan.add_groups([bad], []), (TypeError, ValueError, RuntimeError))
    refuses(lambda plan: plan.add_groups([good, bad], []), (TypeError, ValueError, RuntimeError))


@pytest.mark.parametrize("key", new_group())
def test_a_group_with_something_missing(key: str) -> None:
    bad = new_group()
    del bad[key]
    refuses(lambda plan: plan.add_groups([bad], []), KeyError)
    refuses(lambda plan: plan.add_groups([{**bad, key: object()}], []), (TypeError, RuntimeError, ValueError))


def test_a_good_group_is_taken() -> None:
    opt = optimizer()
    opt._plan.add_groups([new_group()], [])
    theta = np.zeros((3, 4), F)
    opt._plan.add_groups([new_group(arrays=[theta])], [])
    opt._plan.step([None, None, None, np.ones((3, 4), F)])
    assert opt._plan.count(3) == 1
    assert (theta < 0).all()


def test_mirrors() -> None:
    """Values of keys that are there; anything else would take memory, which can fail half-way."""
    for bad in ([({}, {"a": 1})], [({"a": 1}, {1: 2})], [5], [({"a": 1},)], [("a", "b")], 5):
        refuses(
            lambda plan, b=bad: plan.add_groups([new_group()], b),
            (KeyError, TypeError, IndexError, RuntimeError),
        )
    there = {"a": 1, "b": 2}
    refuses(lambda plan: plan.set_group(0, {"lrr": 1.0}, False, False, [(there, {"a": 5})]))
    assert there == {"a": 1, "b": 2}
    optimizer()._plan.set_group(0, {}, False, False, [(there, {"a": 5}), (there, {"b": 6})])
    assert there == {"a": 5, "b": 6}


# --- a saved state ---


def saved(**changes: Any) -> Any:
    arrays = [(np.full((3, 4), 2, F),) * 2, (np.full(2, 2.0),) * 2]
    tensors = [(7, [0.5], arrays[i], np.full_like(arrays[i][0], 3), None) for i in range(2)]
    given = {
        "tensors": tensors,
        "groups": [({"eps": 0.5}, True, False)],
        "steps": 9,
        "skipped": 1,
        "averaged": [True],
        "mirrors": [],
    }
    return {**given, **changes}


def with_tensor(*entry: Any) -> Any:
    return {"tensors": [entry, saved()["tensors"][1]]}


GOOD = saved()["tensors"][0]
BAD_RESTORES: dict[str, Any] = {
    "too few tensors": {"tensors": [GOOD]},
    "too many tensors": {"tensors": [GOOD] * 3},
    "no tuple": {"tensors": [5, 5]},
    "a short tuple": with_tensor(*GOOD[:3]),
    "negative count": with_tensor(-1, *GOOD[1:]),
    "no scalars": with_tensor(7, [], *GOOD[2:]),
    "too many scalars": with_tensor(7, [0.5] * 100, *GOOD[2:]),
    "one state": with_tensor(7, [0.5], GOOD[2][:1], *GOOD[3:]),
    "many states": with_tensor(7, [0.5], GOOD[2] * 9, *GOOD[3:]),
    "states in a list": with_tensor(7, [0.5], list(GOOD[2]), *GOOD[3:]),
    **{
        f"state: {key}": with_tensor(7, [0.5], (GOOD[2][0], value), *GOOD[3:])
        for key, value in BAD_BUFFERS.items()
        if key
        not in ("other order", "backwards", "gaps", "repeats", "frozen", "misaligned")  # these are only read
    },
    **{
        f"ema: {key}": with_tensor(7, [0.5], GOOD[2], value, None)
        for key, value in BAD_BUFFERS.items()
        if key not in ("none", "other order", "backwards", "gaps", "repeats", "frozen", "misaligned")
    },
    "a master of nobody": with_tensor(*GOOD[:4], np.zeros(12, np.int16)),
    "codes of nobody": with_tensor(7, [0.5], (GOOD[2][0], (CODES.ravel(), SCALES)), *GOOD[3:]),
    "no groups": {"groups": []},
    "two groups": {"groups": saved()["groups"] * 2},
    "a group's name": {"groups": [({"epss": 0.5}, True, False)]},
    "a group's tuple": {"groups": [({"eps": 0.5}, True)]},
    "negative steps": {"steps": -1},
    "negative skipped": {"skipped": -1},
    "no averaged": {"averaged": []},
    "many averaged": {"averaged": [True] * 99},
    "mirrors": {"mirrors": [({}, {"a": 1})]},
}


@pytest.mark.parametrize("case", BAD_RESTORES)
def test_restoring(case: str) -> None:
    given = saved(**BAD_RESTORES[case])
    refuses(lambda plan: plan.restore(**given), (TypeError, ValueError, KeyError, RuntimeError))


def test_a_good_state_is_restored() -> None:
    opt = optimizer()
    opt._plan.restore(**saved())
    assert (opt._plan.steps, opt._plan.skipped, opt._plan.count(1), opt._plan.scalars(0)) == (9, 1, 7, [0.5])
    for a in (*opt._states[0].values(), *opt._states[1].values()):
        assert (a == 2).all()
    assert all((a == 3).all() for a in opt.ema)


@pytest.mark.skipif(
    not hasattr(_dispatch.core, "floor_pass"),
    reason="built without FASTOPT_BENCHMARKS (`make asserts` and `make asan` build with it)",
)
@pytest.mark.parametrize("case", ["floats", "sizes", "no arrays", "gaps", "none", "too many"])
def test_the_floor_pass(case: str) -> None:
    ok = [np.zeros(8, F) for _ in range(9)]
    changed, read = {
        "floats": ([np.zeros(8)], ok[:1]),
        "sizes": ([np.zeros(9, F)], ok[:1]),
        "no arrays": ([5], [5]),
        "gaps": ([np.zeros(16, F)[::2]], ok[:1]),
        "none": ([], []),
        "too many": (ok, ok),
    }[case]
    with pytest.raises((TypeError, ValueError)):
        _dispatch.core.floor_pass(changed, read)


def test_every_method_of_the_plan_is_tried_here() -> None:
    plan = next(
        c
        for c in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(c, ast.ClassDef) and c.name == "Plan"
    )
    with open(__file__, encoding="utf-8") as file:
        here = file.read()
    public = {"lookahead", "ema_weights", "bind_gradients"}  # called by methods of the same name
    elsewhere = public | {"__init__", "exclusive", "asking", "refuse_elsewhere", "elsewhere", "norm"}
    elsewhere |= {"check_parameters", "write_shadows", "averaged_weights", "exchange"}
    for method in plan.body:
        if isinstance(method, ast.FunctionDef) and method.name not in elsewhere:
            assert f"plan.{method.name}" in here, method.name


@pytest.mark.parametrize("level", LEVELS)
def test_other_levels_are_no_laxer(level: str) -> None:
    plan = make("SGD", [np.ones(3)], level)._plan
    with pytest.raises(IndexError):
        plan.count(10**6)


CLASSES = [
    name
    for name, value in vars(_dispatch.core).items()
    if isinstance(value, type) and not issubclass(value, Exception)
]


@pytest.mark.parametrize("level", LEVELS)
def test_an_object_made_by_new_alone_is_refused(level: str) -> None:
    """Else its methods work on memory in which nothing was constructed. In a process that may crash: the last
    class that it names is to blame."""
    code = f"""
from fastopt import _dispatch
core = _dispatch.load({level!r})
for cls in [getattr(core, name) for name in {CLASSES}]:
    print(cls.__name__, flush=True)
    tried = 0
    for name, method in vars(cls).items():
        if name.startswith("__") and name not in ("__enter__", "__exit__"):
            continue
        for many in range(8):
            bare = cls.__new__(cls)
            try:
                if isinstance(method, property):
                    getattr(bare, name)
                else:
                    getattr(bare, name)(*[0] * many)
                raise SystemExit(f"{{name}} was not refused")
            except TypeError as error:
                tried += "__init__() has not run" in str(error)
        del bare
    assert tried >= len(vars(cls)) // 2, tried
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, CLASSES), (done.stderr, done.stdout)
