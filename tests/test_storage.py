"""Numbers in fewer bytes: what `state_dtype`, `rounding`, `master`, `shadow` and `seed` do, and refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

N = 10_000  # beyond the size below which states stay float32, and no multiple of a group
OPTIMIZERS = fastopt.optimizers()
CODED = ("adabelief", "adadelta", "adam", "adamax", "adamw", "adan", "lamb", "lars", "lion", "nadam", "radam")
FORMS: dict[str, dict[str, Any]] = {
    "bfloat16 states": {"state_dtype": "bfloat16"},
    "int8 states": {"state_dtype": "int8"},
    "mixed states": {"state_dtype": {"exp_avg": "bfloat16", "exp_avg_sq": "int8"}},
}
HALF_FORMS: dict[str, dict[str, Any]] = {
    "stochastic": {"rounding": "stochastic"},
    "kahan": {"rounding": "kahan"},
    "split16": {"master": "split16"},
    "split8": {"master": "split8"},
    "split8 stochastic": {"master": "split8", "rounding": "stochastic"},
    "int8, split8": {"state_dtype": "int8", "master": "split8", "rounding": "stochastic"},
    "all bfloat16": {"state_dtype": "bfloat16", "rounding": "stochastic"},
}


def widened(bits: Any) -> Any:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bfloat16(values: Any) -> Any:
    """Bit patterns, to nearest, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def gradients(steps: int, shape: Any = (N,), scale: float = 1e-3, seed: int = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(scale * (1 + rng.standard_normal(shape)), np.float32) for _ in range(steps)]


def trained(form: dict[str, Any], steps: int = 100, name: str = "adamw", **options: Any) -> tuple[Any, Any]:
    """A float32 parameter after some steps, and its optimizer."""
    theta = np.linspace(-1, 1, N, dtype=np.float32)
    opt = OPTIMIZERS[name]([theta], **{"lr": 1e-3, **options}, **form)
    for g in gradients(steps):
        opt.step([g])
    return theta, opt


def half_trained(
    form: dict[str, Any], steps: int = 100, lr: float = 1e-4, start: float = 1.0
) -> tuple[Any, Any]:
    theta = np.full(N, bfloat16([start])[0])
    opt = fastopt.AdamW([theta], lr=lr, dtype="bfloat16", weight_decay=0.0, **form)
    for g in gradients(steps):
        opt.step([bfloat16(g)])
    return theta, opt


# --- training goes on as in float32 ---


@pytest.mark.parametrize("form", FORMS)
def test_states_in_fewer_bytes_move_parameters_alike(form: str) -> None:
    theta, _ = trained(FORMS[form])
    exact, _ = trained({})
    start = np.linspace(-1, 1, N, dtype=np.float32)
    assert np.mean(theta - start) == pytest.approx(np.mean(exact - start), rel=2e-3)
    assert np.linalg.norm(theta - exact) < 0.05 * np.linalg.norm(exact - start)


@pytest.mark.parametrize("name", CODED)
def test_every_rule_with_averages_in_eight_bits(name: str) -> None:
    theta, opt = trained({"state_dtype": "int8"}, name=name, lr=1e-4)
    exact, _ = trained({}, name=name, lr=1e-4)
    start = np.linspace(-1, 1, N, dtype=np.float32)
    assert any("codes" in key for key in opt.state_dict()["state"][0])
    assert np.all(np.isfinite(theta))
    moved = np.linalg.norm(exact - start)
    assert np.linalg.norm(theta - exact) < 0.25 * moved


