"""The decision tree of a diagnosis, from losses alone and from models that were made to fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt.train import Session, Settings, runs
from fastopt.train.diagnosis import constant_loss, diagnose, judge
from fastopt.train.outputs import OUTPUTS

ERRORS = {"train": 0.001, "validation": 0.01, "test": 0.01}


@pytest.mark.parametrize(
    ("train", "validation", "test", "larger", "kind"),
    [
        (0.5, 0.6, 0.6, 0.2, "model bias"),
        (0.5, 0.6, 0.6, 0.46, "optimisation"),  # 8 % lower is not lower
        (0.5, 0.6, 0.6, 0.8, "optimisation"),
        (0.5, 0.6, 0.6, None, "optimisation"),
        (0.01, 0.6, 0.6, 0.01, "overfitting"),
        (0.01, 0.6, 0.05, 0.01, "overfitting"),
        (0.01, 0.05, 0.6, 0.01, "mismatch"),
        (0.01, 0.09, 0.11, 0.01, "overfitting"),  # apart by chance
        (0.01, 0.05, 0.05, 0.01, "none"),
    ],
)
def test_the_decision_tree(
    train: float, validation: float, test: float, larger: float | None, kind: str
) -> None:
    losses = {"train": train, "validation": validation, "test": test}
    found, reason = judge(losses, ERRORS, larger, high=0.1)
    assert found == kind
    assert f"training loss {train:.3g} is {'high' if train > 0.1 else 'low'}" in reason


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_constant_prediction_costs_less_than_the_constant_loss(name: str) -> None:
    rng = np.random.default_rng(0)
    t = rng.standard_normal((40, 3)) if name == "linear" else np.eye(3)[rng.integers(0, 3, 40)]
    least = constant_loss(OUTPUTS[name], t)
    found = [OUTPUTS[name].losses(np.tile(z, (40, 1)), t)[0].mean() for z in rng.uniform(-2, 2, (4000, 3))]
    assert least <= min(found) + 1e-12
    assert min(found) == pytest.approx(least, rel=0.02)
    if name == "softmax":
        shares = t.mean(axis=0)
        assert least == pytest.approx(-(shares * np.log(shares)).sum())


MADE_TO_FAIL: list[tuple[str, dict[str, Any]]] = [
    ("model bias", {"hidden": (2,), "epochs": 15}),
    ("optimisation", {"lr": 1e-6, "epochs": 2, "hidden": (16,)}),
    ("optimisation", {"optimizers": ("sgd:lr=1e30",), "batch_norm": False, "hidden": (16,), "epochs": 1}),
    ("overfitting", {"subset": 0.03, "dropout": 0.0, "epochs": 30, "hidden": (64,)}),
    ("none", {"epochs": 8, "hidden": (128,)}),
]


@pytest.mark.parametrize(("kind", "settings"), MADE_TO_FAIL)
def test_models_that_were_made_to_fail(kind: str, settings: dict[str, Any]) -> None:
    session = Session(Settings(diagnose=True, **settings))
    assert session.run()
    found = diagnose(session)
    assert found is not None
    assert found.kind == kind
    assert (found.larger is None) == (found.losses == {})  # nothing to compare where all diverged
    if found.larger is not None:
        assert session.results[-1]["larger"]
        assert found.larger["hidden"] == [2 * width for width in session.settings.hidden]
        assert found.standard_errors["train"] > 0


def test_nobody_asked() -> None:
    session = Session(Settings(hidden=(4,), epochs=1))
    assert session.run()
    assert diagnose(session) is None


def test_the_larger_model_can_do_all_that_the_smaller_one_can() -> None:
    assert runs.larger(Settings(hidden=(3, 5))).hidden == (6, 10)
    assert runs.larger(Settings(hidden=())).hidden == (64,)
    assert runs.larger(Settings(hidden=(64, 64), residual=True)).hidden == (64, 64, 64, 64)


def test_the_optimizer_of_least_validation_loss_is_diagnosed() -> None:
    session = Session(Settings(diagnose=True, hidden=(16,), epochs=2, optimizers=("sgd:lr=1e-6", "adamw")))
    assert session.run()
    assert [result["label"] for result in session.results] == ["sgd:lr=1e-6", "adamw", "adamw, larger model"]
    found = diagnose(session)
    assert found is not None
    assert found.optimizer == "adamw"
