"""state_dict: PyTorch's shape, exact resume, and nothing changed where it does not fit."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, CLASSES, EXTRAS, PAIRS, SETTINGS, bits, everything, make, normal, setting

SHAPES = [(3, 5), (), 130, 0]
GOLDEN = Path(__file__).parent / "golden" / "adam_version_1.npz"


def optimizer(name: str, variant: int = 0, dtype: Any = np.float32, **options: Any) -> Any:
    """Two groups with different numbers, all extras on."""
    params = normal(1, SHAPES, dtype)
    groups = [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.3, "l1": 0.02}]
    return make(name, groups, **{**setting(name, variant), **EXTRAS, **options})


def walk(opt: Any, first: int, last: int, dtype: Any = np.float32) -> None:
    for k in range(first, last):
        grads: list[Any] = normal(50 + k, SHAPES, dtype)
        if k in (0, 3):
            grads[0] = None
        opt.step(grads)


def resumed(opt: Any, name: str, move: Callable[[Any, Any], None], **options: Any) -> Any:
    """A new optimizer over copies of the parameters, after the state was moved to it."""
    groups = [{"params": [p.copy() for p in g["params"]]} for g in opt.param_groups]
    other = make(name, groups, **options)
    for mine, theirs in zip(other.param_groups, opt.param_groups, strict=True):
        for key in ("weight_decay", "l1"):
            mine[key] = 0.77  # must come back from the state
            assert theirs[key] != 0.77
    move(opt, other)
    return other


def by_dict(a: Any, b: Any) -> None:
    b.load_state_dict(a.state_dict())


@pytest.mark.parametrize("dtype", PAIRS, ids=str)
@pytest.mark.parametrize(("name", "variant"), SETTINGS)
def test_resume_continues_bit_for_bit(name: str, variant: int, dtype: Any, tmp_path: Path) -> None:
    """Through the dict and through a file; stopped before the first step, and half-way."""

    def by_file(a: Any, b: Any) -> None:
        a.save(tmp_path / "state.npz")
        b.load(tmp_path / "state.npz")

    for stop in (0, 1, 4):
        opt = optimizer(name, variant, dtype)
        walk(opt, 0, stop, dtype)
        others = [
            resumed(opt, name, move, **{**setting(name, variant), **EXTRAS}) for move in (by_dict, by_file)
        ]
        for other in others:
            assert (
                everything(other)[1:2] + everything(other)[5:] == everything(opt)[1:2] + everything(opt)[5:]
            )
        for each in (opt, *others):
            walk(each, stop, 7, dtype)
        assert everything(others[0]) == everything(others[1]) == everything(opt)


@pytest.mark.parametrize("name", CLASSES)
def test_a_used_optimizer_takes_a_state_of_the_beginning(name: str) -> None:
    """Nothing of its own past is left: counts, scalars, averages, skipped steps."""
    fresh, used = optimizer(name), optimizer(name)
    walk(used, 0, 5)
    used.load_state_dict(fresh.state_dict())
    for a, b in zip(used._params, fresh._params, strict=True):
        a[...] = b
    for each in (fresh, used):
        walk(each, 1, 4)
    assert everything(used) == everything(fresh)


def test_the_number_of_skipped_steps_is_kept() -> None:
    opt, other = (make("SGD", [np.ones(3)], nonfinite="skip") for _ in range(2))
    opt.step([np.full(3, np.nan)])
    other.load_state_dict(opt.state_dict())
    assert (other.skipped, other.step_count) == (1, 0)


def test_shape_and_names() -> None:
    opt = optimizer("Adam", amsgrad=False)
    walk(opt, 0, 1)
    d = opt.state_dict()
    assert list(d) == ["state", "param_groups", "fastopt"]
    assert sorted(d["state"]) == [1, 2, 3]  # the first had no gradient
    assert list(d["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    assert d["state"][1]["step"] == 1
    assert [g["params"] for g in d["param_groups"]] == [[0, 1], [2, 3]]
    assert {"lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"} <= d["param_groups"][0].keys()
    assert d["fastopt"]["version"] == 1
    assert d["fastopt"]["optimizer"] == "Adam"
    assert (d["fastopt"]["step_count"], d["fastopt"]["skipped"]) == (1, 0)


def test_the_dict_is_a_copy_and_loading_copies() -> None:
    opt = optimizer("Adam")
    walk(opt, 0, 2)
    d = opt.state_dict()
    before = bits(d)
    walk(opt, 2, 4)
    assert bits(d) == before
    other = optimizer("Adam")
    other.load_state_dict(d)
    walk(other, 2, 4)
    assert bits(d) == before
    saved = everything(other)
    d["state"][2]["exp_avg"][...] = 7
    d["fastopt"]["ema"][0][...] = 7
    d["param_groups"][0]["lr"] = 7.0
    assert everything(other) == saved


def test_two_dicts_of_one_state_are_equal() -> None:
    opt = optimizer("Adam")
    walk(opt, 0, 3)
    other = optimizer("Adam")
    other.load_state_dict(opt.state_dict())
    assert bits(other.state_dict()) == bits(opt.state_dict()) == bits(opt.state_dict())


@pytest.mark.parametrize("count", [2**24 + 1, 2**40, 2**53])
@pytest.mark.parametrize("name", CLASSES)
def test_step_counts_have_64_bits(name: str, count: int, tmp_path: Path) -> None:
    """A float32 count stops at 2^24, where PyTorch's does; an int32 at 2^31."""
    opt = optimizer(name)
    walk(opt, 0, 2)
    for i in range(len(SHAPES)):
        opt._plan.set_count(i, count - 1)
    opt._plan.steps = count - 1
    walk(opt, 1, 2)
    assert opt.step_count == count
    assert [entry["step"] for entry in opt.state_dict()["state"].values()] == [count] * 4
    assert all(np.isfinite(p).all() for p in opt._params)
    other = optimizer(name)
    opt.save(tmp_path / "state.npz")
    other.load(tmp_path / "state.npz")
    assert other.step_count == count


