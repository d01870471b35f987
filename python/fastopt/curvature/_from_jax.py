"""A JAX loss as functions of NumPy arrays, with exact Hessian-vector products, forward over reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastopt._checks import shown
from fastopt.curvature._bridge import Bridge, framework, mapped
from fastopt.functions.layout import Layout


def from_jax(loss: Callable[[Any], Any], x: Any) -> Bridge:
    r"""The loss of a JAX program, its gradient and exact Hessian-vector products, in NumPy arrays.

    :math:`Hv` is ``jax.jvp`` of ``jax.grad(loss)``, compiled, as the other two are.

    Parameters
    ----------
    loss : callable
        Takes what `x` is, in JAX's arrays, and returns one number. Pure, as ``jax.jit`` demands.
    x : array, or list, tuple or dict of arrays
        The parameters, in NumPy's or JAX's arrays, float32 or float64. float64 needs
        ``jax.config.update("jax_enable_x64", True)``.

    Returns
    -------
    Bridge
        ``.x`` (copies), ``.f(x)``, ``.grad(x)``, ``.hvp(x, v)``.

    Raises
    ------
    ImportError
        If JAX is missing.
    TypeError, ValueError
        If `x` is none of these, or is float64 while JAX computes in float32.

    Examples
    --------
    >>> import fastopt, jax, jax.numpy as jnp
    >>> jax.config.update("jax_enable_x64", True)
    >>> X, y = jnp.eye(3) + 1, jnp.arange(3.0)
    >>> bridge = fastopt.curvature.from_jax(lambda w: jnp.mean((X @ w - y) ** 2), jnp.zeros(3))
    >>> fastopt.check_grad(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp).kind
    'right'
    """
    jax = framework("jax", "from_jax", "jax")
    if not callable(loss):
        raise TypeError(f"loss: expected a function of x, got {shown(loss)}")
    copied = _copied(jax, x)
    layout, _ = Layout.of(copied)
    if any(dtype == np.float64 for dtype in layout.dtypes) and not jax.config.jax_enable_x64:
        raise ValueError(
            "x: expected float32, as JAX computes in it, got float64: "
            'jax.config.update("jax_enable_x64", True) lets it compute in float64'
        )
    value, gradient = jax.jit(loss), jax.jit(jax.grad(loss))
    product = jax.jit(lambda x, v: jax.jvp(jax.grad(loss), (x,), (v,))[1])

    def read(x: Any, name: str = "x") -> Any:
        return layout.structured(layout.read(x, name))

    return Bridge(
        copied,
        lambda x: np.asarray(value(read(x)))[()],
        lambda x: _copied(jax, gradient(read(x))),
        lambda x, v: _copied(jax, product(read(x), read(v, "v"))),
    )


def _copied(jax: Any, x: Any) -> Any:
    """Arrays of JAX's, or of NumPy's, as new NumPy arrays in the same structure."""
    return mapped(np.array, x) if isinstance(x, (np.ndarray, jax.Array, dict, list, tuple)) else x
