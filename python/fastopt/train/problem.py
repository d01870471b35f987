"""A data set made ready to train on: split, standardised, targets encoded for the chosen output."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt.train import augment, data, metrics
from fastopt.train.augment import Augmenter
from fastopt.train.data import Dataset
from fastopt.train.encoding import Encoding
from fastopt.train.model import MLP
from fastopt.train.outputs import OUTPUTS
from fastopt.train.settings import Settings
from fastopt.train.splits import Split, fold, split, split_with_test, subset

Array = NDArray[Any]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


class Problem:
    """Inputs `x[part]` (rows, features), targets `t[part]` (rows, outputs), float32, for each of `PARTS`.

    With `number` it is that fold (from 0) of the settings' folds.
    """

    def __init__(self, dataset: Dataset, settings: Settings, number: int | None = None) -> None:
        self.dataset = dataset
        self.task = dataset.task
        self.output = OUTPUTS[settings.output or ("softmax" if self.task == "classes" else "linear")]
        if self.task not in self.output.tasks:
            raise ValueError(
                f"output: {self.output.name!r} is for {' and '.join(self.output.tasks)}, not {self.task}"
            )
        self.rows = self._split(settings, number)
        self.encoding = Encoding.fit(dataset, self.output, self.rows.train)
        self.x_scale, self.predictions = self.encoding.x_scale, self.encoding.predictions
        parts = self.rows._asdict().items()
        self.x = {part: self.x_scale.apply(dataset.x[rows]) for part, rows in parts}
        self.y = {part: dataset.y[rows] for part, rows in parts}
        self.t = {part: self.encoding.targets(y) for part, y in self.y.items()}
        self.augmenter = self._augmenter(settings)

    def _split(self, settings: Settings, number: int | None) -> Split:
        labels = self.dataset.y if self.task == "classes" else None
        rows, rng = len(self.dataset.x), np.random.default_rng([settings.seed, 0])
        if self.dataset.test_rows:
            parts = split_with_test(rows, self.dataset.test_rows, settings.split, rng, labels)
        elif number is None:
            parts = split(rows, settings.split, rng, labels)
        else:
            assert settings.folds is not None
            parts = fold(rows, number, settings.folds, settings.split, rng, labels)
        if settings.subset is None:
            return parts
        chosen = labels[parts.train] if labels is not None else None
        rng = np.random.default_rng([settings.seed, 3])
        train = subset(parts.train, settings.subset, rng, chosen)
        if settings.batch_norm and len(train) < 2:
            raise ValueError(f"subset: {settings.subset:g} of {len(parts.train)} training rows is only 1")
        return parts._replace(train=train)

    def _augmenter(self, settings: Settings) -> Augmenter | None:
        if settings.augment is None:
            return None
        if self.dataset.image_shape is None:
            raise ValueError(
                "augment: expected images, an .npz with X of shape (rows, height, width); "
                f"{self.dataset.name} has {self.dataset.x.shape[1]} features"
            )
        zero = self.x_scale.apply(np.zeros((1, self.dataset.x.shape[1])))[0]
        return Augmenter(augment.parse(settings.augment), self.dataset.image_shape, zero)

    @classmethod
    def of(cls, settings: Settings) -> Problem:
        """Load the data that the settings name and prepare it; with folds, the first one."""
        if settings.data is None:
            dataset = data.digits()
        else:
            dataset = data.read_data(settings.data, task=settings.task, target=settings.target)
        if settings.test_data is not None:
            target = settings.target if settings.test_data.lower().endswith(".csv") else None
            test = data.read_data(settings.test_data, task=dataset.task, target=target)
            dataset = data.with_test_rows(dataset, test)
        return cls(dataset, settings, 0 if settings.folds else None)

    @property
    def sizes(self) -> tuple[int, int]:
        """Widths of the model's input and output."""
        return self.encoding.sizes

    def measure(self, model: MLP, part: Part, limit: int | None = None) -> dict[str, float]:
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
