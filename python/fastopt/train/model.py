"""The multilayer perceptron: layers, their parameters in one flat list, forward and backward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train import initialise
from fastopt.train.activations import ACTIVATIONS, ActivationName
from fastopt.train.batchnorm import BatchNorm
from fastopt.train.checks import word
from fastopt.train.initialise import InitName
from fastopt.train.layers import Activate, Block, Dropout, Layer, Linear
from fastopt.train.outputs import OUTPUTS, OutputName

Array = NDArray[Any]

# Rows per forward pass where no gradient is wanted: bounds the memory of evaluating large data.
CHUNK_ROWS = 4096


class MLP:
    """Linear layers with, between them, batch normalisation (optional), an activation and dropout (optional).

    Parameters
    ----------
    sizes : sequence of int
        Widths from the inputs over the hidden layers to the outputs, e.g. (64, 128, 10).
    activation : {"relu", "tanh", "sigmoid"}, default "relu"
    output : {"softmax", "sigmoid", "sigmoid-mse", "linear"}, default "softmax"
        The meaning of the last layer's values, and with it the loss (`fastopt.train.outputs`).
    batch_norm : bool, default False
    dropout : float in [0, 1), default 0.0
        Probability with which a hidden value is dropped while training.
    residual : bool, default False
        Add to the values of a hidden layer those it was computed from, wherever there are as many.
    init : {"xavier", "he", "randn", "scaled", "uniform"}, optional
        A scheme of `fastopt.train.initialise`; None takes the one that suits the activation.
    init_options : mapping, optional
        The scheme's options, e.g. {"std": 0.02} for "randn".
    rng : numpy.random.Generator
        Draws the initial weights.
    dtype : {float32, float64}, default float32
        Of the parameters and of all arithmetic.

    Attributes
    ----------
    parameters, gradients : list of ndarray
        Arrays of equal shapes that stay the same objects; `loss_and_gradients` rewrites the gradients in
        place.
    names : list of str
        "layer1.weight", ... in the same order.
    statistics : dict of str to ndarray
        What batch normalisation uses for testing; not trained, but part of the model.

    Examples
    --------
    >>> model = MLP([2, 8, 1], output="linear", rng=np.random.default_rng(0))
    >>> [p.shape for p in model.parameters]
    [(2, 8), (8,), (8, 1), (1,)]
    >>> loss, gradients = model.loss_and_gradients(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
    >>> gradients[0] is model.gradients[0]
    True
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rng: np.random.Generator,
        activation: ActivationName = "relu",
        output: OutputName = "softmax",
        batch_norm: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        init: InitName | None = None,
        init_options: Mapping[str, Any] | None = None,
        dtype: Any = np.float32,
    ) -> None:
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise ValueError(
                f"sizes: expected at least inputs and outputs, each 1 or more, got {list(sizes)}"
            )
        word("output", output, OUTPUTS)
        word("activation", activation, ACTIVATIONS)
        self.sizes = tuple(sizes)
        self.dtype = np.dtype(dtype)
        self.output = OUTPUTS[output]
        self.activation, self.batch_norm, self.residual = activation, batch_norm, residual
        scheme = init or ACTIVATIONS[activation].init
        self.blocks: list[Block] = []
        for i, (inputs, outputs) in enumerate(pairwise(sizes)):
            last = i == len(sizes) - 2
            weight = initialise.weights(scheme, rng, inputs, outputs, init_options).astype(self.dtype)
            layers: list[Layer] = [Linear(weight, bias=last or not batch_norm)]
            if not last:
                layers += [BatchNorm(outputs, self.dtype)] if batch_norm else []
                layers += [Activate(activation)]
                layers += [Dropout(dropout)] if dropout else []
            self.blocks.append(Block(layers, residual=residual and not last and inputs == outputs))
        self._collect()

    def _collect(self) -> None:
        self.layers = [layer for block in self.blocks for layer in block.layers]
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []
        self.names: list[str] = []
        self.statistics: dict[str, Array] = {}
        for i, block in enumerate(self.blocks, start=1):
            for name, layer in block.named():
                self.names.append(f"layer{i}.{name}")
                self.parameters.append(layer.parameters[name])
                self.gradients.append(layer.gradients[name])
            for layer in block.layers:
                self.statistics.update({f"layer{i}.{name}": a for name, a in layer.statistics.items()})

    def snapshot(self) -> dict[str, dict[str, Array]]:
        """Copies of the parameters and statistics by name, for `restore`."""
        parameters = zip(self.names, self.parameters, strict=True)
        return {
            "parameters": {name: p.copy() for name, p in parameters},
            "statistics": {name: a.copy() for name, a in self.statistics.items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take the parameters and statistics of a `snapshot`, in place."""
        for name, p in zip(self.names, self.parameters, strict=True):
            p[...] = saved["parameters"][name]
        for name, a in self.statistics.items():
            a[...] = saved["statistics"][name]

    def without_dropout(self, dtype: Any = np.float64) -> MLP:
        """A copy of its own in another dtype, and without dropout: the function that is tested."""
        copy = MLP(
            self.sizes,
            rng=np.random.default_rng(0),  # the weights drawn are overwritten
            activation=self.activation,
            output=self.output.name,
            batch_norm=self.batch_norm,
            residual=self.residual,
            dtype=dtype,
        )
        copy.restore(self.snapshot())
        return copy

    def forward(self, x: Array, *, training: bool = False, rng: np.random.Generator | None = None) -> Array:
        """The last layer's values z, (rows, outputs); `rng` draws the dropout masks while training."""
        for block in self.blocks:
            x = block.forward(x, training, rng)
        return x

    def backward(self, dz: Array) -> list[Array]:
        """Gradients of the parameters from dz, that with respect to z; call after a training `forward`."""
        for block in reversed(self.blocks):
            dz = block.backward(dz)
        return self.gradients

    def loss_and_gradients(
        self, x: Array, t: Array, rng: np.random.Generator | None = None
    ) -> tuple[float, list[Array]]:
        """Mean loss over the rows of x (rows, inputs), targets t (rows, outputs), as trained; and gradients.

        Changes in place: `gradients`, and the running statistics of batch normalisation.
        """
        losses, dz = self.output.losses(self.forward(x, training=True, rng=rng), t)
        dz /= len(x)
        return float(losses.mean(dtype=np.float64)), self.backward(dz)

    def values(self, x: Array) -> Array:
        """The last layer's values for any number of rows, as tested: no dropout, kept statistics."""
        z = np.empty((len(x), self.sizes[-1]), self.dtype)
        for start in range(0, len(x), CHUNK_ROWS):
            z[start : start + CHUNK_ROWS] = self.forward(x[start : start + CHUNK_ROWS])
        return z

    def loss(self, x: Array, t: Array) -> float:
        """Mean loss over all rows, as tested."""
        return float(self.output.losses(self.values(x), t)[0].mean(dtype=np.float64))

    def predict(self, x: Array) -> Array:
        """Probabilities (rows, classes), or values for a linear output."""
        return self.output.predict(self.values(x))

    @contextmanager
    def exact_statistics(self, x: Array) -> Iterator[None]:
        """Within the block, batch normalisation uses the exact statistics of all rows of x.

        One forward pass of all of x at once, without dropout, finds them layer after layer.
        """
        kept = {name: a.copy() for name, a in self.statistics.items()}
        norms = [layer for layer in self.layers if isinstance(layer, BatchNorm)]
        for layer in norms:
            layer.exact = True
        try:
            if norms:
                self.forward(x)
            for layer in norms:
                layer.exact = False
            yield
        finally:
            for layer in norms:
                layer.exact = False
            for name, a in kept.items():
                self.statistics[name][:] = a
