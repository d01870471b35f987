"""Where the Hessian comes from: a matrix, a function, products, or differences of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real, shown
from fastopt.curvature._dense import Dense
from fastopt.curvature._extremes import Extremes
from fastopt.curvature._given import Products, given_hessian
from fastopt.curvature._hvp import HessianVectorProduct
from fastopt.curvature._hvp import hvp as differences
from fastopt.curvature._place import Place
from fastopt.curvature._products import product_at

Array = NDArray[Any]

__all__ = ["DENSE", "matrix_at", "spectrum_at"]

#: Up to this order the Hessian is formed: 128 MB in float64, and the whole truth.
DENSE = 4096


def spectrum_at(place: Place | None, hessian: Any, hvp: Any, error: float | None) -> Dense | Extremes:
    """The spectrum: all of it up to order `DENSE` or where an array is given, else its ends."""
    products = None if place is None or place.n <= DENSE or hvp is not None else Products.of(hessian)
    if place is not None and products is not None:
        given = 0.0 if error is None else real("error", error, minimum=0.0)
        return Extremes(product_at(products, place.layout, place.flat, "hessian"), place.n, given, place.rng)
    if hessian is not None or place is None or place.n <= DENSE:
        return Dense(*matrix_at(place, hessian, hvp, error))
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if hvp is None:
        if place.grad is None:
            raise TypeError("hvp: expected products where there is neither gradient nor Hessian, got None")
        hvp = differences(place.grad.function, place.structured(place.flat))
    error = 0.0
    product = product_at(hvp, place.layout, place.flat)
    if isinstance(hvp, HessianVectorProduct):
        v = place.rng.standard_normal(place.n)
        error = hvp.error(v / np.linalg.norm(v))
    return Extremes(product, place.n, error, place.rng)


def matrix_at(place: Place | None, hessian: Any, hvp: Any, error: float | None) -> tuple[Array, float]:
    """The Hessian from whatever was given, and the error that comes with it: never silently exact."""
    if hessian is not None and hvp is not None:
        raise TypeError("hessian, hvp: expected one of them, got both")
    if hessian is not None:
        at_x = callable(hessian) and not callable(getattr(hessian, "matvec", None)) and place is not None
        given = hessian(place.structured(place.flat)) if at_x and place is not None else hessian
        return given_hessian(given, None if place is None else place.n, error)
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if place is None or (place.grad is None and hvp is None):
        raise TypeError("hessian: expected a matrix where there is no gradient function, got None")
    from fastopt.curvature._hessian import hessian as formed

    grad = None if place.grad is None else place.grad.function
    if grad is not None and isinstance(hvp, HessianVectorProduct) and hvp._along is not None:
        hvp = None  # differences either way: column by column their error is known
    return given_hessian(formed(grad, place.structured(place.flat), hvp=hvp), place.n, None)
