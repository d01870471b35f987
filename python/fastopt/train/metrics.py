"""How good are predictions? Everything in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def accuracy(predicted: Array, actual: Array) -> float:
    """Share of equal entries.

    >>> accuracy(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 0]))
    0.75
    """
    return float((predicted == actual).mean())


def confusion(predicted: Array, actual: Array, classes: int) -> NDArray[np.int64]:
    """Counts of shape (classes, classes): entry (i, j) is how often class i was taken for j.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(actual * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def rmse(predicted: Array, actual: Array) -> float:
    """Root of the mean squared difference over all rows and columns."""
    return float(np.sqrt(((predicted - actual) ** 2).mean()))


def r2(predicted: Array, actual: Array) -> float:
    """Coefficient of determination, 1 - residual / total sum of squares: NaN for a constant column.

    The mean over columns.

    >>> r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])).__round__(4)
    0.7857
    """
    residual = ((predicted - actual) ** 2).sum(axis=0)
    total = ((actual - actual.mean(axis=0)) ** 2).sum(axis=0)
    if (total == 0).any():
        return float("nan")
    return float((1 - residual / total).mean())
