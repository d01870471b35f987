"""`compat`: the classes as Keras, TensorFlow 1 and optax have them, and as PyTorch has, by default."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import fastopt
import frameworks
from fastopt._compat import PRESETS, REFUSED
from frameworks import CASES, Case, error, rate, start
from pairs import CLASSES

ALL = [(name, compat) for name, presets in PRESETS.items() for compat in presets]


def by_hand(case: Case) -> list[Any]:
    name = "momentum" if (case.framework, case.name) == ("tf1", "SGD") else case.name.lower()
    step = getattr(frameworks, f"{case.framework}_{name}")(**case.theirs)
    params, grads = start()
    states: list[dict[str, Any]] = [{} for _ in params]
    for k, row in enumerate(grads):
        params = [step(w, g, s, k + 1, rate(k)) for w, g, s in zip(params, row, states, strict=True)]
    return params


def ours(case: Case, **keywords: Any) -> list[Any]:
    params, grads = start()
    opt = CLASSES[case.name](params, rate, **keywords)
    for row in grads:
        opt.step(row)
    return params


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_class_is_the_frameworks(case: Case) -> None:
    assert error(ours(case, compat=case.framework, **case.ours), by_hand(case)) < 1e-13


@pytest.mark.parametrize(("name", "compat"), ALL)
def test_without_the_preset_it_is_not(name: str, compat: str) -> None:
    if PRESETS[name][compat].keys() <= {"lr"}:
        return
    cases = [case for case in CASES if (case.name, case.framework) == (name, compat)]
    assert max(error(ours(case, **case.ours), by_hand(case)) for case in cases) > 1e-9


@pytest.mark.parametrize("case", [case for case in CASES if case.default_lr is not None], ids=str)
def test_the_rate_is_the_frameworks(case: Case) -> None:
    group = CLASSES[case.name]([np.ones(2)], compat=case.framework).param_groups[0]
    assert group["lr"] == case.default_lr
    assert CLASSES[case.name]([np.ones(2)], 0.7, compat=case.framework).param_groups[0]["lr"] == 0.7


def test_every_preset_has_a_case() -> None:
    assert {(case.name, case.framework) for case in CASES} == {pair for pair in ALL if pair[1] != "torch"}


@pytest.mark.parametrize(("name", "compat"), ALL)
def test_a_preset_is_keywords_of_the_class_and_given_ones_win(name: str, compat: str) -> None:
    cls = CLASSES[name]
    for key, value in PRESETS[name][compat].items():
        assert cls([np.ones(2)], compat=compat).param_groups[0][key] == value
        own = cls([np.ones(2)]).param_groups[0][key]
        assert own != value  # else it need not be said
        if key not in REFUSED.get((name, compat), {}):
            given = cls([np.ones(2)], compat=compat, **{key: own}).param_groups[0]
            assert given[key] == own
    rest = {k: v for k, v in cls([np.ones(2)], compat=compat).param_groups[0].items() if k != "params"}
    plain = {k: v for k, v in cls([np.ones(2)]).param_groups[0].items() if k != "params"}
    assert rest == {**plain, **PRESETS[name][compat]}


@pytest.mark.parametrize("name", PRESETS)
def test_torch_is_what_the_class_is_where_torch_has_it(name: str) -> None:
    assert ("torch" in PRESETS[name]) == CLASSES[name].rule.torch
    assert PRESETS[name].get("torch", {}) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_other_words_are_refused(name: str) -> None:
    for bad in ("pytorch", "Keras", 1, ["keras"]):
        with pytest.raises(ValueError, match=f"compat: expected one of .* for {name}, got "):
            CLASSES[name]([np.ones(2)], compat=bad)
    hint = typing.get_type_hints(CLASSES[name].__init__)["compat"]
    assert {word for part in get_args(hint) for word in get_args(part)} == set(PRESETS[name])


def test_what_means_another_formula_there_is_refused() -> None:
    for (name, compat), keys in REFUSED.items():
        for key in keys:
            value = True if key == "amsgrad" else 0.1
            with pytest.raises(ValueError, match=f"{key}: not with compat='{compat}' for {name} "):
                CLASSES[name]([np.ones(2)], compat=compat, **{key: value})


def test_the_table_of_the_design_note_is_the_presets() -> None:
    note = (Path(__file__).parents[1] / "docs/design/rules.md").read_text(encoding="utf-8")
    table = [line for line in note.splitlines() if line.startswith(("| keras |", "| tf1 |", "| optax |"))]
    values = {
        (compat, name): ", ".join(f"`{key}={value!r}`" for key, value in PRESETS[name][compat].items())
        for name, compat in ALL
        if compat != "torch"
    }
    assert table == [f"| {c} | {n} | {text or 'as by default'} |" for (c, n), text in values.items()]


def test_classes_that_do_not_differ_have_no_such_keyword() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'compat'"):
        fastopt.Rprop([np.ones(2)], compat="torch")  # type: ignore[call-arg]


def test_groups_begin_with_the_preset_and_a_subclass_has_it() -> None:
    class Mine(fastopt.RMSprop):
        pass

    opt = Mine([{"params": [np.ones(2)]}, {"params": [np.ones(3)], "alpha": 0.5}], compat="keras")
    assert [group["alpha"] for group in opt.param_groups] == [0.9, 0.5]
    assert [group["momentum_form"] for group in opt.param_groups] == ["step", "step"]


def test_a_state_goes_on_without_the_preset_s_name(tmp_path: Any) -> None:
    """What is saved are the values."""
    params, grads = start()
    opt = fastopt.RMSprop(params, 0.1, momentum=0.9, compat="tf1")
    opt.step(grads[0])
    opt.save(tmp_path / "state.npz")
    values = {k: v for k, v in opt.param_groups[0].items() if k != "params"}
    again = fastopt.RMSprop([p.copy() for p in params], **values)
    again.load(tmp_path / "state.npz")
    for side in (opt, again):
        side.step(grads[1])
    assert all(np.array_equal(a, b) for a, b in zip(opt.params.values(), again.params.values(), strict=True))


def test_adamax_with_epsilon_after_the_maximum_rests_where_there_was_no_gradient() -> None:
    w = np.ones(3, np.float32)
    opt = fastopt.Adamax([w], lr=0.1, compat="keras")
    for k in range(400):
        opt.step([np.array([0.0, 1e-30, 0.0 if k else 1.0], np.float32)])
    assert w[0] == 1
    assert np.isfinite(w).all()
