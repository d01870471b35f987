"""THE REGISTRY of methods: one line each; `fastopt.minimize`, `fastopt.methods` and the tests read it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import fastopt
from fastopt._checks import shown

__all__ = ["Method", "find", "names"]


class Method(NamedTuple):
    """A method: where its function is, and its own defaults of `fastopt.minimize`'s tolerances.

    The function is called with a `Problem` and the method's options, and ends by raising `Stop`. Modules have
    names with an underscore: ``fastopt.methods.cg`` is the callable for SciPy, not a module.
    """

    name: str
    module: str
    function: str
    gtol: float = 1e-5
    ftol: float = 0.0
    maxiter: int | None = None  # None: 200 n

    def load(self) -> Callable[..., None]:
        module = importlib.import_module(f"fastopt.methods.{self.module}")
        if self.module == "_first_order":
            return module.full_batch(self.function)  # type: ignore[no-any-return]
        return getattr(module, self.function)  # type: ignore[no-any-return]


_METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("cg", "_cg", "cg"),
        Method("l-bfgs", "_lbfgs", "l_bfgs", ftol=2.220446049250313e-09, maxiter=15_000),
        Method("trust-region", "_trust_region", "trust_region"),
        Method("saddle-free-newton", "_saddle_free", "saddle_free_newton"),
        Method("arc", "_arc", "arc"),
        Method("perturbed-gd", "_perturbed_gd", "perturbed_gd", maxiter=10_000),
    )
}


def names() -> list[str]:
    """Every method by name: the above, and every optimizer class in lower case.

    >>> from fastopt.methods import names
    >>> {"cg", "l-bfgs", "adam"} <= set(names())
    True
    """
    return [*_METHODS, *(name.lower() for name in dir(fastopt.optim))]


def find(name: Any) -> Method:
    """The method of this name; case, hyphens and underscores do not matter."""
    if not isinstance(name, str):
        raise TypeError(f"method: expected a string, got {shown(name)}")
    wanted = _plain(name)
    for known in names():
        if _plain(known) == wanted:
            return _METHODS.get(known) or Method(known, "_first_order", known, maxiter=10_000)
    raise ValueError(f"method: expected one of {', '.join(names())}, got {name!r}")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
