"""Differences near 1, factors beyond a type, subnormal numbers: what floats lose unless one takes care."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, LEVELS, bits, make, setting

FLOATS = (np.float32, np.float64)
_DECOUPLE = {"decoupled_weight_decay": True}
#: Classes whose weight_decay is decoupled, or can be.
DECOUPLED = {
    cls.__name__: {} if "decoupled_weight_decay" not in cls._hypers else _DECOUPLE
    for cls in fastopt.optimizers().values()
    if "decoupled_weight_decay" in cls._hypers or cls.rule.weight_decay == "decoupled"
}
DECOUPLED["MARS"] = {"optimize_1d": True}  # vectors have a decay of their own
#: What an average is kept of, and of which state.
AVERAGES: dict[str, dict[str, Any]] = {
    "exp_avg": {
        name: {} for name in ("Adam", "NAdam", "RAdam", "AdaBelief", "Adamax", "LAMB", "Grams", "StableAdamW")
    },
    "exp_avg_fast": {"AdEMAMix": {}},
    "exp_avg_slow": {"AdEMAMix": {}},
    "exp_avg_sq": {
        name: {}
        for name in ["Adam", "NAdam", "RAdam", "LAMB", "AdEMAMix", "ADOPT", "LaProp", "Grams", "StableAdamW"]
    },
    "momentum_buffer": {"SignSGD": {}, "SGD": {"momentum_form": "average"}},
    "square_avg": {"RMSprop": {}, "Adadelta": {}},
    "grad_avg": {"RMSprop": {"centered": True}},
}
_CASES = [(state, name, more) for state, names in AVERAGES.items() for name, more in names.items()]


def _betas(name: str, beta: float) -> dict[str, Any]:
    key = {"RMSprop": "alpha", "Adadelta": "rho", "SignSGD": "momentum", "SGD": "momentum"}.get(name)
    return {"betas": (beta,) * (3 if name == "AdEMAMix" else 2)} if key is None else {key: beta}


def _of(opt: Any, state: str) -> Any:
    return opt._states[0][state]


# --- averages ---


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.5, 0.9, 0.9999, 0.99999, 1.0])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_weights_at_rest_are_their_own_average(dtype: Any, decay: float) -> None:
    theta = np.random.default_rng(0).normal(size=1027).astype(dtype)
    opt = make("SGD", [theta], lr=0.0, ema_decay=decay)
    for _ in range(300):
        opt.step([np.zeros_like(theta)])
    assert bits(opt.ema) == bits([theta])
    for _ in range(300):  # a tensor without a gradient
        opt.step([None])
    assert bits(opt.ema) == bits([theta])


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9, 0.9999, 0.99999])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("state", "name", "more"), _CASES, ids=str)
def test_a_constant_is_a_fixed_point(state: str, name: str, more: Any, dtype: Any, beta: float) -> None:
    g = np.random.default_rng(1).normal(size=131).astype(dtype)
    opt = make(name, [np.zeros_like(g)], lr=1e-3, **_betas(name, beta), **more)
    opt.step([g])
    squared = state in ("exp_avg_sq", "square_avg")
    _of(opt, state)[...] = g * g if squared else g
    before = _of(opt, state).copy()
    for _ in range(50):
        opt.step([g])
    assert bits(_of(opt, state)) == bits(before)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("state", "name", "more"), [c for c in _CASES if c[1] != "SGD"], ids=str)
def test_without_memory_an_average_is_its_last_value(state: str, name: str, more: Any, dtype: Any) -> None:
    """Also after one that is 10^16 times as large: m + (x - m) would be 0."""
    if name == "SignSGD":
        pytest.skip("momentum 0 keeps no buffer")
    g = np.random.default_rng(2).normal(size=131).astype(dtype)
    opt = make(name, [np.zeros_like(g)], lr=1e-3, **_betas(name, 0.0), **more)
    opt.step([(1e8 * g).astype(dtype)])
    opt.step([g])
    wanted = g * g if state in ("exp_avg_sq", "square_avg") else g
    assert bits(_of(opt, state)) == bits(wanted)


def test_an_average_with_long_memory_is_as_long() -> None:
    """The rounded weights 0.9999 and 0.0001 alone would be 1e-4 off; what is left is where steps vanish."""
    g = np.full(64, 0.3, np.float32)
    opt = make("Adam", [np.zeros_like(g)], lr=0.0, betas=(0.9999, 0.9999))
    for _ in range(5000):
        opt.step([g])
    missing = 1 - 0.9999**5000
    np.testing.assert_allclose(_of(opt, "exp_avg"), 0.3 * missing, rtol=1e-5)
    np.testing.assert_allclose(_of(opt, "exp_avg_sq"), 0.09 * missing, rtol=1e-5)


def test_the_maximum_of_adamax_forgets_as_slowly_as_asked() -> None:
    opt = make("Adamax", [np.zeros(4096, np.float32)], lr=0.0, betas=(0.9, 1 - 1e-7))
    zeros = [np.zeros(4096, np.float32)]
    opt.step(zeros)
    start = np.random.default_rng(7).uniform(0.5, 2.0, size=4096)
    _of(opt, "exp_inf")[...] = start
    start = _of(opt, "exp_inf").astype(np.float64)
    for _ in range(2000):
        opt.step(zeros)
    assert np.mean(1 - _of(opt, "exp_inf") / start) == pytest.approx(2e-4, rel=0.06)


# --- decay ---


@pytest.mark.parametrize("name", DECOUPLED)
def test_a_small_decay_is_not_rounded_to_another(name: str) -> None:
    """1 - 1e-7 is in float32 1 - 1.2e-7. What is left is rounding of theta itself, in either direction."""
    theta = np.random.default_rng(3).uniform(0.5, 2.0, size=4096).astype(np.float32)
    start = theta.astype(np.float64)
    opt = make(name, [theta], lr=1e-5, weight_decay=0.01, **DECOUPLED[name])
    for _ in range(2000):
        opt.step([np.zeros_like(theta)])
    assert np.mean(1 - theta / start) == pytest.approx(2e-4, rel=0.06)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", DECOUPLED)
def test_decay_is_the_same_straight_through_and_by_blocks(name: str, dtype: Any, level: str) -> None:
    """Strided gradients and averages of the weights go by blocks; theta -= d theta, then the rule."""
    rng = np.random.default_rng(4)
    n = 2 * 1024 + 77
    options = {**setting(name), "weight_decay": 0.3, "amsgrad": False, **DECOUPLED[name]}
    options = {k: v for k, v in options.items() if k != "amsgrad"}
    theta = [rng.normal(size=n).astype(dtype) for _ in range(1)] * 4
    theta = [t.copy() for t in theta]
    for t in theta:
        t[:3] = 0.0, -0.0, np.finfo(dtype).smallest_subnormal
    plain, blocks, averaged = (
        make(name, [t], level, **options, **more)
        for t, more in zip(theta, ({}, {}, {"ema_decay": 0.5}), strict=False)
    )
    bare = make(name, [theta[3]], level, **{**options, "weight_decay": 0.0})
    for k in range(3):
        g = rng.normal(size=n).astype(dtype)
        plain.step([g])
        averaged.step([g])
        wide = np.zeros(2 * n, dtype)
        wide[::2] = g
        blocks.step([wide[::2]])
        if k > 0 or not plain.rule.fills_first:
            theta[3] -= dtype(options["lr"] * 0.3) * theta[3]
        bare.step([g])
    assert bits(theta[0]) == bits(theta[1]) == bits(theta[2]) == bits(theta[3])


def test_without_decay_infinity_and_the_sign_of_zero_stay() -> None:
    theta = np.array([np.inf, -np.inf, -0.0], np.float32)
    make("AdamW", [theta], lr=0.1, weight_decay=0.0).step([np.zeros(3, np.float32)])
    assert bits(theta) == bits(np.array([np.inf, -np.inf, -0.0], np.float32))


# --- what overflows ---

HUGE = {np.float32: (3e19, 1e25, 3.4e38), np.float64: (2e154, 1e200, 1.79e308)}
SQUARES = [name for name in CLASSES if getattr(fastopt, name).rule.squares]


@pytest.mark.parametrize("betas", [{}, "zero"], ids=["default", "no memory"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(67,), (6, 5)], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_a_first_gradient_with_infinite_square_leaves_all_finite(
    name: str, shape: tuple[int, ...], dtype: Any, betas: Any
) -> None:
    """Nothing is multiplied by 0 to be switched off: 0 times infinity is NaN."""
    more: dict[str, Any] = {}
    if betas and "betas" in setting(name):
        more = {"betas": (0.0,) * len(setting(name)["betas"])}
        if name.startswith("ScheduleFree"):  # whose first divides
            more = {"betas": (1e-3, 0.0)}
    for size in HUGE[dtype]:
        theta = np.ones(shape, dtype)
        opt = make(name, [theta], lr=1e-30 if dtype == np.float32 else 1e-300, **more)
        opt.step([np.full(shape, size, dtype)])
        assert np.isfinite(theta).all(), size
        if not more:
            opt.step([np.ones(shape, dtype)])
            assert np.isfinite(theta).all(), size


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", SQUARES)
def test_policies_look_at_squares(name: str, dtype: Any) -> None:
    """A finite gradient with an infinite second moment, so that its element never moved again."""
    for size in HUGE[dtype]:
        for at in (0, 4095, 4096, 5000):
            g = np.ones(5001, dtype)
            g[at] = -size
            theta, frozen = np.ones(5001, dtype), np.ones(3, dtype)
            opt = make(name, [frozen, theta], lr=1e-3, nonfinite="raise")
            opt.step([np.ones(3, dtype), np.ones(5001, dtype)])
            before, norm = bits([theta, frozen, opt.state_dict()]), opt.grad_norm
            with pytest.raises(ValueError, match=r"grads\[1\]: is finite, but its square .* overflows float"):
                opt.step([np.ones(3, dtype), g])
            assert (bits([theta, frozen, opt.state_dict()]), opt.grad_norm) == (before, norm)
            opt = make(name, [frozen, theta], lr=1e-3, nonfinite="skip")
            opt.step([np.ones(3, dtype), g])
            assert (opt.skipped, opt.step_count) == (1, 0)
            for bound in ({"clip_norm": 1.0}, {"clip_value": 2.0}):  # it is small again before it is squared
                opt = make(name, [frozen.copy(), theta.copy()], lr=1e-3, nonfinite="raise", **bound)
                opt.step([np.ones(3, dtype), g])
            opt = make(name, [frozen.copy(), theta.copy()], lr=1e-3, nonfinite="raise")
            opt.step([np.ones(3, dtype), g], grad_scale=float(size))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_policies_look_at_squares_of_matrices_in_mars(dtype: Any) -> None:
    """Vectors are stepped by another rule there."""
    for size in HUGE[dtype]:
        opt = make("MARS", [np.ones((3, 2), dtype)], lr=1e-3, nonfinite="raise")
        opt.step([np.ones((3, 2), dtype)])
        with pytest.raises(ValueError, match=r"grads\[0\]: is finite, but its square .* overflows float"):
            opt.step([np.full((3, 2), size, dtype)])


def test_mars_clips_the_largest_gradients_to_a_step() -> None:
    """Near the end of float32 the corrected gradient is beyond it, and the clipped one is not."""
    theta = np.ones((3, 2), np.float32)
    make("MARS", [theta], lr=0.1).step([np.full((3, 2), 0.9 * np.finfo(np.float32).max, np.float32)])
    assert (theta < 0.95).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_policies_find_the_very_last_finite_square(dtype: Any) -> None:
    largest = np.sqrt(np.finfo(dtype).max)
    while not np.isfinite(np.multiply(largest, largest)):
        largest = np.nextafter(largest, dtype(0))
    opt = make("RMSprop", [np.ones(3, dtype)], lr=1e-3, nonfinite="raise")
    opt.step([np.full(3, largest, dtype)])
    over = np.nextafter(largest, dtype(np.inf))
    with pytest.raises(ValueError, match="overflows"), np.errstate(over="ignore"):
        opt.step([np.full(3, over, dtype)])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ["SGD", "Rprop", "ASGD"])
def test_policies_let_pass_what_is_not_squared(name: str, dtype: Any) -> None:
    opt = make(name, [np.ones(3, dtype)], lr=0.0, nonfinite="raise")
    opt.step([np.full(3, np.finfo(dtype).max, dtype)])
    assert opt.step_count == 1


# --- factors ---


@pytest.mark.parametrize("size", [1.7976931348623157e308, 1e308, 1e300, 1e200])
@pytest.mark.parametrize("n", [2, 5, 4099])
def test_clipping_where_the_norm_overflows(n: int, size: float) -> None:
    theta = np.zeros(n)
    opt = make("SGD", [theta], lr=1.0, clip_norm=1.0)
    opt.step([np.full(n, size)])
    np.testing.assert_allclose(theta, -1 / np.sqrt(n), rtol=1e-14)


@pytest.mark.parametrize(
    ("dtype", "size", "bound"),
    [
        (np.float32, 1e30, 1e-10),
        (np.float32, 3e38, 1e-3),
        (np.float32, 3e38, 1e-35),
        (np.float64, 1e300, 1e-10),
        (np.float64, 1.7e308, 1e-200),
        (np.float64, 1.7e308, 1e-300),
    ],
)
def test_clipping_by_less_than_the_smallest_normal_number(dtype: Any, size: float, bound: float) -> None:
    g = (size * np.random.default_rng(5).uniform(0.1, 1.0, size=9)).astype(dtype)
    theta = np.zeros(9, dtype)
    make("SGD", [theta], lr=1.0, clip_norm=bound).step([g])
    exact = -(g.astype(np.longdouble) * (bound / np.sqrt(np.sum(np.square(g.astype(np.longdouble))))))
    np.testing.assert_allclose(theta.astype(np.longdouble), exact, rtol=4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("zero_grads", [False, True])
@pytest.mark.parametrize("scale", [1e-41, 1e-39, 1e-30, 1e38, 3e39, 1e43, 1e60])
@pytest.mark.parametrize("more", [{}, {"nonfinite": "raise"}], ids=str)
def test_loss_scales_beyond_float32(scale: float, zero_grads: bool, more: Any) -> None:
    g = np.random.default_rng(6).uniform(0.5, 1.0, size=67)
    for target in (1e-30, 1e-3, 1.0, 1e3):
        if not 1e-37 < target * scale < 3e38:
            continue
        given = (target * scale * g).astype(np.float32)
        theta = np.zeros(67, np.float32)
        make("SGD", [theta], lr=1.0, **more).step([given.copy()], grad_scale=scale, zero_grads=zero_grads)
        np.testing.assert_allclose(theta, -(given.astype(float) / scale), rtol=1e-6)


# --- hyper-parameters that float32 cannot hold ---

BEYOND = {"lr": 1e39, "weight_decay": 1e39, "l1": 1e39, "l1_proximal": 1e39, "eps": 1e39}
VANISHING = {"eps": 1e-50}


@pytest.mark.parametrize(("key", "value"), [*BEYOND.items(), *VANISHING.items()])
@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=str)
def test_arguments_beyond_float32_are_named(key: str, value: float, dtype: Any) -> None:
    named = rf"{key}: expected .* for {np.dtype(dtype).name} parameters, which are computed in float32, got"
    with pytest.raises(ValueError, match=named):
        make("Adam", [np.ones(3, dtype)], **{key: value})
    opt = make("Adam", [np.ones(3, dtype)])
    with pytest.raises(ValueError, match=named):
        opt.param_groups[0][key] = value
    with pytest.raises(ValueError, match=named):
        opt.add_param_group({"params": [np.ones(3, dtype)], key: value})
    wide = make("Adam", [np.ones(3)], **{key: value})
    wide.step([np.ones(3)])
    saved = wide.state_dict()
    saved["state"] = {}
    before = bits(opt.state_dict())
    with pytest.raises(ValueError, match=named):
        opt.load_state_dict(saved)
    assert bits(opt.state_dict()) == before
    with pytest.raises(ValueError, match=named):  # one array of a group is enough
        make("Adam", [np.ones(3), np.ones(3, dtype)], **{key: value})


def test_of_a_pair_the_one_that_guards_is_named() -> None:
    """Adafactor's first epsilon keeps quotients finite; the second is a size, compared in double."""
    for small in (1e-46, 1e-60):
        with pytest.raises(ValueError, match=r"eps: expected 0 or at least 1.4e-45 for float32 parameters"):
            make("Adafactor", [np.ones((4, 4), np.float32)], eps=(small, 1e-3))
        for theta, eps in ((np.ones((4, 4)), (small, 1e-3)), (np.ones((4, 4), np.float32), (1e-30, small))):
            opt = make("Adafactor", [theta], lr=0.01, eps=eps)
            opt.step([np.full((4, 4), 1e-25, theta.dtype)])
            np.testing.assert_allclose(theta, 0.99, rtol=1e-6)


