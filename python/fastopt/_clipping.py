"""Which norm `clip_norm` is compared with, by `clip_norm_type` and `clip_norm_per`; and `nonfinite`."""

from __future__ import annotations

import math
import numbers
from typing import Any, Literal, get_args

from fastopt._checks import brief, word

__all__ = ["BEFORE", "NormPer", "NormType", "nonfinite", "norm_per", "norm_type"]

#: As it is kept and saved: JSON has no infinity.
NormType = Literal[2, "inf"]
NormPer = Literal["all", "tensor"]

#: What the optimizers did whose saved options do not say it.
BEFORE = {"clip_norm_type": 2, "clip_norm_per": "all"}


def norm_type(value: Any) -> NormType:
    """The word for it; a number as PyTorch and NumPy have it, or "inf"."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and value in (2, math.inf):
        return 2 if value == 2 else "inf"
    if isinstance(value, str) and value == "inf":
        return "inf"
    raise ValueError(f"clip_norm_type: expected 2 or inf, got {brief(value)}")


def norm_per(value: Any) -> NormPer:
    """The same value, if it is one."""
    return word("clip_norm_per", value, get_args(NormPer), "'all' or 'tensor'")  # type: ignore[return-value]


def nonfinite(value: Any) -> str:
    """The same of what happens when a gradient holds NaN or infinity."""
    return word("nonfinite", value, ("propagate", "skip", "raise"), "'propagate', 'skip' or 'raise'")
