"""`why_stalled`: critical point, oscillation, noise, plateau, small steps, or a narrow valley?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, positive, real, shown
from fastopt.curvature._critical_point import analysed, spectrum_at
from fastopt.curvature._point import CriticalPoint
from fastopt.curvature._stall_causes import (
    Cause,
    PlainStep,
    critical,
    cure_of,
    noisy,
    oscillating,
    plateau,
    small,
    valley,
)
from fastopt.functions.arguments import takes_functions
from fastopt.functions.counted import VectorFunction
from fastopt.functions.evaluation import Evaluation, finite_gradient

Array = NDArray[Any]


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


@takes_functions
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
    lr = positive("lr", lr)
    momentum = real("momentum", momentum, minimum=0.0, maximum=1.0, open_high=True)
    draws = integer("draws", draws, minimum=2)
    at = Evaluation(f, grad, x)
    noise = None
    if stochastic_grad is not None:
        noise = VectorFunction(stochastic_grad, at.layout, "stochastic_grad")
    _ = at.value, at.g
    spectrum = spectrum_at(at, hessian, hvp, error)
    point = analysed(at, spectrum, None)
    step = PlainStep(at, spectrum, lr, momentum)
    findings = [critical(point, at.value), oscillating(step)]
    ratio = None
    if noise is not None:
        deviations = np.stack([finite_gradient(noise, at.x) for _ in range(draws)]) - at.g
        finding, ratio = noisy(step, deviations)
        findings.append(finding)
    findings += [plateau(step), small(step), valley(step)]
    cause = next((x.cause for x in findings if x.holds), "not stalled")
    return StallReport(
        cause,
        cure_of(cause, point, step),
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
