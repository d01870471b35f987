"""The NumPy multilayer perceptron that `fastopt train` trains; of the library it uses only the public API.

`Session(Settings(...)).run()` is the whole job without its command line; `MLP` alone is the model.
"""

from __future__ import annotations

from fastopt.mlp.datasets import Dataset, digits, load
from fastopt.mlp.model import MLP
from fastopt.mlp.objective import Objective
from fastopt.mlp.problem import Problem
from fastopt.mlp.readers import DataError
from fastopt.mlp.session import CheckpointError, Session, Watcher
from fastopt.mlp.settings import Settings
from fastopt.mlp.specs import SpecError
from fastopt.mlp.trainer import Trainer

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
