"""Where the Hessian comes from: a matrix, a function, products, or differences of the gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real, shown
from fastopt.curvature._dense import Dense
from fastopt.curvature._extremes import Extremes
from fastopt.curvature._hvp import HessianVectorProduct
from fastopt.curvature._hvp import hvp as differences
from fastopt.curvature._place import Place
from fastopt.curvature._products import product_at

Array = NDArray[Any]

__all__ = ["DENSE", "matrix_at", "spectrum_at"]

#: Up to this order the Hessian is formed: 128 MB in float64, and the whole truth.
DENSE = 4096


def spectrum_at(place: Place | None, hessian: Any, hvp: Any, error: float | None) -> Dense | Extremes:
    """The spectrum: all of it up to order `DENSE` or where a matrix is given, else its ends."""
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
        given = hessian(place.structured(place.flat)) if callable(hessian) and place is not None else hessian
        return _square(given, None if place is None else place.n, error)
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if place is None or (place.grad is None and hvp is None):
        raise TypeError("hessian: expected a matrix where there is no gradient function, got None")
    from fastopt.curvature._hessian import hessian as formed

    grad = None if place.grad is None else place.grad.function
    if grad is not None and isinstance(hvp, HessianVectorProduct) and hvp._along is not None:
        hvp = None  # differences either way: column by column their error is known
    return _square(formed(grad, place.structured(place.flat), hvp=hvp), place.n, None)


def _square(h: Any, n: int | None, error: float | None) -> tuple[Array, float]:
    """A Hessian as the user or `fastopt.curvature.hessian` gave it, checked, with the error it claims."""
    array = np.asarray(h)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"hessian: expected a square matrix (n, n) with n >= 1, got shape {array.shape}")
    if n is not None and len(array) != n:
        raise ValueError(f"hessian: expected shape ({n}, {n}), as x has {n} elements, got {array.shape}")
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(f"hessian: expected float64 or float32, got {array.dtype}")
    claimed = getattr(h, "error", 0.0) if error is None else error
    if claimed is None:  # a matrix computed from a Hessian: not exact, and no longer measured
        raise ValueError("error: expected a number, as hessian was computed from one with an error; got None")
    # An infinite error is known too: nothing is resolved then.
    return array, math.inf if claimed == math.inf else real("error", claimed, minimum=0.0)
