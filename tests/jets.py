"""Exact first and second derivatives of a formula written once, for arrays: forward mode, second order.

A `Jet` stands for an array together with its first and second derivatives with respect to the n variables,
so a residual function written in NumPy gives its Jacobian and Hessians when it is called with `variables(x)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Jet:
    """value of shape s, d1 of shape s + (n,), d2 of shape s + (n, n): zero where None, absent for order 1."""

    __slots__ = ("d1", "d2", "order", "value")

    def __init__(self, value: Array, d1: Array, d2: Array | None, order: int) -> None:
        self.value = np.asarray(value)
        self.d1 = d1
        self.d2 = d2
        self.order = order

    def chain(self, f: Array, df: Array, ddf: Array | float) -> Jet:
        """g(self), from g, g' and g'' at the value."""
        d2 = None if self.d2 is None else _up(df, 2) * self.d2
        if self.order == 2 and not (isinstance(ddf, float) and ddf == 0):
            d2 = _plus(d2, _up(ddf, 2) * _outer(self.d1, self.d1))
        return Jet(f, _up(df, 1) * self.d1, d2, self.order)

    def __getitem__(self, i: Any) -> Jet:
        return Jet(self.value[i], self.d1[i], None if self.d2 is None else self.d2[i], self.order)

    def __len__(self) -> int:
        return len(self.value)

    def sum(self) -> Jet:
        d2 = None if self.d2 is None else self.d2.sum(0)
        return Jet(self.value.sum(), self.d1.sum(0), d2, self.order)

    def __add__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            shape = np.broadcast_shapes(self.value.shape, np.shape(other))
            d2 = None if self.d2 is None else _broadcast(self.d2, shape, 2)
            return Jet(self.value + other, _broadcast(self.d1, shape, 1), d2, self.order)
        shape = np.broadcast_shapes(self.value.shape, other.value.shape)
        parts = [None if d is None else _broadcast(d, shape, 2) for d in (self.d2, other.d2)]
        d1 = _broadcast(self.d1, shape, 1) + _broadcast(other.d1, shape, 1)
        return Jet(self.value + other.value, d1, _plus(*parts), self.order)

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            c = np.asarray(other, dtype=float)
            c1, c2 = _up(np.broadcast_to(c, np.broadcast_shapes(c.shape, self.value.shape)), 1), None
            if self.d2 is not None:
                c2 = _up(c1[..., 0], 2) * self._lifted(c.ndim).d2
            return Jet(self.value * c, c1 * self._lifted(c.ndim).d1, c2, self.order)
        a, b = self._lifted(other.value.ndim), other._lifted(self.value.ndim)
        d1 = _up(a.value, 1) * b.d1 + _up(b.value, 1) * a.d1
        d2 = None
        if self.order == 2:
            cross = _outer(a.d1, b.d1)
            d2 = cross + np.swapaxes(cross, -1, -2)
            d2 = d2 if b.d2 is None else d2 + _up(a.value, 2) * b.d2
            d2 = d2 if a.d2 is None else d2 + _up(b.value, 2) * a.d2
        return Jet(a.value * b.value, d1, d2, self.order)

    def _lifted(self, ndim: int) -> Jet:
        """With leading axes of length 1, so that derivatives broadcast as values do."""
        extra = (1,) * (ndim - self.value.ndim)
        if not extra:
            return self
        d2 = None if self.d2 is None else self.d2.reshape(extra + self.d2.shape)
        return Jet(
            self.value.reshape(extra + self.value.shape),
            self.d1.reshape(extra + self.d1.shape),
            d2,
            self.order,
        )

    def __pow__(self, p: float) -> Jet:
        v = self.value
        return self.chain(v**p, p * v ** (p - 1), p * (p - 1) * v ** (p - 2) if p != 1 else 0.0)

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Any) -> Jet:
        return self + -other

    def __truediv__(self, other: Any) -> Jet:
        return self * (other**-1.0 if isinstance(other, Jet) else 1.0 / np.asarray(other))

    def __radd__(self, other: Any) -> Jet:
        return self + other

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __rmul__(self, other: Any) -> Jet:
        return self * other

    def __rtruediv__(self, other: Any) -> Jet:
        return self**-1.0 * other

    def __rmatmul__(self, matrix: Array) -> Jet:
        d2 = None if self.d2 is None else np.tensordot(matrix, self.d2, 1)
        return Jet(matrix @ self.value, matrix @ self.d1, d2, self.order)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        if len(inputs) == 1:
            return self.chain(*_UNARY[ufunc](self.value))
        return getattr(self, _REFLECTED[ufunc])(inputs[0])


def _sin(v: Array) -> tuple[Array, ...]:
    s = np.sin(v)
    return s, np.cos(v), -s


def _cos(v: Array) -> tuple[Array, ...]:
    c = np.cos(v)
    return c, -np.sin(v), -c


_UNARY: dict[Any, Any] = {
    np.exp: lambda v: (np.exp(v),) * 3,
    np.sin: _sin,
    np.cos: _cos,
    np.log: lambda v: (np.log(v), 1 / v, -1 / v**2),
    np.sqrt: lambda v: (np.sqrt(v), 0.5 * v**-0.5, -0.25 * v**-1.5),
    np.arctan: lambda v: (np.arctan(v), 1 / (1 + v * v), -2 * v / (1 + v * v) ** 2),
    np.absolute: lambda v: (abs(v), np.sign(v), 0.0),
}
#: An array on the left of a jet: which method of the jet answers.
_REFLECTED: dict[Any, str] = {
    np.add: "__radd__",
    np.subtract: "__rsub__",
    np.multiply: "__rmul__",
    np.divide: "__rtruediv__",
    np.matmul: "__rmatmul__",
}


def variables(x: Array, order: int) -> Jet:
    """The jet of x itself: unit first derivatives."""
    return Jet(x, np.eye(len(x)), None, order)


def concatenate(parts: list[Any]) -> Any:
    """np.concatenate of arrays and jets; numbers and jets of shape () are entries."""
    jet = next((p for p in parts if isinstance(p, Jet)), None)
    if jet is None:
        return np.concatenate([np.atleast_1d(p) for p in parts])
    n = jet.d1.shape[-1]
    jets = [p if isinstance(p, Jet) else Jet(p, np.zeros((*np.shape(p), n)), None, jet.order) for p in parts]
    value = np.concatenate([np.atleast_1d(p.value) for p in jets])
    d1 = np.concatenate([p.d1.reshape(-1, n) for p in jets])
    if all(p.d2 is None for p in jets):
        return Jet(value, d1, None, jet.order)
    d2 = [np.zeros((p.value.size, n, n)) if p.d2 is None else p.d2.reshape(-1, n, n) for p in jets]
    return Jet(value, d1, np.concatenate(d2), jet.order)


def _up(a: Any, axes: int) -> Any:
    """Axes of length 1 at the end, for the derivatives' axes."""
    a = np.asarray(a)
    return a.reshape(a.shape + (1,) * axes)


def _outer(a: Array, b: Array) -> Array:
    return a[..., :, None] * b[..., None, :]


def _plus(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _broadcast(d: Array, shape: tuple[int, ...], axes: int) -> Array:
    return np.broadcast_to(d, shape + d.shape[d.ndim - axes :])