@pytest.mark.parametrize("form", HALF_FORMS)
def test_a_weight_of_one_moves(form: str) -> None:
    """By half of its last bit in bfloat16 and less at a time; to nearest it stands still."""
    theta, opt = half_trained(HALF_FORMS[form])
    whole = opt.state[theta].get("master", widened(theta))
    exact = np.ones(N, np.float32)
    twin = fastopt.AdamW([exact], lr=1e-4, weight_decay=0.0)
    for g in gradients(100):
        twin.step([widened(bfloat16(g))])
    drift = abs(float(np.mean(exact)) - 1)
    tolerance = {"split16": 1e-3, "split8": 0.1}.get(form, 0.03)  # 2 % of noise where bits are drawn
    assert np.mean(whole) - 1 == pytest.approx(np.mean(exact) - 1, abs=tolerance * drift)
    assert np.all(widened(half_trained({})[0]) == 1)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_split16_is_float32(steps: int) -> None:
    theta, opt = half_trained({"master": "split16"}, steps, lr=1e-2, start=0.3)
    exact = np.full(N, widened(bfloat16([0.3]))[0])
    twin = fastopt.AdamW([exact], lr=1e-2, weight_decay=0.0)
    for g in gradients(steps):
        twin.step([widened(bfloat16(g))])
    if steps:
        assert opt.state[theta]["master"].tobytes() == exact.tobytes()
    half_up = ((exact.view(np.uint32).astype(np.uint64) + 0x8000) >> 16).astype(np.uint16)
    assert np.array_equal(theta, half_up)


def test_averages_follow_gradients_that_shrink_and_come_to_rest() -> None:
    """Where numbers are rounded to nearest an average of 0.999 stands still for ever."""
    theta = np.zeros(N, np.float32)
    opt = fastopt.Adam([theta], lr=1e-3, state_dtype="int8")
    big, small = gradients(1, scale=1.0)[0], gradients(1, scale=0.1)[0]
    for _ in range(200):
        opt.step([big])
    for _ in range(3000):
        opt.step([small])
    expected = (
        0.999**3000 * (1 - 0.999**200) * big.astype(float) ** 2 + (1 - 0.999**3000) * small.astype(float) ** 2
    )
    v = opt.state[theta]["exp_avg_sq"].astype(float)
    of_its_own_size = expected > 1e-3 * np.max(expected)  # 2^-16 of the largest is the least
    assert np.mean((v / expected)[of_its_own_size]) == pytest.approx(1, abs=0.03)
    zero = np.zeros(N, np.float32)
    for _ in range(400):
        opt.step([zero])
    before = theta.copy()
    opt.step([zero])
    assert np.max(np.abs(theta - before)) < 1e-12


# --- random bits ---


def test_the_seed_chooses_the_bits_and_nothing_else_does() -> None:
    form = {"state_dtype": "int8"}
    runs = {seed: trained({**form, "seed": seed})[0].tobytes() for seed in (0, 1)}
    assert runs[0] != runs[1]
    before = fastopt.get_num_threads()
    try:
        for threads in (1, 2, 5):
            fastopt.set_num_threads(threads)
            assert trained({**form, "seed": 1})[0].tobytes() == runs[1]
    finally:
        fastopt.set_num_threads(before)


def test_parameters_and_steps_draw_bits_of_their_own() -> None:
    form: dict[str, Any] = {"rounding": "stochastic", "dtype": "bfloat16"}
    thetas = [np.full(N, 0x3F80, np.uint16) for _ in range(2)]
    opt = fastopt.SGD(thetas, lr=1e-3, **form)
    grad = np.ones(N, np.float32)
    opt.step([grad, grad])
    first = thetas[0].copy()
    assert not np.array_equal(*thetas)
    thetas[0][...] = 0x3F80
    opt.step([grad, grad])
    assert not np.array_equal(thetas[0], first)


# --- what is stored ---


def test_bytes_of_the_states() -> None:
    theta = np.zeros(1 << 20, np.float32)
    opt = fastopt.Adam([theta], state_dtype="int8")
    opt.step([theta + 1])
    arrays = [a for a in opt.state_dict()["state"][0].values() if isinstance(a, np.ndarray)]
    assert sum(a.nbytes for a in arrays) <= 2.2 * theta.size


def test_small_states_stay_float32_unless_they_are_named() -> None:
    small, large = np.zeros(4095, np.float32), np.zeros(4096, np.float32)
    opt = fastopt.Adam([small, large], state_dtype="int8")
    opt.step([small + 1, large + 1])
    state = opt.state_dict()["state"]
    assert "exp_avg" in state[0]
    assert "exp_avg.codes" in state[1]
    named = fastopt.Adam([small], state_dtype={"exp_avg_sq": "int8"})
    named.step([small + 1])
    assert {"exp_avg", "exp_avg_sq.codes"} <= set(named.state_dict()["state"][0])


