"""A gradient scaled within a rule's loop gives the bits of one that is scaled block by block.

Strided gradients are always copied to blocks and scaled there, so each step is taken twice, once with the
gradient as it lies and once with the same numbers in every second place of an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import LEVELS, on_level
from fastopt import optimizers

#: More than a block, no multiple of a vector, and so large that states take eight bits if asked for.
SIZE = 4 * 1024 + 77


def apart(g: np.ndarray) -> np.ndarray:
    wide = np.zeros(2 * g.size, g.dtype)
    wide[::2] = g
    return wide[::2]


def bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()


def steps(name: str, strided: bool, grads: list[np.ndarray], scale: float, **options: Any) -> list[Any]:
    rng = np.random.default_rng(5)
    theta = rng.standard_normal(SIZE).astype(np.float32)
    theta[:3] = np.inf, -0.0, 0.0
    opt = optimizers()[name]([theta], lr=0.01, **options)
    kept: list[Any] = []
    for g in grads:
        opt.step([apart(g) if strided else g.copy()], grad_scale=scale)
        kept.append(theta.copy())
        kept.extend(np.array(x) for x in opt.state[0].values())
        kept.append(opt.grad_norm)
    return kept


def gradients(first: np.ndarray) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [first] + [rng.standard_normal(SIZE).astype(np.float32) for _ in range(3)]


OPTIONS: list[dict[str, Any]] = [
    {"clip_norm": 0.5},
    {"clip_norm": 0.5, "weight_decay": 0.1},
    {"clip_norm": 0.5, "ema_decay": 0.9},
    {"clip_norm": 0.5, "l1_proximal": 1e-3},
    {"clip_norm": 0.5, "clip_value": 0.3},
    {"clip_norm": 0.5, "maximize": True},
    {},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "+".join(o) or "none")
@pytest.mark.parametrize("name", sorted(optimizers()))
def test_the_bits_of_blocks(name: str, options: dict[str, Any]) -> None:
    grads = gradients(np.ones(SIZE, np.float32))
    try:
        together = steps(name, False, grads, 3.0, **options)
    except (TypeError, ValueError) as refused:
        with pytest.raises(type(refused)):
            steps(name, True, grads, 3.0, **options)
        return
    for a, b in zip(together, steps(name, True, grads, 3.0, **options), strict=True):
        assert bits(a) == bits(b)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scale", [3.0, 0.7, 1e-30, 1e30, 1e-42, 1e42])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion", "rmsprop", "nadam"])
def test_every_level_and_scale(name: str, scale: float, level: str) -> None:
    first = np.linspace(-1, 1, SIZE).astype(np.float32)
    first[[5, 1030]] = np.nan, np.inf
    grads = [np.float32(min(scale, 1e30)) * g for g in gradients(first)]
    with on_level(level):
        together, blocks = steps(name, False, grads, scale), steps(name, True, grads, scale)
    for a, b in zip(together, blocks, strict=True):
        assert bits(a) == bits(b)


def test_codes_are_scaled_once() -> None:
    """States in eight bits have a loop of their own, which does not scale."""
    grads = gradients(np.ones(SIZE, np.float32))
    options = {"clip_norm": 0.5, "state_dtype": "int8"}
    for a, b in zip(
        steps("adamw", False, grads, 3.0, **options), steps("adamw", True, grads, 3.0, **options), strict=True
    ):
        assert bits(a) == bits(b)


def test_zeroed_gradients_and_tensors_clipped_alone() -> None:
    for options in ({"clip_norm": 0.5}, {"clip_norm": 0.5, "clip_norm_per": "tensor"}):
        results = []
        for strided in (False, True):
            theta, g = np.ones(SIZE, np.float32), np.linspace(-2, 2, SIZE).astype(np.float32)
            grad = apart(g) if strided else g
            opt = fastopt.AdamW([theta], lr=0.1, **options)
            for _ in range(2):
                grad[...] = np.linspace(-2, 2, SIZE)
                opt.step([grad], zero_grads=True)
                assert not grad.any()
            results.append(theta)
        assert bits(results[0]) == bits(results[1])
