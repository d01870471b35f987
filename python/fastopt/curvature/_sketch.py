"""A basis of H times random vectors, what leaving one out changes, and the estimates made of that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.functions.progress import Report
from fastopt.linalg._krylov import basis_like, power_of_two, remove
from fastopt.linalg._operator import Operator
from fastopt.linalg._random import generator

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


def seeds_of(seed: Any, count: int) -> list[int]:
    """One for each test vector, so that it can be made again instead of kept."""
    seeds: list[int] = generator(seed).integers(0, 2**63, count).tolist()
    return seeds


def xtrace(op: Operator, products: int, seed: Any, report: Report) -> tuple[float, float]:
    m = products // 2
    sketch = Sketch(op, m, seeds_of(seed, m), signs=False, keep=False, report=report)
    inner = float(np.trace(sketch.h))
    if sketch.whole:
        return inner * sketch.scale, 0.0
    s, w = sketch.left_out(), sketch.overlaps()
    x = w - s * (s * w).sum(axis=0)  # of omega_i, the coordinates in the basis without its own vector
    rest = sketch.quadratic - 2 * (x * sketch.r).sum(axis=0) + (x * (sketch.h @ x)).sum(axis=0)
    # The rest of omega_i is uniform on a sphere in n - m + 1 dimensions; its length is known, not random.
    rest *= (op.n - m + 1) / (op.n - (x**2).sum(axis=0))
    estimates = inner - (s * (sketch.h @ s)).sum(axis=0) + rest
    error = float(estimates.std(ddof=1) / math.sqrt(m))
    return float(estimates.mean()) * sketch.scale, error * sketch.scale


def hutchpp(op: Operator, products: int, seed: Any, report: Report) -> tuple[float, float]:
    m = products // 3
    seeds = seeds_of(seed, products)
    sketch = Sketch(op, m, seeds, signs=False, keep=False, report=lambda done, total: report(done, products))
    inner = float(np.trace(sketch.h))
    if sketch.whole:
        return inner * sketch.scale, 0.0
    basis = sketch.basis
    rest = np.empty(products - 2 * m)
    for i in range(len(rest)):
        g = np.random.default_rng(seeds[m + i]).standard_normal(op.n).astype(op.dtype)
        basis.orthogonalise(g)
        # length as expected in n - m dimensions: only the direction is random
        g *= math.sqrt((op.n - m) / float(g @ g))
        rest[i] = float(g @ sketch.product(g))
        report(2 * m + i + 1, products)
    error = float(rest.std(ddof=1) / math.sqrt(len(rest)))
    return (inner + float(rest.mean())) * sketch.scale, error * sketch.scale


def xdiag(sketch: Sketch) -> tuple[Array, Array]:
    n, m, dtype = sketch.op.n, sketch.m, sketch.op.dtype
    total = np.zeros(n)
    for i, z in enumerate(sketch.products):
        total += sketch.basis.column(i) * z
    if sketch.whole:
        return (total * sketch.scale).astype(dtype), np.zeros(n, dtype)
    s = sketch.left_out()
    mean, squares = np.zeros(n), np.zeros(n)
    for i in range(m):
        column = np.ascontiguousarray(s[:, i : i + 1])
        qs = sketch.basis.combine(column)[0].astype(np.float64)
        zs = sum((c * z for c, z in zip(s[:, i], sketch.products, strict=True)), np.zeros(n))
        # what is left of H omega_i without its own vector in the basis is a multiple of Q s
        sample = qs * (sketch.test_vector(i) * float(s[:, i] @ sketch.r[:, i]) - zs)
        step = sample - mean  # Welford: sums of squares would cancel
        mean += step / (i + 1)
        squares += step * (sample - mean)
    error = np.sqrt(squares / (m - 1) / m)
    return ((total + mean) * sketch.scale).astype(dtype), (error * sketch.scale).astype(dtype)
