"""Which runs a session consists of: optimizers, folds, and the larger model of a diagnosis."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastopt.train.settings import Settings
from fastopt.train.specs import Spec

# A model without hidden layers becomes larger by one of this width.
FIRST_HIDDEN = 64


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


def runs(settings: Settings, results: Sequence[dict[str, Any]]) -> list[Run]:
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


def best_of(results: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
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
