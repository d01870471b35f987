"""One plain gradient step, by the quadratic model and in truth; the causes that it shows, and their cures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._krylov_spectrum import SpectrumEnds
from fastopt.curvature._point import CriticalPoint
from fastopt.curvature._spectrum import DenseSpectrum
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.lengths import norm

Array = NDArray[Any]

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


class Cause(NamedTuple):
    """One possible cause: whether it holds here, and the numbers that say so."""

    cause: str
    holds: bool
    evidence: str


class PlainStep:
    """x - lr g, and what the spectrum says about it.

    Attributes
    ----------
    size, value, scale : float
        |g|, f, and |x|, or 1 at x = 0.
    along : float
        g'Hg / g'g, the curvature along the gradient.
    sharpness : float
        The largest eigenvalue.
    limit, best, good : float
        The largest stable rate, 2 (1 + momentum) / sharpness; the best for one step, 1 / along; the smaller
        of half the first and the second.
    predicted, measured : float
        The decrease of f in one step: lr |g|^2 (1 - lr along / 2), and evaluated.
    gain : float
        What a step gains in the long run of momentum: lr / (1 - momentum) |g|^2, if the curvature allows it.
    unstable, unstable_share : int, float
        Eigenvectors with lr lambda >= 2 (1 + momentum), and their share of |g|^2.
    swing : float
        u'g(x - lr g) / u'g for the unstable eigenvector u that holds most of the gradient; nan if none.
    """

    def __init__(
        self, at: Evaluation, spectrum: DenseSpectrum | SpectrumEnds, lr: float, momentum: float
    ) -> None:
        self.at, self.spectrum, self.lr, self.momentum = at, spectrum, lr, momentum
        g = at.g
        self.size, self.value = float(np.linalg.norm(g)), at.value
        self.scale = norm(at.x) or 1.0
        self.sharpness = float(spectrum.eigenvalues[-1])
        unit = g / self.size if self.size else g
        self.along = float(unit @ spectrum.matvec(unit))
        self.limit = 2 * (1 + momentum) / self.sharpness if self.sharpness > 0 else math.inf
        self.best = 1 / self.along if self.along > 0 else math.inf
        self.good = min(self.limit / 2, self.best)
        self.predicted = lr * self.size**2 * (1 - lr * self.along / 2)
        self.gain = self.predicted / (1 - momentum)
        self._look(lr, unit)

    def _look(self, lr: float, unit: Array) -> None:
        """Take the step; NaN and infinity are answers here."""
        at = self.at
        after = at.x - lr * at.g
        self.measured = self.value - at.value_at(after)
        values, vectors = self.spectrum.pairs()
        # At the limit itself, as far as it is known, the iterate bounces for ever.
        unstable = np.flatnonzero(lr * (values + self.spectrum.tau) >= 2 * (1 + self.momentum))
        inside = vectors[:, unstable].T @ unit
        self.unstable, self.unstable_share = len(unstable), float(inside @ inside)
        self.swing = math.nan
        if self.unstable_share > 0:
            u = vectors[:, unstable[np.abs(inside).argmax()]]
            with np.errstate(all="ignore"):
                self.swing = float(u @ at.gradient_at(after)) / float(u @ at.g)

    def gains_nothing(self, share: float) -> bool:
        """Whether f hardly changes per step, relative to its size."""
        return abs(self.gain) <= share * abs(self.value)


def critical(point: CriticalPoint, value: float) -> Cause:
    """Near a critical point steps may still matter: a minimum is no reason to stop at twice its loss."""
    first, *_ = str(point).splitlines()
    left = 0.0 if point.newton_decrement is None else point.newton_decrement**2 / 2
    if point.kind != "not critical" and left:
        first += f"; the Newton step changes f by {left:.3g}"
    return Cause("critical point", point.kind != "not critical" and left <= LEFT * abs(value), first)


def oscillating(step: PlainStep) -> Cause:
    holds = step.unstable > 0 and step.unstable_share >= SHARE
    evidence = f"lr * sharpness = {step.lr * step.sharpness:.3g}, stable below {2 * (1 + step.momentum):.3g}"
    if step.unstable:
        evidence += (
            f"; {step.unstable} unstable direction{'s' * (step.unstable > 1)} with "
            f"{step.unstable_share:.2g} of the squared gradient; after a step the gradient there is "
            f"{step.swing:+.3g} of what it was"
        )
    return Cause("oscillating", holds, evidence)


def noisy(step: PlainStep, deviations: Array) -> tuple[Cause, float]:
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


def plateau(step: PlainStep) -> Cause:
    reach = PLATEAU_REACH * step.scale
    change = step.size * reach + step.spectrum.norm * reach**2 / 2
    evidence = (
        f"within {reach:.3g} of x gradient and curvature change f by at most {change:.3g}, "
        f"of {step.value:.4g}"
    )
    return Cause("plateau", change <= PLATEAU_CHANGE * abs(step.value), evidence)


def small(step: PlainStep) -> Cause:
    bound = min(step.best, step.limit)
    evidence = f"a step gains {step.gain:.3g}, of {step.value:.4g}; lr is {step.lr / bound:.2g} of a good one"
    return Cause("step too small", step.gains_nothing(NEGLIGIBLE) and step.lr < SMALL * bound, evidence)


def valley(step: PlainStep) -> Cause:
    bound = min(step.best, step.limit)
    evidence = (
        f"curvature along the gradient {step.along:.3g}, largest {step.sharpness:.3g}: the steepest "
        f"direction caps lr at {step.limit:.3g}"
    )
    holds = step.gains_nothing(NEGLIGIBLE) and step.lr >= SMALL * bound and step.unstable_share < SHARE
    return Cause("narrow valley", holds, evidence)


def cure_of(cause: str, point: CriticalPoint, step: PlainStep) -> str:
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
