"""What happens within a step, and in which order: DESIGN section 4 against explicit NumPy.

SGD leaves little between the operations and the result, and SignSGD shows that decoupled decay comes before
the rule. In float64 each operation below is rounded once, as in the engine: results are compared to the bit.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from engine import CLASSES, EXTRAS, LEVELS, bits, everything, make, normal, setting

SHAPES = [(3, 5), 130, (2 * 1024 + 3,)]
LR, MU = 0.3, 0.75

SWITCHES: dict[str, dict[str, Any]] = {
    "grad_scale": {"grad_scale": 3.0},
    "clip_value": {"clip_value": 0.9},
    "clip_norm": {"clip_norm": 5.0},
    "maximize": {"maximize": True},
    "weight_decay": {"weight_decay": 0.21},
    "l1": {"l1": 0.13},
    "l1_proximal": {"l1_proximal": 0.4},
    "ema": {"ema_decay": 0.7},
    "zero_grads": {"zero_grads": True},
}
OF_STEP = ("grad_scale", "zero_grads")
CASES = [(a, b) for a, b in itertools.combinations_with_replacement(SWITCHES, 2)] + [tuple(SWITCHES)]


def sign(x: Any) -> Any:
    return (x > 0) * 1.0 - (x < 0) * 1.0


def norm_of(grads: list[Any]) -> float:
    """In extended precision: right to more digits than asked for."""
    wide = np.longdouble(0)
    for g in grads:
        wide += np.sum(np.square(g.astype(np.longdouble)))
    return float(np.sqrt(wide))


def by_hand(state: dict[str, Any], grads: list[Any], o: dict[str, Any], norm: float | None) -> None:
    """One step of SGD with momentum, in the order of the contract."""
    scaled = [g * (1 / o.get("grad_scale", 1.0)) if "grad_scale" in o else g for g in grads]
    if "clip_value" in o:
        scaled = [np.clip(g, -o["clip_value"], o["clip_value"]) for g in scaled]
    factor = min(1.0, o["clip_norm"] / (norm + 1e-6)) if norm is not None and "clip_norm" in o else 1.0
    for i, g in enumerate(scaled):
        theta = state["theta"][i]
        g = g * factor if factor != 1 else g
        g = -g if o.get("maximize") else g
        g = g + o["weight_decay"] * theta if "weight_decay" in o and not o.get("decoupled") else g
        g = g + o["l1"] * sign(theta) if "l1" in o else g
        theta = (
            theta - (LR * o["weight_decay"]) * theta if o.get("decoupled") and "weight_decay" in o else theta
        )
        v = MU * state["v"][i] + 1.0 * g
        theta = theta - LR * v
        if "l1_proximal" in o:
            size = np.abs(theta) - LR * o["l1_proximal"]
            theta = np.where(size > 0, np.copysign(size, theta), 0.0)
        d = o.get("ema_decay")
        if d is not None:
            old = state["ema"][i]
            state["ema"][i] = theta.copy() if state["steps"] == 0 else old + ((1 - d) * theta - (1 - d) * old)
        state["theta"][i], state["v"][i] = theta, v
    state["steps"] += 1


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES, ids="+".join)
def test_the_order_of_operations(case: tuple[str, ...], level: str) -> None:
    o: dict[str, Any] = {}
    for key in case:
        o |= SWITCHES[key]
    of_step = {k: v for k, v in o.items() if k in OF_STEP}
    options = {k: v for k, v in o.items() if k not in OF_STEP}
    theta = normal(1, SHAPES, np.float64)
    opt = make("SGD", theta, level, lr=LR, momentum=MU, **options)
    start = normal(1, SHAPES, np.float64)
    state: dict[str, Any] = {"theta": start, "v": [0.0 * t for t in start], "ema": [None] * 3, "steps": 0}
    for k in range(3):
        grads = normal(20 + k, SHAPES, np.float64, scale=2.0)
        given = [g.copy() for g in grads]
        opt.step(given, **of_step)
        unscaled = [g * (1 / o["grad_scale"]) for g in grads] if "grad_scale" in o else grads
        if "clip_value" in o:
            unscaled = [np.clip(g, -o["clip_value"], o["clip_value"]) for g in unscaled]
        if "clip_norm" in o:
            assert opt.grad_norm == pytest.approx(norm_of(unscaled), rel=1e-14)
        else:
            assert opt.grad_norm is None
        by_hand(state, grads, o, opt.grad_norm)
        for mine, hand in zip(theta, state["theta"], strict=True):
            np.testing.assert_array_equal(mine, hand)
        if "ema_decay" in o:
            for mine, hand in zip(opt.ema, state["ema"], strict=True):
                np.testing.assert_array_equal(mine, hand)
        for g, was in zip(given, grads, strict=True):
            np.testing.assert_array_equal(g, 0 if "zero_grads" in o else was)
    if "l1_proximal" in o:
        assert any((t == 0).any() for t in theta)


@pytest.mark.parametrize("other", ["l1", "clip_norm", "l1_proximal", "maximize", "ema"])
@pytest.mark.parametrize("level", LEVELS)
def test_decoupled_decay_comes_after_what_reads_theta_and_before_the_rule(level: str, other: str) -> None:
    """SignSGD: theta - lr wd theta - lr sign(g); the l1 term reads theta before its decay."""
    o = {"weight_decay": 0.5, **SWITCHES[other]}
    theta, grads = normal(2, SHAPES, np.float64), normal(3, SHAPES, np.float64)
    opt = make("SignSGD", theta, level, lr=LR, decoupled_weight_decay=True, **o)
    opt.step(grads)
    for mine, was, g in zip(theta, normal(2, SHAPES, np.float64), grads, strict=True):
        if other == "clip_norm":
            g = g * min(1.0, 5.0 / (opt.grad_norm + 1e-6))
        g = -g if other == "maximize" else g
        g = g + 0.13 * sign(was) if other == "l1" else g
        expected = (was - (LR * 0.5) * was) - LR * sign(g)
        if other == "l1_proximal":
            size = np.abs(expected) - LR * 0.4
            expected = np.where(size > 0, np.copysign(size, expected), 0.0)
        np.testing.assert_array_equal(mine, expected)


def test_groups_have_their_own_numbers_and_share_the_norm() -> None:
    params, grads = normal(4, SHAPES, np.float64), normal(5, SHAPES, np.float64)
    plain = normal(4, SHAPES, np.float64)
    own: list[dict[str, Any]] = [{"lr": 0.1, "l1": 0.2}, {"lr": 0.3, "maximize": True}, {"weight_decay": 0.4}]
    opt = make("SGD", [{"params": [p], **o} for p, o in zip(params, own, strict=True)], lr=0.5, clip_norm=1.0)
    opt.step(grads)
    assert opt.grad_norm == pytest.approx(norm_of(grads), rel=1e-14)
    factor = min(1.0, 1.0 / (opt.grad_norm + 1e-6))
    for p, q, g, o in zip(params, plain, grads, own, strict=True):
        g = (
            g * factor * (-1 if o.get("maximize") else 1)
            + o.get("weight_decay", 0.0) * q
            + o.get("l1", 0.0) * sign(q)
        )
        np.testing.assert_array_equal(p, q - o.get("lr", 0.5) * g)


# --- the norm ---

NORMS = {
    "ordinary": [(0.0, 1.0)],
    "huge": [(200.0, 1.0)],
    "tiny": [(-200.0, 1.0)],
    "huge and tiny": [(200.0, 1.0), (-200.0, 1.0)],
    "huge, ordinary and tiny": [(170.0, 1.0), (0.0, 1.0), (-170.0, 1.0)],
    "the edge of overflow": [(153.0, 1.0)],
    "the edge of underflow": [(-153.0, 1.0)],
    "around 2^-900": [(-135.5, 1.0), (-136.0, 1.0)],
    "subnormal": [(-315.0, 1.0)],
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("level", LEVELS)
def test_norms_of_any_size_are_right_to_fourteen_digits(level: str, kind: str) -> None:
    rng = np.random.default_rng(6)
    grads = [10.0**power * rng.normal(size=(9000,)) for power, _ in NORMS[kind]]
    grads.append(np.concatenate([g[:77] for g in grads]))  # and within one block
    opt = make("SGD", [np.zeros_like(g) for g in grads], level, lr=0.0, nonfinite="skip")
    opt.step(grads)
    assert opt.grad_norm == pytest.approx(norm_of(grads), rel=1e-14, abs=0)
    assert opt.step_count == 1


@pytest.mark.parametrize("level", LEVELS)
def test_the_norm_of_nothing_and_of_zeros_is_zero(level: str) -> None:
    for grads in ([np.zeros(0)], [np.zeros(100)], [None], [-np.zeros(3)]):
        theta = np.ones(0 if grads[0] is None else grads[0].size)
        opt = make("SGD", [theta], level, lr=1.0, clip_norm=1.0)
        opt.step(grads)
        assert opt.grad_norm == 0.0
        np.testing.assert_array_equal(theta, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["f32", "f16"])
def test_a_float32_norm_is_summed_in_double(dtype: Any) -> None:
    g = normal(7, [100_003], dtype, scale=1e4 if dtype == np.float16 else 1e30)[0]
    g = np.where(np.isfinite(g), g, 0).astype(dtype)
    opt = make("SGD", [np.zeros(g.shape, np.float32)], lr=0.0, clip_norm=1.0)
    opt.step([g])
    assert opt.grad_norm == pytest.approx(norm_of([g]), rel=1e-14)


def test_grad_norm_is_of_the_last_step_and_none_without_a_norm_pass() -> None:
    opt = make("SGD", [np.zeros(2)], lr=1.0, nonfinite="skip")
    assert opt.grad_norm is None
    opt.step([np.array([3.0, 4.0])], grad_scale=2.0)
    assert opt.grad_norm == 2.5
    opt.step([np.array([np.inf, 4.0])])
    assert opt.grad_norm == np.inf
    opt.step([np.array([np.nan, 4.0])])
    assert np.isnan(opt.grad_norm)
    opt.step([np.array([6.0, 8.0])])
    assert opt.grad_norm == 10
    plain = make("SGD", [np.zeros(2)], lr=1.0)
    plain.step([np.array([3.0, 4.0])])
    assert plain.grad_norm is None


# --- gradients that are not finite ---

PLACES = [(0, 0), (0, 14), (1, 64), (1, 129), (2, 0), (2, 2050)]  # first, last and tail elements


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16], ids=["f32", "f64", "f16"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_bad_element_anywhere_is_found(level: str, dtype: Any, bad: float) -> None:
    wide = np.float32 if dtype == np.float16 else dtype
    for extras in (
        {},
        {"clip_value": 1.0},
        {"clip_norm": 1.0},
        {"clip_value": 1.0, "clip_norm": 1.0, "ema_decay": 0.5},
    ):
        opts = {
            policy: make("Adam", normal(8, SHAPES, wide), level, lr=0.1, nonfinite=policy, **extras)
            for policy in ("skip", "raise")
        }
        for opt in opts.values():
            opt.step(normal(9, SHAPES, dtype))
        for tensor, element in PLACES:
            grads = normal(10, SHAPES, dtype)
            grads[tensor].reshape(-1)[element] = bad
            before = bits(opts["skip"]._params), bits(opts["skip"]._states), opts["skip"].step_count
            skipped = opts["skip"].skipped
            given = bits(grads)
            opts["skip"].step(grads, zero_grads=True)
            assert (bits(opts["skip"]._params), bits(opts["skip"]._states), opts["skip"].step_count) == before
            assert opts["skip"].skipped == skipped + 1
            seen = everything(opts["raise"])
            with pytest.raises(ValueError, match=rf"grads\[{tensor}\]: holds NaN or infinity"):
                opts["raise"].step(grads, zero_grads=True)
            assert everything(opts["raise"]) == seen
            assert bits(grads) == given


@pytest.mark.parametrize("name", CLASSES)
def test_a_skipped_step_leaves_no_trace(name: str) -> None:
    options = {**setting(name), **EXTRAS, "nonfinite": "skip"}
    opt, twin = (make(name, normal(8, SHAPES), **options) for _ in range(2))
    for k in range(5):
        grads = normal(9 + k, SHAPES)
        if k in (0, 2):
            bad = [g.copy() for g in grads]
            bad[-1][-1] = np.inf
            opt.step(bad)
        opt.step(grads)
        twin.step(grads)
    assert opt.skipped == 2
    opt._plan.skipped = 0
    assert everything(opt) == everything(twin)


def test_by_default_the_arithmetic_takes_its_course() -> None:
    theta = np.ones(3)
    make("SGD", [theta], lr=1.0, clip_value=2.0).step([np.array([np.nan, np.inf, 1.0])])
    np.testing.assert_array_equal(theta, [np.nan, -1.0, 0.0])
    theta = np.ones(2)
    make("SGD", [theta], lr=1.0, clip_norm=2.0).step(
        [np.array([np.inf, 1.0])]
    )  # as clip_grad_norm_: factor 0
    np.testing.assert_array_equal(theta, [np.nan, 1.0])


def test_a_finite_gradient_whose_square_overflows_is_finite() -> None:
    theta = np.ones(4)
    opt = make("SGD", [theta], lr=1e-200, nonfinite="raise")
    opt.step([np.array([1e200, -1e200, 1e308, 0.0])])
    np.testing.assert_allclose(theta, [0.0, 2.0, 1 - 1e108, 1.0])


def test_none_leaves_a_tensor_alone_but_for_its_average() -> None:
    params = [np.ones(3), np.ones(3)]
    opt = make("Adam", params, lr=0.1, ema_decay=0.5)
    opt.step([np.ones(3), None])
    np.testing.assert_array_equal(params[1], 1)
    np.testing.assert_array_equal(opt.ema[1], 1)
    assert sorted(opt.state_dict()["state"]) == [0]
    params[1][...] = 3
    opt.step([None, None])
    np.testing.assert_array_equal(opt.ema[1], 2)
    assert opt.step_count == 2
    opt.step([None, np.ones(3)])
    assert [opt.state_dict()["state"][i]["step"] for i in (0, 1)] == [1, 1]


# --- averages ---


def test_a_group_added_later_has_an_average_of_its_own() -> None:
    """Its first applied step copies, as everybody's does; until then it is a copy."""
    a, b = np.ones(3), np.full(4, 5.0)
    opt = make("SGD", [a], lr=0.5, ema_decay=0.5)
    np.testing.assert_array_equal(opt.ema[0], 1)
    opt.step([np.ones(3)])
    opt.add_param_group({"params": [b]})
    np.testing.assert_array_equal(opt.ema[1], 5)
    resumed = make("SGD", [{"params": [a.copy()]}, {"params": [b.copy()]}], lr=0.5, ema_decay=0.5)
    resumed.load_state_dict(opt.state_dict())
    for each in (opt, resumed):
        each.step([np.ones(3), np.ones(4)])
        np.testing.assert_array_equal(each.ema[1], 4.5)
        each.step([np.ones(3), np.ones(4)])
        np.testing.assert_array_equal(each.ema[1], 4.25)
        np.testing.assert_array_equal(each.ema[0], 0.5 * (0.5 * 0.5 + 0.5 * 0.0) + 0.5 * -0.5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16], ids=["f64", "f32", "f16"])
def test_averages_are_swapped_in_and_back_bit_for_bit(dtype: Any) -> None:
    params = normal(11, SHAPES, dtype)
    opt = make("Adam", params, lr=0.1, ema_decay=0.9)
    with pytest.raises(RuntimeError, match="no average before the first step"), opt.ema_weights():
        pass
    for k in range(3):
        opt.step(normal(12 + k, SHAPES, dtype))
    params[0][0, 0] = np.nan
    before = bits(params)
    with opt.ema_weights():
        assert bits(params) == bits([e.astype(dtype) for e in opt.ema])
    assert bits(params) == before
    with pytest.raises(KeyError), opt.ema_weights():
        raise KeyError
    assert bits(params) == before
    with opt.ema_weights():
        params[1][...] = 0
    assert bits(params) == before
