"""What is wrong with a saved state, collected line by line, and how values look in such a line."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any

from fastopt._errors import CheckpointError

__all__ = ["Problems", "brief", "equal", "plain"]


class Problems(list[str]):
    """All that is wrong, one line each."""

    def attempt(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns; None, and a line more, if it raises."""
        try:
            return function(*arguments)
        except (TypeError, ValueError) as error:
            self.append(str(error))
            return None

    def refuse(self) -> None:
        """Raise CheckpointError with all lines, if there are any."""
        if self:
            raise CheckpointError("\n".join(self))


def brief(value: Any) -> str:
    """A value in one line, however large it is."""
    return reprlib.repr(value)


def plain(value: Any) -> Any:
    """A number out of a 0-d tensor of another library."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def equal(found: Any, expected: Any) -> bool:
    """Whether a saved value is the expected one. An array, whose == gives no single answer, is not."""
    try:
        return bool(found == expected)
    except (TypeError, ValueError):
        return False
