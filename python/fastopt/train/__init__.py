"""The NumPy multilayer perceptron that `fastopt train` trains; of the library it uses only the public API.

`Session(Settings(...)).run()` is the whole job without its command line; `MLP` alone is the model.
"""

from __future__ import annotations

from fastopt.train.datasets import Dataset, digits, load
from fastopt.train.model import MLP
from fastopt.train.objective import Objective
from fastopt.train.problem import Problem
from fastopt.train.readers import DataError
from fastopt.train.session import CheckpointError, Session, Watcher
from fastopt.train.settings import Settings
from fastopt.train.specs import SpecError
from fastopt.train.trainer import Trainer

__all__ = [
    "MLP",
    "CheckpointError",
    "DataError",
    "Dataset",
    "Objective",
    "Problem",
    "Session",
    "Settings",
    "SpecError",
    "Trainer",
    "Watcher",
    "digits",
    "load",
]


def __dir__() -> list[str]:
    return sorted(__all__)
