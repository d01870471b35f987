"""The perceptron's blocks: a linear layer with what follows it, and perhaps a connection around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.layers import Directions, Layer

Array = NDArray[Any]


class Block:
    """Layers one after the other; with `residual`, y = x + layers(x), for as many outputs as inputs.

    Such a connection (He et al. 2016) lets gradients pass a block unchanged, however many there are.
    The passes are those of `fastopt.train.layers`; directions come and go under the parameters' names.
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
