"""What XTrace and XDiag share: a basis of H times random vectors, and what leaving one out changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._progress import Report
from fastopt.linalg._krylov import basis_like, power_of_two, remove
from fastopt.linalg._operator import Operator

Array = NDArray[Any]


class Sketch:
    r"""With test vectors Omega (n x m): H Omega = Q R, and H Q, all over `scale`. Small matrices are float64.

    Attributes
    ----------
    m : int
        Test vectors used, which is the rank of Q.
    whole : bool
        Whether Q spans the range of H (to rounding): then Q Q' H = H, and nothing is left to estimate.
    r : ndarray, (m, m)
        Upper triangular.
    w, h : ndarray, (m, m)
        Q' Omega and Q' H Q.
    quadratic : ndarray, (m,)
        omega' H omega.
    s : ndarray, (m, m)
        Unit columns: column i is orthogonal to all columns of R but the i-th, so Q - Q s s' spans what H
        makes of the other test vectors.
    products : list of ndarray
        H Q, column by column, if they were to be kept.
    """

    def __init__(self, op: Operator, m: int, seeds: Any, signs: bool, keep: bool, report: Report) -> None:
        self.op, self.seeds, self.signs = op, seeds, signs
        self.r, self.quadratic = np.zeros((m, m)), np.zeros(m)
        self.m, self.whole, self.scale = 0, False, 0.0
        self._range(m, lambda done: report(done, 2 * m))
        self.r, self.quadratic = self.r[: self.m, : self.m], self.quadratic[: self.m]
        self.h = np.zeros((self.m, self.m))
        self.products: list[Array] = []
        for i in range(self.m):
            z = self.product(self.basis.column(i))
            if keep:
                self.products.append(z.copy())
            self.h[:, i] = remove(self.basis, z)[0]
            report(m + i + 1, 2 * m)
        report(2 * m, 2 * m)

    def _range(self, m: int, report: Callable[[int], object]) -> None:
        for i in range(m):
            omega = self.test_vector(i)
            y = self.product(omega)
            if i == 0:
                self.basis = basis_like(y, m)
            self.quadratic[i] = float(omega.astype(y.dtype) @ y)
            components, norm, self.whole = remove(self.basis, y)
            report(i + 1)
            if self.whole:
                return
            self.r[:i, i], self.r[i, i] = components, norm
            self.basis.append(y, 1.0)
            self.m = i + 1

    def product(self, v: Array) -> Array:
        """H v over `scale`, a power of two near the first product's largest entry: squares stay in range."""
        y = self.op.matvec(v)
        if self.scale == 0:
            self.scale = power_of_two(float(np.abs(y).max()))
        y *= 1 / self.scale
        return y

    def test_vector(self, i: int) -> Array:
        """The i-th test vector, of squared length n: signs, or uniform on the sphere. Made anew each time."""
        rng = np.random.default_rng(self.seeds[i])
        if self.signs:
            signs: Array = 2.0 * rng.integers(0, 2, self.op.n) - 1.0
            return signs
        v: Array = rng.standard_normal(self.op.n)
        v *= np.sqrt(self.op.n / float(v @ v))
        return v

    def overlaps(self) -> Array:
        """Q' Omega."""
        w = np.zeros((self.m, self.m))
        for i in range(self.m):
            w[:, i] = self.basis.orthogonalise(self.test_vector(i).astype(self.op.dtype))[0]
        return w

    def left_out(self) -> Array:
        """The unit columns s: those of the inverse of R', which are orthogonal to the other columns of R."""
        scaled = self.r / np.abs(self.r).max()
        s = np.linalg.solve(scaled.T, np.eye(self.m))
        directions: Array = s / np.sqrt((s**2).sum(axis=0))
        return directions