@pytest.mark.skipif(not BFLOAT16, reason="no ml_dtypes here")
def test_states_in_bfloat16_move_between_both_spellings() -> None:
    """NumPy has bfloat16 only with ml_dtypes: the same bits may be uint16 elsewhere."""
    opt = make("Adam", [np.ones(5, np.float32)], lr=0.1, state_dtype="bfloat16")
    opt.step([np.ones(5, np.float32)])
    for convert in (lambda a: a.view(np.uint16), lambda a: a.view(BFLOAT16)):
        d = opt.state_dict()
        entry = d["state"][0]
        d["state"][0] = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in entry.items()}
        other = make("Adam", [opt._params[0].copy()], lr=0.1, state_dtype="bfloat16")
        other.load_state_dict(d)
        other.step([np.ones(5, np.float32)])
        assert bits([s.view(np.uint16) for s in other._states[0].values()])


# --- what does not fit ---


def change(path: tuple[Any, ...], value: Any) -> Callable[[Any], None]:
    """Set (or, with the value `remove`, delete) one entry, the path's last."""

    def changed(d: Any) -> None:
        for key in path[:-1]:
            d = d[key]
        if value is remove:
            del d[path[-1]]
        else:
            d[path[-1]] = value

    return changed


remove = object()
LAST = (2,)  # the parameter of 130 elements; the one behind it is empty
F = np.ones(130, np.float32)
BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "no state": (change(("state",), remove), 'expected a dict with "state" and "param_groups"'),
    "no groups": (change(("param_groups",), remove), 'expected a dict with "state" and "param_groups"'),
    "state a list": (change(("state",), [1]), 'state_dict["state"]: expected a dict'),
    "an index too far": (change(("state", 4), {"step": 1}), "expected indices below 4, got 4"),
    "an index of text": (change(("state", "2"), {}), "expected indices below 4, got '2'"),
    "an index of truth": (
        lambda d: d["state"].update({True: d["state"].pop(1)}),
        "expected indices below 4, got True",
    ),
    "entry no dict": (change(("state", 2), 5), 'state_dict["state"][2]: expected a dict'),
    "unknown state": (change(("state", 2, "momentum_buffer"), F), "Adam has no state 'momentum_buffer'"),
    "missing state": (change(("state", 2, "exp_avg_sq"), remove), "expected 'exp_avg_sq', it is missing"),
    "shape": (
        change(("state", 2, "exp_avg_sq"), F[:-1]),
        "['exp_avg_sq']: expected shape (130,), got (129,)",
    ),
    "broadcast": (change(("state", 2, "exp_avg_sq"), F[:1]), "expected shape (130,), got (1,)"),
    "dtype": (change(("state", 2, "exp_avg_sq"), F.astype(float)), "expected dtype float32, got float64"),
    "byte order": (change(("state", 2, "exp_avg_sq"), F.astype(">f4")), "expected dtype float32, got >f4"),
    "negative step": (change(("state", 2, "step"), -1), '["step"]: expected an integer >= 0'),
    "half a step": (change(("state", 2, "step"), 2.5), '["step"]: expected an integer >= 0'),
    "NaN steps": (change(("state", 2, "step"), np.nan), '["step"]: expected an integer >= 0'),
    "step of text": (change(("state", 2, "step"), "3"), '["step"]: expected an integer >= 0'),
    "one group": (lambda d: d["param_groups"].pop(), "expected 2 groups, got 1"),
    "three groups": (lambda d: d["param_groups"].append(d["param_groups"][0]), "expected 2 groups, got 3"),
    "groups no list": (change(("param_groups",), 5), "expected 2 groups, got 5"),
    "group no dict": (change(("param_groups", 1), [2, 3]), 'state_dict["param_groups"][1]: expected a dict'),
    "group size": (change(("param_groups", 1, "params"), [2]), "expected the indices [2, 3], got [2]"),
    "group order": (change(("param_groups", 1, "params"), [3, 2]), "expected the indices [2, 3], got [3, 2]"),
    "group without params": (
        change(("param_groups", 1, "params"), remove),
        "expected the indices [2, 3], got None",
    ),
    "no lr": (change(("param_groups", 1, "lr"), remove), "[1]: expected 'lr', it is missing"),
    "negative lr": (change(("param_groups", 1, "lr"), -5.0), "[1]: lr: expected a finite number >= 0"),
    "NaN betas": (change(("param_groups", 1, "betas"), (0.9, np.nan)), "[1]: betas"),
    "unknown key": (
        change(("param_groups", 1, "momentun"), 0.5),
        "[1]: Adam has no hyper-parameter 'momentun'",
    ),
    "another formula": (change(("param_groups", 1, "amsgrad"), False), "[1]: expected amsgrad=True"),
    "another schedule": (
        change(("param_groups", 1, "lr_schedule"), fastopt.schedules.cosine(0.1, total=9).describe()),
        "[1]: expected the schedule that this optimizer has",
    ),
    "a newer version": (change(("fastopt", "version"), 2), "this fastopt reads version 1, got 2"),
    "another class": (
        change(("fastopt", "optimizer"), "AdamW"),
        "expected the state of Adam, got that of AdamW",
    ),
    "other clipping": (change(("fastopt", "options", "clip_norm"), 9.0), "expected the options"),
    "own section no dict": (change(("fastopt",), [1]), 'state_dict["fastopt"]: expected a dict'),
    "steps of text": (change(("fastopt", "step_count"), "3"), "['step_count']: expected an integer"),
    "negative skipped": (change(("fastopt", "skipped"), -1), "['skipped']: expected an integer"),
    "one average": (lambda d: d["fastopt"]["ema"].pop(), '["ema"]: expected a list of 4 arrays'),
    "average's shape": (
        change(("fastopt", "ema", 2), F[:-1]),
        '["ema"][2]: expected float32 of shape (130,)',
    ),
    "average's dtype": (change(("fastopt", "ema", 2), F.astype(float)), '["ema"][2]: expected float32'),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_and_nothing_changes(case: str) -> None:
    spoil, message = BAD[case]
    opt, twin, other = (optimizer("Adam") for _ in range(3))
    for each in (opt, twin):
        walk(each, 0, 3)
    walk(other, 0, 6)
    d = other.state_dict()
    d["param_groups"][0]["lr"] = 0.5
    spoil(d)
    before = everything(opt)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        opt.load_state_dict(d)
    assert everything(opt) == before
    for each in (opt, twin):
        walk(each, 4, 5)
    assert everything(opt) == everything(twin)


