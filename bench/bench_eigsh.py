"""Products with the operator that the ten largest eigenvalues take, and our own time beside them.

    python bench/bench_eigsh.py [--n 5000] [--large 1000000]

Peers by their method: ARPACK (SciPy's eigsh, which curvlinops uses) and deflated power iteration
(PyHessian's, with its stopping rule). For each tolerance: products, and the largest relative error of the
ten values.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastopt

Array = NDArray[Any]
K = 10


def spectra(n: int) -> dict[str, Array]:
    g = np.random.default_rng(7)
    return {
        "ten classes, far apart": np.concatenate(
            [10 * 0.7 ** np.arange(15), 0.05 * g.standard_normal(n - 15)]
        ),
        "forty, closer": np.concatenate([10 * 0.85 ** np.arange(40), 0.05 * g.standard_normal(n - 40)]),
        "tail of squares": np.concatenate([20 * 0.8 ** np.arange(10), 0.3 * g.standard_normal(n - 10) ** 2]),
    }


class Counted:
    """v -> d v, counting calls and the processor time inside."""

    def __init__(self, d: Array) -> None:
        self.d, self.calls, self.inside = d, 0, 0.0

    def __call__(self, v: Array) -> Array:
        begin = time.process_time()
        w: Array = self.d * v
        self.calls += 1
        self.inside += time.process_time() - begin
        return w


def ours(f: Counted, tol: float) -> Array:
    return fastopt.eigsh(f, K, n=len(f.d), which="LM", tol=tol).eigenvalues


def arpack(f: Counted, tol: float) -> Array:
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = len(f.d)
    v0 = np.random.default_rng(1).standard_normal(n)
    op = LinearOperator((n, n), matvec=f, dtype=float)
    values: Array = eigsh(op, K, which="LM", tol=tol, v0=v0, return_eigenvectors=False)
    return np.sort(values)


def power(f: Counted, tol: float) -> Array:
    g = np.random.default_rng(2)
    vectors: list[Array] = []
    values: list[float] = []
    for _ in range(K):
        v, before = g.standard_normal(len(f.d)), np.inf
        for _ in range(1000):
            for u in vectors:
                v -= u * (u @ v)
            v /= np.linalg.norm(v)
            w = f(v)
            value = float(v @ w)
            v = w / np.linalg.norm(w)
            if abs(value - before) / (abs(before) + 1e-6) < tol:
                break
            before = value
        vectors.append(v)
        values.append(value)
    return np.sort(np.array(values))


def products(n: int) -> None:
    methods: dict[str, Callable[[Counted, float], Array]] = {
        "fastopt": ours,
        "ARPACK": arpack,
        "power": power,
    }
    print(f"{'spectrum':24}{'tol':>8}" + "".join(f"{name:>20}" for name in methods))
    for name, d in spectra(n).items():
        top = np.sort(d[np.argsort(-np.abs(d))[:K]])
        for tol in (1e-1, 1e-2, 1e-3, 1e-4):
            cells = ""
            for method in methods.values():
                f = Counted(d)
                error = float(np.abs(method(f, tol) / top - 1).max())
                cells += f"{f.calls:>12}{error:>8.0e}"
            print(f"{name:24}{tol:>8.0e}{cells}")


def own_time(n: int) -> None:
    for dtype in (np.float64, np.float32):
        f = Counted(spectra(n)["ten classes, far apart"].astype(dtype))
        begin = time.process_time()
        ours(f, 1e-4)
        outside = time.process_time() - begin - f.inside
        each = 1e3 * outside / f.calls
        kind = np.dtype(dtype)
        print(f"n = {n}, {kind}: {each:.1f} ms of our own for each of {f.calls} products")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--large", type=int, default=1_000_000)
    arguments = parser.parse_args()
    products(arguments.n)
    own_time(arguments.large)
