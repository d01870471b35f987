"""Full-batch minimisation: conjugate gradients, L-BFGS, methods with curvature, every first-order rule.

Each method is also a callable for `scipy.optimize.minimize`, with an underscore for the hyphen of its name:
``scipy.optimize.minimize(f, x0, jac=grad, method=fastopt.methods.l_bfgs)``.
"""

from __future__ import annotations

from typing import Any

from fastopt.methods._minimize import minimize
from fastopt.methods._registry import find, names
from fastopt.methods._result import Result

__all__ = ["Result", "minimize", "names"]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'fastopt.methods' has no attribute {name!r}")
    try:
        method = find(name)
    except ValueError as error:
        raise AttributeError(f"module 'fastopt.methods' has no attribute {name!r}: {error}") from None
    from fastopt.methods._scipy import scipy_method

    return scipy_method(method)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name.replace("-", "_") for name in names())])
