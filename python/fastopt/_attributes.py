"""Which attributes of an optimizer may be assigned: one that nobody reads is a mistake, not a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastopt._hypers import COMMON
from fastopt._signature import Common

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

#: Keywords of the whole optimizer, not of its groups.
OPTIONS = tuple(key for key in Common.__annotations__ if key not in COMMON)


def why_not(opt: Optimizer, name: str) -> str | None:
    """Why assigning to this attribute would do nothing, or None if it may be done.

    Private names, those with a setter and methods may: they have an effect. So may whatever a class outside
    of this package adds, as long as it is not the name of a hyper-parameter or an option.
    """
    cls = type(opt)
    if name in cls._hypers or name in COMMON:
        return f'{name}: assign opt.param_groups[i]["{name}"] = ..., an attribute would do nothing'
    if name in OPTIONS:
        return f"{name}: fixed when the optimizer is made; make a new one and load_state_dict() into it"
    if name == "param_groups":
        return "param_groups: add with add_param_group(), change with opt.param_groups[i].update(lr=...)"
    if name == "defaults":
        return "defaults: fixed when the optimizer is made; a new group may have values of its own"
    found = getattr(cls, name, None)
    if callable(found) or getattr(found, "fset", None) is not None:
        return None
    if found is not None:
        return f"{name}: can be read, not assigned"
    if cls.__module__.partition(".")[0] == "fastopt":
        return f"{name}: {cls.__name__} has no such attribute, and assigning it would do nothing"
    return None
