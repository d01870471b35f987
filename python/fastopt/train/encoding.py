"""Between the data's units and the model's: standardised inputs, targets for the chosen output, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.data import Dataset
from fastopt.train.outputs import OUTPUTS, Output

Array = NDArray[Any]


@dataclass(frozen=True)
class Standardiser:
    """(a - mean) / scale per column, computed in float64, returned as float32."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, a: Array, *, common_scale: bool = False) -> Standardiser:
        """Mean and standard deviation of the columns of `a`; 1 in place of 0 for a constant column.

        `common_scale` is for images: one standard deviation for all columns, since a pixel that is almost
        always white would otherwise be blown up wherever it is not.
        """
        a = np.asarray(a, np.float64)
        mean = a.mean(axis=0)
        variance = ((a - mean) ** 2).mean(axis=0)
        if common_scale:
            variance = np.full_like(variance, variance.mean())
        scale = np.sqrt(variance)
        # Round-off leaves a constant column of large values a variance a little above 0.
        constant = scale <= 1e-12 * np.abs(mean)
        return cls(mean, np.where(constant | (scale == 0), 1.0, scale))

    def apply(self, a: Array) -> NDArray[np.float32]:
        return np.ascontiguousarray((np.asarray(a, np.float64) - self.mean) / self.scale, np.float32)

    def undo(self, a: Array) -> NDArray[np.float64]:
        return np.asarray(a, np.float64) * self.scale + self.mean


@dataclass(frozen=True)
class Encoding:
    """How rows of the data become the model's inputs and targets, and its values the data's again.

    `labels` are the classes as the data has them, in the order of their numbers; a regression has `y_scale`
    instead. `columns` is the number of the model's outputs.
    """

    output: Output
    x_scale: Standardiser
    y_scale: Standardiser | None
    labels: tuple[Any, ...]
    columns: int

    @classmethod
    def fit(cls, data: Dataset, output: Output, rows: NDArray[np.int64]) -> Encoding:
        """Learned from those rows of the data."""
        x_scale = Standardiser.fit(data.x[rows], common_scale=data.image_shape is not None)
        y_scale = Standardiser.fit(data.y[rows]) if data.task == "regression" else None
        # One column is enough for two classes where each output is a probability of its own.
        single = data.task == "classes" and data.outputs == 2 and output.single_column
        return cls(output, x_scale, y_scale, data.labels, 1 if single else data.outputs)

    @property
    def sizes(self) -> tuple[int, int]:
        """Widths of the model's input and output."""
        return len(self.x_scale.mean), self.columns

    @property
    def single_column(self) -> bool:
        return bool(self.labels) and self.columns == 1

    def targets(self, y: Array) -> NDArray[np.float32]:
        """(rows, columns) from class numbers (rows,), or from values (rows, targets)."""
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

    def probabilities(self, z: Array) -> Array:
        """What the output gives each class, (rows, classes), from the model's values."""
        p = self.output.predict(z)
        return np.concatenate([1 - p, p], axis=1) if self.single_column else p

    def as_dict(self) -> dict[str, Any]:
        """Arrays and plain values that `from_dict` makes the same encoding of."""
        scales = (("x", self.x_scale), ("y", self.y_scale))
        return {
            "standardisation": {name: vars(scale) for name, scale in scales if scale is not None},
            "output": self.output.name,
            "labels": list(self.labels),
            "columns": self.columns,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Encoding:
        scales = {name: Standardiser(**scale) for name, scale in d["standardisation"].items()}
        labels = tuple(d["labels"])
        return cls(OUTPUTS[d["output"]], scales["x"], scales.get("y"), labels, int(d["columns"]))
