"""What type checkers know of the methods as functions for `scipy.optimize.minimize`: see `_scipy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import ArrayLike

from fastopt._signature import Unpack
from fastopt.methods._names import Options

__all__ = ["ScipyMethod"]


class ScipyMethod(Protocol):
    """A call of SciPy's; which options a method has is known at run time only."""

    __name__: str

    def __call__(
        self,
        fun: Callable[..., Any],
        x0: ArrayLike,
        args: Any = (),
        *,
        jac: Callable[..., Any] | bool | None = None,
        hess: Callable[..., Any] | None = None,
        hessp: Callable[..., Any] | None = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Callable[..., Any] | None = None,
        tol: float | None = None,
        gtol: float | None = None,
        ftol: float | None = None,
        xtol: float | None = None,
        maxiter: int | None = None,
        maxfev: int | None = None,
        disp: bool = False,
        return_all: bool = False,
        **options: Unpack[Options],
    ) -> Any: ...
