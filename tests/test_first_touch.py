"""Memory of states and averages is first touched in regions that the pool shares, cut as steps are.

docs/design/threads.md, "Memory and NUMA". Which thread claims a chunk is a race, so that is not held here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fastopt
from engine import threads
from fastopt import _dispatch

PAGEMAP = Path("/proc/self/pagemap")
PAGE = 4096
SIZE = 9 << 20  # of float32: more than malloc ever takes from memory that was in use before (32 MiB)


def resident(array: NDArray[np.float32]) -> float:
    """The share of an array's whole pages that somebody has touched."""
    first = -(-array.ctypes.data // PAGE)
    last = (array.ctypes.data + array.nbytes) // PAGE
    with PAGEMAP.open("rb") as file:
        file.seek(8 * first)
        entries = np.frombuffer(file.read(8 * (last - first)), np.uint64)
    return float(np.mean(entries >> np.uint64(62) != 0))  # there, or swapped out since


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not PAGEMAP.exists(), reason="reads Linux's table of pages"
)
def test_states_and_averages_are_first_touched_in_shared_regions() -> None:
    core = _dispatch.core
    theta = np.ones(SIZE, np.float32)
    core.set_eager(True)

    def shared() -> int:
        return int(core.pool_statistics()["parallel"])

    with threads(2):
        before = shared()
        opt = fastopt.Adam([theta], lr=0.1, ema_decay=0.9)
        states = list(opt._states[0].values())
        assert len(states) == 2
        assert (shared() - before, *map(resident, [*states, *opt.ema])) == (1, 0, 0, 1)
        opt.step([np.ones_like(theta)])
        assert (shared() - before, *map(resident, states)) == (2, 1, 1)
