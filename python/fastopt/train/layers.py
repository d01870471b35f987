"""The layers of the perceptron. Each keeps what its backward pass needs from its last training forward pass.

Shapes: a batch is (rows, features). `forward(x, training, rng)` returns the output; `backward(dy)` takes the
gradient of the loss with respect to that output, writes the gradients of the layer's parameters into
`gradients` (buffers that never move, so that an optimizer can be bound to them) and returns the gradient with
respect to x.

Second derivatives are Pearlmutter's R-operator (Neural Computation 6, 1994): R{a} is the derivative of a
along a direction v in the space of all parameters, here along k of them at once. After a training `forward`
and `backward`, `r_forward(rx, v)` takes R{x} and returns R{y}, both (rows, k, features); `r_backward(rdy, v)`
takes R{dy} and returns R{dx} and the R{gradient} of each parameter, (k, *shape). `v[name]` is (k, *shape)
too. With the rows first every product is one matrix product over all directions. R{x} of the data is None: it
is 0, and nobody wants R{dx} then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.activations import ACTIVATIONS

Array = NDArray[Any]
Directions = dict[str, Array]


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

    def r_forward(self, rx: Array | None, v: Directions) -> Array:
        raise NotImplementedError

    def r_backward(self, rdy: Array, v: Directions) -> tuple[Array | None, Directions]:
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
        self._dy = dy
        np.matmul(self._x.T, dy, out=self.gradients["weight"])
        if self.bias is not None:
            np.sum(dy, axis=0, out=self.gradients["bias"])
        dx: Array = dy @ self.weight.T
        return dx

    def r_forward(self, rx: Array | None, v: Directions) -> Array:
        self._rx = rx
        k, inputs, outputs = v["weight"].shape
        side_by_side = v["weight"].transpose(1, 0, 2).reshape(inputs, k * outputs)
        ry: Array = (self._x @ side_by_side).reshape(-1, k, outputs)
        if rx is not None:
            ry += (rx.reshape(-1, inputs) @ self.weight).reshape(ry.shape)
        if self.bias is not None:
            ry += v["bias"]
        return ry

    def r_backward(self, rdy: Array, v: Directions) -> tuple[Array | None, Directions]:
        k, inputs, outputs = v["weight"].shape
        rows, x, dy, rx = len(rdy), self._x, self._dy, self._rx
        found = {"weight": (x.T @ rdy.reshape(rows, -1)).reshape(inputs, k, outputs).transpose(1, 0, 2)}
        if self.bias is not None:
            found["bias"] = rdy.sum(axis=0)
        if rx is None:
            return None, found
        found["weight"] = found["weight"] + (rx.reshape(rows, -1).T @ dy).reshape(k, inputs, outputs)
        rdx: Array = (rdy.reshape(-1, outputs) @ self.weight.T).reshape(rx.shape)
        rdx += (dy @ v["weight"].transpose(2, 0, 1).reshape(outputs, -1)).reshape(rx.shape)
        return rdx, found


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
        self._dy = dy
        return dy * self.function.derivative(self._a)

    def r_forward(self, rx: Array | None, v: Directions) -> Array:
        assert rx is not None  # a linear layer is always before it
        self._rx = rx
        return rx * self.function.derivative(self._a)[:, None]

    def r_backward(self, rdy: Array, v: Directions) -> tuple[Array | None, Directions]:
        rdx = rdy * self.function.derivative(self._a)[:, None]
        if self.function.curved:
            rdx += self._rx * (self._dy * self.function.second(self._a))[:, None]
        return rdx, {}


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


class Block:
    """Layers one after the other; with `residual`, y = x + layers(x), for as many outputs as inputs.

    Such a connection (He et al. 2016) lets gradients pass a block unchanged, however many there are.
    Directions come and go under the parameters' names.
    """

    def __init__(self, layers: Sequence[Layer], residual: bool = False) -> None:
        self.layers = list(layers)
        self.residual = residual

    def named(self) -> Iterator[tuple[str, Layer]]:
        """(name, layer) of every parameter, in the order of the layers."""
        for layer in self.layers:
            for name in layer.parameters:
                yield name, layer

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        y = x
        for layer in self.layers:
            y = layer.forward(y, training, rng)
        return x + y if self.residual else y

    def backward(self, dy: Array) -> Array:
        dx = dy
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        return dx + dy if self.residual else dx

    def r_forward(self, rx: Array | None, v: Directions) -> Array:
        ry = rx
        for layer in self.layers:
            ry = layer.r_forward(ry, v)
        assert ry is not None  # every block has a linear layer, whose directions make one
        return rx + ry if self.residual and rx is not None else ry

    def r_backward(self, rdy: Array, v: Directions) -> tuple[Array | None, Directions]:
        found: Directions = {}
        rdx: Array | None = rdy
        for layer in reversed(self.layers):
            assert rdx is not None  # None only from the linear layer, the first
            rdx, of_layer = layer.r_backward(rdx, v)
            found |= of_layer
        return (rdx + rdy if self.residual and rdx is not None else rdx), found