def test_schedules_are_looked_at_before_a_step() -> None:
    theta = np.ones(3, np.float32)
    opt = make("Adam", [theta], lr=lambda k: 1e-3 if k < 2 else 1e39, nonfinite="skip")
    opt.step([np.ones(3, np.float32)])
    opt.step([np.full(3, 2.0, np.float32)])
    before, norm = bits([theta, opt._states, opt.step_count]), opt.grad_norm
    with pytest.raises(ValueError, match=r"lr: expected .* within float32.* got 1e\+39"):
        opt.step([np.ones(3, np.float32)])
    assert (bits([theta, opt._states, opt.step_count]), opt.grad_norm) == (before, norm)


@pytest.mark.parametrize(("dtype", "lr"), [(np.float32, 3e38), (np.float64, 1.7e308)])
def test_what_is_formed_of_the_arguments_is_looked_at(dtype: Any, lr: float) -> None:
    """lr / (1 - beta1) overflows where lr does not."""
    theta = np.ones(3, dtype)
    opt = make("Adam", [theta], lr=lr)
    with pytest.raises(ValueError, match=r"lr: expected a value of which the step is formed within float"):
        opt.step([np.ones(3, dtype)])
    np.testing.assert_array_equal(theta, 1)


def test_rates_too_small_for_float32_are_steps_of_nothing() -> None:
    theta = np.ones(3, np.float32)
    make("Adam", [theta], lr=lambda k: 1e-50).step([np.ones(3, np.float32)])
    np.testing.assert_array_equal(theta, 1)


