"""How the user's functions are passed: one word for one thing, one order, what an error says of others."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from fastopt._checks import shown

__all__ = ["OTHER_WORDS", "Exchanged", "takes_functions"]

P = ParamSpec("P")
R = TypeVar("R")

#: What others, and earlier versions, call some of our arguments.
OTHER_WORDS = {
    "exact": "hvp",
    "fun": "f",
    "func": "f",
    "gradient": "grad",
    "hess": "hessian",
    "hessp": "hvp",
    "jac": "grad",
    "x0": "x",
}


class Exchanged(TypeError):
    """A function returned what another one of them does: `takes_functions` adds the order to the message."""


def takes_functions(function: Callable[P, R]) -> Callable[P, R]:
    """For a public function of ``(f, grad, x, ...)`` or ``(grad, x, ...)``: says what is wrong with a call.

    Raises TypeError for a word of `OTHER_WORDS`, with ours; for an array where f or grad is expected, or a
    function where x is, with the order; for functions that came in each other's place, once one of them has
    returned something. Everything else is left to the function.

    >>> from fastopt.functions.arguments import takes_functions
    >>> @takes_functions
    ... def slope(grad, x, *, hessian=None):
    ...     return grad(x)
    >>> slope(abs, -2.0)
    2.0
    >>> slope(-2.0, abs)
    Traceback (most recent call last):
    TypeError: grad: expected a function of x, got -2.0 of type float; the order is slope(grad, x)
    >>> slope(abs, -2.0, hess=None)
    Traceback (most recent call last):
    TypeError: hess: here it is called hessian, as in slope(grad, x, hessian=...)
    """
    parameters = inspect.signature(function).parameters
    places = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    order = [p.name for p in places if p.default is p.empty]
    call = f"{function.__name__}({', '.join(order)}"

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for word in kwargs:
            ours = OTHER_WORDS.get(word)
            if ours in parameters and word not in parameters:
                example = "" if ours in order else f", {ours}=..."
                raise TypeError(f"{word}: here it is called {ours}, as in {call}{example})")
        given = {**dict(zip(order, args, strict=False)), **{k: v for k, v in kwargs.items() if k in order}}
        wrong = _misplaced(given)
        if wrong:
            missing = [name for name in order if name not in given]
            hint = f": is {order[0]} missing?" if missing else ""
            if len(args) > len(order) and "f" in parameters and "f" not in order:
                hint = ", and f is a keyword"
            raise TypeError(f"{wrong}; the order is {call}){hint}")
        try:
            return function(*args, **kwargs)
        except Exchanged as error:
            raise TypeError(f"{error}; the order is {call})") from error

    return checked


def _misplaced(given: dict[str, Any]) -> str:
    """What is no function where one is expected, or one or a number where a point is; '' if all may be right.

    Nothing (None) and True, which have meanings of their own here and there, are the function's to judge.
    """
    for name in ("f", "grad"):
        value = given.get(name)
        if value is not None and value is not True and not callable(value):
            return f"{name}: expected a function of x, got {shown(value)}"
    x, lr = given.get("x"), given.get("lr", 0.0)
    if callable(x) or (isinstance(x, numbers.Real) and (isinstance(lr, dict) or np.ndim(lr) > 0)):
        return f"x: expected the point, an array or a list or dict of arrays, got {shown(x)}"
    return ""
