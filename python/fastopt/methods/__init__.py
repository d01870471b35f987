"""Full-batch minimisation: conjugate gradients, L-BFGS, methods with curvature, every first-order rule.

Each method is also a callable for `scipy.optimize.minimize`, with an underscore for the hyphen of its name:
``scipy.optimize.minimize(f, x0, jac=grad, method=fastopt.methods.l_bfgs)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastopt.methods._minimize import minimize
from fastopt.methods._registry import find, names
from fastopt.methods._result import Result

__all__ = ["Result", "minimize", "names"]

if TYPE_CHECKING:
    from fastopt.methods._for_scipy import ScipyMethod

    # What `__getattr__` finds, for type checkers, who could not refuse any name beside it.
    adabelief: ScipyMethod
    adadelta: ScipyMethod
    adafactor: ScipyMethod
    adagrad: ScipyMethod
    adam: ScipyMethod
    adamax: ScipyMethod
    adamw: ScipyMethod
    adan: ScipyMethod
    ademamix: ScipyMethod
    adopt: ScipyMethod
    arc: ScipyMethod
    asgd: ScipyMethod
    cg: ScipyMethod
    ftrl: ScipyMethod
    grams: ScipyMethod
    kron: ScipyMethod
    l_bfgs: ScipyMethod
    lamb: ScipyMethod
    laprop: ScipyMethod
    lars: ScipyMethod
    lion: ScipyMethod
    mars: ScipyMethod
    muon: ScipyMethod
    nadam: ScipyMethod
    perturbed_gd: ScipyMethod
    prodigy: ScipyMethod
    radam: ScipyMethod
    rmsprop: ScipyMethod
    rowwiseadagrad: ScipyMethod
    rowwiseadam: ScipyMethod
    rprop: ScipyMethod
    saddle_free_newton: ScipyMethod
    schedulefreeadamw: ScipyMethod
    schedulefreeradam: ScipyMethod
    schedulefreesgd: ScipyMethod
    sgd: ScipyMethod
    shampoo: ScipyMethod
    signsgd: ScipyMethod
    signum: ScipyMethod
    soap: ScipyMethod
    stableadamw: ScipyMethod
    trust_region: ScipyMethod
else:

    def __getattr__(name: str) -> ScipyMethod:
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
