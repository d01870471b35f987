"""`fastopt.minimize`: checks its arguments, runs a method, and returns what it found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fastopt._checks import flag, integer, real
from fastopt._signature import Unpack
from fastopt.functions.arguments import takes_functions
from fastopt.methods._names import MethodName, Options
from fastopt.methods._problem import Limits, Problem
from fastopt.methods._registry import Method, find
from fastopt.methods._result import Result, Stop, summary
from fastopt.methods._unconstrained import check_unconstrained

__all__ = ["minimize"]

#: What SciPy calls some of ours, beside the functions: `takes_functions` knows those.
OTHER_NAMES = {
    "args": "a function of x alone, such as lambda x: f(x, *args)",
    "maxfun": "maxfev",
    "maxcor": "history",
    "options": "keyword arguments",
    "initial_trust_radius": "initial_radius",
    "initial_tr_radius": "initial_radius",
}


@takes_functions
def minimize(
    f: Callable[..., Any],
    grad: Callable[..., Any] | bool,
    x: Any,
    method: MethodName = "l-bfgs",
    *,
    hessian: Callable[..., Any] | None = None,
    hvp: Callable[..., Any] | None = None,
    tol: float | None = None,
    gtol: float | None = None,
    ftol: float | None = None,
    xtol: float | None = None,
    maxiter: int | None = None,
    maxfev: int | None = None,
    callback: Callable[..., Any] | None = None,
    disp: bool = False,
    return_all: bool = False,
    bounds: Any = None,
    constraints: Any = (),
    **options: Unpack[Options],
) -> Result:
    r"""Minimise a function of one array, or of a collection of arrays, from a starting point.

    Parameters
    ----------
    f : callable
        ``f(x) -> float``, x in the structure of the argument `x`.
    grad : callable or True
        ``grad(x)``: the gradient in the structure of x. True: f returns the pair (value, gradient).
    x : ndarray, list, tuple or dict of ndarray
        Where to start, float32 or float64; it is not changed. The functions get copies.
    method : str, default "l-bfgs"
        A name in ``fastopt.methods.names()``: ``"l-bfgs"``, ``"cg"``, those with curvature, or any optimizer
        class in lower case, such as ``"adam"``, as a full-batch method. SciPy's names lead to ours:
        ``"L-BFGS-B"``, ``"trust-exact"`` and ``"trust-krylov"`` to what does the same, others to an advice.
    hessian : callable, optional
        ``hessian(x)``: the Hessian, of shape (n, n) over all elements of x in order: an array or its like, a
        sparse matrix, or an object with ``matvec`` such as SciPy's LinearOperator. For methods that use it.
    hvp : callable, optional
        ``hvp(x, v)``: the product of the Hessian at x with v, which has the structure of x.
    tol : float, optional
        Short for `gtol`.
    gtol : float, default 1e-5
        Converged when :math:`\max_i |g_i| \le` gtol.
    ftol : float
        Converged when :math:`0 \le f_k - f_{k+1} \le` ftol :math:`\max(|f_k|, |f_{k+1}|, 1)`. Default 2.2e-9
        for ``"l-bfgs"`` as in SciPy's L-BFGS-B, else 0, which turns the test off. The 1 has the unit of f:
        where f is far below 1 everywhere, give ``ftol=0``, or gtol may never be looked at.
    xtol : float, default 0
        Converged when :math:`\|x_{k+1} - x_k\| \le` xtol (xtol + :math:`\|x_{k+1}\|`).
    maxiter : int, optional
        Iterations at most: by default 200 n, for ``"l-bfgs"`` 15000, for first-order rules 10000.
    maxfev : int, optional
        Evaluations of f at most, the one at the start included; never exceeded.
    callback : callable, optional
        Called after every iteration: ``callback(intermediate_result=...)`` with `x` and `fun` if its
        parameter has this name, else ``callback(x)``. It may raise StopIteration.
    disp : bool, default False
        Print why the run ended, f and the counts, as SciPy does.
    return_all : bool, default False
        The result has `allvecs` too: the start and the point after every iteration.
    bounds, constraints : optional
        For callers that always pass them: None, empty or infinite. No method here has any.
    **options
        The method's own: see ``fastopt.methods.cg`` and so on.

    Returns
    -------
    Result
        With `x`, `fun`, `jac`, `nit`, `nfev`, `njev`, `nhev`, `status`, `success`, `message`; it can be
        printed. If the run did not succeed, `x` is the best point that was met.

    Raises
    ------
    TypeError, ValueError
        For an argument that cannot be used, named, before the first evaluation; for a function that returns
        something else than it should. What the user's functions raise passes through.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> A = np.diag([1.0, 10.0, 100.0])
    >>> result = fastopt.minimize(lambda x: 0.5 * x @ A @ x, lambda x: A @ x, np.ones(3))
    >>> result.success, bool(np.abs(result.jac).max() <= 1e-5)
    (True, True)
    """
    if tol is not None and gtol is not None:
        raise TypeError("tol: expected only one of tol and gtol, which mean the same")
    chosen = find(method)
    limits = read_limits(chosen, tol if gtol is None else gtol, ftol, xtol, maxiter, maxfev)
    check_unconstrained(chosen.name, bounds, constraints)
    problem = Problem(f, grad, x, limits, hessian=hessian, hvp=hvp, callback=callback)
    return run(chosen, problem, options, disp=disp, return_all=return_all)


def read_limits(method: Method, gtol: Any, ftol: Any, xtol: Any, maxiter: Any, maxfev: Any) -> Limits:
    """The limits of a run, each checked, each None replaced by the method's default."""
    return Limits(
        method.gtol if gtol is None else real("gtol", gtol, minimum=0.0),
        method.ftol if ftol is None else real("ftol", ftol, minimum=0.0),
        0.0 if xtol is None else real("xtol", xtol, minimum=0.0),
        method.maxiter if maxiter is None else integer("maxiter", maxiter, minimum=0),
        None if maxfev is None else integer("maxfev", maxfev, minimum=1),
    )


def run(
    method: Method, problem: Problem, given: Mapping[str, Any], *, disp: Any = False, return_all: Any = False
) -> Result:
    """The result of a method on a problem; options it does not have are refused before it begins."""
    options: dict[str, Any] = {**method.preset, **given}
    talks = _switch("disp", disp)
    if _switch("return_all", return_all):
        problem.trace = []
    parameters = inspect.signature(method.function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in options:
            if key not in list(parameters)[1:]:
                raise TypeError(_unknown(key, method.name, list(parameters)[1:]))
    try:
        method.function(problem, **options)
    except Stop as stop:
        result = problem.result(stop)
    else:
        raise AssertionError(f"{method.name} returned without a reason")
    if talks:
        print(summary(result))
    return result


def _unknown(key: str, method: str, names: list[str]) -> str:
    here = f"; here it is {OTHER_NAMES[key]}" if key in OTHER_NAMES else ""
    known = ", ".join([*names, "gtol, ftol, xtol, maxiter, maxfev, disp, return_all"])
    return f"{key}: no such option of method {method!r}; it has {known}{here}"


def _switch(name: str, value: Any) -> bool:
    """A flag, or a number as SciPy's `disp` may be: 0 is off, and so is None."""
    if value is None:
        return False
    return flag(name, value) if isinstance(value, bool) else integer(name, value, minimum=0) > 0
