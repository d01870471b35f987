"""The small parts around the perceptron: option texts, metrics, history, axes."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.train import Problem, Session, Settings, SpecError, Trainer, blas, digits, metrics, specs
from fastopt.train.optimizers import base_lr
from fastopt.train.report import plot
from fastopt.train.runs import STEP_POINTS, History, Run
from fastopt.train.table import heading


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_settings_of_another_type_are_refused_by_name(name: str) -> None:
    """Or they are of its type."""
    good = getattr(Settings(), name)
    numbers = [] if isinstance(good, (bool, str, tuple)) else [True, 1j]
    for bad in (object(), np.ones(2), {"a": 1}, [object()], (np.ones(2),), b"x", *numbers):
        with pytest.raises((TypeError, ValueError), match=rf"^{name}(\[0\])?: expected"):
            Settings(**{name: bad})
    if good is not None:
        with pytest.raises((TypeError, ValueError), match=f"^{name}: expected .*, got None"):
            Settings(**{name: None})
    if isinstance(good, int) and not isinstance(good, bool):
        for bad in ("3", 2.5, 3.0):
            with pytest.raises(TypeError, match=f"^{name}: expected an integer, got"):
                Settings(**{name: bad})
    if isinstance(good, bool):
        for bad in (1, "yes", 0.0):
            with pytest.raises(TypeError, match=f"^{name}: expected True or False, got"):
                Settings(**{name: bad})


def test_option_values_are_read_as_numbers_truths_lists_or_text() -> None:
    spec = specs.parse("x:a=1,b=.5,c=1e-3,d=true,e=None,f=[1,0.9],g=gradient,h-i=2", "optimizer")
    expected = {"a": 1, "b": 0.5, "c": 1e-3, "d": True, "e": None, "f": (1, 0.9), "g": "gradient", "h_i": 2}
    assert spec.options == expected
    assert type(spec.options["a"]) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected NAME"),
        ("sgd:", "expected NAME or NAME:key=value"),
        (":lr=1", "expected NAME"),
        ("sgd:lr", "expected an option as key=value, got 'lr'"),
        ("sgd:lr=1,lr=2", "option lr is given twice"),
        ("sgd,adam,sgd", "'sgd' is given twice"),
        ("sgd,,adam", "expected NAME"),
    ],
)
def test_option_texts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        specs.parse_list(text, "optimizer") or specs.parse(text, "optimizer")


def test_metrics_by_hand() -> None:
    predicted, actual = np.array([[1.0, 0.0], [3.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 2.0]])
    assert metrics.rmse(predicted, actual) == pytest.approx(math.sqrt(2 / 4))
    # First column: residual 1, total 1/2; second column: residual 1, total 1/2.
    assert metrics.r2(predicted, actual) == pytest.approx(-1.0)
    assert math.isnan(metrics.r2(predicted, np.ones((2, 2))))
    assert metrics.confusion(np.array([2, 0]), np.array([1, 0]), 3).tolist() == [
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_history_keeps_a_bounded_number_of_steps() -> None:
    history = History(50 * STEP_POINTS + 1)
    for step in range(50 * STEP_POINTS + 1):
        if history.wants(step):
            history.add(history.steps, step=step)
    assert STEP_POINTS / 2 < len(history.steps["step"]) <= STEP_POINTS
    assert History(10).stride == 1


def ticks_of(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """(value, label) of the ticks that are seen on the vertical axis of a figure that is written."""
    with plot.styled():
        ax = plot.axes(log=log)
        ax.set_ylim(low, high)
        plot.svg(ax, "", "chart")
    form, air = ax.yaxis.get_major_formatter(), 1e-9 * (high - low)
    return [(v, form(v)) for v in ax.yaxis.get_majorticklocs() if low - air <= v <= high + air]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17.5), (0.1, 0.11), (1e-9, 3e-9), (0, 123456)])
def test_linear_ticks_are_round_inside_and_few(low: float, high: float) -> None:
    ticks = ticks_of(low, high, log=False)
    assert 2 <= len(ticks) <= 7
    assert len({label for _, label in ticks}) == len(ticks)
    step = ticks[1][0] - ticks[0][0]
    digit = step / 10 ** math.floor(math.log10(step * (1 + 1e-6)))
    assert min(abs(digit - nice) for nice in (1, 2, 5)) < 1e-6


@pytest.mark.parametrize(("low", "high"), [(1e-6, 10), (0.02, 3), (1e-12, 1e12), (0.4, 1.4)])
def test_logarithmic_ticks(low: float, high: float) -> None:
    ticks = ticks_of(low, high, log=True)
    assert 1 <= len(ticks) <= 9
    assert len({label for _, label in ticks}) == len(ticks)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan], [5.0, 5.0]])
@pytest.mark.parametrize("log", [False, True])
def test_charts_survive_missing_and_equal_values(values: list[float], log: bool) -> None:
    with plot.styled():
        ax = plot.axes("epoch", log=log)
        plot.line(ax, 0, "name", range(len(values)), values)
        drawn = plot.chart(ax, "title")
    assert "nan" not in drawn
    assert "inf" not in drawn
    low, high = ax.get_ylim()
    assert low < high
    assert values != [5.0, 5.0] or low < 5 < high


def blas_threads() -> int:
    return max(library["num_threads"] for library in blas.controller().info())


def test_blas_threads_are_limited_within_the_block_and_restored() -> None:
    pytest.importorskip("threadpoolctl")
    with blas.limited(2):
        assert blas_threads() == 2
        with blas.limited(1):
            assert blas_threads() == 1
        assert blas_threads() == 2


def test_without_threadpoolctl_blas_is_left_alone_and_an_order_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    blas.controller.cache_clear()
    try:
        assert blas.suitable(1, (1, 1)) is None
        with pytest.raises(ValueError, match=r"blas_threads: expected threadpoolctl.*fastopt\[report\]"):
            Session(Settings(hidden=(4,), blas_threads=1))
        session = Session(Settings(hidden=(4,), epochs=1))
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        for name in blas.THREAD_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        assert 'pip install "fastopt[report]", or set OPENBLAS_NUM_THREADS=1' in heading(session)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert "note" not in heading(session)
        assert session.run()
    finally:
        blas.controller.cache_clear()


def test_blas_is_left_alone_for_large_products() -> None:
    assert blas.suitable(2, (2, blas.LARGE_PRODUCT // 4)) is None


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_setting_out_of_range_is_refused_whether_or_not_it_matters(
    dropout: float, hidden: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"dropout: expected a probability in \[0, 1\), got"):
        Settings(dropout=dropout, hidden=hidden)


def lr_of(text: str, **settings: Any) -> float:
    return base_lr(specs.parse(text, "optimizer"), Settings(**settings))


def test_the_learning_rate_is_the_spec_s_then_the_option_s_then_the_general_then_the_default() -> None:
    assert lr_of("sgd:lr=3", lr=1.0, options=("lr=2",)) == 3
    assert lr_of("sgd", lr=1.0, options=("lr=2",)) == 2
    assert lr_of("sgd", lr=1.0) == 1
    assert lr_of("sgd") == fastopt.SGD.rule.comparison_lr
    assert lr_of("adadelta") == fastopt.Adadelta.rule.comparison_lr == 1.0
    with pytest.raises(SpecError, match="lr: expected a number, got 'fast'"):
        lr_of("sgd:lr=fast")


def test_the_default_learning_rate_allows_for_the_sum_that_momentum_makes() -> None:
    assert lr_of("sgd:momentum=0.9") == pytest.approx(0.1 * fastopt.SGD.rule.comparison_lr)
    assert lr_of("sgd:momentum=0.9,momentum_form=average") == fastopt.SGD.rule.comparison_lr
    assert lr_of("sgd:momentum=0.9,lr=0.3") == 0.3


def test_penalties_reach_the_weights_alone() -> None:
    settings = Settings(hidden=(4,), optimizers=("adamw",), weight_decay=0.3, l1=0.1)
    problem = Problem(digits(), settings)
    trainer = Trainer(Run(settings.optimizer_specs()[0], settings), problem)
    weights, others = trainer.optimizer.param_groups
    assert all(p.ndim == 2 for p in weights["params"])
    assert all(p.ndim == 1 for p in others["params"])
    assert (weights["weight_decay"], weights["l1"]) == (0.3, 0.1)
    assert (others["weight_decay"], others["l1"]) == (0.0, 0.0)


def run_one(optimizer: str, **settings: Any) -> Trainer:
    chosen = Settings(hidden=(4,), epochs=1, batch_size=270, optimizers=(optimizer,), **settings)
    trainer = Trainer(Run(chosen.optimizer_specs()[0], chosen), Problem(digits(), chosen))
    for _ in trainer.run():
        pass
    return trainer


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_run_that_blows_up_in_its_last_step_has_diverged() -> None:
    # The rates of the four steps are 1e-30, 1e-13, 1e4 and 1e21: no batch is left to show the last one.
    trainer = run_one("sgd:lr=1e-30", schedule="exponential:gamma=1e17", batch_norm=False)
    assert trainer.step == trainer.total_steps == 4
    assert math.isfinite(trainer.last["loss"])
    assert trainer.status == "diverged"


def test_a_non_finite_gradient_that_the_optimizer_raises_for_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Any) -> None:
        raise ValueError("grads: expected finite numbers")

    monkeypatch.setattr("fastopt.SGD.step", refuse)
    assert run_one("sgd", options=("nonfinite=raise",)).status == "diverged"
    with pytest.raises(ValueError, match="finite numbers"):
        run_one("sgd")


def test_a_plateau_hears_the_validation_loss_of_every_epoch() -> None:
    """With patience 0 and a threshold that nothing meets, every epoch after the first takes a tenth."""
    chosen = Settings(
        hidden=(4,),
        epochs=4,
        optimizers=("sgd:lr=0.1",),
        schedule="reduce_on_plateau:patience=0,threshold=1e6,threshold_mode=abs",
    )
    trainer = Trainer(Run(chosen.optimizer_specs()[0], chosen), Problem(digits(), chosen))
    rates = []
    for _ in trainer.run():
        rates.append(trainer.last["lr"])
    each = trainer.steps_per_epoch
    assert rates == pytest.approx([0.1] * 2 * each + [0.01] * each + [0.001] * each)
    again = Trainer(Run(chosen.optimizer_specs()[0], chosen), Problem(digits(), chosen))
    again.load_state_dict(trainer.state_dict())
    lr = again.optimizer.param_groups[0]["lr"]
    assert lr(0) == pytest.approx(1e-4)
