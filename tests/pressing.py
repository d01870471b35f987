"""A signal in the middle of a native call, and what its handler raises: Ctrl-C without the keyboard."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Pressed(Exception):
    """What the handler raises."""


@contextmanager
def pressed_after(seconds: float) -> Iterator[None]:
    """Within the block, the signal comes after so many seconds."""

    def press(signum: int, frame: object) -> None:
        raise Pressed

    old = signal.signal(signal.SIGALRM, press)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
