"""`fastopt train` as a library: a NumPy perceptron, its data, training, diagnosis and use.

`Session(Settings(...)).run()` is the whole job without its command line; `load(path).predict(X)` uses what it
has written; `MLP` alone is the model. Of fastopt it uses only what is public.
"""

from __future__ import annotations

from fastopt import CheckpointError
from fastopt.train.data import Dataset, digits, read_data
from fastopt.train.model import MLP
from fastopt.train.objective import Objective
from fastopt.train.predictor import Predictor, load
from fastopt.train.problem import Problem
from fastopt.train.readers import DataError
from fastopt.train.session import Session, Watcher
from fastopt.train.settings import Settings
from fastopt.train.specs import SpecError
from fastopt.train.trainer import Trainer

__all__ = [
    "MLP",
    "CheckpointError",
    "DataError",
    "Dataset",
    "Objective",
    "Predictor",
    "Problem",
    "Session",
    "Settings",
    "SpecError",
    "Trainer",
    "Watcher",
    "digits",
    "load",
    "read_data",
]


def __dir__() -> list[str]:
    return sorted(__all__)
