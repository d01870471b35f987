"""Found by `make fuzz`: an empty parameter with strides that no allocation has, refused in NumPy's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import CLASSES, make

EMPTY: dict[str, Any] = {
    "backwards": lambda d: np.zeros((4, 5, 6), d)[:0, ::-1, ::-1],
    "transposed": lambda d: np.zeros((6, 5, 4), d).T[..., :0],
    "every other": lambda d: np.zeros((6, 8), d)[::2, 4:4],
    "repeated": lambda d: np.lib.stride_tricks.as_strided(np.zeros(1, d), (0, 7), (8, 0)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("how", EMPTY)
def test_steps_over_nothing(how: str, dtype: Any) -> None:
    theta = EMPTY[how](dtype)
    for name in CLASSES:
        opt = make(name, [theta, np.ones(2, dtype)], lr=0.1, ema_decay=0.9)
        opt.step([np.zeros(theta.shape, dtype), np.ones(2, dtype)])
        assert opt.ema[0].shape == theta.shape
        opt.load_state_dict(opt.state_dict())
