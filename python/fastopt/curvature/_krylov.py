"""Plain Lanczos from one start vector, without restarts: for what is known of exactly this."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg import eigvalsh

Array = NDArray[Any]

__all__ = ["extreme_ritz_values", "lanczos", "minres", "missed", "steps_needed"]


def lanczos(product: Callable[[Array], Array], start: Array, steps: int) -> tuple[Array, Array, Array]:
    """Q (steps, n) with orthonormal rows, diagonal and off-diagonal of T = Q H Q'.

    The last off-diagonal entry couples to a vector that is not in Q. Fewer steps if the space is exhausted.
    Orthogonalised twice against all rows: what is claimed for the result holds for exact orthogonality only.
    """
    q = np.empty((steps, start.size), np.result_type(start, np.float32))
    q[0] = start / np.linalg.norm(start)
    alpha, beta = np.zeros(steps), np.zeros(steps)
    for j in range(steps):
        w = product(q[j])
        size = float(np.linalg.norm(w))
        alpha[j] = float(q[j] @ w)
        for _ in range(2):
            w = w - (q[: j + 1] @ w) @ q[: j + 1]
        beta[j] = float(np.linalg.norm(w))
        if beta[j] <= 10 * np.finfo(q.dtype).eps * size:
            return q[: j + 1], alpha[: j + 1], beta[: j + 1]
        if j + 1 < steps:
            q[j + 1] = w / beta[j]
    return q, alpha, beta


def minres(product: Callable[[Array], Array], g: Array, steps: int, rcond: float) -> Array:
    """s in a Krylov space of g that minimises |g + H s|, without directions below `rcond` |H|."""
    q, alpha, beta = lanczos(product, g, min(steps, g.size))
    k = len(alpha)
    t = np.zeros((k + 1, k))
    t[:k] = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    t[k, k - 1] = beta[-1]
    right = np.zeros(k + 1)
    right[0] = -float(np.linalg.norm(g))
    y = np.linalg.lstsq(t, right, rcond=rcond)[0]
    return np.asarray(y @ q, g.dtype)


def extreme_ritz_values(alpha: Array, beta: Array) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of T."""
    t = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    values = eigvalsh(t)
    return float(values[0]), float(values[-1])


def missed(n: int, steps: int, chance: float) -> float:
    r"""How far, relative to the spread of the spectrum, Lanczos may have stayed away from an end of it.

    Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), theorem 4.2: from a uniformly random
    start vector, the extreme Ritz value after k steps misses by more than a share e with probability at most
    :math:`1.648 \sqrt n\, e^{-(2k - 1) \sqrt e}`. This is the e whose probability is `chance`.
    """
    return (math.log(1.648 * math.sqrt(n) / chance) / (2 * steps - 1)) ** 2


def steps_needed(n: int, share: float, chance: float) -> int:
    """The steps after which `missed` is `share`."""
    return math.ceil((math.log(1.648 * math.sqrt(n) / chance) / math.sqrt(share) + 1) / 2)
