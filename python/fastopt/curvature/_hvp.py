"""Products with the Hessian at a point, without the matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._along import Along
from fastopt.functions.counted import VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.products import product_at

__all__ = ["HessianVectorProduct", "hvp"]

Array = NDArray[Any]


class HessianVectorProduct:
    """v -> H v at one point; what :func:`hvp` returns.

    It can be called with v in the structure of x, or flat. SciPy's ``aslinearoperator`` and everything in
    fastopt that takes an operator accept it.

    Attributes
    ----------
    shape : (int, int)
        (n, n).
    dtype : numpy.dtype
        Of the flat products: what the user's function returns.
    evaluations : int
        Calls of the user's function so far.
    """

    def __init__(
        self, function: VectorFunction, layout: Layout, flat: Array, step: float | None, exact: bool
    ):
        self._function = function
        self._layout = layout
        self._flat = flat
        # Also tells what the function returns, before anything depends on it.
        first = function(np.ones(layout.size, layout.dtype) if exact else flat)
        self.dtype: np.dtype[Any] = first.dtype
        self._along = None if exact else Along(function, flat, layout.finite(first, "grad at x"), step)

    @property
    def shape(self) -> tuple[int, int]:
        return self._layout.size, self._layout.size

    @property
    def evaluations(self) -> int:
        return self._function.calls

    def __call__(self, v: Any) -> Any:
        """H v, in the structure and dtypes of x; flat in `dtype` if v is flat where x is not.

        Raises TypeError or ValueError if v has neither form, or if it or the product is not finite.
        """
        if isinstance(v, np.ndarray) and v.shape == (self._layout.size,) and not self._is_vector():
            return self.matvec(v)
        return self._layout.structured(self.matvec(self._layout.read(v, "v")))

    def matvec(self, v: Array) -> Array:
        """H v for a flat v of shape (n,), in a new array of shape (n,).

        Raises ValueError if v has another shape, or if it or the product is not finite.
        """
        flat = self._checked(v)
        if self._along is not None:
            return self._along.product(flat).astype(self.dtype)
        return self._layout.finite(self._function(flat), "hvp").astype(self.dtype, copy=False)

    def error(self, v: Any) -> float:
        r"""Estimate of :math:`\|Hv - (Hv)_{computed}\|_2`, for four gradients or more; 0 for exact products.

        :math:`\|D(2t) - D(t)\|`, which is three times the truncation error where that rules and about the
        noise where that does, or what the fourth difference says of the noise. Infinite if no step has seen
        a slope (see :func:`fastopt.hessian`).
        """
        flat = self._checked(v if isinstance(v, np.ndarray) and v.ndim == 1 else self._layout.read(v, "v"))
        return 0.0 if self._along is None else self._along.error(flat)

    def _checked(self, v: Array) -> Array:
        flat = np.asarray(v)
        if flat.shape != (self._layout.size,) or flat.dtype.kind not in "biuf":
            raise ValueError(
                f"v: expected real numbers of shape ({self._layout.size},), "
                f"got {flat.dtype} of shape {flat.shape}"
            )
        return self._layout.finite(flat, "v")

    def _is_vector(self) -> bool:
        return self._layout.kind is np.ndarray and len(self._layout.shapes[0]) == 1

    def __repr__(self) -> str:
        kind = "exact" if self._along is None else "by central differences"
        return f"<fastopt.curvature.HessianVectorProduct of shape {self.shape}, {kind}>"


def hvp(
    grad: Callable[..., Any] | None, x: Any, *, step: float | None = None, exact: Any = None
) -> HessianVectorProduct:
    r"""Products of the Hessian at a point with any vector: two gradients each, four for the first.

    :math:`Hv \approx (g(x + tv) - g(x - tv)) / 2t`. The first guess of t is :math:`\sqrt[3]{\epsilon}` times
    the length of x, and no element moves by more than that share of its own; the difference over 2t tells
    whether the gradient agrees with it. If not, t is searched for as in :func:`fastopt.hessian`, whatever the
    unit of x. Directions that move some element further than those before are looked at in the same way.

    Parameters
    ----------
    grad : callable
        The gradient: takes `x`, or its like in new arrays, and returns the same structure. May be None if
        `exact` is given.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The point, copied.
    step : float, optional
        This relative step, in units of max(1, abs(x_i)) and of max(1, :math:`\|x\|`), and no other is used.
    exact : callable or object with ``matvec``, optional
        Exact products, ``exact(v)`` or ``exact(x, v)`` in the structure of `x`, or ``matvec`` on flat
        vectors: passed through, with the same checks.

    Returns
    -------
    HessianVectorProduct
        To be called with v in the structure of `x`, or flat; has ``shape``, ``dtype``, ``matvec`` (flat),
        ``error(v)`` and ``evaluations``. Not more thread-safe than `grad` is.

    Raises
    ------
    TypeError, ValueError
        As :func:`hessian`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> product = fastopt.hvp(lambda x: x ** 3, np.array([1.0, 2.0]))
    >>> product(np.array([1.0, 1.0])).round(6)
    array([ 3., 12.])
    >>> product.shape, product.evaluations
    ((2, 2), 5)
    """
    layout, flat = Layout.of(x)
    if exact is not None:
        if step is not None:
            raise ValueError("step: expected None beside exact products")
        return HessianVectorProduct(product_at(exact, layout, flat, "exact"), layout, flat, None, exact=True)
    g = VectorFunction(grad, layout, "grad")  # type: ignore[arg-type]  # None is refused there
    return HessianVectorProduct(g, layout, flat, step, exact=False)
