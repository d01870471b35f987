"""The methods as `scipy.optimize.minimize(..., method=...)` takes them: functions with real signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastopt._checks import is_computed, shown
from fastopt.methods._minimize import read_limits, run
from fastopt.methods._problem import Problem
from fastopt.methods._registry import Method
from fastopt.methods._result import Result
from fastopt.methods._unconstrained import check_unconstrained

__all__ = ["scipy_method"]

_ABOUT = """

    This is method {name!r} as a function for `scipy.optimize.minimize`: pass
    ``method=fastopt.methods.{function}``, and what is its own as ``options``. The result is a
    `scipy.optimize.OptimizeResult`. ``fastopt.minimize(f, grad, x, {name!r})`` has the options as keywords.

    Parameters
    ----------
    fun, x0, args, jac, hess, hessp, bounds, constraints, callback
        As SciPy passes them. `jac` must be a function or True; bounds and constraints that are not infinite
        are refused, as no method here has any.
    tol, gtol, ftol, xtol, maxiter, maxfev, disp, return_all
        As in `fastopt.minimize`: by default gtol = {gtol:g}, ftol = {ftol:g}, xtol = 0, maxiter = {maxiter}.
"""
_PARAMETERS = "\n    Parameters\n    ----------\n"


def scipy_method(method: Method) -> Callable[..., Any]:
    """The function for SciPy; its signature and docstring have the method's own options too."""

    def call(fun: Any, x0: Any, args: Any = (), **given: Any) -> Any:
        return _run(method, fun, x0, args, **given)

    call.__name__ = call.__qualname__ = method.name.replace("-", "_")
    call.__module__ = "fastopt.methods"
    call.__doc__ = _documentation(method)
    call.__signature__ = _signature(method)  # type: ignore[attr-defined]
    return call


def _documentation(method: Method) -> str:
    head, _, options = (method.function.__doc__ or "").partition(_PARAMETERS)
    about = _ABOUT.format(
        name=method.name,
        function=method.name.replace("-", "_"),
        gtol=method.gtol,
        ftol=method.ftol,
        maxiter=method.maxiter or "200 n",
    )
    return head.rstrip() + about + options


def _signature(method: Method) -> inspect.Signature:
    door = list(inspect.signature(_run, eval_str=True).parameters.values())[1:-1]
    own = list(inspect.signature(method.function, eval_str=True).parameters.values())[1:]
    return inspect.Signature([*door, *own])


def _run(
    method: Method,
    fun: Any,
    x0: Any,
    args: Any = (),
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
    check_unconstrained(method.name, bounds, constraints)
    if jac is not True and not callable(jac):
        raise TypeError(f"jac: expected a function, or True if fun returns both, got {shown(jac)}")
    x0 = np.atleast_1d(np.asarray(x0))
    if x0.dtype.kind in "iub" or (x0.dtype.kind == "f" and not is_computed(x0.dtype)):
        x0 = x0.astype(np.float64)
    if not isinstance(args, tuple):
        args = (args,)
    limits = read_limits(method, tol if gtol is None else gtol, ftol, xtol, maxiter, maxfev)
    problem = Problem(
        _with(fun, args),
        jac if jac is True else _with(jac, args),
        x0.reshape(-1),
        limits,
        hessian=_with(hess, args),
        hvp=None if hessp is None else lambda x, p: hessp(x, p, *args),
        callback=callback,
    )
    return _converted(run(method, problem, options, disp=disp, return_all=return_all))


def _with(function: Any, args: tuple[Any, ...]) -> Any:
    return (lambda x: function(x, *args)) if args and function is not None else function


def _converted(result: Result) -> Any:
    try:
        from scipy.optimize import OptimizeResult
    except ImportError:
        return result
    return OptimizeResult(result)