def test_numbers_that_only_prepare_meets_may_be_as_large_as_they_like() -> None:
    make("ASGD", [np.ones(3, np.float32)], t0=1e300).step([np.ones(3, np.float32)])
    make("NAdam", [np.ones(3, np.float32)], momentum_decay=1e300).step([np.ones(3, np.float32)])


# --- subnormal numbers ---


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "Adam",
        "AdamW",
        "NAdam",
        "RAdam",
        "RMSprop",
        "LAMB",
        "Adan",
        "SGD",
        "LARS",
        "Adadelta",
        "AdEMAMix",
        "ADOPT",
        "LaProp",
        "Grams",
        "StableAdamW",
    ],
)
def test_moments_end_at_zero(name: str, dtype: Any, level: str) -> None:
    more = {
        "SGD": {"momentum": 0.9},
        "RMSprop": {"centered": True, "momentum": 0.9},
        "LARS": {"weight_decay": 0.0},
        "LaProp": {"eps": 1e-8},
    }.get(name, {})
    opt = make(name, [np.ones(67, dtype)], level, lr=1e-3, **more)
    opt.step([np.zeros(67, dtype)])
    tiny = np.finfo(dtype).smallest_normal
    left = {k: v for k, v in opt._states[0].items() if k != "prev_grad"}
    for state in left.values():
        state[...] = np.geomspace(1e-3, 40, 67) * tiny
    for _ in range(60):
        opt.step([np.zeros(67, dtype)])
        for key, state in left.items():
            assert ((state == 0) | (state >= tiny)).all(), key
    assert any((state[:22] == 0).all() for state in left.values())


