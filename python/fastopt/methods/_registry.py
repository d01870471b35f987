"""THE REGISTRY of methods, and SciPy's names for them; `fastopt.minimize` and the tests read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import fastopt
from fastopt._checks import shown
from fastopt.methods import _methods
from fastopt.methods._first_order import full_batch
from fastopt.methods._names import MethodName

__all__ = ["Method", "find", "names"]


class Method(NamedTuple):
    """A method: its function, its own defaults of `fastopt.minimize`'s tolerances, and options preset."""

    name: str
    function: Callable[..., None]
    gtol: float = 1e-5
    ftol: float = 0.0
    maxiter: int | None = None  # None: 200 n
    preset: Mapping[str, Any] = MappingProxyType({})


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("cg", _methods.cg),
        Method("l-bfgs", _methods.l_bfgs, ftol=2.220446049250313e-09, maxiter=15_000),
        Method("trust-region", _methods.trust_region),
        Method("saddle-free-newton", _methods.saddle_free_newton),
        Method("arc", _methods.arc),
        Method("perturbed-gd", _methods.perturbed_gd, maxiter=10_000),
    )
}

#: SciPy's names for what we have: ours, and the options that make it theirs.
SCIPY: dict[str, tuple[str, dict[str, Any]]] = {
    "L-BFGS-B": ("l-bfgs", {}),  # bounds are refused by name
    "trust-exact": ("trust-region", {"subproblem": "dense"}),
    "trust-krylov": ("trust-region", {"subproblem": "lanczos"}),  # both are GLTR
}

_LINE = "'l-bfgs' or 'cg' are for smooth functions without bounds and constraints"
_WITHOUT = "every method here uses the gradient, and it does not: 'l-bfgs' is the first to try with one"
_BALL = "'trust-region' minimises the same model"
#: SciPy's other methods, and what to use here.
ELSEWHERE: dict[str, str] = {
    "BFGS": "'l-bfgs' comes close with history as large as n, up to 255",
    "Newton-CG": f"{_BALL} over a Krylov space with subproblem='lanczos'",
    "trust-ncg": f"{_BALL} over a Krylov space with subproblem='lanczos'",
    "dogleg": f"{_BALL} exactly",
    "TNC": _LINE,
    "SLSQP": _LINE,
    "trust-constr": _LINE,
    **dict.fromkeys(("Nelder-Mead", "Powell", "COBYLA", "COBYQA"), _WITHOUT),
}


def names() -> list[MethodName]:
    """Every method by name: the above, and every optimizer class in lower case.

    >>> from fastopt.methods import names
    >>> {"cg", "l-bfgs", "adam"} <= set(names())
    True
    """
    return cast("list[MethodName]", [*METHODS, *(name.lower() for name in dir(fastopt.optim))])


def find(name: Any) -> Method:
    """The method of this name, or of SciPy's; case, hyphens and underscores do not matter."""
    if not isinstance(name, str):
        raise TypeError(f"method: expected a string, got {shown(name)}")
    wanted = _plain(name)
    for known in names():
        if _plain(known) == wanted:
            return METHODS.get(known) or Method(known, full_batch(known), maxiter=10_000)
    for theirs, (ours, preset) in SCIPY.items():
        if _plain(theirs) == wanted:
            return METHODS[ours]._replace(preset=preset)
    for theirs, advice in ELSEWHERE.items():
        if _plain(theirs) == wanted:
            raise ValueError(f"method: {theirs!r} is a method of SciPy; here {advice}")
    raise ValueError(f"method: expected one of {', '.join(names())}, got {name!r}")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
