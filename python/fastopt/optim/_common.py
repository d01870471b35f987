"""The keywords that every optimizer takes, for its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

    Lr = float | Callable[[int], float]


class Common(TypedDict, total=False):
    """Documented at `fastopt.Optimizer`."""

    l1: float
    l1_proximal: float
    maximize: bool
    clip_value: float | None
    clip_norm: float | None
    nonfinite: str
    state_dtype: DTypeLike | None
    ema_decay: float | None
    dtype: Any
