"""Warm-up, and schedules made of schedules."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import Any

from .. import _checks
from ._decay import ascending
from ._finite import cosine
from ._schedule import Schedule, check_lr

__all__ = ["join", "linear_warmup", "warmup_cosine", "warmup_then"]


def ramp(lr: float, k: int, warmup: int) -> float:
    """Step k of a linear warm-up to `lr`, reached at its last step; the first is lr / warmup, not 0."""
    return lr * ((k + 1) / warmup)


@dataclasses.dataclass(frozen=True, repr=False)
class linear_warmup(Schedule):
    """Linear warm-up, then constant: ``lr * (k + 1) / warmup`` while k < warmup, then ``lr``.

    The first step (k = 0) takes ``lr / warmup``, not 0: no step is lost. The last step of the warm-up
    (k = warmup - 1) already takes ``lr``. Warm-up keeps steps small while adaptive methods know their second
    moments from few samples only.

    Parameters
    ----------
    lr : float
        The learning rate reached, at least 0.
    warmup : int
        The number of steps of the warm-up, at least 0 (then there is none).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> fastopt.schedules.linear_warmup(1.0, warmup=4)(np.arange(6))
    array([0.25, 0.5 , 0.75, 1.  , 1.  , 1.  ])
    """

    lr: float
    warmup: int = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("warmup", _checks.integer("warmup", self.warmup, minimum=0))

    def _at(self, k: int) -> float:
        return ramp(self.lr, k, self.warmup) if k < self.warmup else self.lr

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        return {"warmup": _tenth(total_steps)}


@dataclasses.dataclass(frozen=True, repr=False)
class warmup_then(Schedule):
    """Linear warm-up to the first rate of a decay, then the decay from its beginning.

    ``decay(0) * (k + 1) / warmup`` while k < warmup, then ``decay(k - warmup)``: the decay counts its own
    steps, so the first rate of the decay is taken twice, at k = warmup - 1 and at k = warmup.

    Parameters
    ----------
    decay : Schedule
        What follows the warm-up, including its behaviour after its end.
    warmup : int
        The number of steps of the warm-up, at least 0 (then there is none).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> decay = fastopt.schedules.exponential(1.0, gamma=0.5)
    >>> fastopt.schedules.warmup_then(decay, warmup=2)(np.arange(5))
    array([0.5 , 1.  , 1.  , 0.5 , 0.25])
    """

    decay: Schedule
    warmup: int = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        _check_schedule("decay", self.decay)
        self._check("warmup", _checks.integer("warmup", self.warmup, minimum=0))

    def _at(self, k: int) -> float:
        if k < self.warmup:
            return ramp(self.decay._at(0), k, self.warmup)
        return self.decay._at(k - self.warmup)


@dataclasses.dataclass(frozen=True, repr=False)
class warmup_cosine(Schedule):
    """Linear warm-up, then a cosine down to a final rate; ``total`` steps in all, warm-up included.

    ``lr * (k + 1) / warmup`` while k < warmup, then `cosine` over the remaining ``total - warmup`` steps;
    from k = total on the rate is ``final``. The same numbers as
    ``warmup_then(cosine(lr, total=total - warmup, final=final), warmup=warmup)``.

    Parameters
    ----------
    lr : float
        The highest learning rate, at least 0.
    warmup : int
        The number of steps of the warm-up, at least 0 (then there is none).
    total : int
        The number of steps in all, more than ``warmup``.
    final : float, default 0
        The learning rate from k = total on, at least 0.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> rates = fastopt.schedules.warmup_cosine(1.0, warmup=2, total=6)(np.arange(8))
    >>> rates.round(3).tolist()
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    lr: float
    warmup: int = dataclasses.field(kw_only=True)
    total: int = dataclasses.field(kw_only=True)
    final: float = dataclasses.field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("warmup", _checks.integer("warmup", self.warmup, minimum=0))
        self._check("total", _checks.integer("total", self.total, minimum=1))
        check_lr(self, "final")
        if self.total <= self.warmup:
            raise ValueError(f"total: expected more than the {self.warmup} steps of warmup, got {self.total}")
        decay = cosine(self.lr, total=self.total - self.warmup, final=self.final)
        # Not a field: it takes no part in comparison, description or repr.
        self._check("_whole", warmup_then(decay, warmup=self.warmup))

    def _at(self, k: int) -> float:
        whole: warmup_then = self.__dict__["_whole"]
        return whole._at(k)

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        return {"warmup": _tenth(total_steps) if total_steps > 1 else 0, "total": total_steps}


@dataclasses.dataclass(frozen=True, repr=False)
class join(Schedule):
    """Schedules one after the other, each counting its own steps from 0.

    ``schedules[0](k)`` while k < boundaries[0], then ``schedules[1](k - boundaries[0])`` while k <
    boundaries[1], and so on; the last one goes on for ever. PyTorch's SequentialLR takes ``milestones`` in
    the same sense.

    Parameters
    ----------
    schedules : sequence of Schedule
        At least one.
    boundaries : sequence of int
        The values of k at which the next schedule begins: strictly ascending, at least 1, one fewer than
        schedules.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.schedules import constant, join
    >>> join([constant(1.0), constant(0.5), constant(0.1)], boundaries=[2, 3])(np.arange(5))
    array([1. , 1. , 0.5, 0.1, 0.1])
    """

    schedules: Sequence[Schedule]
    boundaries: Sequence[int] = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.schedules, Sequence):
            raise TypeError(f"schedules: expected a list of schedules, got {type(self.schedules).__name__}")
        for i, schedule in enumerate(self.schedules):
            _check_schedule(f"schedules[{i}]", schedule)
        if not self.schedules:
            raise ValueError("schedules: expected at least one schedule, got none")
        boundaries: tuple[int, ...] = ()
        if len(self.schedules) > 1 or self.boundaries:
            boundaries = ascending("boundaries", self.boundaries)
        if len(boundaries) != len(self.schedules) - 1:
            raise ValueError(
                f"boundaries: expected {len(self.schedules) - 1} for {len(self.schedules)} schedules, "
                f"got {len(boundaries)}"
            )
        self._check("schedules", tuple(self.schedules))
        self._check("boundaries", boundaries)

    def _at(self, k: int) -> float:
        i = bisect_right(self.boundaries, k)
        return self.schedules[i]._at(k - self.boundaries[i - 1] if i else k)


def _check_schedule(name: str, value: object) -> None:
    # A foreign callable has no description: a combinator around it could not be saved.
    if not isinstance(value, Schedule):
        raise TypeError(f"{name}: expected a schedule of fastopt.schedules, got {_checks.shown(value)}")


def _tenth(total_steps: int) -> int:
    """The customary share of warm-up: a tenth of the run, at least one step."""
    return max(1, total_steps // 10)