@pytest.mark.parametrize("shape", [(0,), (), (1,), (63,), (64,), (65,), (3, 7, 11), (1025,)])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_sizes_and_orders_of_memory(shape: tuple[int, ...], order: str) -> None:
    theta = np.zeros(shape, np.float32, order="F" if order == "F" else "C")
    if order == "reversed" and shape:
        theta = theta[::-1]
    opt = fastopt.Adam([theta], lr=0.1, state_dtype={"exp_avg": "int8", "exp_avg_sq": "int8"})
    grads = gradients(3, shape, 1.0)
    for g in grads:
        opt.step([g])
    m = 0.1 * (grads[2] + 0.9 * grads[1] + 0.81 * grads[0])
    assert np.all(np.abs(opt.state[theta]["exp_avg"] - m) <= 0.4 * np.max(np.abs(m), initial=0))
    twin = fastopt.Adam([theta.copy(order="K")], state_dtype={"exp_avg": "int8", "exp_avg_sq": "int8"})
    if order != "reversed":
        twin.load_state_dict(opt.state_dict(), override={"lr": 1e-3})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["adam", "lion", "sgd"])
def test_one_element_does_not_poison_its_group(bad: float, name: str) -> None:
    options = {"momentum": 0.9} if name == "sgd" else {}
    theta = np.zeros(N, np.float32)
    opt = OPTIMIZERS[name]([theta], lr=1e-3, state_dtype="int8", **options)
    grads = gradients(20)
    for t, g in enumerate(grads):
        if t == 5:
            g[70] = bad
        opt.step([g])
    clean = np.zeros(N, np.float32)
    twin = OPTIMIZERS[name]([clean], lr=1e-3, state_dtype="int8", **options)
    for g in gradients(20):
        twin.step([g])
    others = np.arange(N) != 70
    in_group = np.arange(64, 128)
    assert np.array_equal(
        theta[np.setdiff1d(np.arange(N), in_group)], clean[np.setdiff1d(np.arange(N), in_group)]
    )
    assert np.all(np.isfinite(theta[others]))
    if not np.isfinite(bad):
        assert np.allclose(theta[others], clean[others], rtol=0.2, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-14, 1e-7, 1e7, 1e18])
def test_units_do_not_matter(scale: float) -> None:
    """Powers of two: the same codes."""
    power = np.float32(2.0 ** round(np.log2(scale)))
    results = []
    for unit in (np.float32(1), power):
        theta = np.zeros(N, np.float32)
        opt = fastopt.Adam([theta], lr=1e-3, eps=0.0, state_dtype="int8")
        for g in gradients(10, scale=1.0):
            opt.step([g * unit])
        results.append(theta)
    assert np.allclose(results[0], results[1], rtol=1e-5, atol=0)


# --- saved and loaded ---


PAIRS = [("float32", form) for form in FORMS.values()] + [("bfloat16", form) for form in HALF_FORMS.values()]


def made(dtype: str, form: dict[str, Any], theta: Any) -> Any:
    return fastopt.AdamW([theta], lr=1e-3, dtype="bfloat16" if dtype == "bfloat16" else None, **form)