def test_without_epsilon_small_squares_stay() -> None:
    """0 in the denominator would be NaN or a step of any length."""
    theta = np.zeros(5, np.float32)
    opt = make("Adam", [theta], lr=1e-3, eps=0.0)
    for _ in range(3):
        opt.step([np.full(5, 1e-19, np.float32)])
    np.testing.assert_allclose(theta, -3e-3, rtol=0.1)


def _default(cls: type, keyword: str) -> Any:
    given = inspect.signature(cls).parameters.get(keyword)
    return given and given.default


@pytest.mark.parametrize(
    "name",
    [c.__name__ for c in fastopt.optimizers().values() if isinstance(_default(c, "eps"), float)],
)
def test_beside_a_small_epsilon_small_squares_stay(name: str) -> None:
    """Squares that float32 holds as subnormal numbers: their roots are not lost beside 1e-20."""
    size = 1e-14 if name == "Prodigy" else 1e-20  # of which d makes 1e-20
    moved = []
    for dtype in (np.float32, np.float64):
        theta = np.zeros((3, 4), dtype)
        opt = make(name, [theta], lr=1e-3, eps=size)
        for k in range(6):
            opt.step([np.full_like(theta, 3 * size * (1 + k % 3))])
        moved.append(theta.astype(np.float64))
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-3)


