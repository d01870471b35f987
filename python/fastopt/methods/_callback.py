"""SciPy's two kinds of callback: `callback(intermediate_result=...)` by name, or `callback(xk)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastopt._checks import shown
from fastopt.methods._result import Result

__all__ = ["read_callback"]


def read_callback(callback: Any) -> Callable[[Result], Any] | None:
    """The callback as a function of one `Result` with `x` and `fun`; which kind it is, its signature says."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback: expected a function or None, got {shown(callback)}")
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # a built-in without a signature
        names = set()
    if names == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result["x"])
