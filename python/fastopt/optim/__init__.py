"""The optimizers, one class in each file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastopt.optim.adabelief import AdaBelief
    from fastopt.optim.adadelta import Adadelta
    from fastopt.optim.adagrad import Adagrad
    from fastopt.optim.adam import Adam
    from fastopt.optim.adamax import Adamax
    from fastopt.optim.adamw import AdamW
    from fastopt.optim.adan import Adan
    from fastopt.optim.asgd import ASGD
    from fastopt.optim.lamb import LAMB
    from fastopt.optim.lars import LARS
    from fastopt.optim.lion import Lion
    from fastopt.optim.nadam import NAdam
    from fastopt.optim.radam import RAdam
    from fastopt.optim.rmsprop import RMSprop
    from fastopt.optim.rprop import Rprop
    from fastopt.optim.sgd import SGD
    from fastopt.optim.signsgd import SignSGD

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "SGD",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SignSGD",
]


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: all of them would triple the time of `import fastopt`."""
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'fastopt.optim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastopt.optim.{name.lower()}"), name)
    globals()[name] = value
    return value
