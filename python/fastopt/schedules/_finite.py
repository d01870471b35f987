"""Schedules that reach their end at k = total and stay there: polynomial, cosine, one-cycle."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import Literal

from .. import _checks
from ._schedule import Schedule, check_lr

__all__ = ["cosine", "one_cycle", "polynomial"]


@dataclasses.dataclass(frozen=True, repr=False)
class polynomial(Schedule):
    """Polynomial decay to a final rate: ``final + (lr - final) * (1 - k / total) ** power``.

    ``power=1`` is the straight line. With ``final=0`` it is PyTorch's PolynomialLR. The first step (k = 0)
    takes ``lr``, the last of ``total`` steps (k = total - 1) is still above ``final``; from k = total on the
    rate is ``final``.

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.
    total : int
        The number of steps of the decay, at least 1.
    power : float, default 1
        The exponent, above 0.
    final : float, default 0
        The learning rate from k = total on, at least 0.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.polynomial(1.0, total=4, power=2)(2)
    0.25
    """

    lr: float
    total: int = dataclasses.field(kw_only=True)
    power: float = dataclasses.field(default=1.0, kw_only=True)
    final: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("total", _checks.integer("total", self.total, minimum=1))
        self._check("power", _checks.positive("power", self.power))
        check_lr(self, "final")

    def _at(self, k: int) -> float:
        if k >= self.total:
            return self.final
        return mix(self.lr, self.final, (1.0 - k / self.total) ** self.power)


@dataclasses.dataclass(frozen=True, repr=False)
class cosine(Schedule):
    """Half a period of a cosine down to a final rate: ``final + (lr - final) * (1 + cos(pi k / total)) / 2``.

    The first step (k = 0) takes ``lr``, the last of ``total`` steps (k = total - 1) is still above ``final``;
    from k = total on the rate is ``final``. PyTorch's CosineAnnealingLR has the same numbers up to its
    ``T_max``, but rises again after it.

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.
    total : int
        The number of steps of the decay, at least 1.
    final : float, default 0
        The learning rate from k = total on, at least 0.

    References
    ----------
    I. Loshchilov, F. Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts. ICLR 2017,
    arXiv:1608.03983, equation 5, without the restarts.

    Examples
    --------
    >>> import fastopt
    >>> halfway = fastopt.schedules.cosine(1.0, total=100, final=0.5)
    >>> halfway(0), round(halfway(50), 12), halfway(100), halfway(101)
    (1.0, 0.75, 0.5, 0.5)
    """

    lr: float
    total: int = dataclasses.field(kw_only=True)
    final: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("total", _checks.integer("total", self.total, minimum=1))
        check_lr(self, "final")

    def _at(self, k: int) -> float:
        if k >= self.total:
            return self.final
        return mix(self.lr, self.final, half_cosine(k / self.total))


@dataclasses.dataclass(frozen=True, repr=False)
class one_cycle(Schedule):
    """One cycle: up from ``lr / div_factor`` to ``lr``, down to ``lr / (div_factor * final_div_factor)``.

    The peak is at ``k = pct_start * total - 1``, the lowest rate at the last step, ``k = total - 1``, and at
    every step after it. With ``three_phase`` the way down first mirrors the way up, to ``lr / div_factor`` at
    ``k = 2 pct_start * total - 2``, and then goes on to the end. Parameters and numbers are those of
    PyTorch's OneCycleLR (which raises an error after its last step instead of staying there).

    Parameters
    ----------
    lr : float
        The HIGHEST learning rate, at least 0.
    total : int
        The number of steps of the cycle, at least 1.
    pct_start : float, default 0.3
        The share of the cycle in which the rate rises, in [0, 1]; with ``three_phase`` at most 0.5.
    div_factor : float, default 25
        Highest rate over first rate, at least 1.
    final_div_factor : float, default 1e4
        First rate over last rate, at least 1.
    anneal : {"cos", "linear"}, default "cos"
        The shape of each phase: half a cosine or a straight line.
    three_phase : bool, default False
        Whether the way down is cut in two.

    References
    ----------
    L. N. Smith, N. Topin: Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates. arXiv:1708.07120 (there three phases and straight lines).

    Examples
    --------
    >>> import fastopt
    >>> cycle = fastopt.schedules.one_cycle(1.0, total=100, pct_start=0.25)
    >>> cycle(0), cycle(24), round(cycle(99), 12)
    (0.04, 1.0, 4e-06)
    """

    lr: float
    total: int = dataclasses.field(kw_only=True)
    pct_start: float = dataclasses.field(default=0.3, kw_only=True)
    div_factor: float = dataclasses.field(default=25.0, kw_only=True)
    final_div_factor: float = dataclasses.field(default=1e4, kw_only=True)
    anneal: Literal["cos", "linear"] = dataclasses.field(default="cos", kw_only=True)
    three_phase: bool = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("total", _checks.integer("total", self.total, minimum=1))
        self._check("three_phase", _checks.flag("three_phase", self.three_phase))
        latest = 0.5 if self.three_phase else 1.0
        self._check("pct_start", _checks.real("pct_start", self.pct_start, minimum=0.0, maximum=latest))
        for field in ("div_factor", "final_div_factor"):
            self._check(field, _checks.real(field, getattr(self, field), minimum=1.0))
        _checks.word("anneal", self.anneal, ("cos", "linear"), "'cos' or 'linear'")

    def _corners(self) -> list[tuple[float, float]]:
        """(k, rate) where a phase ends and the next begins."""
        first = self.lr / self.div_factor
        peak = self.pct_start * self.total - 1.0
        corners = [(0.0, first), (peak, self.lr)]
        if self.three_phase:
            corners.append((2.0 * peak, first))
        return [*corners, (self.total - 1.0, first / self.final_div_factor)]

    def _at(self, k: int) -> float:
        corners = self._corners()
        for (begin, start), (end, stop) in pairwise(corners):
            if k < end:
                share = (k - begin) / (end - begin)
                return mix(start, stop, half_cosine(share) if self.anneal == "cos" else 1.0 - share)
            if k == end:
                return stop
        return corners[-1][1]


def mix(start: float, stop: float, weight: float) -> float:
    """`stop + (start - stop) * weight`, in the form that is exact at both ends."""
    return weight * start + (1.0 - weight) * stop


def half_cosine(share: float) -> float:
    """From 1 at share 0 to exactly 0 at share 1."""
    return (1.0 + math.cos(math.pi * share)) / 2.0