@pytest.mark.parametrize("name", CLASSES)
def test_the_state_of_every_other_class_is_refused(name: str) -> None:
    opt = optimizer(name)
    walk(opt, 0, 2)
    before = everything(opt)
    for other_name in CLASSES:
        if other_name != name:
            other = optimizer(other_name)
            walk(other, 0, 1)
            with pytest.raises(ValueError, match=f"expected the state of {name}, got that of {other_name}"):
                opt.load_state_dict(other.state_dict())
    assert everything(opt) == before


def test_scalars_are_checked() -> None:
    opt = optimizer("NAdam")
    walk(opt, 0, 3)
    before = everything(opt)
    rule = next(r for r in fastopt._dispatch.core.rules() if r["name"] == opt.rule.kernel)
    assert rule["scalars"], "NAdam carries the product of its momenta"
    for value, message in ((remove, "it is missing"), (np.nan, "finite"), ("1", "finite")):
        d = opt.state_dict()
        change(("state", 2, rule["scalars"][0]), value)(d)
        with pytest.raises((TypeError, ValueError), match=f"state.*2.*{message}"):
            opt.load_state_dict(d)
    assert everything(opt) == before


def test_what_must_hold_between_numbers_is_checked_before_the_first_change() -> None:
    opt = make(
        "SGD", [{"params": [np.ones(3)], "lr": 0.1}, {"params": [np.ones(2)]}], momentum=0.9, nesterov=True
    )
    d = opt.state_dict()
    d["param_groups"][0]["lr"] = 7.0
    d["param_groups"][1]["dampening"] = 0.5
    before = everything(opt)
    with pytest.raises(ValueError, match=re.escape("[1]: nesterov: expected momentum > 0")):
        opt.load_state_dict(d)
    assert everything(opt) == before


