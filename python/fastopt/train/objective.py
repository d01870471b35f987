"""A perceptron's loss on a batch as a function of one flat vector, with exact derivatives, also second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.batchnorm import BatchNorm
from fastopt.train.layers import Directions
from fastopt.train.model import MLP

Array = NDArray[Any]

# Numbers in one array of the R-operator's passes: directions are taken in blocks of about this size, which
# stay in the second-level cache and still make matrix products large enough to be fast.
BLOCK_NUMBERS = 1 << 17


class Objective:
    """L(theta) of a model on a batch: dropout off, theta the parameters one after the other.

    The mean loss of the rows plus `l2` / 2 times the sum of the squared weights (biases, scales and shifts
    are not penalised, as in training). Second derivatives are those of Pearlmutter's R-operator (Neural
    Computation 6, 1994), exact to round-off and for about twice the time of a gradient; at the kink of relu
    they count as 0, what they are on both sides.

    Parameters
    ----------
    model : MLP
        Copied: neither its parameters nor its statistics are touched, nor seen again.
    x : ndarray of shape (rows, inputs)
    t : ndarray of shape (rows, outputs)
        Targets as `MLP.loss_and_gradients` takes them.
    batch_statistics : bool, default True
        Whether batch normalisation takes mean and variance of these rows, so that they move with theta
        (training; also what is tested with exact statistics, if x is all training rows), or the model's kept
        ones as constants.
    l2 : float, default 0.0
    dtype : {float64, float32}, default float64
        Of the copy and of all results.

    Attributes
    ----------
    n : int
        Length of theta.
    theta : ndarray of shape (n,)
        The model's parameters when the objective was made.
    slices : dict of str to slice
        Where each parameter lies in theta, by the model's names.
    products : int
        Hessian-vector products so far.

    Examples
    --------
    >>> import numpy as np
    >>> from fastopt.train import MLP, Objective
    >>> rng = np.random.default_rng(0)
    >>> model = MLP([2, 3, 1], output="linear", activation="tanh", rng=rng)
    >>> loss = Objective(model, rng.standard_normal((20, 2)), rng.standard_normal((20, 1)))
    >>> loss.gradient(loss.theta).shape, loss.hessian(loss.theta).shape
    ((13,), (13, 13))
    >>> v = rng.standard_normal(13)
    >>> bool(np.allclose(loss.hvp(loss.theta, v), loss.hessian(loss.theta) @ v))
    True
    """

    def __init__(
        self,
        model: MLP,
        x: Array,
        t: Array,
        *,
        batch_statistics: bool = True,
        l2: float = 0.0,
        dtype: Any = np.float64,
    ) -> None:
        self.model = model.without_dropout(dtype)
        for layer in self.model.layers:
            if isinstance(layer, BatchNorm):
                layer.frozen = not batch_statistics
        self.dtype = self.model.dtype
        self.x, self.t = self._checked("x", x, 0), self._checked("t", t, -1)
        if len(self.x) != len(self.t):
            raise ValueError(f"t: expected {len(self.x)} rows as in x, got {len(self.t)}")
        if not 0 <= l2 < np.inf:
            raise ValueError(f"l2: expected a finite number of at least 0, got {l2!r}")
        ends = np.cumsum([p.size for p in self.model.parameters], dtype=np.int64)
        self.slices = {
            name: slice(int(end) - p.size, int(end))
            for name, p, end in zip(self.model.names, self.model.parameters, ends, strict=True)
        }
        self.n = int(ends[-1])
        self.theta = self._flat(self.model.parameters)
        self.penalty = self._flat([np.full_like(p, l2 * (p.ndim == 2)) for p in self.model.parameters])
        self.products = 0
        self._at: Array | None = None

    def _checked(self, name: str, a: Array, size: int) -> Array:
        a = np.ascontiguousarray(a, self.dtype)
        if a.ndim != 2 or a.shape[1] != self.model.sizes[size] or len(a) == 0:
            raise ValueError(f"{name}: expected shape (rows, {self.model.sizes[size]}), got {a.shape}")
        return a

    @staticmethod
    def _flat(arrays: list[Array]) -> Array:
        return np.concatenate([a.ravel() for a in arrays])

    def _linearise(self, theta: Array) -> None:
        """Forward and backward pass at theta, unless they were the last ones."""
        if self._at is not None and np.array_equal(theta, self._at):
            return
        if np.shape(theta) != (self.n,):
            raise ValueError(f"theta: expected shape ({self.n},), got {np.shape(theta)}")
        self._at = None  # stays so if a pass fails
        for p, where in zip(self.model.parameters, self.slices.values(), strict=True):
            p[...] = theta[where].reshape(p.shape)
        self._z = self.model.forward(self.x, training=True)
        losses, dz = self.model.output.losses(self._z, self.t)
        self._loss = float(losses.mean(dtype=np.float64))
        self._gradient = self._flat(self.model.backward(dz / len(dz)))
        self._at = np.array(theta, self.dtype)

    def value(self, theta: Array) -> float:
        """The loss at theta (n,)."""
        self._linearise(theta)
        return self._loss + 0.5 * float(np.dot(self.penalty * theta, theta))

    def gradient(self, theta: Array) -> Array:
        """Its gradient, (n,)."""
        self._linearise(theta)
        gradient: Array = self._gradient + self.penalty * theta
        return gradient

    def hvp(self, theta: Array, v: Array) -> Array:
        """The Hessian at theta times v: (n,) for v (n,), (k, n) for k directions in the rows of v (k, n)."""
        v = np.asarray(v, self.dtype)
        if v.ndim not in (1, 2) or v.shape[-1] != self.n:
            raise ValueError(f"v: expected shape ({self.n},) or (k, {self.n}), got {v.shape}")
        self._linearise(theta)
        rows = v.reshape(-1, self.n)
        self.products += len(rows)
        product = np.empty_like(rows)
        step = self.block
        for start in range(0, len(rows), step):
            product[start : start + step] = self._r_pass(rows[start : start + step])
        product += self.penalty * rows
        return product.reshape(v.shape)

    @property
    def block(self) -> int:
        """How many directions one pass takes at a time."""
        return max(1, BLOCK_NUMBERS // (len(self.x) * max(self.model.sizes)))

    def _r_pass(self, v: Array) -> Array:
        """R{gradient} along each row of v."""
        rz: Array | None = None
        directions = [self._directions(number, v) for number in range(1, len(self.model.blocks) + 1)]
        for block, of_block in zip(self.model.blocks, directions, strict=True):
            rz = block.r_forward(rz, of_block)
        assert rz is not None  # a model has at least one block
        rdz: Array | None = self.model.output.curvature(self._z, self.t, rz) / len(rz)
        found = np.empty_like(v)
        for i in reversed(range(len(directions))):
            assert rdz is not None  # None only from the first block
            rdz, gradients = self.model.blocks[i].r_backward(rdz, directions[i])
            for name, value in gradients.items():
                found[:, self.slices[f"layer{i + 1}.{name}"]] = value.reshape(len(v), -1)
        return found

    def _directions(self, number: int, v: Array) -> Directions:
        """The part of each row of v that belongs to the parameters of a block, counted from 1."""
        block = self.model.blocks[number - 1]
        return {
            name: v[:, self.slices[f"layer{number}.{name}"]].reshape(-1, *layer.parameters[name].shape)
            for name, layer in block.named()
        }

    def hessian(self, theta: Array, progress: Callable[[int, int], None] | None = None) -> Array:
        """The Hessian at theta, (n, n), exactly symmetric.

        `progress(done, n)` is called after each block of columns.
        """
        h = np.empty((self.n, self.n), self.dtype)
        step = self.block
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            unit = np.zeros((stop - start, self.n), self.dtype)
            unit[np.arange(stop - start), np.arange(start, stop)] = 1
            h[start:stop] = self.hvp(theta, unit)
            if progress is not None:
                progress(stop, self.n)
        symmetric: Array = (h + h.T) / 2
        return symmetric
