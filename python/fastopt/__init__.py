"""fastopt: the CPU optimizer engine.

Fused C++ kernels apply an optimizer's update to NumPy arrays in place, in one pass over memory:

>>> import numpy as np, fastopt
>>> w = np.ones(3, dtype=np.float32)
>>> opt = fastopt.AdamW([w], lr=0.1)
>>> opt.step([2 * w])          # w itself has changed
>>> w
array([0.899, 0.899, 0.899], dtype=float32)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastopt import optim
from fastopt._threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from fastopt import checkpoint, curvature, linalg, methods, schedules
    from fastopt._batches import Batches, batches
    from fastopt._checkpoints import load, save
    from fastopt._errors import CheckpointError
    from fastopt._ewma import EWMA, ewma
    from fastopt._flatten import flatten
    from fastopt.curvature import check_grad, critical_point, escape, hessian, hvp, why_stalled
    from fastopt.linalg import eigh, eigsh, eigvalsh, inertia
    from fastopt.methods import minimize
    from fastopt.optim import *  # noqa: F403 - its __all__ is the list of optimizers
    from fastopt.optimizer import Optimizer
    from fastopt.rule import Rule

__version__ = "0.1.0"

#: Imported at first use, so that `import fastopt` costs a few milliseconds: name -> module.
_LAZY = {
    "CheckpointError": "_errors",
    "EWMA": "_ewma",
    "Batches": "_batches",
    "Optimizer": "optimizer",
    "Rule": "rule",
    "batches": "_batches",
    "check_grad": "curvature",
    "checkpoint": "checkpoint",
    "critical_point": "curvature",
    "curvature": "curvature",
    "eigh": "linalg",
    "eigsh": "linalg",
    "eigvalsh": "linalg",
    "escape": "curvature",
    "ewma": "_ewma",
    "flatten": "_flatten",
    "hessian": "curvature",
    "hvp": "curvature",
    "inertia": "linalg",
    "linalg": "linalg",
    "load": "_checkpoints",
    "methods": "methods",
    "minimize": "methods",
    "save": "_checkpoints",
    "schedules": "schedules",
    "why_stalled": "curvature",
    **dict.fromkeys(optim.__all__, "optim"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module 'fastopt' has no attribute {name!r}")
    module = importlib.import_module(f"fastopt.{_LAZY[name]}")
    value = module if _LAZY[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimizer class under its name in lower case.

    >>> import fastopt
    >>> fastopt.optimizers()["adamw"]
    <class 'fastopt.optim.adamw.AdamW'>
    """
    return {name.lower(): getattr(optim, name) for name in optim.__all__}


__all__ = [
    "EWMA",
    "Batches",
    "CheckpointError",
    "Optimizer",
    "Rule",
    "batches",
    "check_grad",
    "checkpoint",
    "critical_point",
    "curvature",
    "eigh",
    "eigsh",
    "eigvalsh",
    "escape",
    "ewma",
    "flatten",
    "get_num_threads",
    "hessian",
    "hvp",
    "inertia",
    "linalg",
    "load",
    "methods",
    "minimize",
    "optimizers",
    "save",
    "schedules",
    "set_num_threads",
    "why_stalled",
    *optim.__all__,
]
