"""Spectra of which not all is computed: the ends, from products, or the signs of a dense Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._spectrum import Counts, DenseHessian, DenseSpectrum, tolerance
from fastopt.functions.counted import VectorFunction
from fastopt.functions.evaluation import finite_gradient
from fastopt.linalg import eigvalsh
from fastopt.linalg._chance import missed, steps_needed
from fastopt.linalg._krylov import krylov_space

Array = NDArray[Any]

#: Eigenpairs sought at both ends together.
PAIRS = 8
#: Products spent on them: a Ritz value counts whether it has converged or not.
SEARCH = 300
#: The probability that a verdict resting on Lanczos is wrong.
CHANCE = 1e-6
#: The Krylov space behind such a verdict: at most so many steps, and so many bytes.
STEPS, BYTES = 400, 1 << 29
#: Steps of the Newton direction: it need not be exact, as the gradient after it is looked at.
NEWTON_STEPS = 60
#: Steps of Lanczos for |H|, which only scales the tolerance: a few percent do.
NORM_STEPS = 12


class SpectrumEnds:
    """What `DenseSpectrum` is, for a product v -> H v; counts of resolved eigenvalues are lower bounds.

    Ritz values are Rayleigh quotients on orthonormal vectors, so (Cauchy) H has at least as many eigenvalues
    below -tau as there are Ritz values there, converged or not: a saddle needs no luck. That nothing lies
    beyond the Ritz values is never certain from products alone; `certify` says it with a probability.
    """

    matrix = None

    def __init__(self, product: VectorFunction, n: int, error: float, rng: np.random.Generator) -> None:
        from fastopt.linalg import EigshNoConvergence, eigsh

        self.product, self.n, self.rng = product, n, rng
        self.notes: tuple[str, ...] = ()
        v, w = (_unit(rng, n, product) for _ in range(2))
        skew = abs(float(w @ self.matvec(v) - v @ self.matvec(w)))
        self.error = max(error, skew * math.sqrt(n))
        self.eps = product.eps
        try:
            found = eigsh(self.matvec, min(PAIRS, n), n=n, which="BE", tol=1e-5, max_steps=SEARCH)
            self.eigenvalues, self.vectors = found.eigenvalues, found.eigenvectors
        except EigshNoConvergence as e:
            self.eigenvalues, self.vectors = e.eigenvalues, e.eigenvectors
            self.notes = (f"the extreme eigenvalues have not converged in {e.products} products",)
        self.norm = float(np.abs(self.eigenvalues[[0, -1]]).max())
        self.tau = tolerance(n, self.norm, self.eps, self.error)
        negative = int((self.eigenvalues < -self.tau).sum())
        positive = int((self.eigenvalues > self.tau).sum())
        self.counts = Counts(negative, n - negative - positive, positive)
        self.confidence = 1.0
        if not (negative and positive):
            self._certify()

    def matvec(self, v: Array) -> Array:
        return finite_gradient(self.product, v)

    @property
    def smallest(self) -> float:
        """Below this no |eigenvalue| is known to stay: nothing is known of the inner ones."""
        return self.tau if self.counts.unresolved else float(np.abs(self.eigenvalues).min())

    def lowest(self) -> tuple[float, Array]:
        return float(self.eigenvalues[0]), self.vectors[:, 0]

    def pairs(self) -> tuple[Array, Array]:
        return self.eigenvalues, self.vectors

    def newton(self, g: Array) -> tuple[Array, Array]:
        return newton(self, g)

    def _certify(self) -> None:
        """Whether all eigenvalues have the sign of those found, but for a chance of `CHANCE`."""
        distance = float(np.abs(self.eigenvalues).min()) - self.tau
        spread = float(self.eigenvalues[-1] - self.eigenvalues[0])
        one_sided = self.eigenvalues[0] > self.tau or self.eigenvalues[-1] < -self.tau
        if not one_sided:
            return
        # Twice the steps that would just do: the spread is estimated as well, and has to be enlarged.
        steps = 2 * steps_needed(self.n, min(distance / spread, 1.0), CHANCE / 2) if spread else self.n
        if steps > min(STEPS, max(2, BYTES // (8 * self.n))) and steps < self.n:
            self.notes += (f"a verdict on the sign of all eigenvalues would take {steps} products or more",)
            return
        steps = min(steps, self.n)
        low, high = ritz_ends(self.matvec, _unit(self.rng, self.n, self.product), steps)
        share = missed(self.n, steps, CHANCE / 2)
        slack = share * (high - low) / (1 - 2 * share) if share < 0.5 else math.inf
        if low - slack > self.tau:
            self.counts, self.confidence = Counts(0, 0, self.n), 1 - CHANCE
        elif high + slack < -self.tau:
            self.counts, self.confidence = Counts(self.n, 0, 0), 1 - CHANCE


def _unit(rng: np.random.Generator, n: int, product: VectorFunction) -> Array:
    v = rng.standard_normal(n).astype(product.layout.dtype)
    return np.asarray(v / np.linalg.norm(v))


class SpectrumSigns(DenseHessian):
    """What `DenseSpectrum` is, by Sylvester's law of inertia instead of eigenvalues.

    The tolerance starts as that of `DenseSpectrum`, with |H| estimated; `inertia` raises it to the magnitude
    beyond which its counts are certain (but for a probability of 1e-5, of its own random probes).
    """

    eigenvalues = None
    notes: tuple[str, ...] = ()
    confidence = 1 - 1e-5

    def __init__(self, hessian: Array, error: float) -> None:
        from fastopt.linalg import inertia

        super().__init__(hessian, error)
        start = np.random.default_rng(0).standard_normal(self.n).astype(self.matrix.dtype)
        scale = max(float(self.matrix.max()), -float(self.matrix.min())) or 1.0  # squares must not overflow
        self.norm = scale * max(map(abs, ritz_ends(lambda v: self.matvec(v) / scale, start, NORM_STEPS)))
        found = inertia(self.matrix, tolerance(self.n, self.norm, self.eps, self.error))
        self.tau = float(found.bound)
        self.counts = Counts(int(found.negative), int(found.zero), int(found.positive))

    @property
    def smallest(self) -> float:
        """All that is known of the resolved ones."""
        return self.tau

    def newton(self, g: Array) -> tuple[Array, Array]:
        return newton(self, g)


Spectrum = DenseSpectrum | SpectrumEnds | SpectrumSigns


def newton(spectrum: SpectrumEnds | SpectrumSigns, g: Array) -> tuple[Array, Array]:
    """s that minimises |g + H s| over a Krylov space of g (as MINRES); the unresolved part is unknown."""
    rcond = spectrum.tau / spectrum.norm if spectrum.norm else 0.0
    return minres(spectrum.matvec, g, NEWTON_STEPS, rcond), np.zeros_like(g)


def minres(product: Callable[[Array], Array], g: Array, steps: int, rcond: float) -> Array:
    """s in a Krylov space of g that minimises |g + H s|, without directions below `rcond` |H|."""
    space = krylov_space(product, g, steps)
    k = space.size
    t = np.zeros((k + 1, k))
    t[:k], t[k, k - 1] = space.tridiagonal(), space.beside[-1]
    right = np.zeros(k + 1)
    right[0] = -space.length
    y = np.linalg.lstsq(t, right, rcond=rcond)[0]
    return np.asarray(space.lift(y), g.dtype)


def ritz_ends(product: Callable[[Array], Array], start: Array, steps: int) -> tuple[float, float]:
    """The smallest and the largest Ritz value."""
    values = eigvalsh(krylov_space(product, start, steps).tridiagonal())
    return float(values[0]), float(values[-1])
