"""What a run leaves behind: a line per epoch, and a bounded number of points along its steps."""

from __future__ import annotations

from typing import Any

# Points kept along the steps of a run: enough for any plot, and a checkpoint stays small.
STEP_POINTS = 2000


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
    def _append(columns: dict[str, list[float]], row: dict[str, float]) -> None:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)

    def add_step(self, **row: float) -> None:
        self._append(self.steps, row)

    def add_epoch(self, **row: float) -> None:
        self._append(self.epochs, row)

    def add_curvature(self, **row: float) -> None:
        self._append(self.curvature, row)

    def columns(self) -> dict[str, dict[str, list[float]]]:
        return {"epochs": self.epochs, "steps": self.steps, "curvature": self.curvature}

    def state_dict(self) -> dict[str, Any]:
        return {"stride": self.stride, **self.columns()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stride, self.epochs, self.steps = state["stride"], state["epochs"], state["steps"]
        self.curvature = state["curvature"]