@pytest.mark.parametrize(("dtype", "form"), PAIRS)
@pytest.mark.parametrize("way", ["dict", "file"])
def test_resumes_bit_for_bit(dtype: str, form: dict[str, Any], way: str, tmp_path: Any) -> None:
    grads = gradients(8, (40, 250))
    start = np.linspace(0.5, 2, 10_000, dtype=np.float32).reshape(40, 250)
    theta = start.copy() if dtype == "float32" else bfloat16(start)
    opt = made(dtype, form, theta)
    for g in grads[:4]:
        opt.step([g])
    copy = theta.copy()
    twin = made(dtype, form, copy)
    if way == "dict":
        twin.load_state_dict(opt.state_dict())
    else:
        opt.save(tmp_path / "state.npz")
        twin.load(tmp_path / "state.npz")
    for g in grads[4:]:
        opt.step([g])
        twin.step([g])
    assert copy.tobytes() == theta.tobytes()
    states = [o.state_dict()["state"][0] for o in (opt, twin)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert np.array_equal(value, states[1][key]), key


@pytest.mark.parametrize("saved", [None, "bfloat16", "int8"])
@pytest.mark.parametrize("wanted", [None, "bfloat16", "int8"])
def test_another_precision_needs_an_override(saved: Any, wanted: Any) -> None:
    theta, opt = trained({"state_dtype": saved}, 20)
    twin = fastopt.AdamW([theta.copy()], lr=1e-3, state_dtype=wanted)
    if saved != wanted:
        with pytest.raises(fastopt.CheckpointError, match="state_dtype"):
            twin.load_state_dict(opt.state_dict())
        assert twin.step_count == 0
    twin.load_state_dict(opt.state_dict(), override={"state_dtype": wanted} if saved != wanted else None)
    for name in ("exp_avg", "exp_avg_sq"):
        ours, theirs = (o.state[0][name] for o in (twin, opt))
        # widened: NumPy 1 does not compare numbers of bfloat16
        ours, theirs = (widened(a) if a.dtype == np.uint16 else a.astype(np.float32) for a in (ours, theirs))
        assert np.allclose(ours, theirs, rtol=0.07, atol=2e-5 * np.max(np.abs(theirs)))


def test_codes_in_another_order_of_memory_are_refused() -> None:
    theta = np.zeros((100, 100), np.float32)
    opt = fastopt.Adam([theta], state_dtype="int8")
    opt.step([theta + 1])
    twin = fastopt.Adam([np.asfortranarray(theta)], state_dtype="int8")
    with pytest.raises(fastopt.CheckpointError, match="order of memory"):
        twin.load_state_dict(opt.state_dict())


@pytest.mark.parametrize("damage", ["missing", "dtype", "length", "scales"])
def test_damaged_codes_are_refused_whole(damage: str) -> None:
    theta, opt = trained({"state_dtype": "int8"}, 3)
    saved = opt.state_dict()
    entry = saved["state"][0]
    if damage == "missing":
        del entry["exp_avg.scales"]
    elif damage == "dtype":
        entry["exp_avg.codes"] = entry["exp_avg.codes"].astype(np.int16)
    elif damage == "length":
        entry["exp_avg.codes"] = entry["exp_avg.codes"][:-1]
    else:
        entry["exp_avg_sq.scales"] = entry["exp_avg_sq.scales"][:-1]
    twin = fastopt.AdamW([theta.copy()], lr=1e-3, state_dtype="int8")
    with pytest.raises(fastopt.CheckpointError, match=r"exp_avg"):
        twin.load_state_dict(saved)
    assert twin.step_count == 0


# --- shadows ---


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [{}, {"state_dtype": "int8"}, {"l1_proximal": 0.1}, {"ema_decay": 0.9}])
def test_a_shadow_is_the_rounded_parameter_after_every_step(dtype: str, options: dict[str, Any]) -> None:
    theta = np.linspace(-1, 1, N, dtype=np.float32)
    shadow = np.zeros(N, np.uint16 if dtype == "bfloat16" else np.float16)
    opt = fastopt.AdamW([theta], lr=1e-2, shadow=[shadow], **options)

    def expected() -> Any:
        return bfloat16(theta) if dtype == "bfloat16" else theta.astype(np.float16)

    assert np.array_equal(shadow, expected())
    for g in gradients(3):
        opt.step([g])
        assert np.array_equal(shadow, expected())
    if "ema_decay" in options:
        kept = shadow.copy()
        with opt.ema_weights():
            assert np.array_equal(shadow, expected())
            assert not np.array_equal(shadow, kept)
        assert np.array_equal(shadow, kept)


def test_lookahead_and_averages_put_remainders_back() -> None:
    theta = np.full(N, 0x3F80, np.uint16)
    opt = fastopt.SGD([theta], lr=1e-3, momentum=0.9, dtype="bfloat16", master="split16", ema_decay=0.9)
    for g in gradients(5):
        opt.step([g])
    upper, whole = theta.copy(), opt.state[theta]["master"].copy()
    for context in (opt.lookahead(), opt.ema_weights()):
        with context:
            assert not np.array_equal(opt.state[theta]["master"], whole)
        assert np.array_equal(theta, upper)
        assert np.array_equal(opt.state[theta]["master"], whole)


# --- refused ---


