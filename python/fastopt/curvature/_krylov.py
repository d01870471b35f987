"""What plain Lanczos from one start vector, without restarts, is good for: what is known of exactly this."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg import eigvalsh
from fastopt.linalg._krylov import krylov_space

Array = NDArray[Any]

__all__ = ["minres", "missed", "ritz_ends", "steps_needed"]


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
