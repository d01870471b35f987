"""Found by tools/scale.py: loading compared every parameter with every group, minutes for 10^4 groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import everything, make
from fastopt import _restore, _restore_groups, _state

GROUPS = 60


def optimizer() -> Any:
    groups = [{"params": [np.full(2, 1.0 + k)], "lr": 0.1 + k} for k in range(GROUPS)]
    return make("SGD", groups, momentum=0.9, ema_decay=0.5)


def test_work_grows_with_the_groups_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Number(int):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    def numbers(opt: Any) -> list[int]:
        return [Number(n) for n in _state.group_numbers(opt)]

    opt, other = optimizer(), optimizer()
    opt.step([np.ones(2)] * GROUPS)
    state = opt.state_dict()
    for module in (_restore, _restore_groups):
        monkeypatch.setattr(module, "group_numbers", numbers)
    other.load_state_dict(state)
    assert compared <= 10 * GROUPS
    assert everything(other)[1:] == everything(opt)[1:-3] + everything(other)[-3:]


def test_averages_of_some_of_a_group_are_refused_by_index() -> None:
    groups = [
        {"params": [np.ones(2), np.ones(3)]},
        {"params": [np.ones(4)]},
        {"params": [np.ones(5), np.ones(6)]},
    ]
    opt = make("SGD", groups, lr=0.1, ema_decay=0.5)
    opt.step([np.ones(n) for n in range(2, 7)])
    state, before = opt.state_dict(), everything(opt)
    state["fastopt"]["ema"][2] = None  # alone in its group: it has not begun
    state["fastopt"]["ema"][4] = None
    with pytest.raises(
        fastopt.CheckpointError, match=r'"ema"\]\[4\]: expected an array, as others of its group'
    ):
        opt.load_state_dict(state)
    assert everything(opt) == before
    state["fastopt"]["ema"][3] = None
    opt.load_state_dict(state)
