"""Schedules: the formulas, PyTorch as second witness, description, checks, construction by name."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

import fastopt
from fastopt import schedules as s

STEPS = np.arange(60)


def by_hand(k):
    """Cycle, and share of it that is over, of restarts after 4, 12, 36, ... steps."""
    begins = [0, 4, 16, 52, 160, 10**9]
    n = sum(k >= b for b in begins) - 1
    return n, (k - begins[n]) / (4 * 3**n)


#: One of each kind with every argument away from its default, and its formula as a function of k.
FORMULAS = {
    "constant": (s.constant(0.3), lambda k: 0.3),
    "inverse_time": (s.inverse_time(0.3, rate=0.05), lambda k: 0.3 / (1 + 0.05 * k)),
    "inverse_sqrt": (s.inverse_sqrt(0.3), lambda k: 0.3 / math.sqrt(k + 1)),
    "exponential": (s.exponential(0.3, gamma=0.97), lambda k: 0.3 * 0.97**k),
    "tenfold": (s.exponential(0.3, gamma=0.1, every=17), lambda k: 0.3 * 10 ** (-k / 17)),
    "step": (s.step(0.3, every=7, gamma=0.5), lambda k: 0.3 * 0.5 ** (k // 7)),
    "milestones": (
        s.step(0.3, milestones=[3, 20], gamma=0.5),
        lambda k: 0.3 if k < 3 else 0.15 if k < 20 else 0.075,
    ),
    "polynomial": (
        s.polynomial(0.3, total=40, power=2.5, final=0.01),
        lambda k: 0.01 + 0.29 * (1 - min(k, 40) / 40) ** 2.5,
    ),
    "cosine": (
        s.cosine(0.3, total=40, final=0.01),
        lambda k: 0.01 + 0.29 * (1 + math.cos(math.pi * min(k, 40) / 40)) / 2,
    ),
    "restarts": (
        s.cosine_restarts(0.3, period=4, multiplier=3, final=0.01, decay=0.5),
        lambda k: 0.01 + 0.29 * 0.5 ** by_hand(k)[0] * (1 + math.cos(math.pi * by_hand(k)[1])) / 2,
    ),
    "equal restarts": (
        s.cosine_restarts(0.3, period=7, final=0.01),
        lambda k: 0.01 + 0.29 * (1 + math.cos(math.pi * (k % 7) / 7)) / 2,
    ),
    "plateau": (s.reduce_on_plateau(0.3, mode="max", patience=3, threshold_mode="abs"), lambda k: 0.3),
    "linear_warmup": (s.linear_warmup(0.3, warmup=8), lambda k: 0.3 * min(k + 1, 8) / 8),
    "warmup_then": (
        s.warmup_then(s.inverse_sqrt(0.3), warmup=8),
        lambda k: 0.3 * (k + 1) / 8 if k < 8 else 0.3 / math.sqrt(k - 8 + 1),
    ),
    "warmup_cosine": (
        s.warmup_cosine(0.3, warmup=8, total=48, final=0.01),
        lambda k: (
            0.3 * (k + 1) / 8 if k < 8 else 0.01 + 0.29 * (1 + math.cos(math.pi * min(k - 8, 40) / 40)) / 2
        ),
    ),
    "one_cycle": (
        s.one_cycle(0.3, total=41, pct_start=11 / 41, div_factor=10, final_div_factor=100, anneal="linear"),
        lambda k: 0.03 + 0.027 * k if k < 10 else 0.3 + (0.0003 - 0.3) * (min(k, 40) - 10) / 30,
    ),
    "three_phase": (
        s.one_cycle(0.3, total=41, pct_start=11 / 41, div_factor=10, anneal="linear", three_phase=True),
        lambda k: (
            0.03 + 0.027 * (10 - abs(k - 10)) if k < 20 else 0.03 + (3e-6 - 0.03) * (min(k, 40) - 20) / 20
        ),
    ),
    "join": (
        s.join([s.constant(0.3), s.exponential(0.2, gamma=0.9), s.constant(0.0)], boundaries=[5, 30]),
        lambda k: 0.3 if k < 5 else 0.2 * 0.9 ** (k - 5) if k < 30 else 0.0,
    ),
}
EACH = pytest.mark.parametrize("schedule", [pair[0] for pair in FORMULAS.values()], ids=FORMULAS)


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_numbers_are_those_of_the_formula_also_after_the_end(schedule, formula):
    expected = [formula(int(k)) for k in STEPS]
    # A handful of roundings at the scale of the first rate.
    np.testing.assert_allclose(schedule(STEPS), expected, rtol=1e-14, atol=0.3 * 4e-16)


@EACH
def test_array_and_scalar_have_the_same_bits(schedule):
    steps = np.array([[0, 1, 2], [29, 30, 1000]])
    values = schedule(steps)
    assert values.dtype == np.float64
    assert values.shape == steps.shape
    for k, value in zip(steps.ravel().tolist(), values.ravel().tolist(), strict=True):
        assert type(schedule(k)) is float
        assert schedule(k) == value == schedule(np.int32(k))
    assert schedule(np.arange(0)).shape == (0,)
    assert schedule(np.array(3, np.uint8)).shape == ()


@EACH
def test_description_survives_json_and_repr_is_code(schedule):
    description = json.loads(json.dumps(schedule.describe(), allow_nan=False))
    rebuilt = s.from_description(description)
    assert rebuilt == schedule
    assert hash(rebuilt) == hash(schedule)
    assert rebuilt.describe() == description
    assert eval(repr(schedule), {"fastopt": fastopt}) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    np.testing.assert_array_equal(rebuilt(STEPS), schedule(STEPS))


def test_schedules_differ_when_any_argument_does():
    everything = [pair[0] for pair in FORMULAS.values()]
    assert len(set(everything)) == len(everything)
    assert s.cosine(0.1, total=5) != s.cosine(0.1, total=6)
    assert s.cosine(0.1, total=5) != s.polynomial(0.1, total=5)


def test_schedules_cannot_be_changed():
    with pytest.raises(AttributeError):
        s.constant(0.1).lr = 0.2  # type: ignore[misc]


def test_the_first_step_of_a_warmup_is_not_lost():
    assert s.linear_warmup(1.0, warmup=10)(0) == 0.1
    assert s.warmup_cosine(1.0, warmup=10, total=20)(0) == 0.1
    assert s.linear_warmup(1.0, warmup=0)(0) == 1.0


def test_ends_are_exact():
    for lr, final in [(0.1, 0.01), (0.1, 0.02), (1e-3, 3e-7), (1e-3, 1e-4), (0.01, 0.001)]:
        for schedule in (s.cosine(lr, total=9, final=final), s.polynomial(lr, total=9, final=final)):
            assert schedule(0) == lr
            assert schedule(8) > schedule(9) == schedule(10) == schedule(10**9) == final
    cycle = s.one_cycle(0.3, total=20)
    assert cycle(19) == cycle(20) == cycle(10**6) == 0.3 / 25 / 1e4


def test_warmup_cosine_is_warmup_then_cosine_bit_for_bit():
    whole = s.warmup_cosine(0.3, warmup=7, total=30, final=0.02)
    parts = s.warmup_then(s.cosine(0.3, total=23, final=0.02), warmup=7)
    np.testing.assert_array_equal(whole(STEPS), parts(STEPS))


def test_a_growing_schedule_reaches_infinity_without_an_exception():
    assert s.exponential(1.0, gamma=2.0)(5000) == math.inf
    assert s.exponential(0.0, gamma=2.0)(5000) == 0.0
    assert s.step(1.0, every=1, gamma=2.0)(5000) == math.inf


@pytest.mark.parametrize(
    ("make_torch", "ours"),
    [
        (lambda t, o: t.ExponentialLR(o, 0.97), s.exponential(0.3, gamma=0.97)),
        (lambda t, o: t.StepLR(o, 7, 0.5), s.step(0.3, every=7, gamma=0.5)),
        (lambda t, o: t.MultiStepLR(o, [3, 20], 0.5), s.step(0.3, milestones=[3, 20], gamma=0.5)),
        (lambda t, o: t.PolynomialLR(o, 40, 2.5), s.polynomial(0.3, total=40, power=2.5)),
        (lambda t, o: t.CosineAnnealingLR(o, 59, 0.01), s.cosine(0.3, total=59, final=0.01)),
        (lambda t, o: t.LinearLR(o, 1 / 8, 1.0, 7), s.linear_warmup(0.3, warmup=8)),
        (lambda t, o: t.ConstantLR(o, 1.0), s.constant(0.3)),
        (
            lambda t, o: t.CosineAnnealingWarmRestarts(o, 7, 1, 0.01),
            s.cosine_restarts(0.3, period=7, final=0.01),
        ),
        (
            lambda t, o: t.CosineAnnealingWarmRestarts(o, 3, 2, 0.02),
            s.cosine_restarts(0.3, period=3, multiplier=2, final=0.02),
        ),
        (lambda t, o: t.OneCycleLR(o, 0.3, 60), s.one_cycle(0.3, total=60)),
        (
            lambda t, o: t.OneCycleLR(
                o, 0.3, 61, pct_start=0.41, anneal_strategy="linear", div_factor=7, final_div_factor=50
            ),
            s.one_cycle(0.3, total=61, pct_start=0.41, anneal="linear", div_factor=7, final_div_factor=50),
        ),
        (
            lambda t, o: t.OneCycleLR(o, 0.3, 60, three_phase=True),
            s.one_cycle(0.3, total=60, three_phase=True),
        ),
        (
            lambda t, o: t.SequentialLR(o, [t.ExponentialLR(o, 0.9), t.StepLR(o, 5, 0.5)], [20]),
            s.join([s.exponential(0.3, gamma=0.9), s.step(0.3, every=5, gamma=0.5)], boundaries=[20]),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, s.Schedule) else "",
)
def test_pytorch_has_the_same_numbers(make_torch, ours):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make_torch(torch.optim.lr_scheduler, optimizer)
    theirs = []
    for _ in STEPS:
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(theirs) < len(STEPS):
            scheduler.step()
    # PyTorch multiplies the last rate by a ratio, so up to 60 roundings add up.
    np.testing.assert_allclose(ours(STEPS), theirs, rtol=1e-12, atol=1e-16)


PLATEAUS = [
    {},
    {"mode": "max", "patience": 2, "factor": 0.5},
    {"patience": 0, "cooldown": 3, "factor": 0.7},
    {"patience": 1, "threshold": 0.1, "min_lr": 1e-3},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "eps": 1e-3},
    {"mode": "max", "patience": 3, "threshold": 0.02, "threshold_mode": "rel", "cooldown": 1},
    {"mode": "max", "patience": 1, "threshold": 0.3, "threshold_mode": "abs", "min_lr": 0.01},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_pytorch_reduces_at_the_same_reports(options, seed):
    """Over hundreds of reports, NaN and an infinite loss among them; resumed from the description midway."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    ours = s.reduce_on_plateau(0.3, **options)
    rng = np.random.default_rng(seed)
    sign = -1.0 if options.get("mode") == "max" else 1.0
    metrics = sign * (np.cumsum(rng.normal(-0.02, 0.3, 400)) + (seed % 2) * 5)
    metrics[[5, 50, 51]] = np.nan, sign * np.inf, np.nan
    for i, metric in enumerate(metrics):
        theirs.step(metric)
        assert ours.report(metric) == optimizer.param_groups[0]["lr"], i
        assert ours(i) == optimizer.param_groups[0]["lr"]
        if i % 90 == 7:
            ours = s.from_description(json.loads(json.dumps(ours.describe())))
    assert ours(0) < 0.3


