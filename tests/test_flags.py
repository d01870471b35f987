"""`cautious`, `cautious_weight_decay` and `centralize`: on every rule for which they mean something.

The oracle forms the step of a rule from zero, in float64, and masks, divides and decays as the papers say.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fastopt
from battery import STEPS, Meter, problem
from draws import GROUP, VARIANTS, WHOLE
from engine import LEVELS, bits, everything, make, normal, setting, threads
from oracle import Oracle
from pairs import CLASSES, KNOWN, arrays, pair, trio

#: Rules whose update reads the parameters: there is no step to look at without them.
READING = (
    *("ASGD", "FTRL", "LAMB", "LARS", "Prodigy"),
    *("ScheduleFreeAdamW", "ScheduleFreeRAdam", "ScheduleFreeSGD"),
)
#: Rules of whole matrices, and those that keep numbers of rows.
MATRICES = ("Adafactor", "Kron", "Muon", "SOAP", "Shampoo")
BY_ROW = ("RowWiseAdagrad", "RowWiseAdam")
REFUSING = (*READING, *MATRICES, *BY_ROW)
CAUTIOUS = [name for name in KNOWN if name not in REFUSING]
#: Rules whose steps go down their gradient by themselves, all of them.
DOWNHILL = ("Adadelta", "Adagrad", "Rprop")
CASES = [(name, i) for name in KNOWN for i in range(len(VARIANTS[name]))]
EDGE = {np.float64: 1e-11, np.float32: 1e-5}


def decays_apart(name: str, variant: int) -> bool:
    chosen = VARIANTS[name][variant].get("decoupled_weight_decay")
    kind = CLASSES[name].rule.weight_decay
    return name == "Adan" or (kind == "decoupled" if chosen is None else bool(chosen))


def flags(name: str, variant: int) -> dict[str, Any]:
    """All that the rule takes with this setting."""
    if name in BY_ROW or VARIANTS[name][variant].get("row_steps"):
        return dict.fromkeys(("centralize", "cautious", "cautious_weight_decay"), False)
    return {
        "centralize": True,
        "cautious": name in CAUTIOUS,
        "cautious_weight_decay": name in CAUTIOUS and decays_apart(name, variant),
    }


def bound(dtype: Any, single: float) -> float:
    if dtype == np.float64:
        return 1e-12
    assert single < 1e-4, "an element sits on a jump of the rule: draw other numbers"
    return max(1e-6, 4 * single)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("around", [False, True], ids=["bare", "with everything around"])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_class_with_its_flags_is_its_oracle(name: str, variant: int, around: bool, dtype: Any) -> None:
    given = problem(dtype, seed=variant)
    common = {
        key: value
        for key, value in GROUP.items()
        if key != "l1_proximal" and (around or key == "weight_decay")
    }
    chosen = {**VARIANTS[name][variant], **common, **flags(name, variant)}
    opt, oracle, single = trio(name, chosen, WHOLE if around else {}, given, seed=900 + variant)
    meter = Meter(oracle.params, EDGE[dtype])
    for k in range(STEPS):
        for side in filter(None, (oracle, single, opt)):
            side.step(given.grads[k], grad_scale=3.0 if k % 7 == 3 else 1.0)
        meter.seen(oracle.params)
    assert meter.error(arrays(opt)) <= bound(dtype, meter.error((single or oracle).params))


@pytest.mark.parametrize("flag", ["cautious", "cautious_weight_decay", "centralize"])
@pytest.mark.parametrize("name", KNOWN)
def test_each_flag_alone_is_its_oracle_and_changes_the_result(name: str, flag: str) -> None:
    variant = next((i for i in range(len(VARIANTS[name])) if flags(name, i)[flag]), None)
    if variant is None:
        return  # refused, or without a decay that could be cautious: below
    given = problem(np.float64, seed=4)
    chosen = {**VARIANTS[name][variant], "weight_decay": GROUP["weight_decay"]}
    opt, oracle = pair(name, {**chosen, flag: True}, {}, given, seed=77)
    plain, _ = pair(name, chosen, {}, given, seed=77)
    meter = Meter(oracle.params)
    for grads in given.grads:
        for side in (opt, oracle, plain):
            side.step(grads)
        meter.seen(oracle.params)
    assert meter.error(arrays(opt)) <= 1e-12
    moved = max(
        float(np.max(np.abs(a - b), initial=0.0)) for a, b in zip(arrays(opt), arrays(plain), strict=True)
    )
    assert moved > 1e-4 or (flag == "cautious" and name in DOWNHILL)


def test_flags_may_change_mid_run() -> None:
    given = problem(np.float64, seed=5)
    opt, oracle = pair("AdamW", VARIANTS["AdamW"][2], {}, given, seed=5)
    meter = Meter(oracle.params)
    for k, grads in enumerate(given.grads):
        for side in (opt, oracle):
            for flag, begin in (("cautious", 5), ("cautious_weight_decay", 9), ("centralize", 12)):
                side.param_groups[k % 2][flag] = k >= begin and (k // 5) % 2 == 1
            side.step(grads)
        meter.seen(oracle.params)
    assert meter.error(arrays(opt)) <= 1e-12


# --- by hand ---


def test_what_cautious_does_by_hand() -> None:
    """Momentum says up on two elements of four: they stay, the others go twice as far."""
    w = np.zeros(4)
    opt = fastopt.SGD([w], lr=1.0, momentum=0.5, cautious=True)
    opt.step([np.array([4.0, 4.0, -4.0, 1.0])])
    np.testing.assert_array_equal(w, [-4, -4, 4, -1])
    opt.step([np.array([-1.0, 1.0, 1.0, 1.0])])
    np.testing.assert_array_equal(w, [-4, -4 - 2 * 3, 4, -1 - 2 * 1.5])
    np.testing.assert_array_equal(opt.state[w]["momentum_buffer"], [1, 3, -1, 1.5])


def test_the_share_is_at_least_a_thousandth() -> None:
    w = np.zeros(5000)
    opt = fastopt.SGD([w], lr=1.0, cautious=True)
    g = np.zeros(5000)
    g[7] = 1.0  # a share of 1 / 5000
    opt.step([g])
    assert w[7] == -1000


def test_what_cautious_decay_does_by_hand() -> None:
    """Decay where the step goes towards 0 or nowhere, whatever `cautious` then leaves of the step."""
    w = np.array([10.0, -10.0, 10.0, -10.0, 10.0])
    opt = fastopt.SGD([w], lr=0.5, weight_decay=0.2, decoupled_weight_decay=True, cautious_weight_decay=True)
    opt.step([np.array([2.0, 2.0, -2.0, -2.0, 0.0])])
    np.testing.assert_array_equal(w, [9 - 1, -10 - 1, 10 + 1, -9 + 1, 9])


@pytest.mark.parametrize("flag", [{"cautious": True}, {"cautious": True, "centralize": True}])
def test_nan_is_seen(flag: dict[str, Any]) -> None:
    w = np.ones((4, 3))
    g = np.ones((4, 3))
    g[1, 2] = np.nan
    fastopt.Adam([w], lr=0.1, **flag).step([g])
    bad = np.zeros((4, 3), bool)
    bad[1] = flag.get("centralize", False)
    bad[1, 2] = True
    np.testing.assert_array_equal(np.isnan(w), bad)


def test_a_gradient_that_overflows_when_centred_is_refused() -> None:
    big = np.float32(1.5e19)  # its square is a float32, that of twice as much is none
    for centralize in (False, True):
        opt = fastopt.Adam([np.ones((2, 2), np.float32)], nonfinite="skip", centralize=centralize)
        opt.step([np.full((2, 2), big)])
        assert opt.skipped == centralize


def test_small_products_do_not_hide_agreement() -> None:
    """Step times gradient would underflow in float32."""
    w = np.zeros(4, np.float32)
    opt = fastopt.SGD([w], lr=1e-5, cautious=True)
    opt.step([np.full(4, 1e-25, np.float32)])
    np.testing.assert_array_equal(w, np.float32(1e-5) * np.full(4, -1e-25, np.float32))


# --- bits ---

LAYOUTS = {
    "C": lambda a: np.ascontiguousarray(a),
    "F": lambda a: np.asfortranarray(a),
    "axes in another order": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
}


@pytest.mark.parametrize("shape", [(5, 7, 3), (300, 40, 2), (2, 9000, 3), (1, 65, 2), (40, 1, 1)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_those_of_the_first_axis_in_every_order_of_memory(
    layout: str, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(8)
    start, grads = rng.normal(size=shape), [rng.normal(size=shape) for _ in range(3)]
    w = LAYOUTS[layout](start.copy())
    opt = fastopt.Adam([w], lr=0.1, centralize=True, cautious=True)
    oracle = Oracle("Adam", [start], 0.1, centralize=True, cautious=True)
    for g in grads:
        opt.step([np.asfortranarray(g)])
        oracle.step([g])
    np.testing.assert_allclose(w, oracle.params[0], rtol=1e-12, atol=1e-12)


def run(level: str, count: int, dtype: Any, name: str, **options: Any) -> Any:
    shapes = [(700, 300), (3, 50_001), (260_003,), (9, 8, 3, 3)]
    with threads(count):
        params = normal(31, shapes, dtype)
        params[1] = np.asfortranarray(params[1])
        # with counts of rows there are no flags, and in eight bits no rows like these
        last = max(i for i, variant in enumerate(VARIANTS[name]) if not variant.get("row_steps"))
        opt = make(name, params, level, **setting(name, last), **flags(name, last), **options)
        for k in range(4):
            opt.step(normal(40 + k, shapes, dtype))
        return bits([params, opt.state_dict()["state"]])


STORED: dict[str, dict[str, Any]] = {
    "float32": {},
    "float64": {},
    "bfloat16": {"rounding": "stochastic", "seed": 3},
    "float16": {"rounding": "kahan"},
    "eight bits": {"state_dtype": "int8", "seed": 3},
    "bfloat16 states": {"state_dtype": "bfloat16", "seed": 3},
}


@pytest.mark.parametrize("name", ["AdamW", "Lion", "SGD", "LAMB"])
@pytest.mark.parametrize("stored", STORED)
def test_bits_depend_neither_on_threads_nor_on_the_level(stored: str, name: str) -> None:
    words = {"float64": np.float64, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
    results = [
        run(level, count, words.get(stored, np.float32), name, **STORED[stored])
        for level in LEVELS
        for count in (1, 3)
    ]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("stored", STORED)
def test_states_are_those_of_the_same_rule_without_caution(stored: str) -> None:
    """Random bits are drawn once, when the step is taken."""
    words = {"float64": np.float64, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
    shapes = [(70, 90), (5000,)]
    states = []
    for cautious in (False, True):
        params = normal(6, shapes, words.get(stored, np.float32))
        opt = make("AdamW", params, lr=0.1, weight_decay=0.0, cautious=cautious, **STORED[stored])
        for k in range(3):
            opt.step(normal(7 + k, shapes, words.get(stored, np.float32)))
        saved = opt.state_dict()["state"].values()
        states.append(bits([{k: v for k, v in s.items() if not k.startswith("master")} for s in saved]))
    assert states[0] == states[1]


@pytest.mark.parametrize("name", CAUTIOUS)
def test_where_all_agrees_cautious_changes_nothing(name: str) -> None:
    """Not a bit: the step from zero is the step. (Gradients of one sign, so that momentum agrees.)"""
    twins = []
    for cautious in (False, True):
        params = normal(9, [(1000,), (60, 70)], np.float32)
        options = {**setting(name), "weight_decay": 0.03}
        if CLASSES[name].rule.decay(options) != "decoupled":
            options["weight_decay"] = 0.0  # would turn the sign; Adan's comes last, and is rounded otherwise
        opt = make(name, params, cautious=cautious, **options)
        rng = np.random.default_rng(10)
        for _ in range(4):
            opt.step([rng.uniform(0.5, 1.0, size=p.shape).astype(np.float32) for p in params])
        twins.append(bits(params))
    assert twins[0] == twins[1]


# --- rows of a table ---


def test_rows_of_a_table_are_centred_and_masked_among_themselves() -> None:
    rng = np.random.default_rng(12)
    start = rng.normal(size=(50, 33))
    rows = [np.array([3, 49, 3, 7]), np.array([7, 8]), np.array([3, 7, 49])]
    values = [rng.normal(size=(len(r), 33)) for r in rows]
    w = start.copy()
    opt = fastopt.SGD([w], lr=0.1, momentum=0.9, cautious=True, centralize=True)
    theta, v = start.copy(), np.zeros_like(start)
    for r, x in zip(rows, values, strict=True):
        opt.step([fastopt.SparseRows(r, x)])
        touched = np.unique(r)
        g = np.stack([x[r == k].sum(axis=0) for k in touched])
        g -= g.mean(axis=1, keepdims=True)
        v[touched] = 0.9 * v[touched] + g
        agrees = v[touched] * g > 0
        theta[touched] -= 0.1 * v[touched] * agrees / agrees.mean()
    np.testing.assert_allclose(w, theta, rtol=1e-12, atol=1e-13)


def test_rows_split_between_threads_have_one_mean() -> None:
    results = []
    for count in (1, 3):
        with threads(count):
            w = normal(13, [(40, 20_001)])[0]
            opt = make("AdamW", [w], lr=0.1, cautious=True, centralize=True)
            for k in range(2):
                opt.step([fastopt.SparseRows(np.arange(0, 40, 2), normal(14 + k, [(20, 20_001)])[0])])
            results.append(bits(w))
    assert results[0] == results[1]


# --- refusals ---


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("flag", ["cautious", "cautious_weight_decay"])
def test_rules_that_read_the_parameters_are_refused(name: str, flag: str) -> None:
    message = (
        f"{flag}: expected False with {name}, whose update depends on the parameters themselves, got True"
    )
    with pytest.raises(ValueError, match=message):
        make(name, [np.ones(3)], **{flag: True})
    opt = make(name, [np.ones(3)])
    opt.step([np.ones(3)])
    before = everything(opt)
    with pytest.raises(ValueError, match=message):
        opt.param_groups[0][flag] = True
    assert everything(opt) == before


def test_cautious_decay_of_a_penalty_is_refused() -> None:
    message = "cautious_weight_decay: expected False with Adam's coupled weight decay"
    with pytest.raises(ValueError, match=message):
        fastopt.Adam([np.ones(3)], weight_decay=0.1, cautious_weight_decay=True)
    fastopt.Adam([np.ones(3)], decoupled_weight_decay=True, cautious_weight_decay=True)


@pytest.mark.parametrize("flag", ["cautious", "cautious_weight_decay", "centralize"])
def test_other_values_than_booleans_are_refused(flag: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{flag}: expected"):
        fastopt.AdamW([np.ones(3)], **{flag: 0.5})


@pytest.mark.parametrize("flag", ["cautious", "cautious_weight_decay"])
@pytest.mark.parametrize("name", [*MATRICES, *BY_ROW])
def test_rules_of_more_than_an_element_are_refused(name: str, flag: str) -> None:
    with pytest.raises(ValueError, match=f"{flag}: expected False with {name}"):
        getattr(fastopt, name)([np.ones((2, 3))], **{flag: True})


@pytest.mark.parametrize("flag", ["cautious", "cautious_weight_decay", "centralize"])
def test_counts_of_rows_have_no_flags(flag: str) -> None:
    with pytest.raises(ValueError, match=f"{flag}: expected False with AdamW where numbers are kept"):
        fastopt.AdamW([np.ones((2, 3))], row_steps=True, **{flag: True})


@pytest.mark.parametrize(("name", "variant"), [case for case in CASES if case[0] not in MATRICES])
def test_the_engine_says_which_rules_read_the_parameters(name: str, variant: int) -> None:
    """Two runs from different places: steps and states are the same, bit for bit, or the rule says so."""
    ends, states = [], []
    for offset in (0.0, 1.0):
        w = np.full((5, 9), offset)
        opt = make(name, [w], **{**setting(name, variant), "weight_decay": 0.0})
        for k in range(4):
            opt.step([normal(60 + k, [(5, 9)], np.float64)[0]])
        ends.append(w - offset)
        states.append(bits(opt.state_dict()["state"]))
    same = np.allclose(ends[0], ends[1], rtol=0, atol=1e-13) and states[0] == states[1]
    assert same == (name not in READING)


# --- saving ---


def test_states_saved_before_there_were_flags_are_loaded(tmp_path: Any) -> None:
    params = normal(20, [(4, 5)])
    opt = make("RMSprop", params, lr=0.1, momentum=0.9)
    opt.step(normal(21, [(4, 5)]))
    old = opt.state_dict()
    late = ["cautious", "cautious_weight_decay", "centralize", "momentum_form", "decoupled_weight_decay"]
    for key in late:
        del old["param_groups"][0][key]
    other = make("RMSprop", normal(20, [(4, 5)]), lr=0.1, momentum=0.9, centralize=True)
    other.load_state_dict(old)
    assert [other.param_groups[0][key] for key in late] == [False, False, False, "gradient", False]
    formed = make("RMSprop", normal(20, [(4, 5)]), lr=0.1, momentum=0.9, momentum_form="step")
    with pytest.raises(ValueError, match="expected momentum_form='step', as this optimizer was made"):
        formed.load_state_dict(old)
    del old["param_groups"][0]["eps"]
    with pytest.raises(ValueError, match="expected 'eps', it is missing"):
        other.load_state_dict(old)


def test_flags_are_saved_and_resumed(tmp_path: Any) -> None:
    shapes = [(6, 7), (130,)]
    chosen = {"cautious": True, "cautious_weight_decay": True, "centralize": True}
    whole = make("AdamW", normal(22, shapes), lr=0.1, **chosen)
    for k in range(2):
        whole.step(normal(23 + k, shapes))
    whole.save(tmp_path / "state.npz")
    resumed = make("AdamW", [p.copy() for p in arrays(whole)], lr=0.5)
    resumed.load(tmp_path / "state.npz")
    for opt in (whole, resumed):
        opt.step(normal(30, shapes))
    assert everything(whole) == everything(resumed)
    assert all(resumed.param_groups[0][key] is True for key in chosen)
