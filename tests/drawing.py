"""How tests draw their examples: the same ones at every run, in a time that does not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings


def options(examples: int, **more: Any) -> settings:
    """No deadline (the machine may be busy) and no database: the same examples at every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )


def repeatable(examples: int) -> Callable[[Any], Any]:
    """A decorator for tests with `given`."""
    return options(examples)
