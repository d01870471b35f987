"""What a schedule is: an immutable function of the number of completed steps that can describe itself."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Collection
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from .. import _checks

__all__ = ["REGISTRY", "Schedule", "from_description"]

#: name -> class, filled by the definition of each class; everything that lists schedules reads it.
REGISTRY: dict[str, type[Schedule]] = {}

#: A description nested deeper than this is refused: it comes from a file, and Python's stack is finite.
MAX_DEPTH = 32


@dataclasses.dataclass(frozen=True, repr=False)
class Schedule:
    """Base class of all schedules: a learning rate as a function of the number of completed steps.

    A schedule is called with ``k``, the number of completed steps (0 at the first), and returns the learning
    rate of the coming step. Schedules are immutable (`reduce_on_plateau` has a memory besides), compare and
    hash by value, can be pickled, and their ``repr`` is the code that makes them again.

    Called with an integer array, a schedule returns the float64 array of its values. They come from the same
    scalar formula, element by element: NumPy's vectorised `cos` and `power` need not round as the C library's
    do, and a plot has to show the rates that the training used, bit for bit.

    Parameters
    ----------
    k : int or ndarray of integers
        Number of completed steps, at least 0.

    Returns
    -------
    float or ndarray of float64
        The learning rate; for an array, one value per element in the array's shape.

    Raises
    ------
    TypeError
        If ``k`` is neither an integer nor an integer array.
    ValueError
        If ``k`` is negative.
    """

    #: The class that a description names; the key in the registry.
    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__
        if cls.name in REGISTRY:
            raise TypeError(f"class {cls.name}: expected a name that no schedule has, got one that is taken")
        REGISTRY[cls.name] = cls

    def _at(self, k: int) -> float:
        """The formula; `k` is a checked Python int."""
        raise NotImplementedError

    def _check(self, field: str, value: Any) -> None:
        """Replace a field by its checked form (the one place that may write to a frozen instance)."""
        object.__setattr__(self, field, value)

    @classmethod
    def _for_run(cls, total_steps: int, given: Collection[str] = ()) -> dict[str, Any] | None:
        """The arguments that a run of `total_steps` implies beside the `given` ones.

        None: the schedule cannot be made from a name and a rate. Here: of a number of steps, that of the run.
        """
        fields = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING} - {"lr"}
        return dict.fromkeys(fields, total_steps) if fields <= {"total"} else None

    @overload
    def __call__(self, k: int) -> float: ...
    @overload
    def __call__(self, k: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
    def __call__(self, k: int | NDArray[np.integer[Any]]) -> float | NDArray[np.float64]:
        if isinstance(k, np.ndarray):
            return self._at_all(k)
        if isinstance(k, bool) or not hasattr(k, "__index__"):
            raise TypeError(f"k: expected an integer or an integer array, got {_checks.shown(k)}")
        step = operator.index(k)
        if step < 0:
            raise ValueError(f"k: expected at least 0 completed steps, got {step}")
        return self._at(step)

    def _at_all(self, k: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        if k.dtype.kind not in "iu":
            raise TypeError(f"k: expected an integer or an integer array, got an array of {k.dtype}")
        if k.size and k.min() < 0:
            raise ValueError(f"k: expected at least 0 completed steps, got {k.min()}")
        return np.fromiter(map(self._at, k.ravel().tolist()), np.float64, k.size).reshape(k.shape)

    def report(self, metric: float) -> float | None:
        """Tell the schedule a metric; heard by `reduce_on_plateau`, alone or as a part, and no other.

        Parameters
        ----------
        metric : float
            A validation loss, say.

        Returns
        -------
        float or None
            The rate from now on of a `reduce_on_plateau`, else None.
        """
        for part in self._parts():
            part.report(metric)
        return None

    def _parts(self) -> list[Schedule]:
        """The schedules that this one is made of."""
        values = [getattr(self, f.name) for f in dataclasses.fields(self)]
        items = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
        return [item for item in items if isinstance(item, Schedule)]

    def _remember(self, state: object) -> None:
        """Take the memory that a description holds; only some have one."""
        raise ValueError(f"description of {self.name}: expected no state, got {_checks.shown(state)}")

    def _memories(self, other: Schedule) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What changes here when the memory of an equal schedule is taken over: dicts, new values of keys."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        return [change for mine, theirs in pairs for change in mine._memories(theirs)]

    def describe(self) -> dict[str, Any]:
        """Return the schedule as plain data for JSON: its name and arguments, nested for combinators.

        Returns
        -------
        dict
            ``{"name": ..., argument: value, ...}``; `from_description` makes an equal schedule of it.

        Examples
        --------
        >>> import fastopt
        >>> fastopt.schedules.cosine(0.1, total=500).describe()
        {'name': 'cosine', 'lr': 0.1, 'total': 500, 'final': 0.0}
        """
        return {"name": self.name} | {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def __repr__(self) -> str:
        parts = [
            _code(getattr(self, f.name)) if not f.kw_only else f"{f.name}={_code(getattr(self, f.name))}"
            for f in dataclasses.fields(self)
            if f.default is dataclasses.MISSING or getattr(self, f.name) != f.default
        ]
        return f"fastopt.schedules.{self.name}({', '.join(parts)})"


def from_description(description: dict[str, Any]) -> Schedule:
    """Rebuild a schedule from what its `describe` returned.

    Parameters
    ----------
    description : dict
        ``{"name": ..., argument: value, ...}``, as read back from JSON.

    Returns
    -------
    Schedule
        Equal to the described one.

    Raises
    ------
    TypeError, ValueError
        If it is not a description, or names an unknown schedule, an unknown argument or an impossible value.
        Nothing but the named class is called.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.schedules.from_description({"name": "inverse_sqrt", "lr": 0.1})
    fastopt.schedules.inverse_sqrt(0.1)
    """
    return _rebuild(description, MAX_DEPTH)


def _rebuild(description: object, depth: int) -> Schedule:
    if not isinstance(description, dict):
        raise TypeError(f"description: expected a dict, got {type(description).__name__}")
    if depth == 0:
        raise ValueError(f"description: expected at most {MAX_DEPTH} schedules inside each other, got more")
    name = description.get("name")
    if not isinstance(name, str) or name not in REGISTRY:
        raise ValueError(f"description['name']: expected one of {', '.join(sorted(REGISTRY))}, got {name!r}")
    cls = REGISTRY[name]
    given = {key: value for key, value in description.items() if key not in ("name", "state")}
    known = {f.name: f for f in dataclasses.fields(cls)}
    needed = {key for key, f in known.items() if f.default is dataclasses.MISSING}
    if not needed <= given.keys() <= known.keys():
        raise ValueError(
            f"description of {name}: expected {', '.join(known)}, got {', '.join(map(str, given))}"
        )
    schedule = cls(**{key: _unplain(value, depth - 1) for key, value in given.items()})
    if "state" in description:
        schedule._remember(description["state"])
    return schedule


def _unplain(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _rebuild(value, depth)
    if isinstance(value, list):
        return [_unplain(item, depth) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.describe()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _code(value: Any) -> str:
    return f"[{', '.join(map(_code, value))}]" if isinstance(value, tuple) else repr(value)


def check_lr(schedule: Schedule, field: str = "lr") -> None:
    """Check a rate of a schedule in its constructor: finite and not negative."""
    schedule._check(field, _checks.real(field, getattr(schedule, field), minimum=0.0))


def scaled_power(lr: float, base: float, exponent: float) -> float:
    """`lr * base ** exponent` that grows to infinity, where Python would raise, when base > 1."""
    try:
        return float(lr * base**exponent)
    except OverflowError:
        return math.inf if lr else 0.0
