"""What `critical_point` returns, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._krylov_spectrum import Spectrum
from fastopt.curvature._stationary import Newton
from fastopt.functions.evaluation import Evaluation

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """The verdict about a point, with the numbers it rests on. Print it to read it.

    Attributes
    ----------
    kind : str
        - "minimum": all eigenvalues are above `tolerance`; "maximum": all are below its negative;
        - "saddle": at least one of each (needs no knowledge of the others);
        - "degenerate": none of these, and H is singular to better than half of its digits: second order
          leaves open what the point is (a valley floor, a plateau, a monkey saddle);
        - "unresolved": none of these, because the error of H, or what Lanczos could not see, is too large;
        - "not critical": the gradient is too large to speak of a critical point; the other numbers describe
          the curvature here and no more.
    n : int
        The number of parameters.
    eigenvalues : ndarray or None
        All eigenvalues, ascending, shape (n,); without a dense Hessian only the extreme ones that were
        found; None if only counts were asked for.
    n_negative, n_unresolved, n_positive : int
        Eigenvalues below ``-tolerance``, within it, above it. Without a dense Hessian, the outer two are
        lower bounds.
    min_ratio : (float, float)
        The share of positive eigenvalues, as an interval:
        ``(n_positive / n, (n_positive + n_unresolved) / n)``.
    tolerance : float
        ``tau = n eps |H| + 2 e``: how well eigenvalues are known. n is replaced by 4 if smaller, eps belongs
        to the dtype in which H was computed, e estimates H's finite-difference error or asymmetry.
    gradient_norm : float or None
        The 2-norm of the gradient; None if there was none.
    gradient_noise : float or None
        How much of it one rounding error in x makes.
    newton_decrement : float or None
        ``sqrt |g' H^-1 g|`` over the resolved eigenvalues: the Newton step changes f by half its square. None
        where the gradient is round-off and no step was taken, or where there is no gradient.
    newton_step : float or None
        The length of the Newton step: how far away the critical point of the quadratic model is.
    escape_direction : structure of x, or None
        For saddles and maxima the unit eigenvector of the smallest eigenvalue, signed so that g'u <= 0 (if
        g'u is 0, its largest entry is positive). f falls along it.
    curvature : float or None
        u'Hu along `escape_direction`.
    confidence : float
        1.0 where the verdict needs no luck; else the probability that stands behind it (Lanczos).
    hessian : ndarray or None
        The matrix that was analysed, not a copy: large, drop the result to free it.
    notes : tuple of str
        What a reader should know beside the numbers.
    """

    kind: str
    n: int
    eigenvalues: Array | None
    n_negative: int
    n_unresolved: int
    n_positive: int
    min_ratio: tuple[float, float]
    tolerance: float
    gradient_norm: float | None = None
    gradient_noise: float | None = None
    newton_decrement: float | None = None
    newton_step: float | None = None
    escape_direction: Any = None
    curvature: float | None = None
    confidence: float = 1.0
    hessian: Array | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    _newton: Newton | None = field(default=None, repr=False)
    _evaluation: Evaluation | None = field(default=None, repr=False)
    _spectrum: Spectrum | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"CriticalPoint(kind={self.kind!r}, n={self.n}, n_negative={self.n_negative}, " + (
            f"n_unresolved={self.n_unresolved}, n_positive={self.n_positive})"
        )

    def __str__(self) -> str:
        return text(self)

    def plot(self, f: Any = None, *, span: float | None = None, axes: Any = None) -> Any:
        """Draw the loss along the extreme eigenvectors, with the quadratic model over it.

        The model is L0 + t g'u + t^2 u'Hu / 2 for x + t u. Where it leaves the loss, the Hessian has stopped
        to speak for the function.

        Parameters
        ----------
        f : callable, optional
            The loss; needed unless `critical_point` was given one.
        span : float, optional
            Draw for t in [-span, span]; default: so that the loss changes visibly, found by evaluating it.
        axes : sequence of two matplotlib axes, optional
            To draw into; default: a new figure.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If there is no function, no x or no dense Hessian, or the Hessian has changed since.
        ImportError
            If matplotlib is not installed (``pip install fastopt[report]``).
        """
        from fastopt.curvature._plots import plot_point

        return plot_point(self, f, span, axes)


def signed(u: Array, g: Array | None) -> Array:
    """u or -u: downhill if the gradient has a side, else with its largest entry positive."""
    slope = 0.0 if g is None else float(u @ g)
    if slope == 0.0:
        slope = -float(u[np.abs(u).argmax()])
    return -u if slope > 0 else u


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
