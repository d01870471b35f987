"""Found by `make fuzz`: a NaN in a float16 parameter has another payload at another place.

That is no promise (docs/design/bytes.md); these are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import LEVELS, PAIRS, make


def stepped(level: str, dtype: Any, grad: Any) -> Any:
    theta = np.linspace(1, 2, len(grad)).astype(dtype)
    opt = make("Adam", [theta], level, lr=0.1)
    opt.step([grad])
    return theta


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", list(PAIRS), ids=str)
@pytest.mark.parametrize("negative", [False, True], ids=["positive", "negative"])
def test_a_nan_at_any_place_spoils_itself_alone(level: str, dtype: Any, negative: bool) -> None:
    size = 37  # whole vectors of every width, and a rest
    usual = np.linspace(-3, 3, size).astype(dtype)
    wanted = stepped(level, dtype, usual)
    for place in range(size):
        grad = usual.copy()
        grad[place] = -np.nan if negative else np.nan
        got = stepped(level, dtype, grad)
        assert np.flatnonzero(np.isnan(got)).tolist() == [place]
        others = np.arange(size) != place
        assert got[others].tobytes() == wanted[others].tobytes()
        if dtype == np.float16:
            assert np.signbit(got[place]) == np.signbit(grad[place])
