"""Hyper-parameters out of range are refused at construction, in group dicts and by assignment, by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from draws import GROUP, VARIANTS
from engine import CLASSES, everything, make, setting
from test_bad_input import Twins

NOT_NUMBERS: tuple[Any, ...] = ("0.1", None, 1j, True, np.ones(2), [0.1])
OUT_OF_RANGE = (np.nan, np.inf, -np.inf, -1e-9, -1.0, 10**400, 10**5000)  # no digits are written of the last
#: Besides: what must lie in [0, 1), or in [0, 1].
BELOW_ONE = {"momentum": (1.0, 1.5), "betas": (1.0, 1.5), "dampening": (1.5,), "ema_decay": (1.5,)}
BELOW_ONE |= {"beta3": (1.0, 1.5), "growth_rate": (0.0, 0.5)}
#: Of these what keywords do take: an exponent is not above 0, and where 1 would do no harm it is infinite.
BESIDE = {"growth_rate": (np.inf,), "beta2_decay": (-1e-9, -1.0), "shampoo_beta": (-1e-9, -1.0)}
#: Numbers for which None says something too.
OR_NONE = ("alpha_warmup", "beta3", "beta3_warmup", "clip_exp", "preconditioner_update_probability")
WHOLE = {"clip_value": (0.0,), "clip_norm": (0.0,), "ema_decay": (1.5,)}


#: None leaves these to the class.
MAY_BE_NONE = {"use_muon", "batch_axes", "adamw_weight_decay"}


def bad_values(key: str, good: Any) -> list[tuple[Any, type[Exception] | tuple[type[Exception], ...]]]:
    bad = all_bad_values(key, good)
    return [pair for pair in bad if not (key in MAY_BE_NONE and pair[0] is None)]


def all_bad_values(key: str, good: Any) -> list[tuple[Any, type[Exception] | tuple[type[Exception], ...]]]:
    if isinstance(good, bool):
        return [(value, TypeError) for value in (1, 0.0, "yes", None)]
    if isinstance(good, int):
        return [(value, (TypeError, ValueError)) for value in (*OUT_OF_RANGE, 1.0, *NOT_NUMBERS)]
    if isinstance(good, str):
        arrays = [
            np.array(good),
            np.array([good]),
            np.array([good, good]),
        ]  # of which `in` is true, or raises
        return [(value, (TypeError, ValueError)) for value in ("nonsense", 5, 10**5000, [good], *arrays)]
    if isinstance(good, tuple):
        spoiled = [(*good[:-1], bad) for bad in (*OUT_OF_RANGE, *BELOW_ONE.get(key, ()))]
        wrong = [(*good[:-1], bad) for bad in ("0.1", None, 1j)]
        lengths = [good[:-1], (*good, 0.5), (), 0.9, None, "ab", set(good), dict.fromkeys(good)]
        return [(v, ValueError) for v in spoiled] + [(v, (TypeError, ValueError)) for v in (*wrong, *lengths)]
    either = (TypeError, ValueError)
    numbers = [
        (value, either if isinstance(good, int) else ValueError)
        for value in (*OUT_OF_RANGE, *BELOW_ONE.get(key, ()))
        if value not in BESIDE.get(key, ())
    ]
    others = [value for value in NOT_NUMBERS if value is not None or key not in OR_NONE]
    return numbers + [(value, either) for value in others]


def numbers_of(name: str) -> dict[str, Any]:
    """Every keyword of the class's groups, with a good value."""
    found: dict[str, Any] = {}
    for variant in range(len(VARIANTS[name])):
        found = {**setting(name, variant), **found}
    return found | {key: True if value is True else 0.1 for key, value in GROUP.items()}


