"""Training, validation and test rows by seed: cut once, in folds, or only a share of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Labels = NDArray[Any]


class Split(NamedTuple):
    """Row numbers of the three parts, disjoint and together all rows."""

    train: Rows
    validation: Rows
    test: Rows


def split(
    rows: int, fractions: Sequence[float], rng: np.random.Generator, labels: Labels | None = None
) -> Split:
    """Shuffle the rows and cut them in three; with `labels` every class is cut in the same proportions.

    >>> parts = split(10, (0.6, 0.2, 0.2), np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [6, 2, 2]
    """
    check_fractions(fractions)
    result = Split(*_cut(np.arange(rows), np.cumsum(fractions)[:2], rng, labels))
    for name, chosen in zip(Split._fields, result, strict=True):
        if len(chosen) == 0:
            raise ValueError(
                f"split: the {name} part of {rows} rows is empty with fractions {list(fractions)}"
            )
    return result


def split_with_test(
    rows: int,
    test_rows: int,
    fractions: Sequence[float],
    rng: np.random.Generator,
    labels: Labels | None = None,
) -> Split:
    """The last `test_rows` rows to test; the others cut in the proportion of the first two fractions."""
    own = np.arange(rows - test_rows)
    train, validation = _train_and_validation(own, fractions, rng, labels)
    if len(train) == 0 or len(validation) == 0:
        raise ValueError(f"split: {len(own)} rows leave none to train or to validate with")
    return Split(train, validation, rng.permutation(np.arange(rows - test_rows, rows)))


def fold(
    rows: int,
    number: int,
    folds: int,
    fractions: Sequence[float],
    rng: np.random.Generator,
    labels: Labels | None = None,
) -> Split:
    """The split of fold `number` (from 0) of K-fold cross-validation: every row is a test row in one fold.

    The other rows are cut for training and validation in the proportion of the first two fractions. The same
    generator state gives the same folds for every number; with `labels` each has every class in proportion.

    >>> tests = [fold(10, i, 3, (0.6, 0.2, 0.2), np.random.default_rng(0)).test for i in range(3)]
    >>> sorted(int(row) for test in tests for row in test) == list(range(10))
    True
    """
    if folds > rows:
        raise ValueError(f"folds: expected at most one per row, {rows}, got {folds}")
    # Dealt out in turn, class after class, so that sizes differ by one row at most, and by one in each class.
    order = np.concatenate(_groups(np.arange(rows), rng, labels))
    test = rng.permutation(order[number::folds])
    rest = np.setdiff1d(order, test)
    train, validation = _train_and_validation(rest, fractions, rng, labels)
    if len(train) == 0 or len(validation) == 0:
        raise ValueError(f"folds: {folds} folds of {rows} rows leave none to train or to validate with")
    return Split(train, validation, test)


def subset(rows: Rows, share: float, rng: np.random.Generator, labels: Labels | None = None) -> Rows:
    """A share of the rows in random order, every class (of `labels`, one per row) in proportion.

    A class never vanishes: at least one row of each stays.
    """
    chosen = _cut(rows, [share], rng, labels)[0]
    if labels is not None:
        missing = np.setdiff1d(labels, labels[np.isin(rows, chosen)])
        chosen = np.concatenate([chosen, [rows[labels == c][0] for c in missing]]).astype(rows.dtype)
    return chosen if len(chosen) else rows[:1]


def _train_and_validation(
    rows: Rows, fractions: Sequence[float], rng: np.random.Generator, labels: Labels | None
) -> list[Rows]:
    share = fractions[0] / (fractions[0] + fractions[1])
    return _cut(rows, [share], rng, None if labels is None else labels[rows])


def _groups(rows: Rows, rng: np.random.Generator, labels: Labels | None) -> list[Rows]:
    """The rows in random order, apart by class."""
    order = rng.permutation(len(rows))
    if labels is None:
        return [rows[order]]
    return [rows[order[labels[order] == c]] for c in np.unique(labels)]


def _cut(
    rows: Rows, cumulative: Sequence[float] | NDArray[Any], rng: np.random.Generator, labels: Labels | None
) -> list[Rows]:
    """Parts of the shuffled rows that end at these cumulative shares, and the rest."""
    parts: list[list[Rows]] = [[] for _ in range(len(cumulative) + 1)]
    seen = 0
    for group in _groups(rows, rng, labels):
        # Cutting at running totals keeps the parts' sizes right to one row, however many classes there are.
        ends = [round((seen + len(group)) * f) - round(seen * f) for f in cumulative]
        for part, rows_of_part in zip(parts, np.split(group, ends), strict=True):
            part.append(rows_of_part)
        seen += len(group)
    # Shuffled again, so that the first rows of a part are a fair sample of it.
    return [rng.permutation(np.concatenate(part)) for part in parts]


def check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or not all(0 < f < 1 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"split: expected three positive fractions that sum to 1, got {list(fractions)}")
