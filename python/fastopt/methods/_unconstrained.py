"""Bounds and constraints as SciPy's users pass them: accepted where they bound nothing, else named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastopt._checks import shown

__all__ = ["check_unconstrained"]


def check_unconstrained(method: str, bounds: Any, constraints: Any) -> None:
    """Raises ValueError for a bound that is a number, or a constraint that constrains."""
    words = f"bounds, constraints: method {method!r} minimises without any, got"
    found = _bound(bounds)
    if found:
        raise ValueError(f"{words} {found}")
    for i, constraint in enumerate(_listed(constraints)):
        if not _open(constraint):
            raise ValueError(f"{words} constraints[{i}] = {shown(constraint)}")


def _bound(bounds: Any) -> str:
    """The first bound that is one, in words; '' if there is none."""
    if bounds is None:
        return ""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = np.broadcast_arrays(_ends(bounds.lb, -np.inf), _ends(bounds.ub, np.inf))
    else:
        try:
            pairs = [tuple(pair) for pair in bounds]
            low, high = (np.array([_end(p[k], (-np.inf, np.inf)[k]) for p in pairs]) for k in (0, 1))
            if any(len(p) != 2 for p in pairs):
                raise TypeError
        except (TypeError, ValueError, IndexError) as e:
            raise TypeError(f"bounds: expected None or pairs (low, high), got {shown(bounds)}") from e
    closed = np.flatnonzero((low.reshape(-1) > -np.inf) | (high.reshape(-1) < np.inf))
    if not closed.size:
        return ""
    i = int(closed[0])
    return f"bounds[{i}] = ({low.reshape(-1)[i]:g}, {high.reshape(-1)[i]:g})"


def _end(value: Any, none: float) -> float:
    """A bound as a number: None and NaN are no bound, as in SciPy."""
    number = none if value is None else float(value)
    return none if np.isnan(number) else number


def _ends(values: Any, none: float) -> Any:
    return np.array([_end(v, none) for v in np.atleast_1d(np.asarray(values, dtype=object)).reshape(-1)])


def _listed(constraints: Any) -> list[Any]:
    if constraints is None:
        return []
    return (
        list(constraints)
        if isinstance(constraints, (list, tuple))
        else [constraints]
        if not (isinstance(constraints, Mapping) and not constraints)
        else []
    )


def _open(constraint: Any) -> bool:
    """Whether a constraint object has both ends at infinity."""
    low, high = getattr(constraint, "lb", None), getattr(constraint, "ub", None)
    if low is None or high is None:
        return False
    return bool((_ends(low, -np.inf) == -np.inf).all() and (_ends(high, np.inf) == np.inf).all())