def test_a_plateau_by_hand():
    lr = s.reduce_on_plateau(1.0, factor=0.5, patience=1, cooldown=2, threshold=0.0, min_lr=0.2)
    reports = [4.0, 3.0, 3.0, 3.0, 3.0, 9.0, 3.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    #               best           halved, then two that do not count, two that do
    rates = [1.0] * 3 + [0.5] * 4 + [0.25] * 4
    found = [lr.report(x) for x in reports]
    assert found[: len(rates)] == rates
    assert min(found) == 0.2
    assert lr.describe()["state"]["best"] == 2.0


def test_an_infinitely_good_metric_is_no_improvement():
    lr = s.reduce_on_plateau(1.0, patience=0)
    lr.report(1.0)
    assert lr.report(-math.inf) == 0.1
    assert lr.describe()["state"]["best"] == 1.0


def test_a_report_reaches_a_plateau_inside_of_others():
    inner = s.reduce_on_plateau(1.0, factor=0.5, patience=0)
    lr = s.join([s.constant(3.0), s.warmup_then(inner, warmup=2)], boundaries=[1])
    for loss in (1.0, 1.0):
        assert lr.report(loss) is None
    assert lr(np.arange(5)).tolist() == [3.0, 0.25, 0.5, 0.5, 0.5]
    again = s.from_description(json.loads(json.dumps(lr.describe())))
    assert again == lr
    np.testing.assert_array_equal(again(STEPS), lr(STEPS))
    assert pickle.loads(pickle.dumps(inner))(0) == 0.5
    assert s.constant(0.1).report(3.0) is None


@pytest.mark.parametrize("total", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.25, 0.5, 1.0])
def test_one_cycle_of_few_steps_stays_between_its_ends(total, pct_start):
    rates = s.one_cycle(1.0, total=total, pct_start=pct_start)(np.arange(total + 2))
    assert np.all((rates >= 1 / 25 / 1e4) & (rates <= 1.0))
    assert rates[-1] == 1 / 25 / 1e4


