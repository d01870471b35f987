"""`escape`: leave a saddle along its most negative curvature, by a step that is seen to work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastopt._checks import integer, shown
from fastopt.curvature._critical_point import spectrum_at
from fastopt.curvature._escape_search import Attempt, EscapeSearch
from fastopt.curvature._point import signed
from fastopt.functions.arguments import takes_functions
from fastopt.functions.evaluation import Evaluation

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class EscapeResult:
    """What `escape` did. Print it to read it.

    Attributes
    ----------
    x : structure of the given x
        The new point; a copy of the given one if `moved` is False.
    moved : bool
        Whether a point with a really smaller f was found.
    decrease : float
        f at the given point minus f at `x`; 0 if not moved.
    value : float
        f at `x`.
    step : float
        The length of the step taken, negative if against `direction`.
    direction : structure of x, or None
        The unit direction of the most negative curvature, downhill; None if there is none.
    curvature : float
        u'Hu along it, or the smallest eigenvalue found.
    noise : float
        The level below which differences of f were not believed.
    attempts : tuple of (step, value)
        Every evaluation along the direction, in order; no step occurs twice.
    message : str
        What happened, in words.
    """

    x: Any
    moved: bool
    decrease: float
    value: float
    step: float
    direction: Any
    curvature: float
    noise: float
    attempts: tuple[Attempt, ...]
    message: str

    def __str__(self) -> str:
        lines = [self.message]
        before = self.value + self.decrease
        lines += [f"  step {a.step:+.4g}: f changes by {a.value - before:+.4g}" for a in self.attempts]
        return "\n".join(lines)


@takes_functions
def escape(
    f: Callable[..., Any],
    grad: Callable[..., Any] | None,
    x: Any,
    *,
    hessian: Any = None,
    hvp: Any = None,
    error: float | None = None,
    max_attempts: int = 60,
) -> EscapeResult:
    r"""Leave a saddle or a maximum along its most negative curvature.

    With u the unit eigenvector of the smallest eigenvalue :math:`\lambda < -\tau`, f falls like
    :math:`\lambda t^2 / 2` on both sides of x. The first step is long enough for the decrease to stand out of
    the noise of f, :math:`t_0 = \sqrt{2 \cdot 10\, \mathrm{noise} / |\lambda|}`: a shorter one leads back to
    the same saddle. Downhill (:math:`-\mathrm{sign}(g^T u)`) is tried first, then the other side, then both
    with longer steps, last with shorter ones. From the first real decrease the step grows, faster and faster,
    for as long as f falls by half of what g and H promise, then doubles while f falls. At x = 0, where
    neither x nor the noise says how long a step is, it begins where f ceases to keep that promise.

    Parameters
    ----------
    f : callable
        The loss: takes x, or its like in new arrays, and returns a number.
    grad : callable or None
        Its gradient; None if `hessian` or `hvp` is given.
    x : array, or list, tuple or dict of arrays, float32 or float64
        The point to leave. Not changed.
    hessian, hvp, error
        As in :func:`fastopt.critical_point`.
    max_attempts : int, default 60
        Evaluations of f along the direction, at most.

    Returns
    -------
    EscapeResult
        ``x``, ``moved``, ``decrease``, ``attempts``, ``message``, ...

    Raises
    ------
    TypeError, ValueError
        As :func:`fastopt.critical_point`. Where f is not finite away from x, the step is refused; at x it is
        an error. What the user's functions raise passes through.

    Notes
    -----
    A decrease counts if it is above twice the noise of f, which is measured at x. The noise and 60 steps
    cost as many evaluations of f. Perturbed gradient descent (Jin et al., ICML 2017) escapes by chance and
    needs no Hessian; here the direction is computed, so one success is certain where f follows its Hessian.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda w: (1 - w[0] * w[1]) ** 2
    >>> grad = lambda w: -2 * (1 - w[0] * w[1]) * w[::-1]
    >>> result = fastopt.escape(f, grad, np.zeros(2))
    >>> result.moved, result.value < 0.5, len(result.attempts) < 40
    (True, True, True)
    """
    if f is None:
        raise TypeError(f"f: expected a function of x, got {shown(f)}")
    max_attempts = integer("max_attempts", max_attempts, minimum=1)
    at = Evaluation(f, grad, x)
    g = at.g if at.has_grad else None
    start = at.value
    spectrum = spectrum_at(at, hessian, hvp, error)
    curvature, u = spectrum.lowest()
    if not curvature < -spectrum.tau:
        return _result(at, None, curvature, (), 0.0, _nothing(curvature, spectrum.tau))
    u = signed(u, g)
    search = EscapeSearch(at, u, start, max_attempts, curvature, 0.0 if g is None else float(g @ u))
    step = search.run()
    return _result(at, u, curvature, tuple(search.attempts), step, search.message)


def _nothing(curvature: float, tau: float) -> str:
    return (
        f"not moved: there is no negative curvature to follow; the smallest eigenvalue is {curvature:.4g}, "
        f"known within {tau:.2g}"
    )


def _result(
    at: Evaluation,
    u: Array | None,
    curvature: float,
    attempts: tuple[Attempt, ...],
    step: float,
    message: str,
) -> EscapeResult:
    value = next((a.value for a in attempts if a.step == step), at.value)
    flat = at.x if u is None else at.x + step * u
    return EscapeResult(
        at.layout.structured(flat),
        step != 0.0,
        at.value - value,
        value,
        step,
        None if u is None else at.layout.structured(u),
        curvature,
        at.value_noise,
        attempts,
        message,
    )