F32, F64 = np.zeros(N, np.float32), np.zeros(N)
BITS, F16 = np.zeros(N, np.uint16), np.zeros(N, np.float16)
REFUSED: list[tuple[str, Any, dict[str, Any], type[Exception], str]] = [
    ("adam", F32, {"state_dtype": "int4"}, TypeError, "state_dtype"),
    ("adam", F32, {"state_dtype": np.int16}, TypeError, "state_dtype"),
    ("adam", F32, {"state_dtype": {"exp_av": "int8"}}, ValueError, "no state 'exp_av'"),
    ("adam", F32, {"state_dtype": {"exp_avg_sq": "float16"}}, TypeError, "exp_avg_sq"),
    ("adam", F64, {"state_dtype": "int8"}, TypeError, "float64"),
    ("adagrad", F32, {"state_dtype": "int8"}, TypeError, "eight bits"),
    ("rprop", F32, {"state_dtype": "int8"}, TypeError, "eight bits"),
    ("rprop", F32, {"state_dtype": {"step_size": "int8"}}, TypeError, "step_size"),
    ("adam", F32, {"rounding": "stochastic"}, TypeError, "half-precision"),
    ("adam", F32, {"rounding": "kahan"}, TypeError, "half-precision"),
    ("adam", F32, {"rounding": "up"}, ValueError, "rounding"),
    ("adam", F32, {"rounding": None}, ValueError, "rounding"),
    ("adam", F32, {"master": "split16"}, TypeError, "bfloat16"),
    ("adam", F16, {"master": "split8"}, TypeError, "bfloat16"),
    ("adam", BITS, {"master": "split4", "dtype": "bfloat16"}, ValueError, "master"),
    ("adam", BITS, {"master": "split8", "rounding": "kahan", "dtype": "bfloat16"}, ValueError, "kahan"),
    (
        "adam",
        BITS,
        {"master": "split16", "rounding": "stochastic", "dtype": "bfloat16"},
        ValueError,
        "split16",
    ),
    ("adam", F32, {"seed": -1}, ValueError, "seed"),
    ("adam", F32, {"seed": 1.5}, TypeError, "seed"),
    ("adam", F32, {"shadow": [F32.copy()]}, TypeError, "shadow"),
    ("adam", F32, {"shadow": [np.zeros(N - 1, np.uint16)]}, ValueError, "shadow"),
    ("adam", F32, {"shadow": [BITS, BITS]}, ValueError, "shadow"),
    ("adam", F32, {"shadow": 3}, TypeError, "shadow"),
    ("adam", F64, {"shadow": [BITS]}, TypeError, "shadow"),
    ("adam", F32, {"shadow": [F32.view(np.uint16)[:N]]}, ValueError, "shadow"),
]


