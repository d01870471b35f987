"""Training, validation and test rows by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Row numbers of the three parts, disjoint and together all rows."""

    train: Rows
    validation: Rows
    test: Rows


def split(
    rows: int, fractions: Sequence[float], rng: np.random.Generator, labels: NDArray[Any] | None = None
) -> Split:
    """Shuffle the rows and cut them in three; with `labels` every class is cut in the same proportions.

    >>> parts = split(10, (0.6, 0.2, 0.2), np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [6, 2, 2]
    """
    check_fractions(fractions)
    order = rng.permutation(rows)
    groups = [order] if labels is None else [order[labels[order] == c] for c in np.unique(labels)]
    parts: list[list[Rows]] = [[], [], []]
    seen = 0
    for group in groups:
        # Cutting at running totals keeps the parts' sizes right to one row, however many classes there are.
        ends = [round((seen + len(group)) * f) - round(seen * f) for f in np.cumsum(fractions)[:2]]
        for part, rows_of_part in zip(parts, np.split(group, ends), strict=True):
            part.append(rows_of_part)
        seen += len(group)
    # Shuffled again, so that the first rows of a part are a fair sample of it.
    result = Split(*(rng.permutation(np.concatenate(part)) for part in parts))
    for name, chosen in zip(Split._fields, result, strict=True):
        if len(chosen) == 0:
            raise ValueError(
                f"split: the {name} part of {rows} rows is empty with fractions {list(fractions)}"
            )
    return result


def check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or not all(0 < f < 1 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"split: expected three positive fractions that sum to 1, got {list(fractions)}")
