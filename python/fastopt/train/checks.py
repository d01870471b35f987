"""Arguments of the application: refused by their names, in one line however long they are."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection
from pathlib import Path

__all__ = ["path_of", "shown", "word"]


def shown(value: object) -> str:
    """What came, with its type; an integer may have more digits than Python writes."""
    try:
        text = reprlib.repr(value)
    except ValueError:
        text = "something too long to be written"
    return f"{text} of type {type(value).__name__}"


def word(name: str, value: object, options: Collection[str]) -> None:
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}: expected one of {', '.join(options)}, got {shown(value)}")


def path_of(name: str, value: object) -> Path:
    """Text, bytes or an object with a path."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name}: expected a str or path-like object, got {shown(value)}")
    found = os.fsdecode(value)
    if "\0" in found:
        raise ValueError(f"{name}: expected a name without null characters, got {value!r}")
    return Path(found)
