"""What a run has come to, as a tree that checkpoints hold, and the model it left behind."""

from __future__ import annotations

from typing import Any

from fastopt.train.model import MLP
from fastopt.train.plan import Run
from fastopt.train.problem import Problem
from fastopt.train.trainer import Trainer, build_model

Result = dict[str, Any]


def result_of(trainer: Trainer) -> Result:
    """Everything of a run that is over that the report and later analyses need."""
    diverged = trainer.status == "diverged"
    best, run = trainer.best, trainer.planned
    return {
        "label": run.label,
        "spec": run.spec.text,
        "fold": run.fold,
        "larger": run.larger,
        "optimizer": run.spec.name,
        "options": {key: value for key, value in trainer.options.items() if key != "lr"},
        "lr": trainer.lr,
        "status": trainer.status,
        "steps": trainer.step,
        "epochs": trainer.epoch,
        "tested_epoch": best["epoch"] if best and not diverged else None,
        "metrics": None if diverged else trainer.measure(),
        "history": trainer.history.columns(),
        "l2": trainer.l2,
        "seconds": dict(trainer.seconds),
        "test_values": trainer.model.values(trainer.problem.x["test"]),
        "parameters": dict(zip(trainer.model.names, trainer.model.parameters, strict=True)),
        "statistics": trainer.model.statistics,
    }


def model_of(run: Run, problem: Problem, result: Result) -> MLP:
    """The model that a run left, as it was tested."""
    model = build_model(run.settings, problem)
    for name, parameter in zip(model.names, model.parameters, strict=True):
        parameter[...] = result["parameters"][name]
    for name, statistic in model.statistics.items():
        statistic[...] = result["statistics"][name]
    return model
