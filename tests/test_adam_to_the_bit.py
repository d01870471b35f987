"""Adam and AdamW are the operations of their formula, one by one: NumPy's bits, whichever loop ran.

Betas from 0.0625 on have a loop that leaves out products with 1, smaller ones have one that does not
(cpp/engine/plain_averages.hpp); and infinite squares are kept from becoming NaN by a comparison of bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine import LEVELS, bits, make, normal, threads

BETAS = [(0.9, 0.999), (0.0625, 0.0625), (0.0, 0.999), (0.9, 0.01), (0.06, 0.0), (0.5, 0.06)]
FLOATS = [np.float32, np.float64]


def average(m: Any, x: Any, beta: float, most: Any, f: Any) -> Any:
    """beta m + (1 - beta) x in the form of its beta; `most` is what m counts as at the most."""
    if beta < 0.0625:
        return f(beta) * m + f(1 - beta) * x
    return m + f(1 - beta) * (x - np.minimum(m, most))


def flushed(m: Any, f: Any) -> Any:
    return np.where(np.abs(m) < np.finfo(f).tiny, f(0), m)


def expected(theta: Any, gradients: list[Any], betas: tuple[float, float], decay: float, f: Any) -> list[Any]:
    """theta and states after these gradients, lr = 1e-3 and eps = 1e-8."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, 1):
        c1, c2 = (1 - beta**t if beta < 0.5 else -math.expm1(t * math.log(beta)) for beta in betas)
        m = flushed(average(m, g, betas[0], f(np.inf), f), f)
        v = flushed(average(v, g * g, betas[1], np.finfo(f).max, f), f)
        theta = theta - f(1e-3 * decay) * theta
        theta = theta - f(1e-3 / c1) * m / (f(1 / math.sqrt(c2)) * np.sqrt(v) + f(1e-8))
    return [theta, m, v]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("betas", BETAS, ids=str)
def test_every_operation(betas: tuple[float, float], decay: float, dtype: Any, level: str) -> None:
    for n in (1, 19, 4099):
        theta, *gradients = normal(n, [(n,)] * 6, dtype)
        for g in gradients:
            g[: n // 3] *= np.sqrt(np.finfo(dtype).tiny)  # squares among the smallest numbers
        gradients[1][-1] = np.finfo(dtype).max / 4  # of which the square is infinite, and stays it
        with np.errstate(all="ignore"):
            wanted = expected(theta.copy(), gradients, betas, decay, dtype)
        for count in (1, 2):
            mine = theta.copy()
            with threads(count):
                opt = make("AdamW", [mine], level, lr=1e-3, betas=betas, weight_decay=decay)
                for g in gradients:
                    opt.step([g])
            for key, want in zip(("exp_avg", "exp_avg_sq"), wanted[1:], strict=True):
                assert bits(opt._states[0][key]) == bits(np.asarray(want, dtype))
            if dtype == np.float32:
                assert bits(mine) == bits(np.asarray(wanted[0], dtype))
            else:  # of the corrections the last digit is the library's own
                np.testing.assert_allclose(mine, wanted[0], rtol=1e-14, atol=1e-17)
