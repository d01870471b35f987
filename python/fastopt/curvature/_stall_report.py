"""What `why_stalled` returns: every question it asked, the numbers, the answer, the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastopt.curvature._point import CriticalPoint

Array = NDArray[Any]


class Cause(NamedTuple):
    """One possible cause: whether it holds here, and the numbers that say so."""

    cause: str
    holds: bool
    evidence: str


@dataclass(frozen=True, eq=False)
class StallReport:
    """Why training no longer gets on. Print it to read it.

    Attributes
    ----------
    cause : str
        "critical point", "oscillating", "gradient noise", "plateau", "step too small", "narrow valley" or
        "not stalled": the first of `findings` that holds.
    cure : str
        What usually helps against it.
    findings : tuple of (cause, holds, evidence)
        All causes that were looked for, in this order; several may hold.
    point : CriticalPoint
        The verdict about the point.
    lr, lr_limit, lr_best : float
        The learning rate; the largest one that is stable along the steepest direction (infinite without
        positive curvature); the one that lowers the quadratic model most in one plain gradient step
        (infinite if the curvature along the gradient is not positive).
    sharpness : float
        The largest eigenvalue of the Hessian.
    gradient_norm : float
        The 2-norm of the gradient.
    value : float
        f at the point.
    predicted, measured : float
        What one plain gradient step lowers f by, according to the quadratic model and according to f
        (negative if f rises).
    noise_ratio : float or None
        Root mean square of the noise of the stochastic gradient over the norm of the true one; None without
        a stochastic gradient.
    """

    cause: str
    cure: str
    findings: tuple[Cause, ...]
    point: CriticalPoint
    lr: float
    lr_limit: float
    lr_best: float
    sharpness: float
    gradient_norm: float
    value: float
    predicted: float
    measured: float
    noise_ratio: float | None

    def __str__(self) -> str:
        width = max(len(finding.cause) for finding in self.findings)
        lines = [
            f"{self.cause}: {next((x.evidence for x in self.findings if x.holds), _PROGRESS.format(self))}",
            f"  cure: {self.cure}",
            f"  f = {self.value:.8g}, |g| = {self.gradient_norm:.4g}, sharpness {self.sharpness:.4g}, "
            f"lr {self.lr:.4g} (stable below {self.lr_limit:.4g}, best for one step {self.lr_best:.4g})",
            f"  one gradient step lowers f by {self.predicted:.3g} in the model, by {self.measured:.3g} "
            "in truth",
        ]
        lines += [f"  {'yes' if x.holds else ' no'}  {x.cause:<{width}}  {x.evidence}" for x in self.findings]
        return "\n".join(lines)


_PROGRESS = "one step lowers f by {0.measured:.3g}, of {0.value:.6g}"
