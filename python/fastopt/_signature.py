"""What the signatures of the optimizers have in common: types, and the keywords that each of them takes.

All of it exists at run time, so that ``typing.get_type_hints`` and ``inspect.signature(eval_str=True)`` work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastopt._rows import SparseRows

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack
elif sys.version_info >= (3, 11):
    from typing import Unpack
else:

    class Unpack:
        """For Python 3.10, which has none: the hint of ``**common: Unpack[Common]`` is then `Common`."""

        def __class_getitem__(cls, item: Any) -> Any:
            return item


__all__ = ["Array", "Common", "Gradients", "Lr", "Params", "Unpack"]

Array = NDArray[Any]
# One kind of iterable, not two: with a choice, mypy takes a list of arrays of two shapes for `list[object]`.
Params = Array | Iterable[Array | Mapping[str, Any]] | Mapping[Any, Array]
Gradient = Array | SparseRows
Gradients = Gradient | Sequence[Gradient | None] | Mapping[Any, Gradient | None]
Lr = float | Callable[[int], float]


class Common(TypedDict, total=False):
    """Documented at `fastopt.Optimizer`."""

    l1: float
    l1_proximal: float
    maximize: bool
    cautious: bool
    cautious_weight_decay: bool
    centralize: bool
    clip_value: float | None
    clip_norm: float | None
    clip_norm_type: Literal[2, "inf"] | float
    clip_norm_per: Literal["all", "tensor"]
    nonfinite: Literal["propagate", "skip", "raise"]
    state_dtype: DTypeLike | Mapping[str, DTypeLike] | None
    rounding: Literal["nearest", "stochastic", "kahan"]
    master: Literal["split16", "split8"] | None
    seed: int
    shadow: Array | Sequence[Array | None] | Mapping[Any, Array | None] | None
    ema_decay: float | None
    dtype: Literal["bfloat16"] | np.dtype[Any] | None
