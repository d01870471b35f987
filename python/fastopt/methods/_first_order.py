"""Every rule of the engine as a full-batch method: the optimizer classes, stepped by the gradient of f."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastopt
from fastopt.methods._problem import Problem
from fastopt.methods._result import Stop

__all__ = ["full_batch"]


def full_batch(name: str) -> Callable[..., None]:
    """The method that steps the optimizer class of this name (in lower case)."""
    cls = fastopt.optimizers()[name]

    def method(problem: Problem, **options: Any) -> None:
        layout = problem.layout
        x, _, jac = problem.begin()
        # the rule sees the user's arrays, one by one: LARS and LAMB take norms of each
        arrays = _parts(layout.structured(x))
        options.setdefault("nonfinite", "raise")
        optimizer: Any = cls(arrays, **options)
        while True:
            optimizer.step(_parts(layout.structured(jac)))
            x = layout.flat(arrays).astype(np.float64, copy=False)
            fun, jac = problem.both(x)
            if not (np.isfinite(fun) and np.isfinite(jac).all()):
                raise Stop(
                    "unbounded" if fun == -np.inf else "nan", f"f is {fun} after step {problem.nit + 1}."
                )
            problem.iterate(x, fun, jac)

    return method


def _parts(structured: Any) -> list[Any]:
    if isinstance(structured, np.ndarray):
        return [structured]
    return list(structured.values() if isinstance(structured, dict) else structured)
