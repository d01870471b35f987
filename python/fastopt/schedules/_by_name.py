"""Schedules from a name and the length of the run, as the command line gives them."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Literal, cast

from .. import _checks
from ._schedule import REGISTRY, Schedule
from ._warmup import warmup_then

__all__ = ["by_name", "names", "parse", "read_spec"]

#: For type checkers; a test holds it to NAMES.
ScheduleName = Literal[
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "inverse_sqrt",
    "inverse_time",
    "linear_warmup",
    "one_cycle",
    "polynomial",
    "reduce_on_plateau",
    "step",
    "warmup_cosine",
]

#: Sorted: every schedule that a rate and a length suffice to make.
NAMES: tuple[ScheduleName, ...] = cast(
    "tuple[ScheduleName, ...]",
    tuple(sorted(name for name, cls in REGISTRY.items() if cls._for_run(1) is not None)),
)


def names() -> list[ScheduleName]:
    """Every name that `by_name` knows: schedules that a rate and a number of steps suffice to make.

    >>> import fastopt
    >>> {"constant", "cosine", "warmup_cosine"} <= set(fastopt.schedules.names())
    True
    """
    return list(NAMES)


def by_name(name: ScheduleName, lr: float, total_steps: int, **options: Any) -> Schedule:
    """Make a schedule for a run of known length from its name.

    What a schedule needs beyond ``lr`` follows from ``total_steps``:

    ================= =====================================================================================
    name              for a run of ``total_steps`` steps
    ================= =====================================================================================
    constant          the length plays no part
    cosine            ``total=total_steps``: from ``lr`` to 0
    cosine_restarts   ``period=ceil(total_steps / 7), multiplier=2``: three cycles
    exponential       ``gamma=0.1, every=total_steps``: from ``lr`` to a tenth of it
    inverse_sqrt      the length plays no part
    inverse_time      ``rate=9 / total_steps``: from ``lr`` to a tenth of it
    linear_warmup     ``warmup=total_steps // 10`` (at least 1), then constant
    one_cycle         ``total=total_steps``; ``lr`` is the highest rate
    polynomial        ``total=total_steps``: a straight line from ``lr`` to 0
    reduce_on_plateau the length plays no part; `report` it a metric
    step              ``every=ceil(total_steps / 3)``: two drops to a tenth each
    warmup_cosine     ``warmup=total_steps // 10`` (at least 1 of 2 or more), ``total=total_steps``
    ================= =====================================================================================

    Parameters
    ----------
    name : str
        One of `names`.
    lr : float
        The learning rate: the first, or the highest where the schedule rises. At least 0.
    total_steps : int
        The number of steps of the run, at least 1.
    **options
        Arguments of the schedule, in place of those of the table. (A ``gamma`` of exponential is per step, as
        in its constructor, unless ``every`` comes with it.) Any schedule also takes ``warmup``: that many of
        the ``total_steps`` become a linear warm-up (`warmup_then`) and the table holds for the rest.

    Returns
    -------
    Schedule

    Raises
    ------
    TypeError
        If an option is not an argument of this schedule.
    ValueError
        If the name is unknown or a value out of range.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.by_name("cosine", 0.1, 500)
    fastopt.schedules.cosine(0.1, total=500)
    >>> fastopt.schedules.by_name("step", 0.1, 500, warmup=50, gamma=0.5)
    fastopt.schedules.warmup_then(fastopt.schedules.step(0.1, every=150, gamma=0.5), warmup=50)
    """
    return _make(name, lr, total_steps, options)


def _make(name: str, lr: float, total_steps: int, options: dict[str, Any]) -> Schedule:
    # A dict, not **options: text may name an option "lr", which is to be refused, not to collide.
    total_steps = _checks.integer("total_steps", total_steps, minimum=1)
    if name not in NAMES:
        raise ValueError(f"name: expected one of {', '.join(NAMES)}, got {name!r}")
    cls = REGISTRY[name]
    known = {f.name for f in dataclasses.fields(cls)} - {"lr"}
    if "warmup" in options and "warmup" not in known:
        warmup = _checks.integer("warmup", options["warmup"], minimum=0)
        if warmup >= total_steps:
            raise ValueError(f"warmup: expected fewer than the {total_steps} steps of the run, got {warmup}")
        rest = {key: value for key, value in options.items() if key != "warmup"}
        return warmup_then(_make(name, lr, total_steps - warmup, rest), warmup=warmup)
    for option in options:
        if option not in known:
            wanted = ", ".join(sorted(known | {"warmup"}))
            raise TypeError(f"{option}: expected one of the options of {name} ({wanted}), got {option!r}")
    implied = cls._for_run(total_steps, options.keys()) or {}
    return cls(lr, **(implied | options))  # type: ignore[call-arg]


def read_spec(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``"name:option=value,option=value"``, as command lines give schedules and optimizers.

    Parameters
    ----------
    text : str
        A name, alone or with options. A value is a number, a truth (``true``, ``false``), ``none``, a list in
        brackets (read as a tuple), or else text. A hyphen in an option's name is an underscore.

    Returns
    -------
    name : str
    options : dict

    Raises
    ------
    ValueError
        If the text has another form, or an option comes twice.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.read_spec("adamw:betas=[0.9,0.99],maximize=true")
    ('adamw', {'betas': (0.9, 0.99), 'maximize': True})
    """
    if not isinstance(text, str):
        raise TypeError(f"text: expected a string, got {_checks.shown(text)}")
    name, colon, rest = text.partition(":")
    if not name.strip() or bool(colon) != bool(rest.strip()):
        raise ValueError(f"expected NAME or NAME:key=value,..., got {text!r}")
    options: dict[str, Any] = {}
    for item in _SEPARATOR.split(rest) if colon else []:
        key, equals, value = item.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise ValueError(f"expected an option as key=value, got {item.strip()!r}")
        if key in options:
            raise ValueError(f"the option {key} is given twice")
        options[key] = _value(value.strip())
    return name.strip(), options


#: The commas that are not in [brackets].
_SEPARATOR = re.compile(r",(?![^\[]*\])")
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


def _value(text: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    try:
        value = json.loads(text)
    except ValueError:
        try:
            return float(text)  # the forms that Python reads and JSON does not: .5, 1., +1
        except ValueError:
            return text  # a word, such as the anneal of one_cycle; whoever takes it judges it
    return tuple(value) if isinstance(value, list) else value


def parse(text: str, lr: float, total_steps: int) -> Schedule:
    """Make a schedule from text: a name, or ``"name:option=value,option=value"``.

    Parameters
    ----------
    text : str
        A name of `names`, with options as `by_name` takes them: ``"cosine"``, ``"step:every=100,gamma=0.5"``,
        ``"step:milestones=[100,150]"``, ``"one_cycle:anneal=linear"``, ``"polynomial:power=2,warmup=100"``.
    lr, total_steps
        As for `by_name`.

    Returns
    -------
    Schedule

    Raises
    ------
    TypeError, ValueError
        As for `by_name`; ValueError also if the text has another form.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.parse("step:every=100,gamma=0.5", 0.1, 500)
    fastopt.schedules.step(0.1, every=100, gamma=0.5)
    """
    try:
        name, options = read_spec(text)
    except ValueError as error:
        form = "name:option=value,option=value with each option once"
        raise ValueError(f"text: expected {form}, got {text!r} ({error})") from None
    return _make(name, lr, total_steps, options)
