"""Optimizers on the best CPU level, made at once: `engine.make` looks for a level each time."""

from __future__ import annotations

from typing import Any

import fastopt


def make(name: str, params: Any, **options: Any) -> Any:
    return getattr(fastopt, name)(params, **options)
