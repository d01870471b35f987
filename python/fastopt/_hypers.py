"""Hyper-parameters: what values are allowed, and what the engine calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastopt._checks import brief, flag, integer, real, word

__all__ = [
    "COMMON",
    "COMMON_DEFAULTS",
    "Hyper",
    "at_least",
    "boolean",
    "check_single",
    "choice",
    "epsilon",
    "finite",
    "fraction",
    "in_double",
    "lr",
    "non_negative",
    "optional",
    "pair",
    "positive",
    "since",
    "start",
    "switch",
    "unit",
    "whole",
]


class Hyper(NamedTuple):
    """One keyword of an optimizer's groups."""

    check: Callable[[str, Any], Any]  # name, value -> the value, normalised; raises TypeError or ValueError
    native: Callable[[str, Any], Mapping[str, float]] = lambda name, value: {name: value}
    fixed: bool = False  # chooses the formula, so it cannot change once states exist
    guards: bool | str = False  # (as the engine calls it) keeps a quotient finite: may not be rounded to 0
    wide: bool = False  # only enters what the rule forms in double before a step
    starts: bool = False  # says where states begin, and nothing afterwards
    before: tuple[Any, ...] = ()  # its value, alone, where a saved state is older than the keyword


def finite() -> Hyper:
    """A finite number."""
    return Hyper(real)


def non_negative() -> Hyper:
    """A finite number >= 0."""
    return Hyper(lambda name, value: real(name, value, minimum=0.0))


def epsilon() -> Hyper:
    """A finite number >= 0 that is added to a denominator."""
    return non_negative()._replace(guards=True)


def in_double(hyper: Hyper) -> Hyper:
    """The same, for a number that may be beyond float32 whatever the parameters are."""
    return hyper._replace(wide=True)


def at_least(minimum: float) -> Hyper:
    """A finite number >= `minimum`."""
    return Hyper(lambda name, value: real(name, value, minimum=minimum))


def optional(hyper: Hyper, absent: float) -> Hyper:
    """The same or None, which is `absent` to the engine."""

    def native(name: str, value: Any) -> Mapping[str, float]:
        return {name: absent} if value is None else hyper.native(name, value)

    return hyper._replace(
        check=lambda name, value: None if value is None else hyper.check(name, value), native=native
    )


def positive() -> Hyper:
    """A finite number > 0."""
    return Hyper(lambda name, value: real(name, value, minimum=0.0, open_low=True))


def unit(*, closed: bool = False) -> Hyper:
    """A number in [0, 1), or in [0, 1]."""
    return Hyper(lambda name, value: real(name, value, minimum=0.0, maximum=1.0, open_high=not closed))


def fraction() -> Hyper:
    """A number in (0, 1)."""
    return Hyper(
        lambda name, value: real(name, value, minimum=0.0, maximum=1.0, open_low=True, open_high=True)
    )


def whole() -> Hyper:
    """An integer >= 0, which enters only what the rule forms in double."""
    return in_double(
        Hyper(lambda name, value: integer(name, value, minimum=0), lambda name, value: {name: float(value)})
    )


def pair(*names: str, check: Callable[[str, tuple[Any, ...]], tuple[Any, ...]] | None = None) -> Hyper:
    """A tuple of numbers in [0, 1) (or whatever `check` wants), known to the engine by these names."""

    def checked(name: str, value: Any) -> tuple[Any, ...]:
        listed = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1)
        if not listed or len(value) != len(names):  # sets have no order
            raise ValueError(f"{name}: expected {len(names)} numbers, got {brief(value)}")
        if check is not None:
            return check(name, tuple(value))
        return tuple(
            real(f"{name}[{i}]", v, minimum=0.0, maximum=1.0, open_high=True) for i, v in enumerate(value)
        )

    return Hyper(checked, lambda _, values: dict(zip(names, values, strict=True)))


def boolean(*, fixed: bool = True) -> Hyper:
    """True or False; fixed once the group exists unless said otherwise."""
    return Hyper(flag, lambda name, value: {}, fixed)


def switch() -> Hyper:
    """True or False, which the engine takes as a number: it may change while training."""
    return Hyper(flag, lambda name, value: {name: float(value)})


def choice(*options: str) -> Hyper:
    """One of some words, fixed once the group exists."""

    return Hyper(lambda name, value: str(word(name, value, options)), lambda name, value: {}, True)


def start() -> Hyper:
    """Where an accumulator starts: a finite number >= 0, or "gradient" for the square of the first
    gradient.
    """

    def checked(name: str, value: Any) -> float | str:
        if isinstance(value, str):
            return word(name, value, ("gradient",), 'a number >= 0 or "gradient"')
        return real(name, value, minimum=0.0)

    return Hyper(checked, lambda name, value: {}, True, starts=True)


def since(hyper: Hyper, before: Any) -> Hyper:
    """The same, for a keyword that came later: what steps did until then is its value `before`."""
    return hyper._replace(before=(before,))


def lr() -> Hyper:
    """A finite number >= 0, or a callable of the number of completed steps."""
    return Hyper(lambda name, value: value if callable(value) else real(name, value, minimum=0.0))


def check_single(hypers: Mapping[str, Hyper], values: Mapping[str, Any], params: Iterable[Any]) -> None:
    """Raise ValueError for a value that float32 cannot hold, if one of the parameters is computed in it.

    That is every dtype but float64. Too small is no error: a rate of 1e-50 is a step of 0 in float32 as well,
    and schedules end there. Only what keeps a denominator from 0 must not vanish.
    """
    dtypes = {str(dtype) for dtype in {getattr(p, "dtype", "float64") for p in params}} - {"float64"}
    if not dtypes:
        return
    for key, value in values.items():
        hyper = hypers.get(key)
        if hyper is None or hyper.wide or callable(value):
            continue
        numbers = hyper.native(key, value)
        # where an accumulator starts is no hyper-parameter of the rule's
        if not numbers and isinstance(value, float):
            numbers = {key: value}
        for name, number in numbers.items():
            large = abs(number) > MOST_IN_SINGLE
            if large or (hyper.guards in (True, name) and number > 0 and np.float32(number) == 0):
                bound = f"at most {MOST_IN_SINGLE:.3g}" if large else f"0 or at least {_LEAST_IN_SINGLE:.2g}"
                raise ValueError(
                    f"{key}: expected {bound} for {min(dtypes)} parameters, which are computed in float32, "
                    f"got {value!r}"
                )


MOST_IN_SINGLE = float(np.finfo(np.float32).max)
_LEAST_IN_SINGLE = float(np.finfo(np.float32).smallest_subnormal)

#: What every group has.
COMMON: dict[str, Hyper] = {
    "lr": lr(),
    "weight_decay": non_negative(),
    "l1": non_negative(),
    "l1_proximal": non_negative(),
    "maximize": boolean(fixed=False),
    "cautious": since(switch(), False),
    "cautious_weight_decay": since(switch(), False),
    "centralize": since(switch(), False),
}
#: Those whose default is no matter of the class.
COMMON_DEFAULTS: dict[str, Any] = {
    "l1": 0.0,
    "l1_proximal": 0.0,
    "maximize": False,
    "cautious": False,
    "cautious_weight_decay": False,
    "centralize": False,
}
