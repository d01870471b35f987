"""Types for argparse that read what `Settings` then checks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from fastopt.train.specs import SpecError, parse_list


def several(kind: Callable[[str], Any], example: str) -> Callable[[str], tuple[Any, ...]]:
    """Items separated by commas; none -> ()."""

    def read(text: str) -> tuple[Any, ...]:
        try:
            return () if text.lower() == "none" else tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {example}, got {text!r}") from None

    return read


def optimizers(text: str) -> tuple[str, ...]:
    """The texts of the optimizers' specs."""
    try:
        return tuple(spec.text for spec in parse_list(text, "optimizer"))
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("optimizer: ")) from None
