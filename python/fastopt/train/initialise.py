"""Initial weights: one function per scheme, and the table that names them.

Each takes the generator and the number of inputs and outputs of the layer, and returns float64 weights of
shape (inputs, outputs); biases start at 0. Options have the names used on the command line (`--init
randn:std=0.02`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastopt.train import specs

Weights = NDArray[np.float64]


def xavier(rng: np.random.Generator, inputs: int, outputs: int) -> Weights:
    """Uniform within sqrt(6 / (inputs + outputs)): Glorot & Bengio 2010, eq. 16."""
    bound = np.sqrt(6.0 / (inputs + outputs))
    return rng.uniform(-bound, bound, (inputs, outputs))


def he(rng: np.random.Generator, inputs: int, outputs: int) -> Weights:
    """Normal of variance 2 / inputs, which keeps the signal through ReLU: He et al. 2015, eq. 10."""
    return float(np.sqrt(2.0 / inputs)) * rng.standard_normal((inputs, outputs))


def randn(rng: np.random.Generator, inputs: int, outputs: int, *, std: float = 0.02) -> Weights:
    """Normal of standard deviation `std`, whatever the width."""
    return std * rng.standard_normal((inputs, outputs))


def scaled(rng: np.random.Generator, inputs: int, outputs: int, *, s: float = 1.0) -> Weights:
    """Normal of standard deviation s / sqrt(inputs)."""
    return float(s / np.sqrt(inputs)) * rng.standard_normal((inputs, outputs))


def uniform(rng: np.random.Generator, inputs: int, outputs: int, *, bound: float | None = None) -> Weights:
    """Uniform within `bound`, by default 1 / sqrt(inputs)."""
    limit = 1.0 / np.sqrt(inputs) if bound is None else bound
    return rng.uniform(-limit, limit, (inputs, outputs))


InitName = Literal["xavier", "he", "randn", "scaled", "uniform"]
INITIALISERS: dict[str, Callable[..., Weights]] = {
    f.__name__: f for f in (xavier, he, randn, scaled, uniform)
}


def weights(
    name: str, rng: np.random.Generator, inputs: int, outputs: int, options: Mapping[str, Any] | None = None
) -> Weights:
    """Initial weights of shape (inputs, outputs) by the scheme called `name`.

    >>> weights("randn", np.random.default_rng(0), 3, 2, {"std": 0.0}).shape
    (3, 2)
    """
    if name not in INITIALISERS:
        raise ValueError(f"init: expected one of {', '.join(INITIALISERS)}, got {name!r}")
    scheme = INITIALISERS[name]
    given = specs.amounts(options or {}, list(scheme.__kwdefaults__ or {}), f"init {name}")
    return scheme(rng, inputs, outputs, **given)