CASES = [(name, key) for name in CLASSES for key in numbers_of(name)]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_out_of_range(name: str, key: str) -> None:
    twins = Twins(name)
    for bad, error in bad_values(key, numbers_of(name)[key]):
        named = re.escape(key)
        with pytest.raises(error, match=named):
            make(name, [np.ones(3)], **{key: bad})
        with pytest.raises(error, match=rf"params\[1\]: {named}"):
            make(name, [{"params": [np.ones(3)]}, {"params": [np.ones(3)], key: bad}])
        before = everything(twins.bad)
        with pytest.raises(error, match=named):
            twins.bad.param_groups[1][key] = bad
        with pytest.raises(error, match=rf"params\[2\]: {named}"):
            twins.bad.add_param_group({"params": [np.ones(3)], key: bad})
        assert everything(twins.bad) == before
    twins.step(5)
    assert everything(twins.bad) == everything(twins.good)


@pytest.mark.parametrize("key", WHOLE)
def test_of_the_whole_optimizer(key: str) -> None:
    for bad in (*OUT_OF_RANGE, *WHOLE[key]):
        with pytest.raises(ValueError, match=rf"{key}: expected .*, got"):
            make("Adam", [np.ones(3)], **{key: bad})
    for bad in ("0.1", 1j, True, [0.1]):
        with pytest.raises(TypeError, match=rf"{key}: expected .*, got"):
            make("Adam", [np.ones(3)], **{key: bad})
    with pytest.raises(TypeError, match=rf"params\[0\]: {key}: "):
        make("Adam", [{"params": [np.ones(3)], key: 0.5}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonfinite": "ignore"}, "nonfinite: expected 'propagate', 'skip' or 'raise', got 'ignore'"),
        ({"nonfinite": None}, "nonfinite: expected"),
        ({"nonfinite": np.array(["skip", "raise"])}, "nonfinite: expected"),
        *(
            ({"clip_norm_type": bad}, f"clip_norm_type: expected 2 or inf, got {bad!r}")
            for bad in (1, 0, -2, 3.5, -np.inf, np.nan, True, "2", "max", "infinity", None, [2], np.array(2))
        ),
        *(
            ({"clip_norm_per": bad}, f"clip_norm_per: expected 'all' or 'tensor', got {bad!r}")
            for bad in ("tensors", "", None, 1, ["all"], np.array("all"))
        ),
        ({"dtype": "float16"}, 'dtype: expected "bfloat16" or None'),
        (
            {"state_dtype": "int16"},
            "state_dtype: expected float64, float32, float16, bfloat16 or int8, got int16",
        ),
        ({"state_dtype": ">f4"}, "state_dtype: expected float64, float32"),
        ({"state_dtype": "nonsense"}, "state_dtype: expected a floating-point dtype, got 'nonsense'"),
        ({"state_dtype": 5}, "state_dtype: expected a floating-point dtype, got 5"),
    ],
    ids=str,
)
def test_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make("Adam", [np.ones(3)], **options)


#: What is no word though `in` a tuple of words is true of it or raises, or `repr` raises.
NO_WORDS: tuple[Any, ...] = (5, 10**5000, ["skip"], {"skip"}, np.array(["skip"]), np.array(["skip", "raise"]))


@pytest.mark.parametrize(
    "key", ["nonfinite", "rounding", "master", "clip_norm_type", "clip_norm_per", "state_dtype", "dtype"]
)
def test_what_is_no_word_is_refused_by_name(key: str) -> None:
    for bad in NO_WORDS:
        with pytest.raises((TypeError, ValueError), match=f"^{key}: expected"):
            make("Adam", [np.ones(3)], **{key: bad})
    opt = make("Adam", [np.ones(3)])
    for bad in NO_WORDS if key != "dtype" else ():
        with pytest.raises((TypeError, ValueError), match=rf"^override\['{key}'\]: expected"):
            opt.load_state_dict(opt.state_dict(), override={key: bad})