BAD = [
    (lambda: s.constant(-1e-3), ValueError, "lr: expected a finite number >= 0, got -0.001"),
    (lambda: s.constant(math.nan), ValueError, "lr: expected a finite number >= 0, got nan"),
    (lambda: s.constant(math.inf), ValueError, "lr: .*got inf"),
    (lambda: s.constant(10**400), ValueError, "lr: expected a finite number"),
    (lambda: s.constant("1e-3"), TypeError, "lr: expected a finite number >= 0, got '1e-3' of type str"),
    (lambda: s.constant(True), TypeError, "lr: .*got True of type bool"),
    (lambda: s.constant(np.zeros(2)), TypeError, "lr: .*of type ndarray"),
    (lambda: s.inverse_time(0.1, rate=-1), ValueError, "rate: .*got -1"),
    (lambda: s.exponential(0.1, gamma=0), ValueError, "gamma: expected a finite number > 0, got 0"),
    (lambda: s.exponential(0.1, gamma=0.5, every=0), ValueError, "every: "),
    (lambda: s.step(0.1), ValueError, "every, milestones: expected one of the two"),
    (lambda: s.step(0.1, every=2, milestones=[3]), ValueError, "every, milestones: "),
    (lambda: s.step(0.1, every=0), ValueError, "every: expected an integer >= 1, got 0"),
    (lambda: s.step(0.1, milestones=[3, 3]), ValueError, "milestones: .*strictly ascending, got "),
    (lambda: s.step(0.1, milestones=[]), ValueError, "milestones: expected at least one"),
    (lambda: s.step(0.1, milestones=5), TypeError, "milestones: expected a list of integers, got 5"),
    (lambda: s.step(0.1, milestones=[1.5]), TypeError, r"milestones\[0\]: expected an integer"),
    (lambda: s.cosine(0.1, total=0), ValueError, "total: expected an integer >= 1, got 0"),
    (lambda: s.cosine(0.1, total=5.0), TypeError, "total: expected an integer >= 1, got 5.0 of type float"),
    (lambda: s.cosine(0.1, total=10**400), ValueError, "total: "),
    (lambda: s.cosine(0.1, total=5, final=-1), ValueError, "final: "),
    (lambda: s.polynomial(0.1, total=5, power=0), ValueError, "power: "),
    (lambda: s.linear_warmup(0.1, warmup=-1), ValueError, "warmup: expected an integer >= 0, got -1"),
    (lambda: s.warmup_cosine(0.1, warmup=5, total=5), ValueError, "total: expected more than the 5 steps"),
    (lambda: s.warmup_then(lambda k: 0.1, warmup=5), TypeError, "decay: expected a schedule"),
    (lambda: s.join([s.constant(1), 0.1], boundaries=[1]), TypeError, r"schedules\[1\]: expected a schedule"),
    (lambda: s.join([], boundaries=[]), ValueError, "schedules: expected at least one"),
    (lambda: s.join([s.constant(1)], boundaries=[1]), ValueError, "boundaries: expected 0"),
    (lambda: s.join([s.constant(1)] * 3, boundaries=[2, 1]), ValueError, "boundaries: .*ascending"),
    (
        lambda: s.one_cycle(0.1, total=5, pct_start=1.1),
        ValueError,
        r"pct_start: expected a number in \[0, 1\]",
    ),
    (
        lambda: s.one_cycle(0.1, total=5, pct_start=0.6, three_phase=True),
        ValueError,
        r"pct_start: .*\[0, 0.5\]",
    ),
    (lambda: s.one_cycle(0.1, total=5, div_factor=0.5), ValueError, "div_factor: "),
    (
        lambda: s.one_cycle(0.1, total=5, anneal="sine"),
        ValueError,
        "anneal: expected 'cos' or 'linear', got ",
    ),
    (
        lambda: s.one_cycle(0.1, total=5, three_phase=1),
        TypeError,
        "three_phase: expected True or False, got 1",
    ),
    (lambda: s.cosine_restarts(0.1, period=0), ValueError, "period: expected an integer >= 1, got 0"),
    (lambda: s.cosine_restarts(0.1, period=2, multiplier=0), ValueError, "multiplier: "),
    (lambda: s.cosine_restarts(0.1, period=2, multiplier=1.5), TypeError, "multiplier: .*got 1.5"),
    (lambda: s.cosine_restarts(0.1, period=2, final=-1.0), ValueError, "final: "),
    (lambda: s.cosine_restarts(0.1, period=2, decay=0.0), ValueError, r"decay: .*\(0, 1\], got 0.0"),
    (
        lambda: s.reduce_on_plateau(0.1, mode="least"),
        ValueError,
        "mode: expected 'min' or 'max', got 'least'",
    ),
    (lambda: s.reduce_on_plateau(0.1, factor=1.0), ValueError, r"factor: .*\(0, 1\), got 1.0"),
    (lambda: s.reduce_on_plateau(0.1, patience=-1), ValueError, "patience: "),
    (lambda: s.reduce_on_plateau(0.1, threshold=math.nan), ValueError, "threshold: "),
    (lambda: s.reduce_on_plateau(0.1, threshold_mode="x"), ValueError, "threshold_mode: expected 'rel' or"),
    (lambda: s.reduce_on_plateau(0.1, cooldown=1.0), TypeError, "cooldown: "),
    (lambda: s.reduce_on_plateau(0.1).report("low"), TypeError, "metric: expected a number, got 'low'"),
    (lambda: s.reduce_on_plateau(0.1).report(np.ones(2)), TypeError, "metric: expected a number, got "),
    (
        lambda: s.from_description({**s.constant(0.1).describe(), "state": {}}),
        ValueError,
        "description of constant: expected no state, got ",
    ),
    (
        lambda: s.from_description({**s.reduce_on_plateau(0.1).describe(), "state": {"rate": 1}}),
        ValueError,
        "state: expected a dict with rate, best, bad, cooldown, got ",
    ),
    (
        lambda: s.from_description(
            {
                **s.reduce_on_plateau(0.1).describe(),
                "state": {"rate": -1.0, "best": None, "bad": 0, "cooldown": 0},
            }
        ),
        ValueError,
        r"state\['rate'\]: expected a finite number >= 0, got -1.0",
    ),
    (lambda: s.constant(0.1)(-1), ValueError, "k: expected at least 0"),
    (lambda: s.constant(0.1)(1.0), TypeError, "k: expected an integer"),
    (lambda: s.constant(0.1)(True), TypeError, "k: expected an integer"),
    (
        lambda: s.constant(0.1)(np.array([1, -2])),
        ValueError,
        "k: expected at least 0 completed steps, got -2",
    ),
    (lambda: s.constant(0.1)(np.array([1.0])), TypeError, "k: .*array of float64"),
    (lambda: s.from_description("cosine"), TypeError, "description: expected a dict"),
    (
        lambda: s.from_description({"name": "os.system"}),
        ValueError,
        "expected one of constant, .*got 'os.system'",
    ),
    (lambda: s.from_description({"name": ["cosine"]}), ValueError, "expected one of "),
    (
        lambda: s.from_description({"name": "cosine", "lr": 0.1}),
        ValueError,
        "description of cosine: expected lr, ",
    ),
    (lambda: s.from_description({"name": "constant", "lr": 1, "x": 2}), ValueError, "expected lr, got lr, x"),
    (
        lambda: s.from_description({"name": "constant", "lr": {"name": "constant", "lr": 1}}),
        TypeError,
        "lr: ",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_arguments_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_description_nested_without_end_is_refused():
    deep: dict[str, object] = {"name": "constant", "lr": 0.1}
    for _ in range(5000):
        deep = {"name": "warmup_then", "decay": deep, "warmup": 1}
    with pytest.raises(ValueError, match="at most 32"):
        s.from_description(deep)


@pytest.mark.parametrize("name", s.names())
@pytest.mark.parametrize("total_steps", [1, 2, 3, 10, 1000])
def test_every_name_makes_a_schedule_for_a_run_of_any_length(name, total_steps):
    schedule = s.by_name(name, 0.1, total_steps)
    assert schedule.name == name
    rates = schedule(np.arange(total_steps))
    assert np.all((rates >= 0) & (rates <= 0.1))
    assert rates[0] > 0
    assert s.parse(name, 0.1, total_steps) == schedule


def test_names_are_sorted_and_exclude_what_needs_other_schedules():
    assert list(s.names()) == sorted(s.NAMES)
    assert set(s.names()).isdisjoint({"join", "warmup_then"})
    assert {getattr(s, name).__name__ for name in s.names()} == set(s.NAMES)


def test_by_name_takes_the_length_of_the_run_into_account():
    assert s.by_name("cosine", 0.1, 500) == s.cosine(0.1, total=500)
    assert s.by_name("step", 0.1, 500) == s.step(0.1, every=167)
    assert s.by_name("step", 0.1, 500, milestones=[9]) == s.step(0.1, milestones=[9])
    assert s.by_name("exponential", 0.1, 500) == s.exponential(0.1, gamma=0.1, every=500)
    assert s.by_name("exponential", 0.1, 500, gamma=0.99) == s.exponential(0.1, gamma=0.99)
    assert s.by_name("inverse_time", 0.1, 500)(500) == pytest.approx(0.01)
    assert s.by_name("warmup_cosine", 0.1, 500) == s.warmup_cosine(0.1, warmup=50, total=500)
    assert s.by_name("polynomial", 0.1, 500, warmup=20, power=2) == s.warmup_then(
        s.polynomial(0.1, total=480, power=2), warmup=20
    )


def test_restarts_and_plateaus_by_name():
    assert s.by_name("cosine_restarts", 0.1, 700) == s.cosine_restarts(0.1, period=100, multiplier=2)
    assert s.by_name("cosine_restarts", 0.1, 700, period=50) == s.cosine_restarts(0.1, period=50)
    assert s.parse("cosine_restarts:multiplier=1,decay=0.5", 0.1, 300) == s.cosine_restarts(
        0.1, period=100, decay=0.5
    )
    assert s.parse("reduce_on_plateau:patience=3,mode=max", 0.1, 9) == s.reduce_on_plateau(
        0.1, patience=3, mode="max"
    )
    assert s.cosine_restarts(0.1, period=3, multiplier=2)(10**15) >= 0.0  # at once


def test_parse_reads_options():
    assert s.parse("step:every=100,gamma=0.5", 0.1, 500) == s.step(0.1, every=100, gamma=0.5)
    assert s.parse("step: milestones=[3, 5], gamma=0.5", 0.1, 9) == s.step(0.1, milestones=[3, 5], gamma=0.5)
    assert s.parse("one_cycle:anneal=linear,three_phase=True", 0.1, 9) == s.one_cycle(
        0.1, total=9, anneal="linear", three_phase=True
    )
    assert s.parse("cosine:warmup=10,total=40", 0.1, 50) == s.warmup_then(s.cosine(0.1, total=40), warmup=10)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cosin", ValueError, "name: expected one of constant, cosine, .*got 'cosin'"),
        ("join", ValueError, "name: expected one of"),
        ("cosine:", ValueError, "text: expected name:option=value"),
        ("cosine:total", ValueError, "text: expected name:option=value"),
        ("cosine:total=5,total=6", ValueError, "each option once"),
        ("cosine:totl=5", TypeError, r"totl: expected one of the options of cosine \(final, total, warmup\)"),
        ("cosine:lr=5", TypeError, "lr: expected one of the options"),
        ("cosine:total=five", TypeError, "total: expected an integer >= 1, got 'five'"),
        ("cosine:final=NaN", ValueError, "final: .*got nan"),
        ("cosine:warmup=100", ValueError, "warmup: expected fewer than the 100 steps"),
    ],
)
def test_parse_refuses_what_it_does_not_understand(text, error, message):
    with pytest.raises(error, match=message):
        s.parse(text, 0.1, 100)
