"""Every rule of the engine as a full-batch method: the optimizer classes, stepped by the gradient of f.

The search is the learning rate, the descent the rule.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

import fastopt
from fastopt import _dispatch
from fastopt.methods._problem import Problem
from fastopt.methods._result import Stop

__all__ = ["full_batch"]

_ABOUT = """`fastopt.{name}` as a full-batch method: every iteration is a step by the gradient of f.

    Parameters
    ----------
    **options
        The keywords of the class; ``nonfinite`` is "raise" by default, and ends the run with a message.

    Notes
    -----
    The class says:

    {text}
    """


def full_batch(name: str) -> Callable[..., None]:
    """The method that steps the optimizer class of this name (in lower case)."""
    cls = fastopt.optimizers()[name]

    def method(problem: Problem, **options: Any) -> None:
        layout = problem.layout
        x, _, jac = problem.begin()
        # the rule sees the user's arrays, one by one: LARS and LAMB take norms of each
        arrays = layout.arrays(x)
        options.setdefault("nonfinite", "raise")
        optimizer: Any = cls(arrays, **options)
        while True:
            with np.errstate(over="ignore"):  # a float64 gradient of a float32 x: the rule says what it lacks
                gradients = layout.arrays(jac)
            _step(optimizer, gradients, problem)
            x = layout.flat(arrays).astype(np.float64, copy=False)
            fun, jac = problem.both(x)
            if not (np.isfinite(fun) and np.isfinite(jac).all()):
                raise Stop(
                    "unbounded" if fun == -np.inf else "nan", f"f is {fun} after step {problem.nit + 1}."
                )
            problem.iterate(x, fun, jac)

    _describe(method, cls)
    return method


def _describe(method: Any, cls: type[Any]) -> None:
    """The signature and the text of the class, for those who ask for help on the method.

    Annotations as objects: in a signature made by hand nobody evaluates them later.
    """
    problem, *_ = inspect.signature(method, eval_str=True).parameters.values()
    _, *own = inspect.signature(cls, eval_str=True).parameters.values()  # without params
    options = [
        p if p.kind is p.VAR_KEYWORD else p.replace(kind=p.KEYWORD_ONLY)
        for p in own
        if p.name != "method"  # a word of `minimize`; what Muon calls so stays as by default
    ]
    method.__signature__ = inspect.Signature([problem, *options])
    text = re.sub(r"(?m)^method : .*\n(?:    .*\n)+", "", inspect.getdoc(cls) or "")
    method.__doc__ = _ABOUT.format(name=cls.__name__, text=text.replace("\n", "\n    "))


def _step(optimizer: Any, gradients: list[Any], problem: Problem) -> None:
    """One step; what the rule refuses ends the run instead, which has a best point to return.

    f and its gradient may be finite where the rule's own numbers, such as squares, are not.
    """
    try:
        optimizer.step(gradients)
    except _dispatch.core.RefusedGradient as error:
        reason = str(error).partition(" (nonfinite=")[0]  # the rest is the optimizer's, which nobody sees
        raise Stop("overflow", f"In step {problem.nit + 1}, {reason}.") from None
