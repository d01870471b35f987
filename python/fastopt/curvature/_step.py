"""One plain gradient step at a point, by the quadratic model and in truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._dense import Dense
from fastopt.curvature._extremes import Extremes
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.lengths import norm

Array = NDArray[Any]

__all__ = ["Step"]


class Step:
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

    def __init__(self, at: Evaluation, spectrum: Dense | Extremes, lr: float, momentum: float) -> None:
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
        after = (at.x - lr * at.g).astype(at.x.dtype, copy=False)
        with np.errstate(all="ignore"):
            self.measured = self.value - at.f(after)
        values, vectors = self.spectrum.pairs()
        # At the limit itself, as far as it is known, the iterate bounces for ever.
        unstable = np.flatnonzero(lr * (values + self.spectrum.tau) >= 2 * (1 + self.momentum))
        inside = vectors[:, unstable].T @ unit
        self.unstable, self.unstable_share = len(unstable), float(inside @ inside)
        self.swing = math.nan
        if self.unstable_share > 0:
            u = vectors[:, unstable[np.abs(inside).argmax()]]
            with np.errstate(all="ignore"):
                self.swing = float(u @ at.grad(after)) / float(u @ at.g)

    def gains_nothing(self, share: float) -> bool:
        """Whether f hardly changes per step, relative to its size."""
        return abs(self.gain) <= share * abs(self.value)
