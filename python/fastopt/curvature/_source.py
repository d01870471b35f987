"""Where the Hessian comes from: a matrix, a function, products, or differences of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real, shown
from fastopt.curvature._dense import Dense
from fastopt.curvature._extremes import Extremes
from fastopt.curvature._hvp import HessianVectorProduct
from fastopt.curvature._hvp import hvp as differences
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.matrices import Products, given_hessian
from fastopt.functions.products import product_at

Array = NDArray[Any]

__all__ = ["DENSE", "matrix_at", "spectrum_at"]

#: Up to this order the Hessian is formed: 128 MB in float64, and the whole truth.
DENSE = 4096


def spectrum_at(at: Evaluation | None, hessian: Any, hvp: Any, error: float | None) -> Dense | Extremes:
    """The spectrum: all of it up to order `DENSE` or where an array is given, else its ends."""
    products = None if at is None or at.problem.n <= DENSE or hvp is not None else Products.of(hessian)
    if at is not None and products is not None:
        given = 0.0 if error is None else real("error", error, minimum=0.0)
        return Extremes(product_at(products, at.problem.layout, at.x, "hessian"), at.problem.n, given, at.rng)
    if hessian is not None or at is None or at.problem.n <= DENSE:
        return Dense(*matrix_at(at, hessian, hvp, error))
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if hvp is None:
        if at.problem.grad is None:
            raise TypeError("hvp: expected products where there is neither gradient nor Hessian, got None")
        hvp = differences(at.grad.function, at.problem.structured(at.x))
    error = 0.0
    product = product_at(hvp, at.problem.layout, at.x)
    if isinstance(hvp, HessianVectorProduct):
        v = at.rng.standard_normal(at.problem.n)
        error = hvp.error(v / np.linalg.norm(v))
    return Extremes(product, at.problem.n, error, at.rng)


def matrix_at(at: Evaluation | None, hessian: Any, hvp: Any, error: float | None) -> tuple[Array, float]:
    """The Hessian from whatever was given, and the error that comes with it: never silently exact."""
    if hessian is not None and hvp is not None:
        raise TypeError("hessian, hvp: expected one of them, got both")
    if hessian is not None:
        at_x = callable(hessian) and not callable(getattr(hessian, "matvec", None)) and at is not None
        given = hessian(at.problem.structured(at.x)) if at_x and at is not None else hessian
        return given_hessian(given, None if at is None else at.problem.n, error)
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if at is None or (at.problem.grad is None and hvp is None):
        raise TypeError("hessian: expected a matrix where there is no gradient function, got None")
    from fastopt.curvature._hessian import hessian as formed

    grad = None if at.problem.grad is None else at.grad.function
    if grad is not None and isinstance(hvp, HessianVectorProduct) and hvp._along is not None:
        hvp = None  # differences either way: column by column their error is known
    return given_hessian(formed(grad, at.problem.structured(at.x), hvp=hvp), at.problem.n, None)
