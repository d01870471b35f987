"""States in half precision: which are kept as they are computed, what float16 can hold, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, LEVELS, make, shaped

SHAPE = (64, 64)
#: Settings of a class whose states differ in kind.
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CLASSES),
    ("SGD", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("SignSGD", {"momentum": 0.9}),
]
#: Rates with which 300 steps come nearer to an optimum 1e-3 away.
RATES = {"SGD": 0.05, "LARS": 0.05, "Adadelta": 0.05, "ASGD": 0.05, "FTRL": 0.05, "Prodigy": 1.0}
#: Without what moves weights where gradients are 0.
STILL = {"weight_decay": 0.0, "lambd": 0.0}
NOTHING_TO_STORE = (
    "ASGD",
    "Adafactor",
    "FTRL",
    "Kron",
    "RowWiseAdagrad",
    "SOAP",
    "ScheduleFreeSGD",
    "Shampoo",
)
HALVES = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


def options(name: str, more: dict[str, Any]) -> dict[str, Any]:
    known = getattr(fastopt, name)([np.ones(2, np.float32)]).param_groups[0]
    return {**{k: v for k, v in STILL.items() if k in known}, "lr": RATES.get(name, 1e-5), **more}


def stores(name: str, more: dict[str, Any], dtype: Any) -> bool:
    try:
        make(name, [np.ones(SHAPE, np.float32)], state_dtype=dtype, **more)
    except TypeError:
        return False
    return True


STORED = [
    (name, more, dtype)
    for name, more in CASES
    for dtype in ("bfloat16", "float16", "int8")
    if stores(name, more, dtype)
]


@pytest.mark.parametrize(("name", "more", "dtype"), STORED, ids=str)
def test_gradients_of_zero_move_no_weight(name: str, more: dict[str, Any], dtype: Any) -> None:
    w = np.linspace(0.5, 2, 4096, dtype=np.float32).reshape(SHAPE)
    start = w.copy()
    opt = make(name, [w], state_dtype=dtype, **options(name, more))
    for _ in range(5):
        opt.step([np.zeros_like(w)])
    assert np.array_equal(w, start)
    if name.startswith("ScheduleFree"):
        opt.eval()
        np.testing.assert_array_max_ulp(w, start, 1)


@pytest.mark.parametrize(("name", "more", "dtype"), STORED, ids=str)
def test_fine_tuning_arrives_where_float32_does(name: str, more: dict[str, Any], dtype: Any) -> None:
    away = []
    for stored in (dtype, None):
        w = np.linspace(0.5, 2, 4096, dtype=np.float32).reshape(SHAPE)
        best = w + np.where(np.indices(SHAPE).sum(0) % 2, np.float32(1e-3), -np.float32(1e-3))
        opt = make(name, [w], state_dtype=stored, **options(name, more))
        rng = np.random.default_rng(5)
        for _ in range(300):
            opt.step([w - best + np.float32(1e-4) * rng.standard_normal(SHAPE, np.float32)])
        away.append(float(np.sqrt(np.mean((w - best) ** 2))))
    # eight bits: m deviates by 8 %, v by 16 % (docs/design/bytes.md)
    assert away[0] < (1.5 if dtype == "int8" else 1.1) * away[1] + 2e-6


@pytest.mark.parametrize("dtype", ["bfloat16", None])
def test_a_centered_variance_is_not_what_rounding_leaves_of_it(dtype: Any) -> None:
    """v less the squared mean, of which it is a hundredth here: float32 moves by ten rates at most."""
    w = np.zeros(4096, np.float32)
    opt = fastopt.RMSprop([w], lr=1e-3, centered=True, momentum=0.5, state_dtype=dtype)
    rng = np.random.default_rng(0)
    largest = 0.0
    for k in range(600):
        before = w.copy()
        opt.step([1 + np.float32(0.1) * rng.standard_normal(4096, np.float32)])
        largest = max(largest, float(np.abs(w - before).max()) if k > 300 else 0.0)
    assert largest < 0.06


# --- what is kept as it is computed ---

EXACT = {
    "ScheduleFreeAdamW": ("z", "exp_avg_sq"),
    "ScheduleFreeRAdam": ("z", "exp_avg_sq"),
    "Prodigy": ("p0", "exp_avg_sq"),
    "RMSprop": ("grad_avg", "momentum_buffer"),
}
WITH: dict[str, dict[str, Any]] = {"RMSprop": {"centered": True, "momentum": 0.9}}


@pytest.mark.parametrize("wide", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_what_parameters_are_formed_of_is_kept_as_it_is_computed(name: str, wide: Any) -> None:
    kept, narrow = EXACT[name]
    w = np.ones(8, wide)
    opt = make(name, [w], state_dtype="bfloat16", **WITH.get(name, {}))
    opt.step([np.ones_like(w)])
    assert opt.state[0][kept].dtype == wide
    assert opt.state[0][narrow].itemsize == 2
    with pytest.raises(TypeError, match=rf"'{kept}' of {name} is kept as it is computed"):
        make(name, [w], state_dtype={kept: "bfloat16"}, **WITH.get(name, {}))
    make(name, [w], state_dtype={narrow: "bfloat16"}, **WITH.get(name, {}))


@pytest.mark.parametrize(
    ("name", "state"), [("ASGD", "ax"), ("FTRL", "linear"), ("FTRL", "sum"), ("ScheduleFreeSGD", "z")]
)
@HALVES
def test_all_that_a_rule_keeps_may_be_such(name: str, state: str, dtype: str) -> None:
    with pytest.raises(TypeError, match=f"{state!r} of {name} is kept|squares"):
        make(name, [np.ones(8, np.float32)], state_dtype={state: dtype})


def test_float32_is_less_than_float64_is_computed_in() -> None:
    w = np.ones(8)
    opt = make("ScheduleFreeAdamW", [w], state_dtype="float32")
    opt.step([w * 0])
    assert opt.state[0]["z"].dtype == np.float64
    assert opt.state[0]["exp_avg_sq"].dtype == np.float32
    with pytest.raises(
        TypeError, match=r"params\[0\] is float64, and its state 'z' is kept as it is computed"
    ):
        make("ScheduleFreeAdamW", [w], state_dtype={"z": "float32"})


@HALVES
@pytest.mark.parametrize("name", NOTHING_TO_STORE)
def test_a_class_that_could_store_nothing_in_it_refuses_it(name: str, dtype: str) -> None:
    with pytest.raises(TypeError, match=rf"^state_dtype: .*{name}.*{dtype}"):
        make(name, [np.ones(SHAPE, np.float32)], state_dtype=dtype)
    make(name, [np.ones(SHAPE, np.float32)], state_dtype="float32")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_what_is_accepted_is_not_ignored(name: str, dtype: str) -> None:
    if not stores(name, {}, dtype):
        return
    opt = make(name, [np.ones(SHAPE, np.float32)], state_dtype=dtype)
    opt.step([np.ones(SHAPE, np.float32)])
    arrays = [v for v in opt.state_dict()["state"][0].values() if isinstance(v, np.ndarray)]
    own = [s for s in opt._rules[0]["states"] if s and s not in shaped(opt._rules[0])]
    assert not own or any(a.itemsize < 4 for a in arrays)


# --- float16 ---


@pytest.mark.parametrize(
    ("name", "state", "fit"),
    [
        ("Adamax", "exp_inf", "float32, bfloat16 or int8"),
        ("Rprop", "prev", "float32 or bfloat16"),
        ("Rprop", "step_size", "float32 or bfloat16"),
        ("Prodigy", "s", "float32 or bfloat16"),
        ("Adam", "exp_avg_sq", "float32, bfloat16 or int8"),
    ],
)
def test_float16_is_refused_where_small_numbers_count(name: str, state: str, fit: str) -> None:
    w = [np.ones(8, np.float32)]
    with pytest.raises(TypeError, match=rf"expected {fit} for {name}, got float16: its state '{state}'"):
        make(name, w, state_dtype={state: "float16"})
    with pytest.raises(
        TypeError, match=r"got float16: its state .*; a dict may choose float16 for its others"
    ):
        make(name, w, state_dtype="float16")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("wide", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("nonfinite", ["propagate", "skip", "raise"])
def test_what_is_finite_stays_finite_in_float16(level: str, wide: Any, nonfinite: str) -> None:
    size = 3.0e4 if wide == np.float16 else 1e38 if wide == np.float32 else 1e300
    w = np.zeros(1100, wide)
    opt = make(
        "SGD",
        [w],
        level,
        lr=1e-30,
        momentum=0.9,
        state_dtype={"momentum_buffer": "float16"},
        nonfinite=nonfinite,
    )
    g = np.full(1100, size, wide)
    g[1::2] *= -1
    g[::3] = 1
    for _ in range(4):
        opt.step([g])
    kept = opt.state[0]["momentum_buffer"].astype(np.float64)
    assert np.all(np.abs(kept) <= 65504)
    large = np.abs(g.astype(np.float64)) > 2
    np.testing.assert_array_equal(kept[large], np.where(g > 0, 65504.0, -65504.0)[large])
    assert np.isfinite(w).all()
    assert opt.skipped == 0


@pytest.mark.parametrize("level", LEVELS)
def test_infinity_stays_infinity_in_float16(level: str) -> None:
    w = np.zeros(8, np.float32)
    opt = make("SGD", [w], level, lr=1e-3, momentum=0.9, state_dtype="float16")
    opt.step([np.array([np.inf, -np.inf, np.nan, 65504, 65520, 65535, 65536, 1e-9], np.float32)])
    kept = opt.state[0]["momentum_buffer"]
    np.testing.assert_array_equal(kept[:7], np.float16([np.inf, -np.inf, np.nan, 65504, 65504, 65504, 65504]))


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan"])
def test_parameters_in_float16_round_as_they_do(rounding: str) -> None:
    w = np.full(64, 65504, np.float16)
    opt = fastopt.SGD([w], lr=1.0, rounding=rounding)
    opt.step([np.full(64, -64, np.float32)])
    assert np.isinf(w).all()


def test_states_converted_to_float16_stay_finite_too() -> None:
    w = np.zeros(8, np.float32)
    opt = fastopt.SGD([w], lr=1e-9, momentum=0.9)
    opt.step([np.array([1e6, -1e6, np.inf, 1, 0, 65520, 2, 3], np.float32)])
    twin = fastopt.SGD([w.copy()], lr=1e-9, momentum=0.9, state_dtype="float16")
    twin.load_state_dict(opt.state_dict(), override={"state_dtype": "float16"})
    expected = np.float16([65504, -65504, np.inf, 1, 0, 65504, 2, 3])
    np.testing.assert_array_equal(twin.state[0]["momentum_buffer"], expected)
