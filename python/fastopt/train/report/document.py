"""The content of `metrics.json`."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastopt
from fastopt.train.analysis import Analysis
from fastopt.train.diagnosis import Diagnosis
from fastopt.train.report import describe
from fastopt.train.report.groups import Group, groups, ranking
from fastopt.train.runs import steps_per_second
from fastopt.train.session import Session

FORMAT = "fastopt.train.metrics"
VERSION = 1


def document(
    session: Session, diagnosis: Diagnosis | None = None, analyses: Sequence[Analysis] = ()
) -> dict[str, Any]:
    """Everything measured, JSON-able; numbers that are not finite are null.

    Times are under "seconds", "optimizer_share" and "steps_per_second"; all else is the same for every run of
    the same settings on the same machine and thread count. Steps per second are those of training alone,
    batches, gradients and optimizer: evaluation is left out, as in the progress line and the table.
    """
    problem, dataset = session.problem, session.problem.dataset
    best = ranking(session)[0]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "environment": environment(session),
        "data": {
            "name": dataset.name,
            "task": dataset.task,
            "features": dataset.x.shape[1],
            "classes": list(dataset.classes),
            "rows": {part: len(rows) for part, rows in problem.rows._asdict().items()},
        },
        "model": {
            "sizes": [problem.sizes[0], *session.settings.hidden, problem.sizes[1]],
            "parameters": describe.parameters(session),
            "output": problem.output.name,
        },
        "settings": session.settings.as_dict(),
        "score": problem.score,
        "best": best.label if best.metrics else None,
        "optimizers": {result["label"]: _result(result) for result in session.results},
    }
    if session.settings.folds:
        content["cross_validation"] = {g.label: _cross_validation(g) for g in groups(session)}
    if diagnosis is not None:
        content["diagnosis"] = diagnosis.as_dict()
    if analyses:
        content["curvature"] = {found.label: found.as_dict() for found in analyses}
    return dict(_finite(content))


def environment(session: Session) -> dict[str, Any]:
    """What the numbers were computed with."""
    return {
        "fastopt": fastopt.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "kernel_threads": fastopt.get_num_threads(),
        "blas_threads": session.blas_threads,
    }


def _result(result: dict[str, Any]) -> dict[str, Any]:
    measured = result["metrics"] or {}
    same = ("optimizer", "options", "lr", "status", "steps", "epochs", "tested_epoch")
    return {
        **{key: result[key] for key in same},
        **{
            f"{part}_{key}": value
            for part in ("test", "validation", "train")
            for key, value in measured.get(part, {}).items()
        },
        "seconds": result["seconds"],
        "optimizer_share": describe.optimizer_share(result["seconds"]),
        "steps_per_second": steps_per_second(result["steps"], result["seconds"]),
        "history": result["history"]["epochs"],
        **({"curvature_history": result["history"]["curvature"]} if result["history"]["curvature"] else {}),
    }


def _cross_validation(group: Group) -> dict[str, Any]:
    """Mean and sample standard deviation over the folds of every metric; null if a fold diverged."""
    means, deviations = group.metrics or {}, group.deviations or {}
    return {"folds": len(group.results)} | {
        f"{part}_{name}": {"mean": value, "deviation": deviations[part][name]}
        for part, values in means.items()
        for name, value in values.items()
    }


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree
