"""A cosine that starts anew, again and again: SGDR."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from .. import _checks
from ._finite import half_cosine, mix
from ._schedule import Schedule, check_lr

__all__ = ["cosine_restarts"]


@dataclasses.dataclass(frozen=True, repr=False)
class cosine_restarts(Schedule):
    """Cosine with warm restarts: from ``lr`` down to ``final``, then from ``lr`` again, without an end.

    The first cycle has ``period`` steps, every further one ``multiplier`` times as many as the one before.
    Step j of cycle n takes ``final + (lr - final) * decay ** n * (1 + cos(pi j / length)) / 2``: the first
    step of a cycle takes its peak, the last one is still above ``final``. With ``decay=1`` these are the
    numbers of PyTorch's CosineAnnealingWarmRestarts (its ``T_0``, ``T_mult`` and ``eta_min``).

    Parameters
    ----------
    lr : float
        The learning rate at the first step and, without decay, at every restart; at least 0.
    period : int
        The number of steps of the first cycle, at least 1.
    multiplier : int, default 1
        How many times longer each cycle is than the one before, at least 1.
    final : float, default 0
        The rate that every cycle falls to, at least 0.
    decay : float, default 1
        What each peak's height above ``final`` is of that of the peak before, in (0, 1].

    References
    ----------
    I. Loshchilov, F. Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts. ICLR 2017,
    arXiv:1608.03983, equation 5.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> rates = fastopt.schedules.cosine_restarts(1.0, period=2, multiplier=2, decay=0.5)(np.arange(8))
    >>> rates.round(3).tolist()
    [1.0, 0.5, 0.5, 0.427, 0.25, 0.073, 0.25, 0.24]
    """

    lr: float
    period: int = dataclasses.field(kw_only=True)
    multiplier: int = dataclasses.field(default=1, kw_only=True)
    final: float = dataclasses.field(default=0.0, kw_only=True)
    decay: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("period", _checks.integer("period", self.period, minimum=1))
        self._check("multiplier", _checks.integer("multiplier", self.multiplier, minimum=1))
        check_lr(self, "final")
        decay = _checks.real("decay", self.decay, minimum=0.0, maximum=1.0, open_low=True)
        self._check("decay", decay)

    def _cycle(self, k: int) -> tuple[int, int, int]:
        """Which cycle step k is in, the steps before it there, and the cycle's length."""
        if self.multiplier == 1:
            return *divmod(k, self.period), self.period
        n, length = 0, self.period
        while k >= length:  # log k rounds: lengths grow geometrically
            k -= length
            length *= self.multiplier
            n += 1
        return n, k, length

    def _at(self, k: int) -> float:
        n, j, length = self._cycle(k)
        peak = mix(self.lr, self.final, self.decay**n)
        return mix(peak, self.final, half_cosine(j / length))

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        if "period" in given:
            return {}
        if "multiplier" in given:
            return {"period": -(-total_steps // 3)}
        return {"period": -(-total_steps // 7), "multiplier": 2}  # 1 + 2 + 4: three cycles
