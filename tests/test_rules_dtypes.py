"""Every optimizer in every pair of parameter and gradient dtypes: one step is the oracle's, rounded once.

Half types are computed in float32 and rounded to nearest even when stored. So the oracle starts each step at
the stored parameters, and the new ones must lie within half a unit in the last place of its answer, plus what
float32 arithmetic may add.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from battery import problem
from draws import VARIANTS, draw
from oracle import Oracle
from pairs import CLASSES

HALF = ml_dtypes.bfloat16
PAIRS = [
    (np.float64, np.float32),
    (np.float32, np.float16),
    (np.float32, HALF),
    (HALF, HALF),
    (HALF, np.float32),
    (np.float16, np.float16),
    (np.float16, np.float32),
]


def spacing(x: Any, dtype: Any) -> Any:
    """The distance between neighbours of a dtype around x."""
    info = ml_dtypes.finfo(dtype)
    exponent = np.floor(np.log2(np.maximum(np.abs(x), float(info.smallest_normal))))
    return float(info.eps) * 2.0**exponent


@pytest.mark.parametrize(("stored", "grad"), PAIRS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_one_step_is_rounded_once(name: str, stored: Any, grad: Any) -> None:
    given = problem(np.float64, seed=9)
    params = [np.array(p, dtype=stored) for p in given.params]
    options = draw(VARIANTS[name][0], np.random.default_rng(9))
    opt = CLASSES[name](params, **options)
    oracle = Oracle(name, params, **options)
    slack = 1e-12 if stored == np.float64 else 1e-6
    if CLASSES[name].rule.matrix and stored != np.float64:
        slack *= 16  # products of matrices, and iterations that magnify what they round
    unit = [
        np.abs(p) for p in oracle.params
    ]  # start and distance travelled: what momentum may cancel down from
    for row in given.grads[:12]:
        grads = [None if g is None else np.asarray(g, dtype=grad) for g in row]
        oracle.params = [np.array(p, dtype=np.float64) for p in params]
        before = list(oracle.params)
        oracle.step(grads)
        opt.step(grads)
        unit = [u + np.abs(p - old) for u, p, old in zip(unit, oracle.params, before, strict=True)]
        for i, (p, old, exact, g) in enumerate(zip(params, before, oracle.params, grads, strict=True)):
            if g is None:
                np.testing.assert_array_equal(np.asarray(p, dtype=np.float64), old)
                continue
            allowed = 0.5 * spacing(exact, stored) + slack * unit[i]
            miss = np.abs(np.asarray(p, dtype=np.float64) - exact)
            assert np.all(miss <= allowed), float(np.max(miss / allowed))
