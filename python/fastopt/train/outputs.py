"""Outputs and their losses: what the last linear layer's values z mean, and how wrong they are.

Every loss takes z and the targets t, both of shape (rows, outputs), and is a sum over the outputs of a row;
the loss of a batch is the mean over its rows. Classes are given as one-hot rows, or, by the sigmoid outputs
with two classes, as a single column that is 1 for the second class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastopt.train.activations import sigmoid

Array = NDArray[Any]


def softmax(z: Array) -> Array:
    """exp(z) / sum(exp(z)) per row, computed after subtracting the row's maximum.

    >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    e: Array = np.exp(z - z.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


def softmax_cross_entropy(z: Array, t: Array) -> tuple[Array, Array]:
    """Row losses logsumexp(z) - sum(t z) for rows of t that sum to 1, and their gradient softmax(z) - t."""
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - np.einsum("ij,ij->i", t, shifted)
    return losses, e / total - t


def sigmoid_cross_entropy(z: Array, t: Array) -> tuple[Array, Array]:
    """Row losses sum(-t log p - (1 - t) log(1 - p)), p = sigmoid(z), and their gradient p - t.

    The sum equals max(z, 0) - t z + log(1 + exp(-|z|)), which neither overflows nor takes the logarithm of 0.
    """
    losses = np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z)))
    return losses.sum(axis=1), sigmoid(z) - t


def sigmoid_squared(z: Array, t: Array) -> tuple[Array, Array]:
    """Row losses sum((p - t)^2) / 2, p = sigmoid(z), and their gradient (p - t) p (1 - p): it saturates."""
    p = sigmoid(z)
    error = p - t
    return 0.5 * np.einsum("ij,ij->i", error, error), error * p * (1 - p)


def squared(z: Array, t: Array) -> tuple[Array, Array]:
    """Row losses sum((z - t)^2) / 2 and their gradient z - t."""
    error = z - t
    return 0.5 * np.einsum("ij,ij->i", error, error), error


# The derivative of each gradient along rz, of shape (rows, k, outputs): k directions at once.


def _softmax_curvature(z: Array, t: Array, rz: Array) -> Array:
    p = softmax(z)
    product: Array = p[:, None] * (rz - np.einsum("rj,rkj->rk", p, rz)[:, :, None])
    return product


def _sigmoid_curvature(z: Array, t: Array, rz: Array) -> Array:
    p = sigmoid(z)
    product: Array = (p * (1 - p))[:, None] * rz
    return product


def _sigmoid_squared_curvature(z: Array, t: Array, rz: Array) -> Array:
    p = sigmoid(z)
    slope = p * (1 - p)
    product: Array = (slope * (slope + (p - t) * (1 - 2 * p)))[:, None] * rz
    return product


OutputName = Literal["softmax", "sigmoid", "sigmoid-mse", "linear"]


@dataclass(frozen=True)
class Output:
    """An output by name: `predict(z)` gives probabilities or values, `losses(z, t)` losses and gradient.

    `curvature(z, t, rz)` multiplies the Hessian of each row's loss with rz, of shape (rows, k, outputs).
    """

    name: OutputName
    title: str
    predict: Callable[[Array], Array]
    losses: Callable[[Array, Array], tuple[Array, Array]]
    curvature: Callable[[Array, Array, Array], Array]
    single_column: bool
    """Whether two classes need only one output."""
    tasks: tuple[str, ...]


OUTPUTS: dict[str, Output] = {
    o.name: o
    for o in (
        Output(
            "softmax",
            "softmax + cross-entropy",
            softmax,
            softmax_cross_entropy,
            _softmax_curvature,
            single_column=False,
            tasks=("classes",),
        ),
        Output(
            "sigmoid",
            "sigmoid + cross-entropy",
            sigmoid,
            sigmoid_cross_entropy,
            _sigmoid_curvature,
            single_column=True,
            tasks=("classes",),
        ),
        Output(
            "sigmoid-mse",
            "sigmoid + squared error",
            sigmoid,
            sigmoid_squared,
            _sigmoid_squared_curvature,
            single_column=True,
            tasks=("classes",),
        ),
        Output(
            "linear",
            "linear + squared error",
            lambda z: z,
            squared,
            lambda z, t, rz: rz,
            single_column=False,
            tasks=("regression", "classes"),
        ),
    )
}
