"""What `disp=True` prints at the end of a run: the lines that SciPy's users know."""

from __future__ import annotations

from fastopt.methods._result import Result

__all__ = ["summary"]


def summary(result: Result) -> str:
    """The reason, f, and the counts.

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