@pytest.mark.parametrize(("name", "theta", "options", "error", "text"), REFUSED)
def test_refused(name: str, theta: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        OPTIMIZERS[name]([theta], **options)


def test_a_shadow_that_was_resized_is_seen_before_the_step() -> None:
    theta, shadow = np.zeros(N, np.float32), np.zeros(N, np.uint16)
    opt = fastopt.SGD([theta], lr=0.1, shadow=[shadow])
    shadow.flags.writeable = False
    with pytest.raises(ValueError, match="shadow"):
        opt.step([theta + 1])
    assert np.all(theta == 0)


def test_groups_and_names_have_shadows() -> None:
    a, b, s = np.ones(5, np.float32), np.ones(3, np.float32), np.zeros(3, np.uint16)
    fastopt.SGD({"a": a, "b": b}, lr=0.1, shadow={"a": None, "b": s}).step({"a": a * 0, "b": b * 1})
    assert np.array_equal(s, bfloat16(b))
    opt = fastopt.SGD([{"params": [a]}, {"params": [b], "shadow": [s]}], lr=0.1)
    opt.step([None, np.ones(3, np.float32)])
    assert np.array_equal(s, bfloat16(b))
    with pytest.raises(TypeError, match="shadow"):
        fastopt.SGD([{"params": [a]}, {"params": [b]}], lr=0.1, shadow=[s])


@pytest.mark.parametrize("order", [("m", "o"), ("o", "m")])
def test_a_shadow_follows_what_is_loaded(order: tuple[str, str], tmp_path: Any) -> None:
    def made(value: float) -> tuple[Any, Any, Any]:
        w, s = np.full((4, 2), value, np.float32), np.zeros((4, 2), np.float16)
        return w, s, fastopt.Adam([w], lr=0.1, shadow=[s])

    w, _, opt = made(1.0)
    opt.step([np.ones_like(w)])
    fastopt.save(tmp_path / "run.npz", {key: {"m": [w], "o": opt}[key] for key in order})
    found, shadow, other = made(9.0)
    fastopt.load(tmp_path / "run.npz", into={key: {"m": [found], "o": other}[key] for key in order})
    assert np.array_equal(shadow, w.astype(np.float16))
    other.step([None])
    assert np.array_equal(shadow, found.astype(np.float16))
    found[...] = 3
    other.load_state_dict(opt.state_dict())
    assert np.all(shadow == 3)


@pytest.mark.parametrize(("before", "after"), [("split16", "split8"), ("split8", "split16")])
def test_another_master_keeps_what_it_can(before: str, after: str) -> None:
    theta, opt = half_trained({"master": before}, 20, lr=1e-3)
    copy = theta.copy()
    twin = fastopt.AdamW([copy], lr=1e-3, dtype="bfloat16", weight_decay=0.0, master=after)
    twin.load_state_dict(opt.state_dict(), override={"master": after})
    whole, other = opt.state[theta]["master"], twin.state[copy]["master"]
    # eight bits reach 127 units, half of a unit of bfloat16 is 128
    assert np.allclose(whole, other, rtol=2**-15 if after == "split8" else 0, atol=0)


@pytest.mark.parametrize("gradient", [1e-18, 1e-19, 3e-20])
def test_squares_below_the_normal_numbers(gradient: float) -> None:
    """With an epsilon that does not hide them."""
    g = np.full(200, gradient, np.float32)
    thetas = []
    for form in ({}, {"state_dtype": {"exp_avg_sq": "int8"}}):
        thetas.append(np.zeros(200, np.float32))
        opt = fastopt.Adam([thetas[-1]], lr=0.1, eps=1e-30, **form)
        for _ in range(5):
            opt.step([g])
    assert np.allclose(thetas[0], thetas[1], rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("shadow", "text"),
    [
        (np.zeros((4, 6), np.float16, order="F"), r"strides of \(1, 4\) items, .* has \(6, 1\)"),
        (np.zeros((4, 12), np.float16)[:, ::2], r"strides of \(12, 2\) items, .* has \(6, 1\)"),
        (np.zeros((4, 6), np.float16)[::-1], r"strides of \(-6, 1\) items, .* has \(6, 1\)"),
        (np.frombuffer(bytes(48), np.float16).reshape(4, 6), "got a read-only one"),
        (np.frombuffer(bytearray(49), np.float16, 24, 1).reshape(4, 6), "one misaligned to its items of 2"),
    ],
)
def test_a_shadow_that_does_not_lie_as_its_parameter_says_how_it_lies(shadow: Any, text: str) -> None:
    with pytest.raises(ValueError, match=rf"params\[0\]: shadow: expected a writeable array .*{text}"):
        fastopt.SGD([np.ones((4, 6), np.float32)], shadow=[shadow])


def test_a_shadow_of_uint16_is_bfloat16_also_where_parameters_are_not() -> None:
    theta, shadow = np.array([1.5, -3.0], np.float32), np.zeros(2, np.uint16)
    fastopt.SGD([theta], shadow=[shadow])
    assert np.array_equal(shadow, bfloat16(theta))


# --- what a saved state may not say ---


def scaled(damage: Any, positive: bool = False) -> tuple[Any, Any]:
    """An optimizer and its saved state, in which one scale is another."""
    theta, opt = trained({"state_dtype": "int8"}, 3)
    saved = opt.state_dict()
    damaged(saved["state"][0], "exp_avg_sq" if positive else "exp_avg", damage)
    return theta, saved


def damaged(entry: dict[str, Any], name: str, damage: Any) -> None:
    codes, scales = entry[f"{name}.codes"], entry[f"{name}.scales"]
    if name == "exp_avg_sq":  # the largest of its group has the code of infinity, where the scale is negative
        codes[7 * 64 : 8 * 64] = np.minimum(codes[7 * 64 : 8 * 64], 254)
    scales[7] = damage if isinstance(damage, float) else -scales[7]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf, -1.0, -0.0, "negated"])
