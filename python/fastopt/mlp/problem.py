"""A data set made ready to train on: split, standardised, targets encoded for the chosen output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.mlp import datasets, metrics
from fastopt.mlp.datasets import Dataset
from fastopt.mlp.model import MLP
from fastopt.mlp.outputs import OUTPUTS
from fastopt.mlp.settings import Settings
from fastopt.mlp.splits import split
from fastopt.mlp.standardise import Standardiser

Array = NDArray[Any]
PARTS = ("train", "validation", "test")


class Problem:
    """Inputs `x[part]` (rows, features), targets `t[part]` (rows, outputs), float32, for each of `PARTS`."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self.dataset = dataset
        self.task = dataset.task
        self.output = OUTPUTS[settings.output or ("softmax" if self.task == "classes" else "linear")]
        if self.task not in self.output.tasks:
            raise ValueError(
                f"output: {self.output.name!r} is for {' and '.join(self.output.tasks)}, not {self.task}"
            )
        labels = dataset.y if self.task == "classes" else None
        rng = np.random.default_rng([settings.seed, 0])
        self.rows = split(len(dataset.x), settings.split, rng, labels)
        train = self.rows.train
        self.x_scale = Standardiser.fit(dataset.x[train], common_scale=dataset.image_shape is not None)
        self.y_scale = Standardiser.fit(dataset.y[train]) if self.task == "regression" else None
        # One column is enough for two classes where each output is a probability of its own.
        self.single_column = self.task == "classes" and dataset.outputs == 2 and self.output.single_column
        self.columns = 1 if self.single_column else dataset.outputs
        self.x = {part: self.x_scale.apply(dataset.x[rows]) for part, rows in self.rows._asdict().items()}
        self.y = {part: dataset.y[rows] for part, rows in self.rows._asdict().items()}
        self.t = {part: self._targets(y) for part, y in self.y.items()}

    @classmethod
    def of(cls, settings: Settings) -> Problem:
        """Load the data that the settings name and prepare it."""
        if settings.data is None:
            return cls(datasets.digits(), settings)
        return cls(datasets.load(settings.data, task=settings.task, target=settings.target), settings)

    @property
    def sizes(self) -> tuple[int, int]:
        """Widths of the model's input and output."""
        return self.dataset.x.shape[1], self.columns

    def _targets(self, y: Array) -> NDArray[np.float32]:
        if self.y_scale is not None:
            return self.y_scale.apply(y)
        if self.single_column:
            return y.reshape(-1, 1).astype(np.float32)
        return np.eye(self.columns, dtype=np.float32)[y]

    def predictions(self, z: Array) -> Array:
        """Class numbers (rows,), or values in the data's units (rows, targets), from the model's values."""
        if self.y_scale is not None:
            return self.y_scale.undo(z)
        # Every output is monotonic, so the largest value is the most probable class.
        return (z[:, 0] > 0).astype(np.int64) if self.single_column else z.argmax(axis=1)

    def measure(self, model: MLP, part: str, limit: int | None = None) -> dict[str, float]:
        """Loss and metrics of the model on a part of the data (its first `limit` rows)."""
        x, t, y = self.x[part][:limit], self.t[part][:limit], self.y[part][:limit]
        z = model.values(x)
        result = {"loss": float(model.output.losses(z, t)[0].mean(dtype=np.float64))}
        predicted = self.predictions(z)
        if self.task == "classes":
            return result | {"accuracy": metrics.accuracy(predicted, y)}
        return result | {"rmse": metrics.rmse(predicted, y), "r2": metrics.r2(predicted, y)}

    @property
    def score(self) -> str:
        """The metric that a run is judged by; larger is better."""
        return "accuracy" if self.task == "classes" else "r2"
