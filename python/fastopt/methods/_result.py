"""How a minimisation ended: status codes, their messages, and the result with SciPy's attribute names."""

from __future__ import annotations

from typing import Any

__all__ = ["Result", "Stop", "summary"]

SUCCESS = 0
LIMIT = 1  # of iterations or of evaluations
PRECISION = 2
NONFINITE = 3
UNBOUNDED = 4
CALLBACK = 99

#: The first words are those that SciPy's users know.
MESSAGES = {
    "gtol": "Optimization terminated successfully.",
    "ftol": "Optimization terminated successfully: f fell by no more than ftol.",
    "xtol": "Optimization terminated successfully: x moved by no more than xtol.",
    "maxiter": "Maximum number of iterations has been exceeded.",
    "maxfev": "Maximum number of function evaluations has been exceeded.",
    "precision": "Desired error not necessarily achieved due to precision loss.",
    "wrong gradient": "Desired error not necessarily achieved: the line search found f and grad to disagree; "
    "fastopt.check_grad(f, grad, x) tells where.",
    "nan": "NaN result encountered.",
    "overflow": "The rule cannot make a step of this gradient.",
    "unbounded": "The function seems to be unbounded below.",
    "callback": "`callback` raised `StopIteration`.",
}

_STATUS = {
    "gtol": SUCCESS,
    "ftol": SUCCESS,
    "xtol": SUCCESS,
    "maxiter": LIMIT,
    "maxfev": LIMIT,
    "precision": PRECISION,
    "wrong gradient": PRECISION,
    "nan": NONFINITE,
    "overflow": NONFINITE,
    "unbounded": UNBOUNDED,
    "callback": CALLBACK,
}


class Stop(Exception):
    """Ends a method from inside: `reason` is a key of `MESSAGES`, `detail` is added to the message."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.status = _STATUS[reason]
        self.success = self.status == SUCCESS
        self.message = f"{MESSAGES[reason]} {detail}".rstrip()
        super().__init__(self.message)


class Result(dict[str, Any]):
    """A dict whose items are attributes too, with the names of `scipy.optimize.OptimizeResult`.

    Attributes
    ----------
    x : ndarray, list, tuple or dict
        The point found, in the structure that was passed.
    fun : float
        f there.
    jac : ndarray, list, tuple or dict
        The gradient there.
    nit, nfev, njev, nhev : int
        Iterations; evaluations of f, of its gradient, and of its Hessian or of Hessian-vector products.
    status : int
        0 converged, 1 a limit was met, 2 precision loss (or f and grad disagree), 3 NaN or infinity, 4 f is
        unbounded, 99 the callback raised StopIteration. A method may add codes of its own.
    success : bool
        Whether `status` is 0.
    message : str
        The reason in words.

    Examples
    --------
    >>> from fastopt.methods import Result
    >>> r = Result(fun=1.0, success=True)
    >>> r.fun
    1.0
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        if not self:
            return "Result()"
        width = max(map(len, self))
        lines = []
        for name, value in self.items():
            shown = repr(value).splitlines() or [""]
            lines.append(f"{name:>{width}}: " + ("\n" + " " * (width + 2)).join(shown))
        return "\n".join(lines)


def summary(result: Result) -> str:
    """What `disp=True` prints, in the lines that SciPy's users know: the reason, f, and the counts.

    >>> from fastopt.methods import Result
    >>> print(summary(Result(message="Done.", fun=1.0, nit=2, nfev=3, njev=3, nhev=0)))
    Done.
             Current function value: 1.000000
             Iterations: 2
             Function evaluations: 3
             Gradient evaluations: 3
    """
    rows = [
        (
            "Current function value",
            f"{result.fun:f}" if 1e-4 <= abs(result.fun) < 1e15 else f"{result.fun:g}",
        ),
        ("Iterations", result.nit),
        ("Function evaluations", result.nfev),
        ("Gradient evaluations", result.njev),
        *([("Hessian evaluations", result.nhev)] if result.nhev else []),
    ]
    return "\n".join([result.message, *(f"         {name}: {value}" for name, value in rows)])
