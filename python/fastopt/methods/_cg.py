"""Nonlinear conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastopt._checks import integer, real
from fastopt.methods._descent import descend
from fastopt.methods._lbfgs import wolfe
from fastopt.methods._line_search import LineSearch
from fastopt.methods._problem import Problem

__all__ = ["cg"]

_ETA = 0.4  # how negative Hager & Zhang's beta may be, relative to d'g / d'd
_DESCENT = 1e-10  # least d'g / g'g


def cg(
    problem: Problem,
    *,
    beta: str = "hager-zhang",
    powell: float | None = None,
    restart_every: int | None = None,
    c1: float = 1e-4,
    c2: float | None = None,
) -> None:
    r"""Nonlinear conjugate gradients: :math:`d_{k+1} = -g_{k+1} + \beta_k d_k`.

    With :math:`y = g_{k+1} - g_k`, the choices of :math:`\beta` are

    - ``"hager-zhang"``: :math:`\max\{(y - 2 d \|y\|^2 / d^T y)^T g_{k+1} / d^T y,\; 0.4\, d^T g_k /
    \|d\|^2\}`
    - ``"polak-ribiere"``: :math:`\max\{0, y^T g_{k+1} / \|g_k\|^2\}`
    - ``"hestenes-stiefel"``: :math:`\max\{0, y^T g_{k+1} / d^T y\}`
    - ``"dai-yuan"``: :math:`\|g_{k+1}\|^2 / d^T y`
    - ``"fletcher-reeves"``: :math:`\|g_{k+1}\|^2 / \|g_k\|^2`

    Parameters
    ----------
    beta : str, default "hager-zhang"
    powell : float, optional
        Restart with the steepest direction when :math:`|g_{k+1}^T g_k| \ge` powell :math:`\|g_{k+1}\|^2`; the
        paper has 0.2. By default only a direction that does not descend enough is replaced.
    restart_every : int, optional
        Restart after so many iterations; n is the classical number.
    c1, c2 : float
        Of the Wolfe conditions, 0 < c1 < c2 < 1: by default 1e-4 and 0.4, or 0.1 for ``"fletcher-reeves"``
        and ``"dai-yuan"``, which only descend after a good search.

    Notes
    -----
    Sources: Hager & Zhang, SIAM J. Optim. 16, 2005, and ACM TOMS 32, 2006; the lower bound of beta from their
    "The limited memory conjugate gradient method", SIAM J. Optim. 23, 2013, eq. 2.4; Fletcher & Reeves 1964;
    Polak & Ribière 1969 with the plus of Gilbert & Nocedal 1992; Hestenes & Stiefel 1952; Dai & Yuan 1999;
    Powell, Mathematical Programming 12, 1977. The first step tried is the last one times the ratio of the
    slopes (Nocedal & Wright 2006, section 3.5).
    """
    if beta not in _BETAS:
        raise ValueError(f"beta: expected one of {', '.join(_BETAS)}, got {beta!r}")
    every = 0 if restart_every is None else integer("restart_every", restart_every, minimum=1)
    limit = None if powell is None else real("powell", powell, minimum=0.0, open_low=True)
    if c2 is None:
        c2 = 0.1 if beta in ("fletcher-reeves", "dai-yuan") else 0.4
    c1, c2 = wolfe(c1, c2)
    descend(problem, 0, c1, c2, _Turn(_BETAS[beta], limit, every))


class _Turn:
    """From one direction to the next."""

    def __init__(self, beta: Callable[..., float], powell: float | None, every: int) -> None:
        self.beta, self.powell, self.every = beta, powell, every
        self.since = 0  # iterations since the last restart

    def __call__(self, vectors: Any, search: LineSearch, slope: float) -> tuple[float, float]:
        products = vectors.products()
        tt, tg, yd = products[0], products[1], products[4]
        self.since += 1
        restart = self.since == self.every or (self.powell is not None and abs(tg) >= self.powell * tt)
        vectors.accept()
        beta = self.beta(*products, search.slope, slope) if yd > 0.0 and not restart else 0.0
        following = vectors.conjugate(beta)[0]
        if not following <= -_DESCENT * tt:  # for NaN too
            following = vectors.steepest(1.0)[0]
            restart = True
        if restart:
            self.since = 0
        return following, search.alpha * (slope / following) if following < 0.0 else 0.0


# Of t = g(k+1), g = g(k), y = t - g and the old direction d: t't, t'g, y'y, y't, y'd, g'g, d'd, t'd, g'd.


def _hager_zhang(
    tt: float, tg: float, yy: float, yt: float, yd: float, gg: float, dd: float, td: float, gd: float
) -> float:
    return max((yt - 2.0 * td * (yy / yd)) / yd, _ETA * gd / dd)


def _polak_ribiere(
    tt: float, tg: float, yy: float, yt: float, yd: float, gg: float, dd: float, td: float, gd: float
) -> float:
    return max(0.0, yt / gg)


def _hestenes_stiefel(
    tt: float, tg: float, yy: float, yt: float, yd: float, gg: float, dd: float, td: float, gd: float
) -> float:
    return max(0.0, yt / yd)


def _dai_yuan(
    tt: float, tg: float, yy: float, yt: float, yd: float, gg: float, dd: float, td: float, gd: float
) -> float:
    return tt / yd


def _fletcher_reeves(
    tt: float, tg: float, yy: float, yt: float, yd: float, gg: float, dd: float, td: float, gd: float
) -> float:
    return tt / gg


_BETAS = {
    "hager-zhang": _hager_zhang,
    "polak-ribiere": _polak_ribiere,
    "hestenes-stiefel": _hestenes_stiefel,
    "dai-yuan": _dai_yuan,
    "fletcher-reeves": _fletcher_reeves,
}
