"""A watcher of training that asks it to stop, as Ctrl-C does."""

from __future__ import annotations

from typing import Any


class StopAfter:
    """Stops a session after so many optimizer steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step(self, trainer: Any) -> None:
        self.left -= 1

    def on_result(self, result: Any) -> None:
        pass

    def stop_requested(self) -> bool:
        return self.left <= 0
