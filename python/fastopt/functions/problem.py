"""f, its gradient and x: what nearly every function of the analysis is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fastopt.functions.counted import Objective, VectorFunction
from fastopt.functions.layout import Layout

__all__ = ["Problem"]

Array = NDArray[Any]


class Problem:
    """The user's functions on flat vectors, and the point that came with them.

    Attributes
    ----------
    layout : Layout
        The structure of x.
    x : ndarray, shape (n,)
        A flat copy of its values, in the widest of their dtypes.
    f, grad : Objective or None, VectorFunction or None
        The functions, counted and checked; None if they were not given.

    >>> import numpy as np
    >>> from fastopt.functions.problem import Problem
    >>> problem = Problem(None, lambda x: [2 * a for a in x], [np.ones(2), np.zeros(1)])
    >>> problem.grad(problem.x), problem.grad.calls, problem.n
    (array([2., 2., 0.]), 1, 3)
    """

    def __init__(self, f: Callable[..., Any] | None, grad: Callable[..., Any] | None, x: Any) -> None:
        self.layout, self.x = Layout.of(x)
        self.f = None if f is None else Objective(f, self.layout, "f")
        self.grad = None if grad is None else VectorFunction(grad, self.layout, "grad")

    @property
    def n(self) -> int:
        return self.layout.size

    def structured(self, flat: Array) -> Any:
        """A flat vector in the structure and the dtypes of x: fresh arrays."""
        return self.layout.structured(flat)
