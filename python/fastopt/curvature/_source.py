"""Where the Hessian comes from: a matrix, a function, products, or differences of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real, shown
from fastopt.curvature._place import Place

Array = NDArray[Any]

__all__ = ["matrix_at"]


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
    from fastopt.curvature._hessian import hessian as differences

    grad = None if place.grad is None else place.grad.function
    return _square(differences(grad, place.structured(place.flat), hvp=hvp), place.n, None)


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
    return array, real("error", claimed, minimum=0.0)
