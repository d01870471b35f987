"""Runs that belong together: one, or the folds of one optimizer's cross-validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastopt.train.runs import Result, steps_per_second
from fastopt.train.session import Session

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Group:
    """Results under one name; `run` gives their colour, in the order of training."""

    label: str
    run: int
    results: list[Result]
    larger: bool
    """Whether this is the larger model of a diagnosis, which is no candidate for the best."""

    @property
    def metrics(self) -> Metrics | None:
        """Means over the results by part and metric; None if one diverged."""
        if any(result["metrics"] is None for result in self.results):
            return None
        return self._over_results(np.mean)

    @property
    def deviations(self) -> Metrics | None:
        """Sample standard deviations over the folds; None without folds, or if one diverged."""
        if self.metrics is None or len(self.results) < 2:
            return None
        return self._over_results(lambda values: np.std(values, ddof=1))

    def _over_results(self, of: Any) -> Metrics:
        first = self.results[0]["metrics"]
        return {
            part: {name: float(of([r["metrics"][part][name] for r in self.results])) for name in first[part]}
            for part in first
        }

    @property
    def seconds(self) -> dict[str, float]:
        """By phase, all results together."""
        first = self.results[0]["seconds"]
        return {phase: math.fsum(r["seconds"][phase] for r in self.results) for phase in first}

    @property
    def steps(self) -> int:
        return sum(int(r["steps"]) for r in self.results)

    @property
    def steps_per_second(self) -> float:
        """Of training alone: evaluation is left out."""
        return steps_per_second(self.steps, self.seconds)


def groups(session: Session) -> list[Group]:
    """All groups in the order of training."""
    found: list[Group] = []
    for result in session.results:
        label = f"{result['spec']}, larger model" if result["larger"] else str(result["spec"])
        if not found or found[-1].label != label:
            found.append(Group(label, len(found), [], bool(result["larger"])))
        found[-1].results.append(result)
    return found


def ranking(session: Session) -> list[Group]:
    """The best test score first, diverged ones after them, larger models last; equal ones by test loss."""
    name = session.problem.score

    def key(group: Group) -> tuple[bool, float, float]:
        if group.metrics is None:
            return group.larger, math.inf, 0.0
        test = group.metrics["test"]
        return group.larger, -test[name], test["loss"]

    return sorted(groups(session), key=key)
