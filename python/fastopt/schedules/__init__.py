"""Learning-rate schedules: the rate as a function of the number of completed steps.

Every schedule is called with ``k``, the number of completed steps: 0 at the first step. Called with an
integer array it returns the array of its values, to plot them. Pass one as ``lr`` of any optimizer:

>>> import fastopt
>>> lr = fastopt.schedules.warmup_cosine(1e-3, warmup=100, total=5_000)
>>> lr(0), lr(99)
(1e-05, 0.001)

A schedule is saved with the optimizer as its description:

>>> fastopt.schedules.from_description(lr.describe()) == lr
True
"""

from __future__ import annotations

from ._decay import constant, exponential, inverse_sqrt, inverse_time, step
from ._finite import cosine, one_cycle, polynomial
from ._plateau import reduce_on_plateau
from ._restarts import cosine_restarts
from ._schedule import Schedule, from_description
from ._warmup import join, linear_warmup, warmup_cosine, warmup_then

from ._by_name import NAMES as NAMES, by_name, names, parse, read_spec  # isort: skip  (reads the registry that the modules above fill)

__all__ = [
    "Schedule",
    "by_name",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "from_description",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "linear_warmup",
    "names",
    "one_cycle",
    "parse",
    "polynomial",
    "read_spec",
    "reduce_on_plateau",
    "step",
    "warmup_cosine",
    "warmup_then",
]


def __dir__() -> list[str]:
    return sorted(__all__)
