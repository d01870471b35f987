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
        Activation(
            "relu",
            value=lambda z: np.maximum(z, 0),
            derivative=lambda a: (a > 0).astype(a.dtype),
            second=np.zeros_like,  # the kink itself, a set of measure zero, counts as flat
            init="he",
            curved=False,
        ),
        Activation(
            "tanh",
            value=np.tanh,
            derivative=lambda a: 1 - a * a,
            second=lambda a: -2 * a * (1 - a * a),
            init="xavier",
        ),
        Activation(
            "sigmoid",
            value=sigmoid,
            derivative=lambda a: a * (1 - a),
            second=lambda a: a * (1 - a) * (1 - 2 * a),
            init="xavier",
        ),
    )
}
