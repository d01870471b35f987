"""What a framework's loss becomes: a point and functions of it, in NumPy arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bridge:
    """A loss of another framework for the functions of this package; what `from_torch` and `from_jax` return.

    Attributes
    ----------
    x : array, or list, tuple or dict of arrays
        The parameters, copied.
    f : callable
        ``f(x)``: the loss there.
    grad : callable
        ``grad(x)``: its gradient, in the structure of x.
    hvp : callable
        ``hvp(x, v)``: the product of the Hessian at x with v, exact, both in the structure of x.
    """

    x: Any
    f: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    hvp: Callable[[Any, Any], Any]


def framework(name: str, function: str, extra: str) -> Any:
    """The module `name`, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ImportError(f"{function} needs {name}: pip install 'fastopt[{extra}]'") from e


def mapped(function: Callable[[Any], Any], x: Any) -> Any:
    """What `function` makes of x, or of each item of a list, tuple or dict."""
    if isinstance(x, dict):
        return {key: function(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)):
        items = [function(item) for item in x]
        return tuple(items) if isinstance(x, tuple) else items
    return function(x)
