"""The methods as callables for `scipy.optimize.minimize(..., method=...)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt._checks import shown
from fastopt.methods._minimize import read_limits, run
from fastopt.methods._problem import Problem
from fastopt.methods._registry import Method
from fastopt.methods._result import Result
from fastopt.methods._unconstrained import check_unconstrained

__all__ = ["SciPyMethod"]


class SciPyMethod:
    """A method that `scipy.optimize.minimize` takes as its `method`, with `options` as keywords.

    The options are those of `fastopt.minimize` (gtol, ftol, xtol, maxiter, maxfev, disp, return_all) and the
    method's own; others are refused. `jac` must be a function or True. The result is a
    `scipy.optimize.OptimizeResult`.

    Raises
    ------
    TypeError, ValueError
        If `jac` is missing, or for bounds and constraints that are not infinite, which no method here has.

    Examples
    --------
    >>> import numpy as np, fastopt, scipy.optimize               # doctest: +SKIP
    >>> scipy.optimize.minimize(lambda x: x @ x, np.ones(2), jac=lambda x: 2 * x,
    ...                         method=fastopt.methods.cg).x      # doctest: +SKIP
    array([0., 0.])
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self.__name__ = method.name.replace("-", "_")

    def __repr__(self) -> str:
        return f"<method {self._method.name!r} for scipy.optimize.minimize>"

    def __call__(
        self,
        fun: Any,
        x0: Any,
        args: tuple[Any, ...] = (),
        *,
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Any = None,
        tol: Any = None,
        gtol: Any = None,
        ftol: Any = None,
        xtol: Any = None,
        maxiter: Any = None,
        maxfev: Any = None,
        disp: Any = False,
        return_all: Any = False,
        **options: Any,
    ) -> Any:
        check_unconstrained(self._method.name, bounds, constraints)
        if jac is not True and not callable(jac):
            raise TypeError(f"jac: expected a function, or True if fun returns both, got {shown(jac)}")
        x0 = np.atleast_1d(np.asarray(x0))
        if x0.dtype.kind in "iub" or (x0.dtype.kind == "f" and x0.dtype.itemsize not in (4, 8)):
            x0 = x0.astype(np.float64)
        if not isinstance(args, tuple):
            args = (args,)
        limits = read_limits(self._method, tol if gtol is None else gtol, ftol, xtol, maxiter, maxfev)
        hvp = None if hessp is None else lambda x, p: hessp(x, p, *args)
        problem = Problem(
            _bound(fun, args),
            jac if jac is True else _bound(jac, args),
            x0.reshape(-1),
            limits,
            hess=None if hess is None else _bound(hess, args),
            hvp=hvp,
            callback=callback,
        )
        return _converted(run(self._method, problem, options, disp=disp, return_all=return_all))


def _bound(function: Any, args: tuple[Any, ...]) -> Any:
    return (lambda x: function(x, *args)) if args else function


def _converted(result: Result) -> Any:
    try:
        from scipy.optimize import OptimizeResult
    except ImportError:
        return result
    return OptimizeResult(result)