# --- learning rates ---


def test_a_schedule_is_saved_and_compared() -> None:
    schedule = fastopt.schedules.cosine(0.1, total=9)
    a, b, c = (make("SGD", [np.ones(3)], lr=lr) for lr in (schedule, schedule, 0.1))
    for _ in range(3):
        a.step([np.ones(3)])
    d = a.state_dict()
    assert d["param_groups"][0]["lr"] == schedule(3)
    b.load_state_dict(d)
    assert b.param_groups[0]["lr"] == schedule
    with pytest.raises(
        ValueError, match=re.escape("[0]: expected the schedule that this optimizer has, 0.1")
    ):
        c.load_state_dict(d)
    with pytest.raises(ValueError, match=re.escape("[0]: expected the schedule")):
        b.load_state_dict(c.state_dict())


def test_a_foreign_callable_is_not_saved_and_the_constructed_one_stays() -> None:
    rates = [0.5, 0.25]
    opt = make("SGD", [np.ones(3)], lr=lambda k: rates[k])
    for _ in rates:
        opt.step([np.ones(3)])
    d = opt.state_dict()  # the callable has no answer for the next step, and is not asked
    assert d["param_groups"][0]["lr_schedule"] == "callable"
    assert d["param_groups"][0]["lr"] == 0.25

    def own(k: int) -> float:
        return 1.0

    other = make("SGD", [np.ones(3)], lr=own)
    with pytest.warns(
        UserWarning, match="a callable, which cannot be saved; this optimizer's own .* is kept"
    ) as seen:
        other.load_state_dict(d)
    assert seen[0].filename == __file__
    assert other.param_groups[0]["lr"] is own
    assert other.step_count == 2


# --- PyTorch's shape ---


def test_a_dict_of_pytorchs_shape_is_taken() -> None:
    """No section of our own; keys that say how; counts as 0-d floating-point arrays."""
    opt, other = (make("Adam", normal(1, SHAPES[:3]), lr=0.1) for _ in range(2))
    for k in range(3):
        opt.step(normal(2 + k, SHAPES[:3]))
    d = opt.state_dict()
    del d["fastopt"]
    for entry in d["state"].values():
        entry["step"] = np.array(3.0, np.float32)
    d["param_groups"][0] |= {
        "foreach": None,
        "fused": None,
        "capturable": False,
        "differentiable": False,
        "lr": 0.2,
    }
    for key in ("l1", "l1_proximal", "eps_inside_root"):
        del d["param_groups"][0][key]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_state_dict(d)
    assert other.step_count == 3
    assert other.param_groups[0]["lr"] == 0.2
    assert bits(other._states) == bits(opt._states)


