"""Optimizers on the best CPU level, made at once (`engine.make` looks for a level each time), and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from engine import BFLOAT16, bits


def make(name: str, params: Any, **options: Any) -> Any:
    return getattr(fastopt, name)(params, **options)


def bits_but_nan(value: Any) -> Any:
    """The bits of all that is in it, but that one NaN is as good as another.

    Its sign and payload may depend on where an element lies (docs/design/bytes.md).
    """
    if isinstance(value, np.ndarray) and (value.dtype.kind == "f" or value.dtype == BFLOAT16):
        return bits(np.where(np.isnan(value), np.array(np.nan, value.dtype), value))
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: bits_but_nan(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits_but_nan(v) for v in value]
    return bits(value)
