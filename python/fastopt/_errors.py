"""The error of everything that is wrong with a file or with a saved state."""

from __future__ import annotations

__all__ = ["CheckpointError"]


class CheckpointError(ValueError):
    """A file is damaged or of another kind, or a saved state does not fit what it was to be loaded into.

    The message names every place where they differ, what was expected there and what came.
    """


CheckpointError.__module__ = "fastopt"
