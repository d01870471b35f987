"""Thick-restart Lanczos with full reorthogonalisation; see docs/design/lanczos.md for the reasons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._dispatch import core
from fastopt.linalg._eigh import eigh
from fastopt.linalg._operator import Operator

Array = NDArray[Any]

#: Memory that the basis may take before it is kept as small as `smallest` allows, in bytes.
ROOMY = 1 << 27
#: Basis vectors beyond which their own small eigenproblem costs too much.
MANY = 320
#: h_ij and h_ji may differ by this much of the largest one: far above what differences of gradients in
#: float32 leave, far below what a wrong operator does.
ASYMMETRY = 1e-3


def basis_size(n: int, k: int, itemsize: int) -> int:
    """Columns of the basis: as many as fit into `ROOMY`, at least 4 k + 40, never more than n + 2."""
    smallest = 4 * k + 40
    return min(n + 2, max(smallest, min(ROOMY // (n * itemsize), max(MANY, 2 * smallest))))


class Lanczos:
    """The projection of an operator on a growing basis, and what is known of its residuals.

    The basis holds `done` vectors whose product is known, then `waiting` ones whose product is not. With V
    the first and F the others, H V = V (T + E) + F B: T (symmetric) is what the eigenproblem is solved for, E
    the asymmetry that was measured on the way (rounding, noise of the operator), and `lost` what restarts
    left of it. So the residual of a Ritz pair (theta, V s) is known without a further product."""

    def __init__(self, op: Operator, k: int, rng: np.random.Generator) -> None:
        self.op, self.rng = op, rng
        self.done = self.waiting = self.locked = 0
        v = self._random()
        first = op.matvec(v)  # settles the dtype
        self.eps = float(np.finfo(first.dtype).eps)
        size = basis_size(op.n, k, first.itemsize)
        self.basis = core.Basis(op.n, size, first.dtype == np.float32)
        self.size = size
        self.t, self.e, self.b = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
        self.lost = np.zeros(size)
        self.peak = 0.0  # the largest coefficient so far: a lower bound of the norm, and close to it
        self.scale = _scale(first)
        self.basis.append(v.astype(first.dtype), 1.0)
        self.waiting = 1
        self._take(first)

    def _random(self) -> Array:
        v = self.rng.standard_normal(self.op.n)
        return v / math.sqrt(float(v @ v))

    def inject(self) -> None:
        """Let a random vector, orthogonal to everything, wait first."""
        for _ in range(3):
            w = self._random().astype(self.op.dtype)
            _, norm = self.basis.orthogonalise(w, 1.0)
            if norm > 10 * self.eps:
                break
        else:
            raise RuntimeError("eigsh: no vector is left outside the basis")  # the caller knows n
        self._append(w, norm)
        self.b[self.waiting - 1, : self.done] = 0
        self.first(self.waiting - 1)

    def first(self, i: int) -> None:
        """Let the i-th of the waiting vectors be multiplied next."""
        if i != 0:
            self.basis.swap(self.done, self.done + i)
            self.b[[0, i]] = self.b[[i, 0]]

    def step(self) -> None:
        """Multiply the first of the waiting vectors."""
        self._take(self.op.matvec(self.basis.column(self.done)))

    def _take(self, w: Array) -> None:
        j = self.done
        h, norm = self.basis.orthogonalise(w, 1 / self.scale)
        self.b[0, : self.locked] = h[: self.locked]
        self.t[j, :j] = self.t[:j, j] = self.b[0, :j]
        self.t[j, j] = h[j]
        self.e[j, : j + 1] = 0
        self.e[:j, j] = h[:j] - self.t[:j, j]
        self.b[: self.waiting - 1, : j + 1] = np.column_stack([self.b[1 : self.waiting, :j], h[j + 1 :]])
        self.lost[j] = 0
        self.done += 1
        self.waiting -= 1
        self.peak = max(self.peak, norm, float(np.abs(h).max()))
        self._check_symmetry(j)
        if norm > 10 * self.eps * self.peak and self.columns < self.op.n:
            self._append(w, norm)
            self.b[self.waiting - 1, : j + 1] = 0
            self.b[self.waiting - 1, j] = norm

    def _append(self, w: Array, norm: float) -> None:
        self.basis.append(w, 1 / norm)
        self.waiting += 1

    @property
    def columns(self) -> int:
        return self.done + self.waiting

    def _check_symmetry(self, j: int) -> None:
        if j == 0:
            return
        i = int(np.abs(self.e[:j, j]).argmax())
        if abs(self.e[i, j]) > ASYMMETRY * self.peak:
            ours, theirs = self.t[i, j], self.t[i, j] + self.e[i, j]
            raise ValueError(
                "op: expected a symmetric operator, got one with v'(H w) = "
                f"{self.scale * theirs:.6g} and w'(H v) = {self.scale * ours:.6g} for unit vectors v, w"
            )

    def solve(self) -> tuple[Array, Array]:
        """Ritz values, ascending, and their coordinates."""
        j = self.done
        theta, q = eigh(self.t[:j, :j])
        return theta, q

    def estimates(self, q: Array) -> Array:
        """Residuals as the recurrence has them, without the asymmetry."""
        estimates: Array = np.sqrt(((self.b[: self.waiting, : self.done] @ q) ** 2).sum(axis=0))
        return estimates

    def heaviest(self, q: Array) -> int:
        """Which of the waiting vectors these Ritz vectors lack most."""
        if self.waiting == 0:
            return 0
        return int(((self.b[: self.waiting, : self.done] @ q) ** 2).sum(axis=1).argmax())

    def residuals(self, q: Array) -> Array:
        """Norms of H y - theta y."""
        j = self.done
        inside = ((self.e[:j, :j] @ q) ** 2).sum(axis=0)
        norms: Array = np.sqrt(self.estimates(q) ** 2 + inside + self.lost[:j] ** 2 @ q**2)
        return norms

    def restart(self, theta: Array, q: Array, keep: Array) -> None:
        """Keep these Ritz vectors, and those that wait."""
        j, p, count = self.done, self.waiting, len(keep)
        s = np.ascontiguousarray(q[:, keep])
        es = self.e[:j, :j] @ s
        inner = s.T @ es
        lost = np.sqrt(((es - s @ inner) ** 2).sum(axis=0) + s.T**2 @ self.lost[:j] ** 2)
        b = self.b[:p, :j] @ s
        self.t[:count, :count] = np.diag(theta[keep])
        self.e[:count, :count] = inner
        self.b[:p, :count] = b
        self.lost[:count] = lost
        self.basis.rotate(s)
        self.done, self.locked = count, 0

    def lock(self) -> None:
        """Forget the vectors that wait: residuals of what is kept, small by now, count as lost.

        What these have in common with later vectors is no longer known beforehand, only from the products.
        """
        identity = np.eye(self.done)
        self.lost[: self.done] = np.hypot(self.lost[: self.done], self.estimates(identity))
        self.basis.truncate(self.done)
        self.locked, self.waiting = self.done, 0


def _scale(w: Array) -> float:
    """A power of two near the largest entry if its square could leave the range, else 1."""
    largest = float(np.abs(w).max())
    limit = 1e100 if w.dtype == np.float64 else 1e10
    return 1.0 if largest == 0 or 1 / limit < largest < limit else 2.0 ** math.frexp(largest)[1]
