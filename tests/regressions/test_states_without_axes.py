"""States of a parameter without axes load into another precision: NumPy gives numbers where arrays go in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

WORDS = (None, "float32", "bfloat16")


@pytest.mark.parametrize("of", ["float32", "float64", "float16"])
@pytest.mark.parametrize("saved", WORDS)
@pytest.mark.parametrize("wanted", WORDS)
def test_they_load_into_another_precision(of: str, saved: str | None, wanted: str | None) -> None:
    def stepped(shape: tuple[int, ...]) -> tuple[Any, Any]:
        theta = np.ones(shape, of)
        opt = fastopt.Adam([theta], lr=0.1, state_dtype=saved)
        opt.step([np.full(shape, 0.3, of)])
        other = fastopt.Adam([theta.copy()], lr=0.1, state_dtype=wanted)
        other.load_state_dict(opt.state_dict(), override={"state_dtype": wanted})
        return opt, other

    (_, number), (_, row) = stepped(()), stepped((1,))
    for name in ("exp_avg", "exp_avg_sq"):
        assert number.state[0][name].tobytes() == row.state[0][name].tobytes()
        assert number.state[0][name].shape == ()
