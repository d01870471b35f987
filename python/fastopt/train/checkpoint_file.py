"""The file of a session: a tree that `fastopt.save` writes, with a mark that says whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastopt

KIND, VERSION = "fastopt train", 4


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state to `path`, whole or not at all."""
    fastopt.save(path, {"kind": KIND, "version": VERSION, **state})


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote; CheckpointError for any other file."""
    try:
        state = fastopt.load(path)
    except fastopt.CheckpointError as error:
        raise fastopt.CheckpointError(f"{error}; this is not a checkpoint of fastopt train") from None
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise fastopt.CheckpointError(f"{path}: not a checkpoint of fastopt train")
    if state["version"] != VERSION:
        raise fastopt.CheckpointError(
            f"{path}: this fastopt reads version {VERSION}, got {state['version']!r}"
        )
    return state