def test_another_librarys_callable_rate_warns() -> None:
    opt = make("SGD", [np.ones(3)], lr=fastopt.schedules.cosine(0.1, total=9))
    d = {"state": {}, "param_groups": [{"params": [0], "lr": 0.3}]}
    with pytest.warns(UserWarning, match="the saved lr 0.3 is not used"):
        opt.load_state_dict(d)


# --- a file of version 1 ---


def of_golden() -> Any:
    """The optimizer whose state the golden file holds, before that was loaded."""
    params = [np.arange(6, dtype=np.float32).reshape(2, 3), np.float64(2) * np.ones(3)]
    groups = [{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.25}]
    lr = fastopt.schedules.warmup_cosine(0.1, warmup=2, total=10)
    return fastopt.Adam(groups, lr=lr, amsgrad=True, clip_norm=1.0, ema_decay=0.75)


def test_a_file_of_version_1_is_read() -> None:
    """Written by the first version with this format; what changes the reading must go on reading this."""
    opt = of_golden()
    opt.load(GOLDEN)
    assert opt.step_count == 3
    d = opt.state_dict()
    assert [d["state"][i]["step"] for i in (0, 1)] == [3, 2]
    expected = of_golden()
    walk_golden(expected)
    for i in (0, 1):
        for key, value in expected.state_dict()["state"][i].items():
            np.testing.assert_allclose(d["state"][i][key], value, rtol=1e-6, err_msg=key)
    for mine, theirs in zip(opt.ema, expected.ema, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def walk_golden(opt: Any) -> None:
    opt.step([np.ones((2, 3), np.float32), None])
    opt.step([np.full((2, 3), -0.5, np.float32), np.ones(3)])
    opt.step([np.full((2, 3), 2.0, np.float32), np.linspace(-1, 1, 3)])


def test_loading_leaves_its_argument_alone() -> None:
    opt = optimizer("Adam")
    walk(opt, 0, 3)
    d = opt.state_dict()
    kept = copy.deepcopy(d)
    optimizer("Adam").load_state_dict(d)
    assert bits(d) == bits(kept)


# --- what is meant to be otherwise ---


def stepped(**options: Any) -> Any:
    opt = make("Adam", [{"params": normal(1, [(3, 2)])}, {"params": normal(2, [4])}], **options)
    for k in range(3):
        opt.step([*normal(3 + k, [(3, 2)]), *normal(9 + k, [4])])
    return opt


LONGER = fastopt.schedules.cosine(0.1, total=20)
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {  # as saved, as it is, override
    "clip_norm": ({"clip_norm": 1.0}, {"clip_norm": 2.0}, {"clip_norm": 2.0}),
    "clip_norm off": ({"clip_norm": 1.0}, {}, {"clip_norm": None}),
    "by the largest": (
        {"clip_norm": 1.0},
        {"clip_norm": 0.5, "clip_norm_type": "inf"},
        {"clip_norm": 0.5, "clip_norm_type": np.inf},
    ),
    "per tensor": (
        {"clip_norm": 1.0, "clip_norm_type": np.inf},
        {"clip_norm": 1.0, "clip_norm_per": "tensor"},
        {"clip_norm_type": 2.0, "clip_norm_per": "tensor"},
    ),
    "clip_value": ({}, {"clip_value": 2}, {"clip_value": 2}),
    "nonfinite": ({}, {"nonfinite": "skip"}, {"nonfinite": "skip"}),
    "ema on": ({}, {"ema_decay": 0.9}, {"ema_decay": 0.9}),
    "ema off": ({"ema_decay": 0.9}, {}, {"ema_decay": None}),
    "ema slower": ({"ema_decay": 0.9}, {"ema_decay": 0.99}, {"ema_decay": 0.99}),
    "longer": ({"lr": fastopt.schedules.cosine(0.1, total=10)}, {"lr": LONGER}, {"lr": LONGER}),
    "to a schedule": ({"lr": 0.1}, {"lr": 0.1}, {"lr": LONGER}),
    "from a schedule": ({"lr": LONGER}, {"lr": LONGER}, {"lr": 0.5}),
    "betas": ({}, {}, {"betas": (0.5, 0.6), "weight_decay": 0.25}),
    "one group": ({"lr": 0.1}, {}, {"param_groups": [{}, {"lr": 0.5}]}),
    "a group before all": ({}, {}, {"lr": 0.5, "param_groups": [{"lr": LONGER}, {}]}),
    "several": (
        {"clip_norm": 1.0, "ema_decay": 0.5},
        {"ema_decay": 0.75},
        {"clip_norm": None, "ema_decay": 0.75, "lr": LONGER},
    ),
}
NEEDED = {
    "clip_norm",
    "clip_norm off",
    "by the largest",
    "per tensor",
    "clip_value",
    "nonfinite",
    "ema on",
    "ema off",
    "ema slower",
    "longer",
}


@pytest.mark.parametrize("way", ["dict", "file", "tree"])
@pytest.mark.parametrize("case", CHANGES)
def test_a_change_that_is_meant_is_taken_and_the_rest_is_as_saved(
    case: str, way: str, tmp_path: Path
) -> None:
    before, now, override = CHANGES[case]
    old, new = (
        stepped(**before),
        make("Adam", [{"params": normal(1, [(3, 2)])}, {"params": normal(2, [4])}], **now),
    )
    path = tmp_path / "state.npz"

    def load(given: Any) -> None:
        if way == "dict":
            new.load_state_dict(old.state_dict(), override=given)
        elif way == "file":
            new.load(path, override=given)
        else:
            fastopt.load(path, into={"opt": new}, override=given)

    fastopt.save(path, {"opt": old}) if way == "tree" else old.save(path)
    untouched = everything(new)
    if case in NEEDED:
        with pytest.raises(fastopt.CheckpointError, match="if the change is meant: override="):
            load(None)
        assert everything(new) == untouched
    load(override)
    groups = override.get("param_groups", [{}, {}])
    hypers = {k: v for k, v in override.items() if k in old.param_groups[0]}
    for mine, theirs, group in zip(new.param_groups, old.param_groups, groups, strict=True):
        expected = {**theirs, **hypers, **group}
        assert {k: v for k, v in mine.items() if k != "params"} == {
            k: v for k, v in expected.items() if k != "params"
        }
    assert bits(new.state_dict()["state"]) == bits(old.state_dict()["state"])
    assert new.step_count == 3
    kept = "ema_decay" in before and "ema_decay" in now
    assert (new.state_dict()["fastopt"]["ema"] is not None) == kept
    if kept:
        assert bits(new.ema) == bits(old.ema)
    new.step([*normal(3, [(3, 2)]), *normal(9, [4])])  # a schedule is asked, an average begins


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        (3, TypeError, "override: expected a dict, got 3"),
        (
            {"clip_norm": 3.0},
            ValueError,
            "override['clip_norm']: expected 2.0, with which this optimizer was made",
        ),
        ({"nonfinite": "skipp"}, ValueError, "override['nonfinite']: expected 'propagate', with which"),
        ({"momentum": 0.9}, TypeError, "override['momentum']: expected one of clip_value, "),
        ({"params": []}, TypeError, "override['params']: expected one of "),
        ({"lr": -1.0}, ValueError, "override: lr: expected a finite number >= 0, got -1.0"),
        ({"amsgrad": True}, ValueError, "expected amsgrad=False, as this optimizer was made, got True"),
        ({"param_groups": [{}]}, ValueError, 'override["param_groups"]: expected a list of 2 dicts'),
        ({"param_groups": [{}, 3]}, TypeError, 'override["param_groups"][1]: expected a dict, got 3'),
        (
            {"param_groups": [{}, {"clip_norm": 2.0}]},
            TypeError,
            "override[\"param_groups\"][1]['clip_norm']: ",
        ),
    ],
    ids=str,
)
def test_an_override_that_is_none_is_refused(override: Any, error: type[Exception], message: str) -> None:
    old, new = stepped(clip_norm=2.0), stepped(clip_norm=2.0)
    before = everything(new)
    with pytest.raises(error, match=re.escape(message)):
        new.load_state_dict(old.state_dict(), override=override)
    assert everything(new) == before


