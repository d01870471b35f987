"""Where arrays begin in a line of the cache: states begin as their parameter does; the bits are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, LEVELS, bits, make, setting, threads

SIZES = (4096, 4097, 70_001)
LINE = 64
#: What matrices and rows keep has a memory of its own.
ELEMENTWISE = [name for name in CLASSES if not getattr(fastopt, name).rule.matrix and "RowWise" not in name]


def beginning(at: int, values: Any) -> Any:
    """A copy that begins `at` bytes into a line."""
    raw = np.empty(values.nbytes + 2 * LINE, np.uint8)
    start = -raw.ctypes.data % LINE + at
    made = raw[start : start + values.nbytes].view(values.dtype)
    made[:] = values
    return made


def steps(name: str, values: Any, at: int, of_gradient: int, level: str, **options: Any) -> Any:
    """The bits of all that is left after three steps."""
    rng = np.random.default_rng(3)
    theta = beginning(at, values)
    opt = make(name, [theta], level, **setting(name), **options)
    for _ in range(3):
        g = rng.standard_normal(values.size).astype(values.dtype)
        opt.step([beginning(of_gradient, g)])
    average = bits(opt.ema) if "ema_decay" in options else None
    return bits(theta), bits(opt.state_dict()["state"]), average


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_states_begin_as_their_parameter_does(name: str, dtype: Any) -> None:
    for at in range(0, LINE, np.dtype(dtype).itemsize):
        theta = beginning(at, np.ones(SIZES[0], dtype))
        opt = make(name, [theta], ema_decay=0.9)
        opt.step([np.ones_like(theta)])
        of_theta = [a for a in opt.state[0].values() if isinstance(a, np.ndarray) and a.shape == theta.shape]
        assert {a.ctypes.data % LINE for a in [*of_theta, opt.ema[0]]} == {at}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"clip_norm": 1.0}, {"l1": 0.1}], ids=str)
@pytest.mark.parametrize("name", ["AdamW", "SGD", "LAMB", "Lion", "Adagrad"])
def test_no_beginning_changes_a_bit(name: str, options: dict[str, Any], level: str) -> None:
    for size in SIZES:
        for dtype in (np.float32, np.float64):
            values = np.random.default_rng(size).standard_normal(size).astype(dtype)
            expected = steps(name, values, 0, 0, level, **options)
            for at, of_gradient in ((16, 16), (4 * (dtype is np.float32) + 8, 0), (56, 24)):
                for count in (1, 3):
                    with threads(count):
                        assert steps(name, values, at, of_gradient, level, **options) == expected
