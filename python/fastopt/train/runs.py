"""The runs of a session: which there are, what each records on its way, and what it leaves behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastopt.train.settings import Settings
from fastopt.train.specs import Spec

#: What a run leaves behind (`fastopt.train.trainer.Trainer.result`): a tree that checkpoints hold.
Result = dict[str, Any]

# A model without hidden layers becomes larger by one of this width.
FIRST_HIDDEN = 64

# Points kept along the steps of a run: enough for any plot, and a checkpoint stays small.
STEP_POINTS = 2000


@dataclass(frozen=True)
class Run:
    """One model to train: by which optimizer, with which settings, on which fold, the larger one or not."""

    spec: Spec
    settings: Settings
    fold: int | None = None
    larger: bool = False

    @property
    def label(self) -> str:
        if self.larger:
            return f"{self.spec.text}, larger model"
        return self.spec.text if self.fold is None else f"{self.spec.text}, fold {self.fold + 1}"


def runs(settings: Settings, results: Sequence[Result]) -> list[Run]:
    """The runs in their order, as far as the results so far decide them.

    The larger model of a diagnosis is trained by the optimizer of least validation loss; if every run
    diverged, there is nothing to compare it with, and it is left out.
    """
    folds = range(settings.folds) if settings.folds else (None,)
    planned = [Run(spec, settings, fold) for spec in settings.optimizer_specs() for fold in folds]
    if not settings.diagnose or len(results) < len(planned):
        return planned
    best = best_of(results[: len(planned)])
    if best is None:
        return planned
    spec = next(run.spec for run in planned if run.spec.text == best["spec"])
    return [*planned, Run(spec, larger(settings), larger=True)]


def best_of(results: Sequence[Result]) -> Result | None:
    """The run of least validation loss among those that did not diverge."""
    usable = [result for result in results if result["metrics"]]
    return min(usable, key=lambda result: float(result["metrics"]["validation"]["loss"]), default=None)


def larger(settings: Settings) -> Settings:
    """The same settings for a model that can do all that theirs can, and more.

    Its hidden layers are twice as wide; with residual connections, which need equal widths, it has each
    hidden layer twice instead: a block that adds 0 leaves the rest as it was.
    """
    hidden = tuple(2 * width for width in settings.hidden) or (FIRST_HIDDEN,)
    if settings.residual:
        hidden = tuple(width for width in settings.hidden for _ in range(2))
    return dataclasses.replace(settings, hidden=hidden)


def steps_per_second(steps: int, seconds: dict[str, float]) -> float:
    """Training steps per second of batches, gradients and optimizer: evaluation and progress left out.

    The one figure for speed: that of the progress line, the table, `metrics.json` and the page.
    """
    training = training_seconds(seconds)
    return float(steps / training) if training else 0.0


def training_seconds(seconds: dict[str, float]) -> float:
    return seconds["batches"] + seconds["gradients"] + seconds["optimizer"]


class History:
    """Columns of numbers: `epochs["validation_loss"][e]`, and `steps["lr"][i]` at step `steps["step"][i]`.

    `curvature` has a row for every reading of it.
    """

    def __init__(self, total_steps: int) -> None:
        self.stride = -(-total_steps // STEP_POINTS)
        self.epochs: dict[str, list[float]] = {}
        self.steps: dict[str, list[float]] = {}
        self.curvature: dict[str, list[float]] = {}

    def wants(self, step: int) -> bool:
        """Whether this step (counted from 0) is one of those kept."""
        return step % self.stride == 0

    @staticmethod
    def add(table: dict[str, list[float]], **row: float) -> None:
        """Append a row to `epochs`, `steps` or `curvature`."""
        for key, value in row.items():
            table.setdefault(key, []).append(value)

    def columns(self) -> dict[str, dict[str, list[float]]]:
        return {"epochs": self.epochs, "steps": self.steps, "curvature": self.curvature}

    def load_columns(self, columns: dict[str, dict[str, list[float]]]) -> None:
        self.epochs, self.steps = columns["epochs"], columns["steps"]
        self.curvature = columns["curvature"]