def test_all_differences_are_listed_in_one_error() -> None:
    opt, other = optimizer("Adam"), optimizer("Adam")
    walk(other, 0, 3)
    d = other.state_dict()
    for path, value in (
        (("fastopt", "options", "clip_norm"), 9.0),
        (("fastopt", "skipped"), -1),
        (("param_groups", 0, "lr"), -1.0),
        (("param_groups", 0, "momentun"), 1.0),
        (("param_groups", 1, "amsgrad"), False),
        (("state", 1, "exp_avg"), F),
        (("state", 2, "exp_avg_sq"), remove),
        (("fastopt", "ema", 2), F[:-1]),
    ):
        change(path, value)(d)
    before = everything(opt)
    with pytest.raises(fastopt.CheckpointError) as caught:
        opt.load_state_dict(d)
    lines = str(caught.value).splitlines()
    for part in (
        "options",
        "skipped",
        "[0]: lr",
        "momentun",
        "[1]: expected amsgrad",
        "[1]['exp_avg']",
        "exp_avg_sq",
        '"ema"][2]',
    ):
        assert sum(part in line for line in lines) == 1, (part, lines)
    assert everything(opt) == before


def test_a_plateau_is_part_of_the_state(tmp_path: Path) -> None:
    def one() -> Any:
        lr = fastopt.schedules.reduce_on_plateau(0.1, patience=0, factor=0.5)
        return lr, make("SGD", [{"params": [np.ones(3)]}, {"params": [np.ones(2)]}], lr=lr)

    lr, opt = one()
    for loss in (3.0, 3.0, 4.0):
        opt.step([np.ones(3), np.ones(2)])
        lr.report(loss)
    assert opt.state_dict()["param_groups"][1]["lr"] == 0.025
    opt.save(tmp_path / "state.npz")
    for load in (lambda o: o.load(tmp_path / "state.npz"), lambda o: o.load_state_dict(opt.state_dict())):
        other_lr, other = one()
        load(other)
        assert other_lr.describe() == lr.describe()
        assert other.param_groups[0]["lr"] is other_lr
        other_lr.report(2.0)
        d = opt.state_dict()
        d["state"]["x"] = 3  # refused: the memory stays
        heard = other_lr.describe()
        with pytest.raises(fastopt.CheckpointError, match="indices"):
            other.load_state_dict(d)
        assert other_lr.describe() == heard
    spoilt = opt.state_dict()
    spoilt["param_groups"][0]["lr_schedule"]["state"]["bad"] = -1
    with pytest.raises(fastopt.CheckpointError, match=re.escape("[\"lr_schedule\"]: state['bad']")):
        opt.load_state_dict(spoilt)


