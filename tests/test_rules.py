"""Every public optimizer against the oracle: one battery over class x setting x dtype.

A class without an oracle, a keyword without a draw, and a keyword that changes nothing each fail here.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastopt
from battery import STEPS, TENSORS, Meter, Problem, StateMeter, problem
from draws import GROUP, VARIANTS, WHOLE, Draw, draw
from fastopt.optim._common import Common
from oracle import Oracle
from reference import COMMON, ORACLES

CLASSES = {cls.__name__: cls for cls in fastopt.optimizers().values()}
KNOWN = sorted(CLASSES.keys() & VARIANTS.keys())
CASES = [(name, i) for name in KNOWN for i in range(len(VARIANTS[name]))]
SETTINGS: dict[str, Draw] = {
    "own keywords": {},
    "with L1": {key: value for key, value in GROUP.items() if key != "l1_proximal"},
    "with proximal L1": {key: value for key, value in GROUP.items() if key != "l1"},
}
# Ten times the bound: an element closer to 0 than this may take either sign under L1 (see `battery.Meter`).
EDGE = {np.float64: 1e-11, np.float32: 1e-5}
# These do not choose numbers but storage and policy: the tests of the engine hold them.
ELSEWHERE = {"params", "dtype", "state_dtype", "nonfinite"}


def keywords(name: str) -> dict[str, Any]:
    """The keywords of a class and their defaults, without those held elsewhere."""
    signature = inspect.signature(CLASSES[name]).parameters.values()
    own = {p.name: p.default for p in signature if p.kind != p.VAR_KEYWORD and p.name not in ELSEWHERE}
    return {**COMMON, **dict.fromkeys(WHOLE), **own}


KEYWORDS = [(name, key) for name in KNOWN for key in keywords(name)]


def bound(dtype: Any, single: float) -> float:
    """1e-12 in float64. In float32 1e-6, or four times what the oracle's own formulas lose in float32: the
    project's bound against PyTorch, with the oracle in PyTorch's place."""
    return 1e-12 if dtype == np.float64 else max(1e-6, 4 * single)


def pair(name: str, setting: Draw, whole: Draw, given: Problem, seed: int) -> tuple[Any, Oracle]:
    """An optimizer and its oracle over the same two groups, each group with its own draw of the setting."""
    rng = np.random.default_rng(seed)
    options, first, second = draw(whole, rng), draw(setting, rng), draw(setting, rng)
    opt = CLASSES[name](given.groups(first, second), **options)
    return opt, Oracle(name, given.groups(first, second), **options)


def trio(name: str, setting: Draw, whole: Draw, given: Problem, seed: int) -> tuple[Any, Oracle, Oracle]:
    """The same and the oracle's twin in single precision."""
    opt, oracle = pair(name, setting, whole, given, seed)
    options = draw(whole, np.random.default_rng(seed))  # the first that pair draws from this seed
    return opt, oracle, Oracle(name, oracle.param_groups, **options, dtype=np.float32)


def arrays(opt: Any) -> list[Any]:
    return [p for group in opt.param_groups for p in group["params"]]


def results(opt: Any) -> list[dict[str, Any]]:
    """All that a run leaves of each tensor: its values, states (``t0`` moves only those) and average."""
    state = opt.state_dict()["state"]
    average = getattr(opt, "ema", None)
    left = [{"theta": p, **state[i]} for i, p in enumerate(arrays(opt))]
    return [{**tensor, **({"ema": average[i]} if average else {})} for i, tensor in enumerate(left)]


