"""Schedules without an end: constant, and decays that go on for ever."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from .. import _checks
from ._schedule import Schedule, check_lr, scaled_power

__all__ = ["constant", "exponential", "inverse_sqrt", "inverse_time", "step"]


@dataclasses.dataclass(frozen=True, repr=False)
class constant(Schedule):
    """The same learning rate at every step: ``lr``.

    Parameters
    ----------
    lr : float
        The learning rate, at least 0.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        check_lr(self)

    def _at(self, k: int) -> float:
        return self.lr


@dataclasses.dataclass(frozen=True, repr=False)
class inverse_time(Schedule):
    """Decay with the inverse of time: ``lr / (1 + rate * k)``; it never ends.

    Robbins and Monro's condition (the sum of the rates diverges, that of their squares converges) holds, so
    stochastic gradient descent on a convex function converges (Annals of Mathematical Statistics 22, 1951).
    It is the decay that ``lr_decay`` means in PyTorch's Adagrad.

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.
    rate : float
        Decay per step, at least 0: after ``1 / rate`` steps the learning rate has halved.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.inverse_time(0.1, rate=0.01)(100)
    0.05
    """

    lr: float
    rate: float = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("rate", _checks.real("rate", self.rate, minimum=0.0))

    def _at(self, k: int) -> float:
        return self.lr / (1.0 + self.rate * k)

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        return {"rate": 9.0 / total_steps}  # a tenth of lr at the end of the run


@dataclasses.dataclass(frozen=True, repr=False)
class inverse_sqrt(Schedule):
    """Decay with the root of time: ``lr / sqrt(k + 1)``; it never ends.

    With it Adagrad over the root MEAN square of the gradients is Adagrad over the root of their sum.

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.inverse_sqrt(0.1)(3)
    0.05
    """

    lr: float

    def __post_init__(self) -> None:
        check_lr(self)

    def _at(self, k: int) -> float:
        return self.lr / math.sqrt(k + 1)


@dataclasses.dataclass(frozen=True, repr=False)
class exponential(Schedule):
    """Geometric decay: ``lr * gamma ** (k / every)``, smooth in k; it never ends.

    ``gamma=0.1, every=r`` is the form ``lr * 10 ** (-k / r)``: tenfold less in r steps. ``gamma`` with the
    default ``every=1`` is PyTorch's ExponentialLR. A ``gamma`` above 1 grows (to search for the largest
    stable learning rate), in the end to infinity, which an optimizer refuses.

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.
    gamma : float
        The factor gained over ``every`` steps, above 0.
    every : float, default 1
        The number of steps over which ``gamma`` is gained, above 0.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.exponential(1.0, gamma=0.25, every=100)(50)
    0.5
    """

    lr: float
    gamma: float = dataclasses.field(kw_only=True)
    every: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        self._check("gamma", _checks.positive("gamma", self.gamma))
        self._check("every", _checks.positive("every", self.every))

    def _at(self, k: int) -> float:
        return scaled_power(self.lr, self.gamma, k / self.every)

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        # A tenth of lr at the end of the run; a given gamma is per step, as in the constructor.
        return {} if "gamma" in given else {"gamma": 0.1, "every": total_steps}


@dataclasses.dataclass(frozen=True, repr=False)
class step(Schedule):
    """Decay in steps: ``lr * gamma ** n``, with n the number of drops so far; constant after the last.

    With ``every``, n is ``k // every`` (PyTorch's StepLR, its ``step_size``); with ``milestones``, n is the
    number of milestones ``<= k`` (PyTorch's MultiStepLR).

    Parameters
    ----------
    lr : float
        The learning rate of the first step, at least 0.
    every : int, optional
        Steps between two drops, at least 1. Give either this or ``milestones``.
    milestones : sequence of int, optional
        The values of k from which each drop holds: ascending, at least one.
    gamma : float, default 0.1
        The factor of one drop, above 0.

    Examples
    --------
    >>> import fastopt
    >>> halve = fastopt.schedules.step(1.0, every=10, gamma=0.5)
    >>> halve(9), halve(10)
    (1.0, 0.5)
    >>> fastopt.schedules.step(1.0, milestones=[10, 15], gamma=0.5)(20)
    0.25
    """

    lr: float
    every: int | None = dataclasses.field(default=None, kw_only=True)
    milestones: Sequence[int] | None = dataclasses.field(default=None, kw_only=True)
    gamma: float = dataclasses.field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        if (self.every is None) == (self.milestones is None):
            raise ValueError(
                "every, milestones: expected one of the two, "
                f"got every={_checks.brief(self.every)}, milestones={_checks.brief(self.milestones)}"
            )
        if self.every is not None:
            self._check("every", _checks.integer("every", self.every, minimum=1))
        if self.milestones is not None:
            self._check("milestones", ascending("milestones", self.milestones))
        self._check("gamma", _checks.positive("gamma", self.gamma))

    def _at(self, k: int) -> float:
        if self.milestones is not None:
            return scaled_power(self.lr, self.gamma, bisect_right(self.milestones, k))
        assert self.every is not None  # __post_init__ has seen to it
        return scaled_power(self.lr, self.gamma, k // self.every)

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any]:
        return {} if "milestones" in given else {"every": -(-total_steps // 3)}  # two drops


def ascending(name: str, values: object) -> tuple[int, ...]:
    """Return `values` as a tuple of strictly ascending integers >= 1."""
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise TypeError(f"{name}: expected a list of integers, got {_checks.shown(values)}")
    steps = tuple(_checks.integer(f"{name}[{i}]", value, minimum=1) for i, value in enumerate(values))
    if not steps or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"{name}: expected at least one integer, strictly ascending, got {list(steps)}")
    return steps
