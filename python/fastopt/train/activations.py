"""Hidden-layer activations: the value, and both derivatives written in terms of that value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(z: Array) -> Array:
    """Logistic function 1 / (1 + exp(-z)), exact in both tails.

    exp is only ever taken of -|z|, so nothing overflows and small values keep their relative precision.

    >>> sigmoid(np.array([-800.0, 0.0, 800.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    e = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, e) / (1.0 + e), dtype=z.dtype)


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _relu_derivative(a: Array) -> Array:
    derivative: Array = (a > 0).astype(a.dtype)
    return derivative


def _tanh_derivative(a: Array) -> Array:
    derivative: Array = 1 - a * a
    return derivative


def _sigmoid_derivative(a: Array) -> Array:
    derivative: Array = a * (1 - a)
    return derivative


def _relu_second(a: Array) -> Array:
    return np.zeros_like(a)  # the kink itself, a set of measure zero, counts as flat


def _tanh_second(a: Array) -> Array:
    second: Array = -2 * a * (1 - a * a)
    return second


def _sigmoid_second(a: Array) -> Array:
    second: Array = a * (1 - a) * (1 - 2 * a)
    return second


@dataclass(frozen=True)
class Activation:
    """An element-wise function a = value(z) with da/dz and d2a/dz2 as functions of a."""

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    second: Callable[[Array], Array]
    init: str
    """The initialisation that keeps the variance of signals through this function."""
    curved: bool = True
    """Whether there is a second derivative to speak of."""


ActivationName = Literal["relu", "tanh", "sigmoid"]
ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("relu", _relu, _relu_derivative, _relu_second, init="he", curved=False),
        Activation("tanh", np.tanh, _tanh_derivative, _tanh_second, init="xavier"),
        Activation("sigmoid", sigmoid, _sigmoid_derivative, _sigmoid_second, init="xavier"),
    )
}