def distance(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> float:
    """The largest difference of what both have; infinite where only one has an average of the weights."""
    if ("ema" in a[0]) != ("ema" in b[0]):
        return float("inf")
    return max(
        float(np.max(np.abs(np.asarray(x[key]) - np.asarray(y[key])), initial=0.0))
        for x, y in zip(a, b, strict=True)
        for key in x.keys() & y.keys()
    )


def test_every_class_has_an_oracle_and_a_draw() -> None:
    assert CLASSES.keys() == ORACLES.keys()
    assert CLASSES.keys() == VARIANTS.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_defaults(name: str) -> None:
    assert keywords(name) == {**COMMON, **dict.fromkeys(WHOLE), **ORACLES[name].defaults}


def test_every_common_keyword_is_known_here() -> None:
    assert set(Common.__annotations__) == (COMMON.keys() - {"weight_decay"}) | WHOLE.keys() | (
        ELSEWHERE - {"params"}
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("common", SETTINGS)
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_class_is_its_oracle(name: str, variant: int, common: str, dtype: Any) -> None:
    """Thirty steps, two groups, ``None`` gradients, lr changed half-way, gradients scaled."""
    given = problem(dtype, seed=variant)
    setting, whole = {**VARIANTS[name][variant], **SETTINGS[common]}, WHOLE if SETTINGS[common] else {}
    opt, oracle, single = trio(name, setting, whole, given, seed=1000 + variant)
    meter, average, states = (
        Meter(oracle.params, EDGE[dtype] if "l1" in setting else 0.0),
        Meter(oracle.params),
        StateMeter(),
    )
    for k in range(STEPS):
        for side in (oracle, single, opt):
            if k == 11:
                side.param_groups[0]["lr"] *= 0.3
                side.param_groups[1]["lr"] *= 2.5
            side.step(given.grads[k], grad_scale=3.0 if whole and k % 7 == 3 else 1.0)
        meter.seen(oracle.params)
        average.seen(oracle.ema)
        states.seen(oracle.state)
    assert meter.share_out < 0.01
    assert meter.error(arrays(opt)) <= bound(dtype, meter.error(single.params))
    if whole:
        assert average.error(opt.ema, meter.out) <= bound(dtype, average.error(single.ema, meter.out))
    saved = opt.state_dict()["state"]
    allowed = {key: bound(dtype, error) for key, error in states.errors(single.state, meter.out).items()}
    for key, error in states.errors(saved, meter.out).items():
        assert error <= allowed[key], key
    assert [int(saved[i]["step"]) for i in range(TENSORS)] == oracle.steps


@pytest.mark.parametrize(("name", "key"), KEYWORDS)
def test_the_keyword_is_live(name: str, key: str) -> None:
    """With and without it, all else equal, the run ends elsewhere: an ignored keyword cannot pass."""
    setting, whole = next(({**v, **GROUP}, WHOLE) for v in VARIANTS[name] if key in {**v, **GROUP, **WHOLE})
    given = problem(np.float64, seed=7)
    opt, _ = pair(name, setting, whole, given, seed=2000)
    rng = np.random.default_rng(2000)
    options, first, second = draw(whole, rng), draw(setting, rng), draw(setting, rng)
    without = [{k: v for k, v in d.items() if k != key} for d in (options, first, second)]
    twin = CLASSES[name](given.groups(*without[1:]), **without[0])
    for k, grads in enumerate(given.grads):
        for side in (opt, twin):
            if k == 11:  # the "step" form of momentum differs only once lr changes
                side.param_groups[0]["lr"] *= 0.3
            side.step(grads)
    assert distance(results(opt), results(twin)) > 1e-4


@pytest.mark.parametrize("name", KNOWN)
def test_numbers_may_change_mid_run(name: str) -> None:
    """Assigned to the groups after fifteen steps, each takes effect at the next: schedules of anything."""
    given = problem(np.float64, seed=2)
    setting = {**VARIANTS[name][0], **GROUP}
    opt, oracle = pair(name, setting, WHOLE, given, seed=4000)
    later = draw(setting, np.random.default_rng(4001))
    fixed = {key for key, value in later.items() if isinstance(value, bool | str)} - {"maximize"}
    meter = Meter(oracle.params)
    for k, grads in enumerate(given.grads):
        for side in (oracle, opt):
            if k == 15:
                for group in side.param_groups:
                    for key in later.keys() - fixed - {"initial_accumulator_value"}:
                        group[key] = not group[key] if key == "maximize" else later[key]
            side.step(grads)
        meter.seen(oracle.params)
    assert meter.error(arrays(opt)) <= 1e-12


@pytest.mark.parametrize("name", KNOWN)
def test_a_skipped_step_changes_nothing(name: str) -> None:
    """nonfinite="skip": a NaN in the last gradient leaves parameters, states and counts."""
    given = problem(np.float32, seed=3, holes=False)
    opt, oracle = pair(name, {**VARIANTS[name][0], **GROUP}, {**WHOLE, "nonfinite": "skip"}, given, seed=3000)
    meter = Meter(oracle.params)
    for k in range(8):
        grads = [g.copy() for g in given.grads[k]]
        if k in (2, 5):
            grads[-1][-1] = np.nan
        oracle.step(grads)
        opt.step(grads)
        meter.seen(oracle.params)
    assert meter.error(arrays(opt)) <= 1e-6
    assert (opt.step_count, opt.skipped) == (oracle.step_count, oracle.skipped) == (6, 2)


@pytest.mark.parametrize("name", KNOWN)
def test_lr_may_be_a_function_of_completed_steps(name: str) -> None:
    given = problem(np.float64, seed=4)

    def falling(k: int) -> float:
        return 0.05 / (1 + k)

    def rising(k: int) -> float:
        return 0.01 * (1 + k)

    setting = {key: value for key, value in VARIANTS[name][0].items() if key != "lr"}
    options = draw(setting, np.random.default_rng(4))
    groups = [given.groups({}, {"lr": rising}) for _ in range(2)]
    sides: list[Any] = [
        CLASSES[name](groups[0], falling, **options),
        Oracle(name, groups[1], falling, **options),
    ]
    meter = Meter(sides[1].params)
    for grads in given.grads:
        for side in sides:
            side.step(grads)
        meter.seen(sides[1].params)
    assert meter.error(arrays(sides[0])) <= 1e-12
