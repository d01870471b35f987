"""Operators made of others: the Gauss-Newton matrix, and the block of one parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.functions.layout import Layout
from fastopt.linalg._operator import Operator, as_operator

__all__ = ["block", "blocks", "gauss_newton"]

Array = NDArray[Any]


def gauss_newton(
    jvp: Callable[[Array], Any], vjp: Callable[[Any], Any], n: int, output_hessian: Any = None
) -> Operator:
    r"""The Gauss-Newton matrix :math:`G = J^T H_{out} J` as an operator: positive semidefinite for convex
    losses.

    It is the Hessian without the curvature of the network itself. For squares (:math:`\|r\|^2 / 2`) H_out is
    the identity, for softmax with cross-entropy :math:`\operatorname{diag}(p) - p p^T` for each sample: then
    G is also the Fisher matrix.

    Parameters
    ----------
    jvp : callable
        :math:`v \mapsto J v`: a flat vector of shape (n,) to a change of the outputs, in any form.
    vjp : callable
        :math:`u \mapsto J^T u`: what `output_hessian` returns to a flat vector of shape (n,).
    n : int
        The number of parameters.
    output_hessian : callable or array_like, optional
        :math:`u \mapsto H_{out} u` of what `jvp` returns; an array multiplies it entry by entry (a diagonal
        H_out). The identity by default.

    Returns
    -------
    Operator
        With ``n``, ``shape``, ``matvec``, ``products``: for :func:`fastopt.eigsh`, :func:`spectral_density`,
        :func:`trace` and so on.

    Raises
    ------
    TypeError
        If a function is not callable. What the functions raise passes through.

    References
    ----------
    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent", Neural Computation
    14 (2002).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.curvature import gauss_newton
    >>> J = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> G = gauss_newton(lambda v: J @ v, lambda u: J.T @ u, 2)
    >>> G.matvec(np.array([1.0, 0.0]))
    array([35., 44.])
    """
    for name, f in (("jvp", jvp), ("vjp", vjp)):
        if not callable(f):
            raise TypeError(f"{name}: expected a function, got {shown(f)}")
    if output_hessian is None:
        return as_operator(lambda v: vjp(jvp(v)), n)
    if callable(output_hessian):
        return as_operator(lambda v: vjp(output_hessian(jvp(v))), n)
    weights = np.asarray(output_hessian)
    return as_operator(lambda v: vjp(weights * jvp(v)), n)


def block(op: Any, where: slice, n: int | None = None) -> Operator:
    """The diagonal block of an operator that belongs to one stretch of the parameters.

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        The operator, as for :func:`fastopt.eigsh`.
    where : slice
        The stretch of the flat vector, with step 1.
    n : int, optional
        The order of `op`; needed for a function.

    Returns
    -------
    Operator
        Of order ``len(range(n)[where])``; a product costs one product with `op`.

    Raises
    ------
    TypeError, ValueError
        If `where` is not a slice, has another step, or is empty.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.curvature import block, trace
    >>> H = np.diag([1.0, 2.0, 3.0, 4.0])
    >>> trace(block(lambda v: H @ v, slice(1, 3), n=4)).estimate
    5.0
    """
    whole = as_operator(op, n)
    if not isinstance(where, slice):
        raise TypeError(f"where: expected a slice, got {shown(where)}")
    low, high, step = where.indices(whole.n)
    if step != 1 or high <= low:
        raise ValueError(f"where: expected a slice with step 1, not empty for order {whole.n}, got {where}")
    if whole.matrix is not None:
        return as_operator(whole.matrix[low:high, low:high])

    def product(v: Array) -> Array:
        padded = np.zeros(whole.n, v.dtype)
        padded[low:high] = v
        return whole.matvec(padded)[low:high]

    return Operator(product, high - low, whole.dtype)


def blocks(op: Any, x: Any) -> dict[str, Operator]:
    """The diagonal block of each parameter array of `x`, by its name: the curvature layer by layer.

    Parameters
    ----------
    op : array_like of shape (n, n), callable, or object with ``matvec`` and ``shape``
        The operator on flat vectors, for example ``fastopt.hvp(grad, x)``.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The parameters; only their shapes and names are used.

    Returns
    -------
    dict of str to Operator
        Under ``"x[0]"`` and so on, or the keys of a dict.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.curvature import blocks, trace
    >>> x = [np.ones((2, 2)), np.ones(3)]
    >>> H = np.diag(np.arange(7.0))
    >>> {name: trace(b).estimate for name, b in blocks(H, x).items()}
    {'x[0]': 6.0, 'x[1]': 15.0}
    """
    layout, _ = Layout.of(x)
    whole = op if getattr(op, "matvec", None) or isinstance(op, np.ndarray) else as_operator(op, layout.size)
    return {name: block(whole, where, layout.size) for name, where in layout.slices().items()}
