"""Parameters given as a dict are known by their names: a saved state finds its own, in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, bits, everything, make, setting

NAMES = ("w", "b", "scale")
ORDERS = [("w", "b", "scale"), ("scale", "w", "b"), ("b", "scale", "w")]


def by_name(name: str, order: Any = NAMES, **options: Any) -> Any:
    """All of one shape: nothing but the name tells them apart."""
    keywords = {**setting(name), "ema_decay": 0.5, **options}
    return make(name, {key: np.full(4, float(NAMES.index(key))) for key in order}, **keywords)


def walk(opt: Any, steps: int) -> None:
    for k in range(steps):
        by = {"w": 1.0, "b": 100.0 + k, "scale": -3.0}
        if opt._names is not None:
            opt.step({n: np.full(4, by[n]) for n in opt._names})
        else:
            opt.step([np.full(4, by[n]) for n in NAMES])


def of(opt: Any) -> dict[str, Any]:
    """All that belongs to each parameter, by its name."""
    d = opt.state_dict()
    names = opt._names or NAMES
    return {n: bits([d["state"][i], d["fastopt"]["ema"][i]]) for i, n in enumerate(names)}


def moved(a: Any, b: Any, way: str, path: Path) -> None:
    if way == "dict":
        b.load_state_dict(a.state_dict())
    else:
        a.save(path)
        b.load(path)


@pytest.mark.parametrize("way", ["dict", "file"])
@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("name", CLASSES)
def test_names_on_both_sides(name: str, order: Any, way: str, tmp_path: Path) -> None:
    a, b = by_name(name), by_name(name, order)
    walk(a, 3)
    moved(a, b, way, tmp_path / "state.npz")
    assert of(b) == of(a)
    for n, theta in zip(a._names, a._params, strict=True):
        b._params[list(order).index(n)][...] = theta
    for opt in (a, b) if name == "Kron" else ():  # what it would draw depends on the parameter's position
        opt.param_groups[0]["preconditioner_update_probability"] = 0.0
    walk(a, 2)
    walk(b, 2)
    assert of(b) == of(a)
    for n, theta in zip(a._names, a._params, strict=True):
        np.testing.assert_array_equal(b._params[list(order).index(n)], theta)


@pytest.mark.parametrize("way", ["dict", "file"])
@pytest.mark.parametrize(("saved", "here"), [(True, False), (False, True), (False, False)])
def test_without_names_on_one_side_by_position(saved: bool, here: bool, way: str, tmp_path: Path) -> None:
    def one(named: bool) -> Any:
        arrays = [np.full(4, float(i)) for i in range(3)]
        return make("Adam", dict(zip(NAMES, arrays, strict=True)) if named else arrays, ema_decay=0.5)

    a, b = one(saved), one(here)
    walk(a, 3)
    moved(a, b, way, tmp_path / "state.npz")
    assert of(b) == of(a)


def test_where_the_names_are() -> None:
    """Where PyTorch (2.6) has them."""
    d = by_name("Adam").state_dict()
    assert d["param_groups"][0]["param_names"] == list(NAMES)
    assert "param_names" not in make("Adam", [np.ones(3)]).state_dict()["param_groups"][0]


def test_a_parameter_without_state_moves_too() -> None:
    a, b = by_name("Adam"), by_name("Adam", ORDERS[1])
    a.step({"w": np.ones(4), "b": None, "scale": np.full(4, 2.0)})
    b.load_state_dict(a.state_dict())
    d = b.state_dict()
    assert sorted(d["state"]) == [0, 1]  # scale and w
    np.testing.assert_array_equal(d["state"][0]["exp_avg"], a.state_dict()["state"][2]["exp_avg"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["w", "b", "gain"], "missing ['scale'], not known here ['gain']"),
        (["w", "b"], "missing ['scale'], not known here []"),
        (["w", "b", "scale", "gain"], "not known here ['gain']"),
        (["w", "b", "b"], "expected names that differ"),
        (["w", "b", 3], "expected a list of names"),
        ("wbs", "expected a list of names"),
        (3, "expected a list of names"),
        ([], "missing ['w', 'b', 'scale']"),
    ],
    ids=str,
)
def test_names_that_do_not_fit(names: Any, message: str) -> None:
    a, b = by_name("Adam"), by_name("Adam")
    walk(a, 2)
    walk(b, 1)
    d = a.state_dict()
    d["param_groups"][0]["param_names"] = names
    before = everything(b)
    with pytest.raises((TypeError, ValueError), match="param_names") as caught:
        b.load_state_dict(d)
    assert message in str(caught.value)
    assert everything(b) == before


def test_names_of_other_types_are_matched_as_they_are_shown() -> None:
    a = make("SGD", {0: np.zeros(2), 1: np.zeros(2)}, momentum=0.5)
    b = make("SGD", {1: np.zeros(2), 0: np.zeros(2)}, momentum=0.5)
    a.step({0: np.ones(2), 1: np.full(2, 5.0)})
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(b.state_dict()["state"][0]["momentum_buffer"], 5)


def test_shapes_are_checked_after_matching() -> None:
    a = make("SGD", {"a": np.zeros(2), "b": np.zeros(3)}, momentum=0.5)
    b = make("SGD", {"b": np.zeros(3), "a": np.zeros(2)}, momentum=0.5)
    a.step({"a": np.ones(2), "b": np.ones(3)})
    b.load_state_dict(a.state_dict())
    wrong = make("SGD", {"b": np.zeros(2), "a": np.zeros(3)}, momentum=0.5)
    with pytest.raises(ValueError, match="expected shape"):
        wrong.load_state_dict(a.state_dict())


def test_gradients_whose_keys_are_the_same_text_are_refused() -> None:
    theta = {1: np.zeros(1)}
    opt = fastopt.SGD(theta, lr=1.0)
    with pytest.raises(ValueError, match="grads: expected the keys"):
        opt.step({1: np.ones(1), "1": np.full(1, 5.0)})
    assert theta[1] == 0


def test_a_file_with_averages_says_what_does_not_fit(tmp_path: Path) -> None:
    opt = fastopt.Adam([np.zeros(1), np.zeros(2)], ema_decay=0.9)
    opt.step([np.ones(1), np.ones(2)])
    opt.save(tmp_path / "with.npz")
    for other, what in (
        (fastopt.Adam([np.zeros(1), np.zeros(2)]), "ema_decay"),
        (fastopt.Adam([np.zeros(1)], ema_decay=0.9), "expected"),
        (fastopt.SGD([np.zeros(1), np.zeros(2)]), "expected the state of SGD"),
    ):
        with pytest.raises(ValueError, match=what) as caught:
            other.load(tmp_path / "with.npz")
        assert "layout" not in str(caught.value)
