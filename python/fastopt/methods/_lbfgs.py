"""L-BFGS."""

from __future__ import annotations

from typing import Any

from fastopt._checks import integer, real
from fastopt.methods._descent import descend
from fastopt.methods._line_search import LineSearch
from fastopt.methods._problem import Problem

__all__ = ["l_bfgs"]


def l_bfgs(problem: Problem, *, history: int = 10, c1: float = 1e-4, c2: float = 0.9) -> None:
    r"""Limited-memory BFGS: the direction :math:`-H g` with H made of the last `history` steps.

    .. math::
        H_{k+1} = (I - \rho s y^T) H_k (I - \rho y s^T) + \rho s s^T, \quad \rho = 1 / s^T y

    with :math:`s = x_{k+1} - x_k`, :math:`y = g_{k+1} - g_k`, from :math:`H = (s^T y / y^T y) I` with the
    newest pair. A pair with :math:`s^T y \le \epsilon |s^T g_k|` is not taken.

    Parameters
    ----------
    history : int, default 10
        Pairs kept, 1 to 255: 16 bytes per variable each.
    c1, c2 : float, default 1e-4 and 0.9
        Of the Wolfe conditions, 0 < c1 < c2 < 1.

    Notes
    -----
    Sources: Liu & Nocedal, Mathematical Programming 45, 1989; the compact form of H from Byrd, Nocedal &
    Schnabel, Mathematical Programming 63, 1994; Nocedal & Wright, Numerical Optimization, 2006, section 7.2.
    """
    history = integer("history", history, minimum=1, maximum=255)
    c1, c2 = wolfe(c1, c2)
    descend(problem, history, c1, c2, _turn)


def _turn(vectors: Any, search: LineSearch, slope: float) -> tuple[float, float]:
    direction = vectors.quasi_newton()
    return (0.0, 0.0) if direction is None else (direction[0], 1.0)


def wolfe(c1: float, c2: float) -> tuple[float, float]:
    """The constants of the Wolfe conditions, checked."""
    c2 = real("c2", c2, minimum=0.0, maximum=1.0, open_low=True, open_high=True)
    return real("c1", c1, minimum=0.0, maximum=c2, open_low=True, open_high=True), c2
