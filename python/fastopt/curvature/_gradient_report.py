"""What a gradient check found, line by line and in all, for programs and for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from fastopt.curvature._kink import Slope

#: From harmless to grave: the gravest finding names the report.
ORDER = ("right", "round-off", "kink", "wrong")
#: Findings listed in the text before it only counts.
LISTED = 10
TINY = 1e-300


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


class Target(NamedTuple):
    """The first fields of a finding."""

    what: str
    where: str
    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index
    point: int


def finding_of(target: Target, claimed: float, slope: Slope, floor: float, tol: float) -> Finding:
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
        *target, kind, claimed, slope.value, uncertainty, relative, _digits(uncertainty, size),
        (low, high), slope.kink, slope.one_sided,
    )  # fmt: skip


def unseen(target: Target, claimed: float) -> Finding:
    """Nothing can be said: the function is not finite around x."""
    nothing = (math.nan, math.nan)
    return Finding(*target, "round-off", claimed, math.nan, math.inf, 0.0, 0, nothing, None, True)


def _digits(uncertainty: float, size: float) -> int:
    if uncertainty == 0.0:
        return 16
    return min(16, max(0, math.floor(math.log10(size) - math.log10(uncertainty)))) if size else 0


_TITLES = {
    "right": "right",
    "round-off": "right as far as round-off lets one see",
    "kink": "right, at a kink",
    "wrong": "WRONG",
}


_SUBJECTS = {"grad": "gradient", "hvp": "Hessian-vector product", "symmetry": "symmetry of the Hessian"}


class Worst(NamedTuple):
    """Where the gravest finding is: the array, by its name in x, and the index in it (None: a direction)."""

    parameter: str
    index: tuple[int, ...] | None  # type: ignore[assignment]  # hides tuple.index


@dataclass(frozen=True)
class GradientReport:
    """What :func:`check_grad` returns; ``print`` it.

    Attributes
    ----------
    kind : str
        The gravest kind of all findings: "right", "round-off", "kink", "wrong" in this order.
    relative_error : float
        Of the worst finding: how far the gradient is off, over its size.
    digits : int
        The fewest decimal digits that any finding could test.
    worst : Worst
        (parameter, index) of the worst finding.
    points : int
        Points at which the functions were checked.
    findings : tuple of Finding
        One for each coordinate or direction, in the order in which they were checked.
    evaluations : dict
        Calls of each function.
    """

    kind: str
    relative_error: float
    digits: int
    worst: Worst
    points: int
    findings: tuple[Finding, ...]
    evaluations: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: at "round-off" and "kink" too all agrees that can be seen."""
        return self.kind != "wrong"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = []
        for what, subject in _SUBJECTS.items():
            of = [finding for finding in self.findings if finding.what == what]
            if of:
                kind = max((finding.kind for finding in of), key=ORDER.index)
                lines += [f"{subject}: {_TITLES[kind]} ({_counts(of)})", *_details(of)]
        calls = ", ".join(f"{count} calls of {name}" for name, count in self.evaluations.items())
        where = "" if self.points == 1 else f"{self.points} points, "
        return "\n".join([*lines, f"  [{where}{calls}]"])


def report(findings: list[Finding], points: int, evaluations: dict[str, int]) -> GradientReport:
    worst = max(findings, key=lambda f: (ORDER.index(f.kind), f.relative_error, -f.digits))
    if worst.kind != "wrong":  # what differs is noise: small entries have much of it beside their size
        worst = max(findings, key=lambda f: (ORDER.index(f.kind), -f.digits))
    return GradientReport(
        worst.kind,
        worst.relative_error if worst.kind == "wrong" else _overall(findings),
        min(finding.digits for finding in findings),
        Worst(worst.parameter, worst.index),
        points,
        tuple(findings),
        evaluations,
    )


def _overall(findings: list[Finding]) -> float:
    """The largest difference over the largest entry."""
    sizes = [max(abs(f.claimed), abs(f.found)) for f in findings if f.found == f.found]
    gaps = [f.relative_error * size for f, size in zip(findings, sizes, strict=False)]
    return max(gaps, default=0.0) / max(max(sizes, default=0.0), TINY)


def _counts(findings: list[Finding]) -> str:
    """How many of which kind, and of what."""
    single = sum(finding.index is not None for finding in findings)
    parts = [(single, "coordinate"), (len(findings) - single, "direction")]
    tested = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in parts if count)
    kinds = [(sum(f.kind == kind for f in findings), kind) for kind in reversed(ORDER)]
    if sum(count > 0 for count, _ in kinds) == 1:
        return tested
    return f"{tested}: " + ", ".join(f"{count} {kind}" for count, kind in kinds if count)


def _details(findings: list[Finding]) -> list[str]:
    """The wrong ones, else those at kinks, else the one that could be tested least."""
    for kind in ("wrong", "kink"):
        some = sorted((f for f in findings if f.kind == kind), key=lambda f: -f.relative_error)
        if some:
            more = [f"  ... and {len(some) - LISTED} more"] if len(some) > LISTED else []
            return [f"  {_line(f)}" for f in some[:LISTED]] + more
    least = min(findings, key=lambda f: f.digits)
    notes = [f"  {_line(least)}"]
    edge = next((f for f in findings if f.one_sided and f is not least), None)
    return notes + ([f"  {_line(edge)}"] if edge else [])


def _line(f: Finding) -> str:
    where = f"{f.where} of point {f.point}" if f.point else f.where
    found = f"{f.found:.10g} +- {f.uncertainty:.1g}"
    edge = "; differences to one side only, as it is not finite on the other" if f.one_sided else ""
    if f.kink == 0.0 and f.slopes[0] != f.slopes[1]:
        inside = "outside" if f.kind == "wrong" else "within"
        low, high = f.slopes
        return f"{where}: {f.claimed:.6g} is {inside} the slopes of a kink, {low:.6g} to {high:.6g}"
    if f.kind == "wrong":
        off = f"off by {f.relative_error:.2g} of its size"
        return f"{where}: {off}, {f.claimed:.10g} where differences give {found}"
    if f.what == "symmetry":
        return f"{where}: v'Hw {f.claimed:.10g} and w'Hv {f.found:.10g} agree, {f.digits} digits testable"
    if f.found != f.found:
        return f"{where}: cannot be tested, the function is not finite around x"
    if f.kink is not None:
        edge += f"; a kink less than {f.kink:.1g} away"
    return f"{where}: {f.claimed:.10g} agrees with {found}, {f.digits} digits testable{edge}"
