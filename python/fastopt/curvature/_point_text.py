"""A critical point in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastopt.curvature._point import CriticalPoint

_MEANING = {
    "minimum": "the loss rises in every direction",
    "maximum": "the loss falls in every direction",
    "saddle": "the loss falls in some directions and rises in others",
    "degenerate": "the Hessian is singular: second order cannot tell what kind of point this is",
    "unresolved": "the curvature is not known well enough for a verdict",
    "not critical": "the gradient is too large for that; the counts describe the curvature here",
}


def text(p: CriticalPoint) -> str:
    """Verdict first, then one line for each number that it rests on."""
    lines = [_headline(p), f"  {_MEANING[p.kind]}", _curvature(p)]
    if p.gradient_norm is not None:
        lines.append(_gradient(p))
    if p._newton is not None:
        lines.append(_newton(p))
    if p.escape_direction is not None and p.curvature is not None:
        lines.append(
            f"  escape      escape_direction has curvature {p.curvature:.4g}: a step t along it changes the "
            f"loss by about {p.curvature / 2:.3g} t^2"
        )
    if p.confidence < 1:
        lines.append(f"  confidence  {p.confidence:.6f} (it rests on random vectors)")
    return "\n".join([*lines, *(f"  note        {note}" for note in p.notes)])


def _headline(p: CriticalPoint) -> str:
    low, high = p.min_ratio
    ratio = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    bound = "at least " if p.n_unresolved and p.eigenvalues is not None and len(p.eigenvalues) < p.n else ""
    parts = [f"{bound * bool(p.n_negative)}{p.n_negative} of {p.n} eigenvalues negative"]
    parts.append(f"{bound * bool(p.n_positive)}{p.n_positive} positive")
    if p.n_unresolved:
        parts.append(f"{p.n_unresolved} unresolved")
    return f"{p.kind}: {', '.join(parts)} (min ratio {ratio})"


def _curvature(p: CriticalPoint) -> str:
    if p.eigenvalues is None:
        return (
            f"  curvature   counted, not computed; eigenvalues within {p.tolerance:.2g} of 0 are unresolved"
        )
    low, high = p.eigenvalues[0], p.eigenvalues[-1]
    return f"  curvature   eigenvalues from {low:.4g} to {high:.4g}, each known within {p.tolerance:.2g}"


def _gradient(p: CriticalPoint) -> str:
    noise = f" (round-off {p.gradient_noise:.2g})" if p.gradient_noise else ""
    return f"  gradient    norm {p.gradient_norm:.4g}{noise}"


def _newton(p: CriticalPoint) -> str:
    step = p._newton
    assert step is not None
    line = f"  Newton      step of length {step.length:.3g}, changing the loss by {step.decrement**2 / 2:.3g}"
    if step.flat_length > step.length:
        line += (
            f"; the loss also slopes along directions without curvature (step above {step.flat_length:.2g})"
        )
    if not step.near:
        return line + ": too far away for x to stand for it"
    line += f"; there the gradient is {step.remaining:.2g} of that here"
    return line if step.steady else line + f" and the Hessian has changed by {step.change:.2g} along it"
