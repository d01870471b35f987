"""Progress of long work: the user's function, or a line on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

from fastopt._checks import shown

__all__ = ["Report", "reporter"]

#: (steps done, steps in all)
Report = Callable[[int, int], object]

#: Seconds between two lines.
EVERY = 1.0


def reporter(progress: bool | Report | None, label: str) -> Report:
    """What to call with (done, total): nothing, the user's function, or a line a second on standard error.

    Raises TypeError if `progress` is neither a function nor True, False or None.
    """
    if progress is None or progress is False:
        return lambda done, total: None
    if progress is True:
        return _Lines(label)
    if not callable(progress):
        raise TypeError(f"progress: expected a function of (done, total) or True, got {shown(progress)}")
    return progress


class _Lines:
    """Work that takes less than a second says nothing."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.next = perf_counter() + EVERY
        self.spoke = False

    def __call__(self, done: int, total: int) -> None:
        now = perf_counter()
        if now >= self.next or (self.spoke and done == total):
            self.next, self.spoke = now + EVERY, True
            print(f"{self.label}: {done} of {total}", file=sys.stderr, flush=True)
