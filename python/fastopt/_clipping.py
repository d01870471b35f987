"""Which norm `clip_norm` is compared with: the keywords `clip_norm_type` and `clip_norm_per`."""

from __future__ import annotations

import math
import numbers
from typing import Any, Literal, get_args

__all__ = ["BEFORE", "NormPer", "NormType", "norm_per", "norm_type"]

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
    raise ValueError(f"clip_norm_type: expected 2 or inf, got {value!r}")


def norm_per(value: Any) -> NormPer:
    """The same value, if it is one."""
    if isinstance(value, str) and value in get_args(NormPer):
        return value  # type: ignore[return-value]
    raise ValueError(f"clip_norm_per: expected 'all' or 'tensor', got {value!r}")
