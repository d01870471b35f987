"""The loss whose curvature is analysed: of which model, on which rows, with which statistics and penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.model import MLP
from fastopt.train.objective import Objective
from fastopt.train.problem import Problem
from fastopt.train.settings import Settings

Array = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """An objective and, in words, what it leaves in and out."""

    objective: Objective
    rows: int
    of_rows: int
    l2: float
    batch_statistics: bool | None
    """Whether batch normalisation's statistics move with the parameters; None without it."""

    @classmethod
    def of(cls, model: MLP, settings: Settings, problem: Problem, l2: float, limit: int) -> Place:
        """The training loss on the first `limit` training rows, a fair sample of them, in float64."""
        x, t = problem.x["train"][:limit], problem.t["train"][:limit]
        # Exact statistics are those of the training rows under the present parameters: they move with them.
        moving = settings.bn_test == "exact"
        objective = Objective(model, x, t, batch_statistics=moving, l2=l2)
        return cls(objective, len(x), len(problem.x["train"]), l2, moving if model.batch_norm else None)

    def __str__(self) -> str:
        rows = f"all {self.rows}" if self.rows == self.of_rows else f"the first {self.rows} of {self.of_rows}"
        parts = [f"mean loss of {rows} training rows, without dropout"]
        if self.batch_statistics is not None:
            which = "these rows'" if self.batch_statistics else "constant"
            parts.append(f"batch normalisation by {which} statistics")
        if self.l2:
            parts.append(f"with the L2 penalty {self.l2:g}")
        return "; ".join(parts)

    def layers(self) -> dict[str, slice]:
        """Where the parameters of each layer lie in the flat vector."""
        found: dict[str, slice] = {}
        for name, where in self.objective.slices.items():
            layer = name.split(".")[0]
            start = found[layer].start if layer in found else where.start
            found[layer] = slice(start, where.stop)
        return found

    def product(self, v: Array) -> Array:
        """The Hessian at the model's parameters times v."""
        return self.objective.hvp(self.objective.theta, v)

    def finite(self) -> bool:
        """Whether there is anything to analyse: the loss and its gradient are numbers."""
        gradient = self.objective.gradient(self.objective.theta)
        return bool(np.isfinite(self.objective.value(self.objective.theta)) and np.isfinite(gradient).all())