WRONG: list[Any] = [None, True, 3, -1.5, "x", [], {}, [{}], {"name": "cosine"}, np.ones(1), object()]


def places(d: Any) -> list[tuple[Any, ...]]:
    """The paths of all nodes."""
    items = list(d.items() if isinstance(d, dict) else enumerate(d) if isinstance(d, (list, tuple)) else ())
    return [(k, *rest) for k, v in items for rest in [(), *places(v)]]


@pytest.mark.parametrize("named", [False, True])
def test_any_node_replaced_by_anything_is_taken_or_refused(named: bool) -> None:
    """No other exception, and nothing changed where it is refused."""

    def one() -> Any:
        w = {"w": np.ones(2, np.float32), "b": np.ones((), np.float32)}
        lr = fastopt.schedules.reduce_on_plateau(0.1)
        opt = make("NAdam", w if named else list(w.values()), lr=lr, ema_decay=0.5, clip_norm=1.0)
        opt.step({k: v.copy() for k, v in w.items()} if named else [v.copy() for v in w.values()])
        return opt

    opt, refused = one(), 0
    whole = opt.state_dict()
    for path in places(whole):
        for value in WRONG:
            d = copy.deepcopy(whole)
            node = d
            for key in path[:-1]:
                node = node[key]
            if isinstance(node, tuple):
                continue
            node[path[-1]] = value
            other = one()
            before = everything(other)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    other.load_state_dict(d)
                except fastopt.CheckpointError:
                    refused += 1
                    assert everything(other) == before, (path, value)
    assert refused > 300