@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize("way", ["dict", "file"])
def test_scales_that_are_none_are_refused(
    positive: bool, damage: Any, override: bool, way: str, tmp_path: Any
) -> None:
    theta, saved = scaled(damage, positive)
    twin = fastopt.AdamW([theta], lr=1e-3, state_dtype=None if override else "int8")
    before = twin.state_dict()
    options = {"override": {"state_dtype": None}} if override else {}
    name = "exp_avg_sq.scales" if positive else "exp_avg.scales"
    if way == "file":
        first = fastopt.AdamW([theta.copy()], lr=1e-3, state_dtype="int8")
        first.step([theta])
        coded = first._states[0][name.split(".")[0]]
        parts = {f"{name.split('.')[0]}.{part}": getattr(coded, part) for part in ("codes", "scales")}
        damaged(parts, name.split(".")[0], damage)
        first.save(tmp_path / "state.npz")
    load, source = (twin.load_state_dict, saved) if way == "dict" else (twin.load, tmp_path / "state.npz")
    text = rf"{name}'\]: expected scales of codes, >= 0, but scale 7 is"
    with pytest.raises(fastopt.CheckpointError, match=text):
        load(source, **options)
    assert twin.state_dict() == before


@pytest.mark.parametrize("wanted", [None, "int8"])
def test_scales_of_groups_that_hold_what_is_not_finite_are_negative_and_loaded(wanted: Any) -> None:
    theta = np.zeros(N, np.float32)
    opt = fastopt.AdamW([theta], lr=1e-3, state_dtype="int8")
    g = gradients(1)[0]
    g[70], g[9999] = np.inf, np.nan
    opt.step([g])
    saved = opt.state_dict()
    assert (saved["state"][0]["exp_avg.scales"] < 0).sum() == 2
    twin = fastopt.AdamW([theta.copy()], lr=1e-3, state_dtype=wanted)
    twin.load_state_dict(saved, override={"state_dtype": wanted})
    np.testing.assert_array_equal(twin.state[0]["exp_avg"], opt.state[0]["exp_avg"])


@pytest.mark.parametrize("before", ["bfloat16", "float16"])
@pytest.mark.parametrize("way", ["dict", "file"])
def test_what_another_precision_left_out_is_refused(before: str, way: str, tmp_path: Any) -> None:
    def made(dtype: str) -> tuple[Any, Any]:
        w = np.full(100, 0x3F80, np.uint16) if dtype == "bfloat16" else np.ones(100, np.float16)
        return w, fastopt.AdamW([w], lr=1e-4, dtype="bfloat16", rounding="kahan")

    _, opt = made(before)
    for _ in range(3):
        opt.step([np.ones(100, np.float32)])
    opt.save(tmp_path / "state.npz")
    after = "float16" if before == "bfloat16" else "bfloat16"
    w, twin = made(after)

    def load(**options: Any) -> None:
        if way == "dict":
            twin.load_state_dict(opt.state_dict(), **options)
        else:
            twin.load(tmp_path / "state.npz", **options)

    text = rf"master.kahan'\]: expected {after} of shape \(100,\), got {before} .*override"
    with pytest.raises(fastopt.CheckpointError, match=text):
        load()
    assert twin.step_count == 0
    load(override={"rounding": "kahan"})
    assert twin.step_count == 3
    whole = w.astype(np.float32) if after == "float16" else widened(w)
    np.testing.assert_array_equal(twin.state[0]["master"], whole)


def test_a_remainder_of_whole_numbers_is_one_of_their_sign() -> None:
    theta, opt = half_trained({"master": "split16"}, 3)
    saved = opt.state_dict()
    saved["state"][0]["master.split16"] = saved["state"][0]["master.split16"].view(np.uint16)
    twin = fastopt.AdamW([theta], lr=1e-4, dtype="bfloat16", master="split16")
    with pytest.raises(fastopt.CheckpointError, match="expected int16"):
        twin.load_state_dict(saved)
