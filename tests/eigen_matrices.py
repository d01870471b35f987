"""Symmetric matrices that break eigensolvers, and the ratios by which LAPACK judges the answers.

The dense types are those of LAPACK's dchkst (Reference-LAPACK, TESTING/EIG), the tridiagonal ones the usual
stress set (Marques, Vömel, Demmel and Parlett, ACM TOMS 35(1), 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Solver = Callable[[Array], Any]


def _spectra(n: int, ulp: float, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    sign = rng.choice([-1.0, 1.0], n)
    first = np.arange(n) < max(1, n // 10)
    low_rank = np.where(first, rng.standard_normal(n), 0)
    yield "zero", np.zeros(n)
    yield "identity", np.ones(n)
    yield "even", np.linspace(ulp, 1, n) * sign
    yield "geometric", np.geomspace(1, ulp, n) * sign
    yield "geometric, positive", np.geomspace(1, ulp, n)
    yield "clustered at ulp", np.where(np.arange(n) == 0, 1, ulp) * sign
    yield "clustered at 1", 1 + ulp * np.arange(n) * rng.random(n)
    yield "two clusters", np.where(np.arange(n) < n // 2, 1, -1 + 1e-9 * rng.random(n))
    yield "low rank", low_rank
    yield "low rank with noise", low_rank + 1e-6 * rng.standard_normal(n)


def _tridiagonals(n: int, tiny: float) -> Iterator[tuple[str, Array, Array]]:
    i, e = np.arange(n, dtype=float), np.arange(n - 1, dtype=float)
    decades = -np.log10(tiny)
    yield "Wilkinson W+", abs(i - (n - 1) / 2), np.ones(n - 1)
    yield "Wilkinson W-", i - (n - 1) / 2, np.ones(n - 1)
    yield "glued Wilkinson 1e-7", abs(i % 21 - 10), np.where(e % 21 == 20, 1e-7, 1)
    yield "glued Wilkinson 1e-14", abs(i % 21 - 10), np.where(e % 21 == 20, 1e-14, 1)
    yield "Clement", 0 * i, np.sqrt((e + 1) * (n - 1 - e))
    yield "1-2-1", 2 + 0 * i, -1 + 0 * e
    yield "graded", 10 ** (-i * decades / n), 0.3 * 10 ** (-e * decades / n)
    yield "graded upwards", 10 ** ((i - n) * decades / n), 0.3 * 10 ** ((e - n) * decades / n)
    yield "alternating", np.where(i % 2, 1e-10, 1.0), 1e-5 + 0 * e
    yield "repeated 1-2-3", 1 + i % 3, 1e-8 + 0 * e
    yield "Kahan", 1 + 0 * i, 0.99**e
    yield "Laguerre", 2 * i + 1, e + 1
    yield "Hermite", 0 * i, np.sqrt((e + 1) / 2)
    yield "Legendre", 0 * i, (e + 1) / np.sqrt(4 * (e + 1) ** 2 - 1)
    yield "single tiny", np.where(i == 0, 1e-12, 1.0), 1e-13 + 0 * e


def matrices(n: int, dtype: Any, only: Container[str] | None = None) -> Iterator[tuple[str, Array]]:
    """Named n x n matrices of one dtype: all, or those with one of some names."""
    rng = np.random.default_rng(n)
    info = np.finfo(dtype)
    ulp, tiny, huge = float(info.eps), float(info.tiny), float(info.max)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    noise = rng.standard_normal((n, n))
    noise += noise.T
    index = np.arange(n)
    arrow = np.diag(index + 0.0)
    arrow[0, :] = arrow[:, 0] = 1
    made: dict[str, Callable[[], Array]] = {}
    for name, values in _spectra(n, ulp, rng):
        made[f"diagonal, {name}"] = partial(np.diag, values)
        made[f"dense, {name}"] = partial(_with_values, q, values)
    for name, d, e in _tridiagonals(n, tiny):
        made[f"tridiagonal, {name}"] = lambda d=d, e=e: np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    made["random"] = lambda: noise
    made["random, positive"] = lambda: noise @ noise.T
    for name, scale in (
        ("near overflow", huge / (1e3 * n)),
        ("near underflow", 10 * tiny),
        ("root of overflow", huge**0.5),
        ("root of underflow", tiny**0.5),
    ):
        made[f"random, {name}"] = lambda scale=scale: noise * scale
    made["Hilbert"] = lambda: 1 / (1.0 + index[:, None] + index)
    made["ones"] = lambda: np.ones((n, n))
    made["arrow"] = lambda: arrow
    for name, make in made.items():
        if only is None or name in only:
            yield name, np.ascontiguousarray(make().astype(dtype))


def _with_values(q: Array, values: Array) -> Array:
    full = (q * values) @ q.T
    return (full + full.T) / 2


def one_norm(a: Array) -> float:
    return float(np.abs(a).sum(axis=0).max())


def ratios(a: Array, eigh: Solver, eigvalsh: Solver) -> dict[str, float]:
    """LAPACK's ratios, in units of n ulp; good code stays near 1."""
    n, ulp = len(a), float(np.finfo(a.dtype).eps)
    scale = float(np.abs(a).max()) or 1.0
    w, v = eigh(a)
    values = eigvalsh(a).astype(np.float64) / scale
    # differences are formed in double, on numbers near 1
    w, v, exact = w.astype(np.float64) / scale, v.astype(np.float64), a.astype(np.float64) / scale
    size = max(float(np.abs(w).max()), 1e-300)
    return {
        "residual": one_norm(exact - (v * w) @ v.T) / (max(one_norm(exact), 1e-300) * n * ulp),
        "orthogonality": one_norm(v @ v.T - np.eye(n)) / (n * ulp),
        "values with and without vectors": float(np.abs(w - values).max()) / (size * n * ulp),
    }
