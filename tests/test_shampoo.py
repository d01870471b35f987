"""Shampoo's blocks, roots and grafting against the oracle, in the unit of norms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from reference import ORACLES
from reference_factored import shampoo

SHAPES = [(7, 7), (20, 6), (1, 9), (3, 4, 5), (2, 2, 2, 3), (30,), (), (0, 3)]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9, "grafting": "adam", "beta2": 0.9, "update_freq": 3, "block_size": 4},
    {"grafting": "sgd", "block_size": 5},
]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 3e-4)])
@pytest.mark.parametrize("setting", SETTINGS, ids=["plain", "grafted on Adam", "grafted on SGD"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_class_is_its_oracle(
    shape: tuple[int, ...], setting: dict[str, Any], dtype: Any, tolerance: float, order: Any
) -> None:
    # an epsilon far above what rounding makes of the eigenvalues that are 0, which the roots would magnify
    h = SimpleNamespace(**{**ORACLES["Shampoo"].defaults, "epsilon": 10.0, **setting})
    rng = np.random.default_rng(0)
    theta = np.array(rng.normal(size=shape), dtype=dtype, order=order)
    exact, s = np.array(theta, dtype=np.float64), {}
    opt = fastopt.Shampoo([theta], **vars(h))
    for t in range(1, 9):
        g = np.asarray(rng.normal(size=shape) * (1 + t % 3), dtype=dtype)
        opt.step([g])
        exact = shampoo(exact, g.astype(np.float64), s, t, h)
    np.testing.assert_allclose(theta, exact, atol=tolerance)
    for name in ("statistics", "roots"):
        if name in s:
            error = np.linalg.norm(opt.state[theta][name] - s[name])
            assert error <= tolerance * np.linalg.norm(s[name])
