"""Batch normalisation (Ioffe & Szegedy 2015) with a learned scale and shift."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.layers import Directions, Layer

Array = NDArray[Any]


class BatchNorm(Layer):
    """y = scale (x - mean) / sqrt(variance + eps) + shift, per feature.

    While training, mean and variance are those of the batch (variance divided by the number of rows), and
    moving averages of them are kept: running = (1 - momentum) running + momentum batch, the variance there
    divided by rows - 1. For testing the kept statistics are used: the moving averages, or, after a forward
    pass of the whole training set with `exact = True`, the statistics of that set under the present
    parameters.

    With `frozen = True` training takes the kept statistics as constants, and leaves them as they are: the
    function that is tested, with a gradient.
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
        self.frozen = False

    def forward(self, x: Array, training: bool, rng: np.random.Generator | None) -> Array:
        if not (training or self.exact):
            y: Array = (x - self.mean) * (self.scale / np.sqrt(self.variance + self.eps)) + self.shift
            return y
        if self.frozen:
            self._inverse = 1 / np.sqrt(self.variance + self.eps)
            self._normalised = (x - self.mean) * self._inverse
            y = self._normalised * self.scale + self.shift
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
        self._dy = dy
        normalised, rows = self._normalised, len(dy)
        dscale = np.einsum("ij,ij->j", dy, normalised, out=self.gradients["scale"])
        dshift = np.sum(dy, axis=0, out=self.gradients["shift"])
        dx: Array
        if self.frozen:
            dx = (self.scale * self._inverse) * dy
        else:
            dx = (self.scale * self._inverse) * (dy - dshift / rows - normalised * (dscale / rows))
        return dx

    def r_forward(self, rx: Array | None, v: Directions) -> Array:
        assert rx is not None  # a linear layer is always before it
        # With n = normalised and m = mean over the rows: R{n} = inverse (R{x} - m(R{x}) - n m(n R{x})), since
        # m(n) = 0; and R{inverse} = -inverse^2 m(n R{x}). Frozen statistics leave the first term alone.
        n = self._normalised[:, None]
        if self.frozen:
            self._r_inverse: Array | None = None
            self._r_normalised: Array = rx * self._inverse
        else:
            along = np.einsum("rf,rkf->kf", self._normalised, rx) / len(rx)
            self._r_inverse = -(self._inverse**2) * along
            self._r_normalised = (rx - rx.mean(axis=0) - n * along) * self._inverse
        ry: Array = self._r_normalised * self.scale + n * v["scale"] + v["shift"]
        return ry

    def r_backward(self, rdy: Array, v: Directions) -> tuple[Array | None, Directions]:
        dy, n, rn, rows = self._dy, self._normalised, self._r_normalised, len(rdy)
        rdscale = np.einsum("rkf,rf->kf", rdy, n) + np.einsum("rf,rkf->kf", dy, rn)
        rdshift = rdy.sum(axis=0)
        found = {"scale": rdscale, "shift": rdshift}
        factor, rfactor = self.scale * self._inverse, v["scale"] * self._inverse
        if self._r_inverse is None:
            return factor * rdy + rfactor * dy[:, None], found
        rfactor = rfactor + self.scale * self._r_inverse
        dscale, dshift = self.gradients["scale"] / rows, self.gradients["shift"] / rows
        inner = (dy - dshift - n * dscale)[:, None]
        rinner = rdy - rdshift / rows - rn * dscale - n[:, None] * (rdscale / rows)
        return rfactor * inner + factor * rinner, found
