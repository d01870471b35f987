"""Every public optimizer against the oracle: one battery over class x setting x dtype.

The classes are read from the registry: one without an oracle fails here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from battery import STEPS, TENSORS, Meter, StateMeter, problem
from draws import CLIPPING, GROUP, VARIANTS, WHOLE, Draw, draw
from oracle import Oracle
from pairs import CLASSES, KNOWN, arrays, pair, results, trio
from reference import ORACLES

CASES = [(name, i) for name in KNOWN for i in range(len(VARIANTS[name]))]
SETTINGS: dict[str, Draw] = {
    "own keywords": {},
    "with L1": {key: value for key, value in GROUP.items() if key != "l1_proximal"},
    "with proximal L1": {key: value for key, value in GROUP.items() if key != "l1"},
}
# Ten times the bound: an element closer to 0 than this may take either sign under L1 (see `battery.Meter`).
EDGE = {np.float64: 1e-11, np.float32: 1e-5}


def bound(dtype: Any, single: float, matrix: bool = False) -> float:
    """1e-12 in float64. In float32 1e-6, or four times what the oracle's own formulas lose in float32: the
    project's bound against PyTorch, with the oracle in PyTorch's place. Rules of matrices lose what their
    products lose, whose sums run in another order than the oracle's: twice that."""
    if dtype == np.float64:
        return 1e-12
    assert single < 1e-5, (
        "an element sits on a jump of the rule, so no bound means anything: draw other numbers"
    )
    return max(1e-6, (8 if matrix else 4) * single)


def test_every_class_has_an_oracle_and_a_draw() -> None:
    assert CLASSES.keys() == ORACLES.keys()
    assert CLASSES.keys() == VARIANTS.keys()


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
        for side in filter(None, (oracle, single, opt)):
            if k == 11:
                side.param_groups[0]["lr"] *= 0.3
                side.param_groups[1]["lr"] *= 0.3 if CLASSES[name].rule.norms == "all" else 2.5
            side.step(given.grads[k], grad_scale=3.0 if whole and k % 7 == 3 else 1.0)
        meter.seen(oracle.params)
        average.seen(oracle.ema)
        states.seen(oracle.state)
    assert meter.share_out < 0.01
    assert meter.error(arrays(opt)) <= bound(
        dtype, meter.error((single or oracle).params), CLASSES[name].rule.matrix
    )
    if whole:
        assert average.error(opt.ema, meter.out) <= bound(
            dtype, average.error((single or oracle).ema, meter.out)
        )
    saved = opt.state_dict()["state"]
    matrix = CLASSES[name].rule.matrix
    errors = states.errors((single or oracle).state, meter.out)
    allowed = {key: bound(dtype, error, matrix) for key, error in errors.items()}
    for key, error in states.errors(saved, meter.out).items():
        assert error <= allowed[key], key
    assert [int(saved[i]["step"]) for i in range(TENSORS)] == oracle.steps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("clipping", CLIPPING)
@pytest.mark.parametrize("name", KNOWN)
def test_clipping_of_every_kind(name: str, clipping: str, dtype: Any) -> None:
    """With everything else around the rule; the rules of two phases read the gradient once or twice."""
    given = problem(dtype, seed=3)
    setting, whole = {**VARIANTS[name][0], **SETTINGS["with L1"]}, {**WHOLE, **CLIPPING[clipping]}
    opt, oracle, single = trio(name, setting, whole, given, seed=5001)
    meter = Meter(oracle.params, EDGE[dtype])
    for k in range(STEPS):
        for side in filter(None, (oracle, single, opt)):
            side.step(given.grads[k], grad_scale=3.0 if k % 7 == 3 else 1.0)
        meter.seen(oracle.params)
    assert meter.share_out < 0.01
    assert meter.error(arrays(opt)) <= bound(
        dtype, meter.error((single or oracle).params), CLASSES[name].rule.matrix
    )


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
    """nonfinite="skip" and a NaN in the last gradient: all bits are those of a twin without the step."""
    given = problem(np.float32, seed=3, holes=False)
    setting = {**VARIANTS[name][0], **GROUP}
    opt, _ = pair(name, setting, {**WHOLE, "nonfinite": "skip"}, given, seed=3000)
    twin, _ = pair(name, setting, WHOLE, given, seed=3000)
    for k in range(8):
        grads = [g.copy() for g in given.grads[k]]
        if k in (0, 2, 5):
            grads[-1][-1] = np.nan
        else:
            twin.step(grads)
        opt.step(grads)
        for mine, other in zip(results(opt), results(twin), strict=True):
            assert mine.keys() == other.keys()
            for key in mine:
                assert np.asarray(mine[key]).tobytes() == np.asarray(other[key]).tobytes(), key
    assert (opt.step_count, opt.skipped) == (5, 3)


@pytest.mark.parametrize("name", KNOWN)
def test_lr_may_be_a_function_of_completed_steps(name: str) -> None:
    given = problem(np.float64, seed=4)

    def falling(k: int) -> float:
        return 0.05 / (1 + k)

    def rising(k: int) -> float:
        return 0.01 * (1 + k)

    setting = {key: value for key, value in VARIANTS[name][0].items() if key != "lr"}
    options = draw(setting, np.random.default_rng(4))
    first = {"lr": rising} if CLASSES[name].rule.norms == "all" else {}
    groups = [given.groups(first, {"lr": rising}) for _ in range(2)]
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
