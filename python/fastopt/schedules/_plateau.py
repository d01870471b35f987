"""The schedule that listens: a rate that falls when a metric stops improving."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, NamedTuple

from .. import _checks
from ._schedule import Schedule, check_lr

__all__ = ["reduce_on_plateau"]


class _Heard(NamedTuple):
    """What the reports so far have led to; replaced as a whole."""

    rate: float
    best: float | None = None  # None before the first report that is a number
    bad: int = 0  # reports without improvement in a row
    cooldown: int = 0  # reports that are still not counted as bad

    @classmethod
    def read(cls, state: object) -> _Heard:
        """Of a description, which may come from a file."""
        if not isinstance(state, dict) or state.keys() != set(cls._fields):
            raise ValueError(f"state: expected a dict with {', '.join(cls._fields)}, got {state!r}")
        best = state["best"]
        return cls(
            _checks.real("state['rate']", state["rate"], minimum=0.0),
            None if best is None else _checks.real("state['best']", best),
            _checks.integer("state['bad']", state["bad"], minimum=0),
            _checks.integer("state['cooldown']", state["cooldown"], minimum=0),
        )


@dataclasses.dataclass(frozen=True, repr=False)
class reduce_on_plateau(Schedule):
    """The rate is multiplied by ``factor`` whenever a reported metric has not improved for a while.

    Tell it the metric, once an epoch, say, with `report`; how many steps lie between does not matter. After
    more than ``patience`` reports in a row without improvement the rate becomes ``max(rate * factor,
    min_lr)`` and the count begins anew. Parameters and numbers are those of PyTorch's ReduceLROnPlateau.

    It is the one schedule with a memory: its value is the rate of now, whatever ``k``. The memory (rate,
    best metric, counts) is part of `describe`, so it is in the optimizer's ``state_dict`` and in checkpoints,
    and comes back from there. Two are equal if their arguments are. One object may serve several groups.

    Parameters
    ----------
    lr : float
        The learning rate to begin with, at least 0.
    mode : {"min", "max"}, default "min"
        Whether a smaller or a larger metric is better.
    factor : float, default 0.1
        What the rate is multiplied by, in (0, 1).
    patience : int, default 10
        How many reports in a row may show no improvement before the next one that does not reduces the rate.
    threshold : float, default 1e-4
        How much better than the best so far counts as improvement, at least 0.
    threshold_mode : {"rel", "abs"}, default "rel"
        In mode "min" a metric must be below ``best * (1 - threshold)`` or ``best - threshold``; in mode
        "max" above ``best * (1 + threshold)`` or ``best + threshold``.
    cooldown : int, default 0
        How many reports after a reduction are not counted as bad.
    min_lr : float, default 0
        The rate below which it does not fall, at least 0.
    eps : float, default 1e-8
        A reduction by no more than this is not made.

    Notes
    -----
    A metric that is NaN or infinite is no improvement (PyTorch takes an infinitely good one as the best).

    Examples
    --------
    >>> import fastopt
    >>> lr = fastopt.schedules.reduce_on_plateau(0.1, factor=0.5, patience=1)
    >>> [lr.report(loss) for loss in (3.0, 2.0, 2.0, 2.1, 1.0)]
    [0.1, 0.1, 0.1, 0.05, 0.05]
    >>> lr(1000), lr.describe()["state"]
    (0.05, {'rate': 0.05, 'best': 1.0, 'bad': 0, 'cooldown': 0})
    """

    lr: float
    mode: Literal["min", "max"] = dataclasses.field(default="min", kw_only=True)
    factor: float = dataclasses.field(default=0.1, kw_only=True)
    patience: int = dataclasses.field(default=10, kw_only=True)
    threshold: float = dataclasses.field(default=1e-4, kw_only=True)
    threshold_mode: Literal["rel", "abs"] = dataclasses.field(default="rel", kw_only=True)
    cooldown: int = dataclasses.field(default=0, kw_only=True)
    min_lr: float = dataclasses.field(default=0.0, kw_only=True)
    eps: float = dataclasses.field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        check_lr(self)
        for field, words in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            _checks.word(field, getattr(self, field), words, f"{words[0]!r} or {words[1]!r}")
        factor = _checks.real("factor", self.factor, minimum=0.0, maximum=1.0, open_low=True, open_high=True)
        self._check("factor", factor)
        for field in ("patience", "cooldown"):
            self._check(field, _checks.integer(field, getattr(self, field), minimum=0))
        for field in ("threshold", "min_lr", "eps"):
            self._check(field, _checks.real(field, getattr(self, field), minimum=0.0))
        self._check("_heard", _Heard(self.lr))  # not a field: no part of comparison and repr

    def report(self, metric: float) -> float:
        """Take the next value of the metric.

        Parameters
        ----------
        metric : float
            A loss, an accuracy; a 0-d array will do.

        Returns
        -------
        float
            The rate from now on.
        """
        rate, best, bad, cooldown = self._now
        value = _checks.sample("metric", metric)
        if math.isfinite(value) and (best is None or self._better(value, best)):
            best, bad = value, 0
        else:
            bad += 1
        if cooldown > 0:
            bad, cooldown = 0, cooldown - 1
        if bad > self.patience:
            lower = max(rate * self.factor, self.min_lr)
            rate = lower if rate - lower > self.eps else rate
            bad, cooldown = 0, self.cooldown
        self._check("_heard", _Heard(rate, best, bad, cooldown))
        return rate

    def _better(self, value: float, best: float) -> bool:
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            limit = best * (1.0 + sign * self.threshold)
        else:
            limit = best + sign * self.threshold
        return value < limit if self.mode == "min" else value > limit

    @property
    def _now(self) -> _Heard:
        heard: _Heard = self.__dict__["_heard"]
        return heard

    def _at(self, k: int) -> float:
        return self._now.rate

    def describe(self) -> dict[str, Any]:
        """Return arguments and memory as plain data for JSON; see `Schedule.describe`."""
        return {**super().describe(), "state": self._now._asdict()}

    def _remember(self, state: object) -> None:
        heard = _Heard.read(state)
        if heard.rate > self.lr:  # which it falls from
            raise ValueError(
                f"state['rate']: expected at most the lr it began with, {self.lr}, got {heard.rate}"
            )
        self._check("_heard", heard)

    def _memories(self, other: Schedule) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        assert isinstance(other, reduce_on_plateau)
        return [(vars(self), {"_heard": other._now})]
