"""The optimizer classes by name."""

from __future__ import annotations

from fastopt import optim
from fastopt.optimizer import Optimizer

__all__ = ["optimizers"]


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimizer class under its name in lower case.

    >>> import fastopt
    >>> fastopt.optimizers()["adamw"]
    <class 'fastopt.optim.adamw.AdamW'>
    """
    return {name.lower(): getattr(optim, name) for name in dir(optim)}
