"""Objects whose attributes are not assigned: one that nobody reads is a mistake, not a setting."""

from __future__ import annotations

from typing import Any

__all__ = ["Fixed"]


class Fixed:
    """Base of objects that are set when they are made. A class outside of this package may add attributes,
    but not assign to those that are there.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            found = getattr(type(self), name, None)
            ours = type(self).__module__.partition(".")[0] == "fastopt"
            if (ours or found is not None) and getattr(found, "fset", None) is None and not callable(found):
                raise AttributeError(f"{name}: {self._why_fixed(name)}")
        object.__setattr__(self, name, value)

    def _why_fixed(self, name: str) -> str:
        if hasattr(type(self), name):
            return "can be read, not assigned"
        return f"fixed when {type(self).__name__} is made, or unknown to it; assigning it would do nothing"
