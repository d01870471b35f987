"""The layers of the perceptron. Each keeps what its backward pass needs from its last training forward pass.

Shapes: a batch is (rows, features). `forward(x, training, rng)` returns the output; `backward(dy)` takes the
gradient of the loss with respect to that output, writes the gradients of the layer's parameters into
`gradients` (buffers that never move, so that an optimizer can be bound to them) and returns the gradient with
respect to x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.mlp.activations import ACTIVATIONS

Array = NDArray[Any]


class Layer:
    """A function of a batch, with parameters, their gradient buffers, and statistics that are not trained."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}

    def _add(self, name: str, value: Array) -> Array:
        self.parameters[name] = value
        self.gradients[name] = np.zeros_like(value)
        return value

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        raise NotImplementedError


class Linear(Layer):
    """y = x W + b, W of shape (inputs, outputs); no b where batch normalisation follows: it would cancel."""

    def __init__(self, weight: Array, bias: bool = True) -> None:
        super().__init__()
        self.weight = self._add("weight", weight)
        self.bias = self._add("bias", np.zeros(weight.shape[1], weight.dtype)) if bias else None

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        self._x = x
        y: Array = x @ self.weight
        if self.bias is not None:
            y += self.bias
        return y

    def backward(self, dy: Array) -> Array:
        np.matmul(self._x.T, dy, out=self.gradients["weight"])
        if self.bias is not None:
            np.sum(dy, axis=0, out=self.gradients["bias"])
        dx: Array = dy @ self.weight.T
        return dx


class Activate(Layer):
    """An element-wise activation by name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
        self.function = ACTIVATIONS[name]

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        self._a = self.function.value(x)
        return self._a

    def backward(self, dy: Array) -> Array:
        return dy * self.function.derivative(self._a)


class Dropout(Layer):
    """While training, zero each entry with probability p and scale the rest by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout: expected a probability in [0, 1), got {p!r}")
        self.p = p

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        if not training:
            return x
        if rng is None:
            raise ValueError(
                "rng: expected a numpy Generator, since dropout draws from it while training, got None"
            )
        keep = rng.random(x.shape, dtype=np.float32) >= self.p
        self._mask: Array = keep * x.dtype.type(1.0 / (1.0 - self.p))
        y: Array = x * self._mask
        return y

    def backward(self, dy: Array) -> Array:
        dx: Array = dy * self._mask
        return dx