# --- averages that forget at once ---

AVERAGED = {
    "RMSprop": ({"alpha": 1}, ("square_avg",)),
    "Adam": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "AdamW": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "NAdam": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "RAdam": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "LAMB": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "AdEMAMix": ({"betas": 3}, ("exp_avg_fast", "exp_avg_slow", "exp_avg_sq")),
    "Grams": ({"betas": 2}, ("exp_avg", "exp_avg_sq")),
    "LaProp": ({"betas": 2}, ("exp_avg_sq",)),
    "Lion": ({"betas": 2}, ("exp_avg",)),
    "SGD": ({"momentum": 1}, ("momentum_buffer",)),
    "Adadelta": ({"rho": 1}, ("square_avg",)),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("beta", [0.0, 1e-30, 1e-8, 1e-4, 0.01, 0.06, 0.07, 0.3, 0.5])
@pytest.mark.parametrize("name", sorted(AVERAGED))
def test_a_large_average_is_forgotten_digit_by_digit(name: str, beta: float, dtype: Any) -> None:
    """After gradients of a million and of one, what is left of the first is beta of it, not its rounding."""
    if name == "SGD" and beta == 0:
        return  # without momentum there is no buffer
    options, states = AVERAGED[name]
    given = {key: beta if count == 1 else (beta,) * count for key, count in options.items()}
    opt = make(name, [np.zeros(19, dtype)], **given)
    expected = {}
    for g in (1e6, 1.0):
        opt.step([np.full(19, g, dtype)])
        for key in states:
            x = g * g if key.endswith("_sq") or key == "square_avg" else g
            if key == "momentum_buffer":
                expected[key] = beta * expected.get(key, 0.0) + x
            else:
                expected[key] = beta * expected.get(key, 0.0) + (1 - beta) * x
    for key in states:
        # (1 + 1 / small_beta) roundings of what is added up
        np.testing.assert_allclose(
            opt._states[0][key], expected[key], rtol=20 * np.finfo(dtype).eps, err_msg=key
        )


@pytest.mark.parametrize("name", ["LARS", "LAMB"])
def test_trust_ratios_beyond_float32_are_no_infinity(name: str) -> None:
    for size, slope in ((1e19, 1e-30), (1e3, 1e-40), (1.0, 1e-43), (1e10, 1e-33)):
        theta = np.full(100, size, np.float32)
        opt = make(name, [theta], weight_decay=0.0, nonfinite="raise")
        opt.step([np.full(100, slope, np.float32)])
        assert np.isfinite(theta).all()
        assert (theta <= np.float32(size)).all()
