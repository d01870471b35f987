"""Batch normalisation (Ioffe & Szegedy 2015) with a learned scale and shift."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.mlp.layers import Layer

Array = NDArray[Any]


class BatchNorm(Layer):
    """y = scale (x - mean) / sqrt(variance + eps) + shift, per feature.

    While training, mean and variance are those of the batch (variance divided by the number of rows), and
    moving averages of them are kept: running = (1 - momentum) running + momentum batch, the variance there
    divided by rows - 1. For testing the kept statistics are used: the moving averages, or, after a forward
    pass of the whole training set with `exact = True`, the statistics of that set under the present
    parameters.
    """

    def __init__(self, features: int, dtype: Any, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = self._add("scale", np.ones(features, dtype))
        self.shift = self._add("shift", np.zeros(features, dtype))
        self.mean = self.statistics["mean"] = np.zeros(features, dtype)
        self.variance = self.statistics["variance"] = np.ones(features, dtype)
        self.momentum = momentum
        self.eps = eps
        self.exact = False

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        if not (training or self.exact):
            y: Array = (x - self.mean) * (self.scale / np.sqrt(self.variance + self.eps)) + self.shift
            return y
        rows = len(x)
        if rows < 2:
            raise ValueError(f"batch normalisation: expected at least 2 rows in a training batch, got {rows}")
        mean = x.mean(axis=0)
        centred = x - mean
        variance = np.einsum("ij,ij->j", centred, centred) / rows
        self._keep(mean, variance, rows)
        self._inverse = 1 / np.sqrt(variance + self.eps)
        self._normalised = centred * self._inverse
        y = self._normalised * self.scale + self.shift
        return y

    def _keep(self, mean: Array, variance: Array, rows: int) -> None:
        if self.exact:
            self.mean[:], self.variance[:] = mean, variance
            return
        self.mean += self.momentum * (mean - self.mean)
        self.variance += self.momentum * (variance * (rows / (rows - 1)) - self.variance)

    def backward(self, dy: Array) -> Array:
        # With n = normalised: dx = inverse (dn - mean(dn) - n mean(dn n)), and dn = scale dy, so both means
        # are the parameters' gradients over the number of rows.
        normalised, rows = self._normalised, len(dy)
        dscale = np.einsum("ij,ij->j", dy, normalised, out=self.gradients["scale"])
        dshift = np.sum(dy, axis=0, out=self.gradients["shift"])
        dx: Array = (self.scale * self._inverse) * (dy - dshift / rows - normalised * (dscale / rows))
        return dx
