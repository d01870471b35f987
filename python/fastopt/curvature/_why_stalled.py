"""`why_stalled`: critical point, oscillation, noise, plateau, small steps, or a narrow valley?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, real, shown
from fastopt.curvature._critical_point import analysed
from fastopt.curvature._point import CriticalPoint
from fastopt.curvature._source import spectrum_at
from fastopt.curvature._stall_report import Cause, StallReport
from fastopt.curvature._step import Step
from fastopt.functions.counted import VectorFunction
from fastopt.functions.evaluation import Evaluation, finite_gradient

Array = NDArray[Any]

__all__ = ["StallReport", "why_stalled"]

#: A decrease per step below this share of |f| is negligible: 10,000 such steps gain a hundredth.
NEGLIGIBLE = 1e-6
#: A learning rate is small below this share of the best and of the stable one.
SMALL = 0.1
#: What the Newton step may still change f by, relative to it, for the critical point to be reached.
LEFT = 1e-3
#: Directions matter to the oscillation if they hold this share of the squared gradient.
SHARE = 0.1
#: A plateau: within a tenth of |x| f changes by less than this share.
PLATEAU_REACH, PLATEAU_CHANGE = 0.1, 0.01


def why_stalled(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    x: Any,
    lr: float,
    *,
    hessian: Any = None,
    hvp: Any = None,
    error: float | None = None,
    stochastic_grad: Callable[..., Any] | None = None,
    draws: int = 16,
    momentum: float = 0.0,
) -> StallReport:
    r"""Why does the loss no longer fall? With the numbers, and the usual cure.

    Asked in this order, about gradient descent from x with the learning rate `lr`:

    1. *critical point*: the verdict of :func:`fastopt.critical_point` is one, and the Newton step would
       change f by less than 0.1 %.
    2. *oscillating*: along eigenvectors with :math:`\mathrm{lr}\,\lambda \ge 2 (1 + \mu)` every step
       overshoots by more than it corrects, and the gradient lies there (a tenth of its square or more).
    3. *gradient noise*: what mini-batch noise adds per step,
       :math:`\tfrac12 \mathrm{lr}^2 E[\xi^T H \xi]`, eats up what the step gains,
       :math:`\mathrm{lr} \|g\|^2 - \tfrac12 \mathrm{lr}^2 g^T H g`.
    4. *plateau*: within a tenth of :math:`\|x\|` (of 1 at x = 0) gradient and curvature together change f
       by less than 1 %.
    5. *step too small*: a step gains less than 1e-6 of :math:`|f|`, and `lr` is below a tenth of the rate
       that is best for one step and of the largest stable one.
    6. *narrow valley*: a step gains as little, but a larger one would be unstable.

    Parameters
    ----------
    f, grad : callable
        The loss and its gradient, on the whole set of data: take x, or its like in new arrays.
    x : array, or list, tuple or dict of arrays, float32 or float64
        Where training is. Not changed.
    lr : float
        The learning rate of a plain gradient step (of adaptive methods: one that moves x as far). Positive.
    hessian, hvp, error
        As in :func:`fastopt.critical_point`.
    stochastic_grad : callable, optional
        The gradient that training sees, on a new batch at every call; takes x. Without it noise is not asked
        for.
    draws : int, default 16
        How often it is called, at least 2.
    momentum : float, default 0.0
        :math:`\mu` of the heavy-ball form (``momentum_form="gradient"``): raises the stability limit to
        :math:`2 (1 + \mu) / \lambda` and the effective rate to :math:`\mathrm{lr} / (1 - \mu)`. In [0, 1).

    Returns
    -------
    StallReport
        ``cause``, ``cure``, ``findings``, ``point``, ``lr_limit``, ``lr_best``, ...; print it to read it.

    Raises
    ------
    TypeError, ValueError
        As :func:`fastopt.critical_point`, or if `lr`, `draws` or `momentum` is out of range. What the user's
        functions raise passes through.

    Notes
    -----
    Up to 4096 parameters all eigenpairs are computed; beyond, the extreme ones. The bound 2 / lambda is that
    of a quadratic; for momentum see Polyak, USSR Comput. Math. Math. Phys. 4 (1964). On noise: Bottou,
    Curtis and Nocedal, SIAM Review 60 (2018), section 4.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda w: 50 * w[0] ** 2 + w[1] ** 2 / 2
    >>> grad = lambda w: np.array([100 * w[0], w[1]])
    >>> fastopt.why_stalled(f, grad, np.array([0.1, 3.0]), lr=0.02).cause
    'oscillating'
    >>> fastopt.why_stalled(f, grad, np.array([0.1, 3.0]), lr=1e-9).cause
    'step too small'
    """
    for name, function in (("f", f), ("grad", grad)):
        if function is None:
            raise TypeError(f"{name}: expected a function of x, got {shown(function)}")
    lr = real("lr", lr, minimum=0.0, open_low=True)
    momentum = real("momentum", momentum, minimum=0.0, maximum=1.0, open_high=True)
    draws = integer("draws", draws, minimum=2)
    at = Evaluation(f, grad, x)
    noise = None
    if stochastic_grad is not None:
        noise = VectorFunction(stochastic_grad, at.problem.layout, "stochastic_grad")
    _ = at.value, at.g
    spectrum = spectrum_at(at, hessian, hvp, error)
    point = analysed(at, spectrum, None)
    step = Step(at, spectrum, lr, momentum)
    findings = [_critical(point, at.value), _oscillating(step)]
    ratio = None
    if noise is not None:
        deviations = np.stack([finite_gradient(noise, at.x) for _ in range(draws)]) - at.g
        finding, ratio = _noisy(step, deviations)
        findings.append(finding)
    findings += [_plateau(step), _small(step), _valley(step)]
    cause = next((x.cause for x in findings if x.holds), "not stalled")
    return StallReport(
        cause,
        _cure(cause, point, step),
        tuple(findings),
        point,
        lr,
        step.limit,
        step.best,
        step.sharpness,
        step.size,
        at.value,
        step.predicted,
        step.measured,
        ratio,
    )


def _critical(point: CriticalPoint, value: float) -> Cause:
    """Near a critical point steps may still matter: a minimum is no reason to stop at twice its loss."""
    first, *_ = str(point).splitlines()
    left = 0.0 if point.newton_decrement is None else point.newton_decrement**2 / 2
    if point.kind != "not critical" and left:
        first += f"; the Newton step changes f by {left:.3g}"
    return Cause("critical point", point.kind != "not critical" and left <= LEFT * abs(value), first)


def _oscillating(step: Step) -> Cause:
    holds = step.unstable > 0 and step.unstable_share >= SHARE
    evidence = f"lr * sharpness = {step.lr * step.sharpness:.3g}, stable below {2 * (1 + step.momentum):.3g}"
    if step.unstable:
        evidence += (
            f"; {step.unstable} unstable direction{'s' * (step.unstable > 1)} with "
            f"{step.unstable_share:.2g} of the squared gradient; after a step the gradient there is "
            f"{step.swing:+.3g} of what it was"
        )
    return Cause("oscillating", holds, evidence)


def _noisy(step: Step, deviations: Array) -> tuple[Cause, float]:
    """The expected decrease of a stochastic step: the true one, less half lr^2 E[xi' H xi]."""
    lost = step.lr**2 / 2 * float(np.mean([d @ step.spectrum.matvec(d) for d in deviations]))
    rms = float(np.sqrt(np.mean(np.sum(np.square(deviations), axis=1))))
    ratio = rms / step.size if step.size else math.inf
    gained = step.predicted
    evidence = (
        f"noise / signal of the gradient {ratio:.3g}; a step gains {gained:.3g} by its mean and loses "
        f"{lost:.3g} by its noise"
    )
    return Cause("gradient noise", lost > 0 and lost >= gained > 0, evidence), ratio


def _plateau(step: Step) -> Cause:
    reach = PLATEAU_REACH * step.scale
    change = step.size * reach + step.spectrum.norm * reach**2 / 2
    evidence = (
        f"within {reach:.3g} of x gradient and curvature change f by at most {change:.3g}, "
        f"of {step.value:.4g}"
    )
    return Cause("plateau", change <= PLATEAU_CHANGE * abs(step.value), evidence)


def _small(step: Step) -> Cause:
    bound = min(step.best, step.limit)
    evidence = f"a step gains {step.gain:.3g}, of {step.value:.4g}; lr is {step.lr / bound:.2g} of a good one"
    return Cause("step too small", step.gains_nothing(NEGLIGIBLE) and step.lr < SMALL * bound, evidence)


def _valley(step: Step) -> Cause:
    bound = min(step.best, step.limit)
    evidence = (
        f"curvature along the gradient {step.along:.3g}, largest {step.sharpness:.3g}: the steepest "
        f"direction caps lr at {step.limit:.3g}"
    )
    holds = step.gains_nothing(NEGLIGIBLE) and step.lr >= SMALL * bound and step.unstable_share < SHARE
    return Cause("narrow valley", holds, evidence)


def _cure(cause: str, point: CriticalPoint, step: Step) -> str:
    if cause == "critical point":
        return _CRITICAL[point.kind]
    return _CURES[cause].format(step)


_CRITICAL = {
    "minimum": "nothing to cure: this is a local minimum; a lower loss needs another start or another model",
    "maximum": "fastopt.escape(f, grad, x): every direction leads down",
    "saddle": "fastopt.escape(f, grad, x), or a larger, noisier step: the loss falls along escape_direction",
    "degenerate": "look beyond second order: f along the flat eigenvectors; a loss of zero is a minimum",
    "unresolved": "a better Hessian (hvp= with exact products, or float64) before anything else",
}
_CURES = {
    "oscillating": "lr below {0.limit:.3g} (half of it to be safe), decay, warm-up, or clip_norm",
    "gradient noise": "a smaller or decaying lr, larger batches, or an average of the weights (ema_decay)",
    "plateau": "an adaptive method (Adam), another initialisation, activations that do not saturate",
    "step too small": "lr near {0.good:.3g}",
    "narrow valley": "momentum, an adaptive or second-order method (fastopt.minimize), standardised inputs",
    "not stalled": "none needed: go on",
}
