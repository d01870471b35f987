"""The Hessian-vector product that a user gives: of v alone, of x and v, or an operator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.functions.counted import VectorFunction
from fastopt.functions.layout import Layout

__all__ = ["product_at", "takes_point"]

Array = NDArray[Any]

_EXPECTED = "a function of v, a function of (x, v), or an object with matvec"


def product_at(hvp: Any, layout: Layout, flat: Array, name: str = "hvp") -> VectorFunction:
    """`hvp` at the point `flat`, as a function flat v -> flat H v that is counted and checked.

    Parameters
    ----------
    hvp : callable or object with ``matvec``
        ``hvp(v)``, the product at this very point; ``hvp(x, v)``, as SciPy's ``hessp``: a function with two
        parameters that have no default. Both take and return the structure of x. ``matvec`` works on flat
        vectors.
    layout, flat
        The point, as from ``Layout.of(x)``.

    Raises
    ------
    TypeError
        If `hvp` is none of these.
    ValueError
        If its ``shape`` is not (n, n).
    """
    matvec = getattr(hvp, "matvec", None)
    if callable(matvec):
        shape = getattr(hvp, "shape", None)
        if shape is not None and tuple(shape) != (layout.size, layout.size):
            raise ValueError(f"{name}: expected shape {(layout.size, layout.size)}, got {tuple(shape)}")
        return VectorFunction(matvec, Layout.of(flat, "v")[0], name)
    if not callable(hvp):
        raise TypeError(f"{name}: expected {_EXPECTED}, got {shown(hvp)}")
    if not takes_point(hvp):
        return VectorFunction(hvp, layout, name)
    return VectorFunction(lambda v: hvp(layout.structured(flat), v), layout, name)


def takes_point(hvp: Callable[..., Any]) -> bool:
    """Whether `hvp` is a function of (x, v): by the parameters it cannot be called without.

    >>> from fastopt.functions.products import takes_point
    >>> takes_point(lambda x, v: v), takes_point(lambda v: v), takes_point(lambda v, scale=1: v)
    (True, False, False)
    """
    if callable(getattr(hvp, "matvec", None)):
        return False
    try:
        parameters = inspect.signature(hvp).parameters.values()
    except (TypeError, ValueError):  # written in C, and silent about it
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in places and p.default is inspect.Parameter.empty for p in parameters) == 2
