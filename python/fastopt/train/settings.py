"""Everything that decides the outcome of `fastopt train`, in one JSON-able object with the defaults."""

from __future__ import annotations

import dataclasses
import numbers
import os
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastopt.train import augment, specs
from fastopt.train.activations import ACTIVATIONS, ActivationName
from fastopt.train.checks import shown, word
from fastopt.train.data import TASKS, Task
from fastopt.train.outputs import OUTPUTS, OutputName
from fastopt.train.splits import check_fractions

#: The least value of an integer setting, and the values of one that is a name.
LOWEST = {
    "epochs": 1,
    "batch_size": 1,
    "seed": 0,
    "early_stopping": 1,
    "threads": 1,
    "blas_threads": 1,
    "folds": 2,
    "curvature_every": 1,
}
MOST_OF_C = 2**31 - 1  # an int, as BLAS libraries take their number of threads
CHOICES = {
    "activation": tuple(ACTIVATIONS),
    "output": tuple(OUTPUTS),
    "bn_test": ("running", "exact"),
    "task": TASKS,
    "clip_norm_type": ("2", "inf"),
    "clip_norm_per": ("all", "tensor"),
}


@dataclass(frozen=True)
class Settings:
    """What to train, on what, and how. `None` means: decided from the data or by the optimizer.

    The defaults were chosen on the embedded digits (means over 20 seeds, each with its own split).
    """

    data: str | None = None
    """Path of the user's file; None for the embedded digits."""
    task: Task | None = None
    """What targets are; by default integers and text are classes, floating-point numbers a regression."""
    target: str | None = None
    """The target column of a CSV file, by name or by number from 0; by default the last."""
    test_data: str | None = None
    """Path of a file with the test rows; the split's third share is then not used."""
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of training, validation and test rows."""
    subset: float | None = None
    """Share of the training rows to train on."""
    folds: int | None = None
    """Cross-validation in that many folds; the split's third share is then not used."""
    augment: str | None = None
    """Images vary by as much: `fastopt.train.augment.parse`."""
    hidden: tuple[int, ...] = (256, 128)
    """Sizes of the hidden layers; an empty tuple for none."""
    activation: ActivationName = "relu"
    """After each hidden layer."""
    batch_norm: bool = True
    """Batch normalisation before each activation."""
    bn_test: Literal["running", "exact"] = "exact"
    """Statistics batch normalisation tests with: moving averages, or those of the whole training part."""
    dropout: float = 0.3
    """Probability to drop a hidden value."""
    residual: bool = False
    """Connections around the hidden layers that are as wide as what comes before them."""
    init: str | None = None
    """Initial weights, such as ``"he"`` or ``"randn:std=0.02"``; by default He's for relu, else Xavier's."""
    output: OutputName | None = None
    """Output and loss; by default softmax for classes, else linear."""
    optimizers: tuple[str, ...] = ("adamw",)
    """To train and compare, with options of their own: ``"sgd:lr=0.1,momentum=0.9"``."""
    options: tuple[str, ...] = ()
    """key=value for every optimizer."""
    lr: float | None = None
    """Learning rate; by default `fastopt.Rule.comparison_lr` of each optimizer."""
    schedule: str = "warmup_cosine"
    """Of the learning rate, such as ``"step:every=100,gamma=0.5"``; see `fastopt.schedules`."""
    epochs: int = 40
    """Passes over the training rows."""
    batch_size: int = 32
    """Rows of a step."""
    clip_norm: float | None = None
    """Limit of the gradient's norm."""
    clip_norm_type: Literal["2", "inf"] | None = None
    """Which norm: that of squares (the default), or the largest entry."""
    clip_norm_per: Literal["all", "tensor"] | None = None
    """One norm over all gradients (the default), or one of each tensor."""
    clip_value: float | None = None
    """Limit of each entry of the gradient."""
    weight_decay: float | None = None
    """Of weights, not of biases and scales; its kind, and by default its size, are the optimizer's."""
    l1: float | None = None
    """L1 penalty of the weights."""
    early_stopping: int | None = None
    """Stop after so many epochs without a lower validation loss, and test the best epoch's model."""
    diagnose: bool = False
    """Train a larger model beside, to tell what ails the model."""
    curvature: bool = False
    """Analyse the curvature of the trained model's loss."""
    curvature_every: int | None = None
    """Record loss and minimum ratio before training and after every so many epochs."""
    seed: int = 0
    """Of everything that is drawn: split, initial weights, batches, dropout."""
    threads: int | None = None
    """Of the optimizer's step; by default `fastopt.get_num_threads`."""
    blas_threads: int | None = None
    """Of NumPy's matrix products; None takes one thread while the products are small."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, str(field.type), getattr(self, field.name))
        for name, low in LOWEST.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name}: expected an integer of at least {low}, got {value}")
        if self.blas_threads is not None and self.blas_threads > MOST_OF_C:
            raise ValueError(
                f"blas_threads: expected an integer of at most {MOST_OF_C}, got {self.blas_threads}"
            )
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value is not None or getattr(type(self), name) is not None:
                word(name, value, choices)
        self._check_values()
        self._check_together()

    def _check_values(self) -> None:
        if any(size < 1 for size in self.hidden):
            raise ValueError(f"hidden: expected layer sizes of at least 1, got {list(self.hidden)}")
        if self.lr is not None and not 0 <= self.lr < float("inf"):
            raise ValueError(f"lr: expected a finite number of at least 0, got {self.lr}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a probability in [0, 1), got {self.dropout}")
        if self.subset is not None and not 0 < self.subset <= 1:
            raise ValueError(f"subset: expected a share above 0 and up to 1, got {self.subset}")
        if self.augment is not None:
            augment.parse(self.augment)
        check_fractions(self.split)
        if not self.optimizers:
            raise ValueError("optimizers: expected at least one, got none")
        self.optimizer_specs()

    def _check_together(self) -> None:
        """What only some combinations allow."""
        if self.diagnose and self.folds:
            raise ValueError("diagnose: expected without folds: it compares two models on one split")
        for name in ("curvature", "curvature_every"):
            if getattr(self, name) and self.folds:
                raise ValueError(f"{name}: expected without folds: it analyses one trained model")
        if self.curvature_every is not None and self.curvature_every > self.epochs:
            raise ValueError(
                f"curvature_every: expected at most the number of epochs, {self.epochs}, "
                f"got {self.curvature_every}"
            )
        if self.test_data is not None and self.folds:
            raise ValueError("test_data: expected without folds, which test every row of one file")
        if self.batch_norm and self.hidden and self.batch_size < 2:
            raise ValueError("batch_size: expected at least 2 with batch normalisation, got 1")
        for name in ("task", "target"):
            if self.data is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: expected only together with data: the digits are classes")

    def optimizer_specs(self) -> list[specs.Spec]:
        return specs.parse_list(",".join(self.optimizers), "optimizer")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in the order of the fields."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Settings:
        """The settings that `as_dict` described."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in d.items()}
        return cls(**fields)


#: Of what types a field may be, by how its annotation begins, and what to call them. Others are words.
_TYPES: dict[str, tuple[Any, str]] = {
    "int": (numbers.Integral, "an integer"),
    "float": (numbers.Real, "a number"),
    "bool": ((bool, np.bool_), "True or False"),
    "str": ((str, os.PathLike), "text"),
    "tuple[str": (str, "a tuple of text"),
    "tuple[int": (numbers.Integral, "a tuple of integers"),
    "tuple[float": (numbers.Real, "a tuple of numbers"),
}


def _check_type(name: str, annotation: str, value: Any) -> None:
    """Raise TypeError for a value that is not of the field's type."""
    if value is None and "None" in annotation:
        return
    begins = re.match(r"(tuple\[)?\w+", annotation)
    if begins is None or begins[0] not in _TYPES:
        return
    types, wanted = _TYPES[begins[0]]
    several = begins[0].startswith("tuple")
    if several and not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: expected {wanted}, got {shown(value)}")
    for item in value if several else (value,):
        if not isinstance(item, types) or (isinstance(item, bool) and begins[0] != "bool"):
            raise TypeError(f"{name}: expected {wanted}, got {shown(value)}")