def test_integers_that_python_writes_no_digits_of() -> None:
    for key in ("lr", "seed", "clip_norm", "betas", "compat"):
        for huge in (10**5000, -(10**5000), (10**5000,), [10**5000, 1]):
            with pytest.raises((TypeError, ValueError), match=f"^{key}(\\[0\\])?: expected"):
                make("Adam", [np.ones(3)], **{key: huge})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Adam", "betas"),
        ("Adafactor", "eps_form"),
        ("Kron", "memory_save_mode"),
        ("MARS", "mars_type"),
        ("Muon", "adjust_lr_fn"),
        ("Muon", "method"),
        ("Rprop", "etas"),
        ("Shampoo", "grafting"),
        ("SGD", "momentum_form"),
    ],
)
@pytest.mark.parametrize(
    "bad", [np.array(0.5), np.array(["a", "b"]), np.ones((2, 2)), {"a"}, [["a"]]], ids=repr
)
def test_arrays_in_the_place_of_words_and_pairs(name: str, key: str, bad: Any) -> None:
    """An array is equal to a word element by element, and one without axes has no length."""
    with pytest.raises((TypeError, ValueError), match=rf"{key}(\[0\])?: expected"):
        make(name, [np.ones((3, 2))], **{key: bad})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"nesterov": True}, "nesterov: expected momentum > 0 and dampening 0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.5}, "nesterov: expected momentum > 0"),
        ("Rprop", {"etas": (1.1, 1.2)}, "etas"),
        ("Rprop", {"etas": (0.5, 0.9)}, "etas"),
        ("Rprop", {"step_sizes": (50.0, 1e-6)}, "step_sizes"),
        ("Rprop", {"step_sizes": (0.0, 1.0)}, "step_sizes"),
        ("Adadelta", {"rho": 1.5}, "rho"),
        ("RMSprop", {"alpha": 1.5}, "alpha"),
        ("Adafactor", {"beta2_decay": 0.5}, "beta2_decay: expected a finite number <= 0, got 0.5"),
        *(
            ("MARS", {"mars_type": "mars-lion", "amsgrad": True, **flag}, "amsgrad: expected False with")
            for flag in ({}, {"cautious": True}, {"cautious_weight_decay": True}, {"centralize": True})
        ),
    ],
    ids=str,
)
def test_what_pytorch_lets_through(name: str, options: dict[str, Any], message: str) -> None:
    if name not in CLASSES:
        pytest.fail(f"{name} is missing")
    with pytest.raises(ValueError, match=re.escape(message)):
        make(name, [np.ones(3)], **options)


def test_assignment_takes_effect_at_the_next_step() -> None:
    a, b = np.ones(3), np.ones(3)
    opt = make("Adam", [a], lr=0.1, weight_decay=0.3, betas=(0.5, 0.6))
    new = {
        "lr": 0.2,
        "weight_decay": 0.7,
        "l1": 0.1,
        "l1_proximal": 0.05,
        "maximize": True,
        "eps": 0.1,
        "betas": (0.8, 0.9),
    }
    for key, value in new.items():
        opt.param_groups[0][key] = value
        assert opt.param_groups[0][key] == value
    opt.step([np.ones(3)])
    make("Adam", [b], **new).step([np.ones(3)])
    np.testing.assert_array_equal(a, b)


def test_what_chooses_the_formula_is_fixed() -> None:
    for name, key, value in (
        ("Adam", "amsgrad", False),
        ("SGD", "momentum", 0.0),
        ("SGD", "momentum_form", "step"),
    ):
        twins = Twins(name, **({"momentum": 0.5} if name == "SGD" else {}))
        good = twins.bad.param_groups[0][key]
        if good != value:
            twins.refuses(
                ValueError,
                key + ".*fixed once the group is made",
                lambda opt, k=key, v=value: opt.param_groups[0].__setitem__(k, v),
            )
        twins.bad.param_groups[0][key] = good


def test_hyper_parameters_are_not_removed_and_params_not_replaced() -> None:
    twins = Twins()
    twins.refuses(TypeError, "lr: .*not removed", lambda opt: opt.param_groups[0].__delitem__("lr"))
    twins.refuses(TypeError, "params", lambda opt: opt.param_groups[0].__setitem__("params", [np.ones(3)]))
