"""The strategy around Lanczos: when to look, when to restart, when nothing can have been missed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg._eigh import eigh
from fastopt.linalg._lanczos import Lanczos
from fastopt.linalg._operator import Operator
from fastopt.linalg._random import generator
from fastopt.linalg._wanted import bounds, nothing_missed, wanted

Array = NDArray[Any]

#: Share of the free columns that a restart keeps beyond the wanted ones (docs/design/lanczos.md).
KEPT = 0.4
#: The search for missed copies may cost this share of the products so far, and at least so many; and the same
#: where the user has asked for a cheap answer by a tolerance above `COARSE`.
THOROUGH, CHEAP, COARSE = (0.25, 10), (0.1, 4), 1e-6


class RitzPairs(NamedTuple):
    """The best approximations so far; `good` of them have converged, `converged` if that is enough."""

    eigenvalues: Array
    eigenvectors: Array
    residuals: Array
    good: int
    converged: bool


class Search:
    """Extreme eigenpairs of an operator by restarted Lanczos.

    Two phases alternate. First the wanted Ritz pairs converge. Then a random vector probes the complement: a
    single Krylov space holds one vector of each eigenspace, so copies of multiple eigenvalues, and
    eigenvalues that the start vector was nearly orthogonal to, show up only there. What the probe finds has
    to converge as well."""

    def __init__(
        self, op: Operator, k: int, which: str, tol: float, max_steps: int, seed: Any, copies: bool
    ) -> None:
        self.op, self.k, self.which, self.tol, self.max_steps = op, k, which, tol, max_steps
        self.copies = copies
        self.before = op.products
        self.lanczos = Lanczos(op, k, generator(seed))

    @property
    def products(self) -> int:
        return self.op.products - self.before

    def run(self) -> RitzPairs:
        converged = self._converge()
        while self.copies and converged and not self._probe():
            converged = self._converge()
        return self._found(converged)

    # The first phase.

    def _converge(self) -> bool:
        """Step until the wanted pairs have converged; False if the products are used up."""
        state = self.lanczos
        while True:
            if state.done >= self.k and self._look():
                return True
            for _ in range(1 + state.done // 50):  # a look costs done**3
                if state.done == self.op.n:
                    break
                if self.products >= self.max_steps:
                    return self._look()
                self._make_room(1)
                if state.waiting == 0:
                    state.inject()
                state.step()

    def _look(self) -> bool:
        """Solve the projected problem; whether the wanted pairs have converged."""
        state = self.lanczos
        self.theta, self.q = state.solve()
        self.index = wanted(self.theta, self.k, self.which)
        misses = self._misses = state.estimates(self.q[:, self.index]) > self._limits(self.theta[self.index])
        if misses.any():
            state.first(state.heaviest(self.q[:, self.index[misses]]))
        return state.done == self.op.n or (len(self.index) == self.k and not misses.any())

    def _limits(self, theta: Array) -> Array:
        """ARPACK's: tol relative to the eigenvalue; and what rounding leaves of the small problem."""
        state = self.lanczos
        floor = state.eps * float(np.abs(self.theta).max()) * (4 + state.done**0.5)
        limits: Array = np.maximum(self.tol * np.abs(theta), floor)
        return limits

    def _make_room(self, count: int) -> None:
        """Restart if `count` columns more do not fit."""
        state = self.lanczos
        if state.columns + count <= state.size:
            return
        theta, q = state.solve()
        room = state.size - state.waiting - self.k - count
        state.restart(theta, q, wanted(theta, self.k + int(KEPT * room), self.which))

    # The second phase.

    def _probe(self) -> bool:
        """Search the complement from a random vector: True if nothing is missed, False if something is."""
        state = self.lanczos
        if state.done == self.op.n:
            return True
        steps = self._lock()
        values = self.theta[self.index]
        limits = bounds(values, self.k, self.which)
        slack = float(self._limits(values).max())
        begin = state.done
        for step in range(1, steps + 1):
            if self.products >= self.max_steps:
                break
            if state.waiting == 0:
                state.inject()
            state.step()
            inner, q = eigh(state.t[begin : state.done, begin : state.done])
            if inner[0] < limits[0] - slack or inner[-1] > limits[1] + slack:
                return False
            ends = [i for i, limit in zip((0, -1), limits, strict=True) if np.isfinite(limit)]
            tails = np.abs(state.b[: state.waiting, begin : state.done] @ q[:, ends])
            outer = float(min(self.theta[0], inner[0])), float(max(self.theta[-1], inner[-1]))
            if tails.max(initial=0) <= slack or nothing_missed(inner, step, self.op.n, outer, limits):
                break
        # What has converged stays as it was: the probe's own copies would be mixed in before they are good.
        self.q = np.pad(self.q, ((0, state.done - begin), (0, 0)))
        return True

    def _lock(self) -> int:
        """Keep what has converged and nothing else; how many steps the probe may take.

        An unconverged Ritz vector could hold most of a vector that is to be found: its complement would not.
        """
        state = self.lanczos
        share, least = CHEAP if self.tol > COARSE else THOROUGH
        steps = min(max(least, int(share * self.products)), state.size - self.k - 2)
        good = np.flatnonzero(state.estimates(self.q) <= self._limits(self.theta))
        room = wanted(self.theta, state.size - steps - 2, self.which)
        keep = np.union1d(self.index, np.intersect1d(good, room))
        state.restart(self.theta, self.q, keep)
        state.lock()
        self.theta, self.q = self.theta[keep], np.eye(len(keep))
        self.index = np.searchsorted(keep, self.index)
        return min(steps, self.op.n - state.done)

    def _found(self, converged: bool) -> RitzPairs:
        state = self.lanczos
        q = np.ascontiguousarray(self.q[:, self.index])
        dtype = self.op.dtype
        return RitzPairs(
            (self.theta[self.index] * state.scale).astype(dtype),
            state.basis.combine(q).T,
            (state.residuals(q) * state.scale).astype(dtype),
            int((~self._misses).sum()),
            converged,
        )
