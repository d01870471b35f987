"""A claimed slope against the one that was found: right, right down to round-off, wrong, or at a kink."""

from __future__ import annotations

import math
from typing import NamedTuple

from fastopt.curvature._slope import Slope

__all__ = ["ORDER", "Finding", "judge", "unseen"]

#: From harmless to grave: the gravest finding names the report.
ORDER = ("right", "round-off", "kink", "wrong")


class Finding(NamedTuple):
    """One coordinate or direction of a check.

    Attributes
    ----------
    what : str
        "grad", "hvp" or "symmetry".
    where : str
        Its name: ``x[1][3, 0]``, or the direction.
    parameter : str
        The array it belongs to.
    index : tuple of int or None
        The index in that array; None for a direction.
    point : int
        Which of the points: 0 is x.
    kind : str
        "right", "round-off", "kink" or "wrong".
    claimed, found, uncertainty : float
        The slope that the user's function says, the one that differences say, and by how much the latter
        may be off.
    relative_error : float
        ``|claimed - found|`` over the larger of both; at a kink, the distance to the slopes in between.
    digits : int
        So many decimal digits could be tested.
    slopes : (float, float)
        To either side, where they differ.
    kink : float or None
        A kink lies within this distance; 0 if x cannot be told from it.
    one_sided : bool
        The function is not finite on the other side of x.
    """

    what: str
    where: str
    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index
    point: int
    kind: str
    claimed: float
    found: float
    uncertainty: float
    relative_error: float
    digits: int
    slopes: tuple[float, float]
    kink: float | None
    one_sided: bool


class Place(NamedTuple):
    """The first fields of a finding."""

    what: str
    where: str
    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index
    point: int


def judge(place: Place, claimed: float, slope: Slope, floor: float, tol: float) -> Finding:
    """`floor`: rounding of the claimed slope itself."""
    low, high = slope.interval
    uncertainty = 3.0 * slope.error + floor
    size = max(abs(claimed), abs(slope.value), abs(low), abs(high))
    gap = max(low - claimed, claimed - high, 0.0)
    if gap > max(uncertainty, tol * size):
        kind = "wrong"
    elif slope.kink is not None and (slope.kink > 0.0 or high - low > max(uncertainty, tol * size)):
        kind = "kink"
    elif (high - low) + gap + uncertainty <= tol * size:
        kind = "right"
    else:
        kind = "round-off"
    relative = gap / size if gap else 0.0
    return Finding(
        *place, kind, claimed, slope.value, uncertainty, relative, _digits(uncertainty, size),
        (low, high), slope.kink, slope.one_sided,
    )  # fmt: skip


def unseen(place: Place, claimed: float) -> Finding:
    """Nothing can be said: the function is not finite around x."""
    nothing = (math.nan, math.nan)
    return Finding(*place, "round-off", claimed, math.nan, math.inf, 0.0, 0, nothing, None, True)


def _digits(uncertainty: float, size: float) -> int:
    if uncertainty == 0.0:
        return 16
    return min(16, max(0, math.floor(math.log10(size) - math.log10(uncertainty)))) if size else 0
