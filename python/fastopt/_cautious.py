"""Which rules take their steps cautiously: those whose step is known without the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastopt._state import find_rule

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["check_cautious"]


def check_cautious(cls: type[Optimizer], values: Mapping[str, Any]) -> None:
    """Raise ValueError where `cautious`, `cautious_weight_decay` or `centralize` have no meaning for these
    values.
    """
    asked = [key for key in ("cautious", "cautious_weight_decay", "centralize") if values[key]]
    if not asked:
        return
    rule = find_rule(cls.rule.kernel, cls._flags(values))
    by_row = any(state and shape for state, shape in zip(rule["states"], rule["shapes"], strict=True))
    if by_row and not rule["matrix"]:
        raise ValueError(
            f"{asked[0]}: expected False with {cls.__name__} where numbers are kept for each row of a table, "
            "got True"
        )
    asked = [key for key in asked if key != "centralize"]
    if not asked:
        return
    if rule["matrix"]:
        raise ValueError(
            f"{asked[0]}: expected False with {cls.__name__}, whose update turns whole matrices, "
            "so that an element's sign says nothing of its own gradient, got True"
        )
    if rule["reads_theta"]:
        raise ValueError(
            f"{asked[0]}: expected False with {cls.__name__}, whose update depends on the parameters "
            "themselves, got True"
        )
    kind = cls.rule.decay(values)
    if "cautious_weight_decay" in asked and kind != "decoupled" and not rule["own_decay"]:
        raise ValueError(
            f"cautious_weight_decay: expected False with {cls.__name__}'s {kind} weight decay (it must be "
            "decoupled), got True"
        )
