"""The problem every rule is driven through, and the unit in which an error is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

STEPS = 30
# 0-d, empty, one, less than a vector, either side of 64 and 128, two or three axes, over two blocks and odd.
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (0,), (1,), (7,), (63,), (64,), (65,), (127,), (128,), (129,),
    (3, 0), (3, 5), (5, 2, 3), (2 * 2048 + 3,),
)  # fmt: skip
TENSORS = 2 * len(SHAPES)


@dataclass
class Problem:
    """Two groups of tensors of every shape, and thirty lists of gradients for them."""

    params: list[Any]
    grads: list[list[Any]]

    def groups(self, *options: dict[str, Any]) -> list[dict[str, Any]]:
        """The group dicts of a constructor: copies, the same shapes in each, under the two given options."""
        half = len(self.params) // 2
        copies = [p.copy() for p in self.params]
        return [{"params": copies[:half], **options[0]}, {"params": copies[half:], **options[1]}]


@cache
def problem(dtype: Any, seed: int, *, holes: bool = True) -> Problem:
    """Random numbers with the corners where rules go wrong; arrays are read-only, and shared by tests.

    Gradients fall from a large first one and vary over two decades (so that a running maximum differs from an
    average); some elements are exactly 0, one tensor has a zero gradient for a step and one starts at theta =
    0 (where norms vanish). With ``holes`` some gradients are ``None``: one tensor's first two, others later.
    """
    rng = np.random.default_rng(seed)
    shapes = SHAPES * 2
    params: list[Any] = [np.asarray(rng.normal(size=s), dtype=dtype) for s in shapes]
    params[3] = np.zeros_like(params[3])
    grads: list[list[Any]] = []
    for k in range(STEPS):
        scale = 10.0 if k == 0 else 10 ** rng.uniform(-1, 1)
        row: list[Any] = [
            np.asarray(scale * rng.normal(size=s) * (rng.random(size=s) > 0.02), dtype=dtype) for s in shapes
        ]
        if k == 5:
            row[4] = np.zeros_like(row[4])
        grads.append(row)
    for a in (*params, *(g for row in grads for g in row)):
        a.flags.writeable = False
    if holes:
        for k, i in ((0, 5), (1, 5), (4, 0), (9, 6), (9, 6 + len(SHAPES)), (17, 3)):
            grads[k][i] = None
    return Problem(params, grads)


class Meter:
    """Error over (largest magnitude so far + distance travelled), element by element, against an oracle.

    That unit is what rounding in the last place of theta and of the step can cost, so a bound in it does not
    depend on where a run went. ``seen`` is called with the oracle's tensors after every step, ``error``
    returns the worst element.

    The sub-gradient of L1 jumps at 0: an element that comes within ``edge`` of it may fall on either side by
    rounding and is then elsewhere for good. Such elements are left out, and counted.
    """

    def __init__(self, start: Sequence[Any], edge: float = 0.0) -> None:
        self.last = [np.array(p, dtype=np.float64) for p in start]
        self.peak = [np.abs(p) for p in self.last]
        self.way = [np.zeros_like(p) for p in self.last]
        self.edge, self.out = edge, [np.zeros(p.shape, dtype=bool) for p in self.last]
        self._leave_out()

    def _leave_out(self) -> None:
        self.out = [
            o | ((np.abs(p) < self.edge) & (p != 0)) for o, p in zip(self.out, self.last, strict=True)
        ]

    @property
    def share_out(self) -> float:
        return sum(int(np.sum(o)) for o in self.out) / sum(o.size for o in self.out)

    def seen(self, exact: Sequence[Any]) -> None:
        for i, p in enumerate(exact):
            self.peak[i] = np.maximum(self.peak[i], np.abs(p))
            self.way[i] = self.way[i] + np.abs(p - self.last[i])
            self.last[i] = np.array(p, dtype=np.float64)
        self._leave_out()

    def error(self, got: Sequence[Any], out: Sequence[Any] | None = None) -> float:
        units = [p + w for p, w in zip(self.peak, self.way, strict=True)]
        outs = self.out if out is None else out
        pairs = zip(got, self.last, units, outs, strict=True)
        return max(_error(p, exact, unit, o) for p, exact, unit, o in pairs)


class StateMeter:
    """The same for states: error over the largest magnitude the oracle's state has had in that element."""

    def __init__(self) -> None:
        self.peak: dict[tuple[int, str], Any] = {}

    def seen(self, states: Sequence[dict[str, Any]]) -> None:
        self.last = states
        for i, state in enumerate(states):
            for key, value in state.items():
                self.peak[i, key] = np.maximum(self.peak.get((i, key), 0.0), np.abs(value))

    def errors(self, got: Any, out: Sequence[Any]) -> dict[str, float]:
        """The worst error of each state, by name."""
        worst: dict[str, float] = {}
        for i, state in enumerate(self.last):
            for key, value in state.items():
                left_out = (
                    out[i] if np.shape(value) == out[i].shape else np.zeros(np.shape(value), dtype=bool)
                )
                error = _error(got[i][key], np.asarray(value), self.peak[i, key], left_out)
                worst[key] = max(worst.get(key, 0.0), error)
        return worst


def _error(got: Any, exact: Any, unit: Any, out: Any) -> float:
    mine = np.asarray(got, dtype=np.float64)
    assert mine.shape == exact.shape
    miss = np.where(out, 0.0, np.abs(mine - exact))
    if not np.isfinite(miss).all():
        return float("inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(miss == 0, 0.0, miss / unit), initial=0.0))
