"""Test rows from a file of their own: a test of how a model does on data that were gathered elsewhere."""

from __future__ import annotations

import dataclasses

import numpy as np

from fastopt.train.datasets import Dataset
from fastopt.train.readers import DataError


def joined(data: Dataset, test: Dataset) -> Dataset:
    """Both as one data set that knows which rows are for testing alone.

    Raises
    ------
    DataError
        If the test rows have another number of features, another shape of images, another task, other
        targets, or a class that is not in `data`.
    """
    for what, mine, its in (
        ("task", data.task, test.task),
        ("number of features", data.x.shape[1], test.x.shape[1]),
        ("shape of images", data.image_shape, test.image_shape),
    ):
        if mine != its:
            raise DataError(f"{test.name}: {what}: expected {mine} as in {data.name}, got {its}")
    if data.task == "regression" and data.outputs != test.outputs:
        raise DataError(f"{test.name}: expected {data.outputs} targets as in {data.name}, got {test.outputs}")
    y = test.y
    if data.classes:
        unknown = [name for name in test.classes if name not in data.classes]
        if unknown:
            raise DataError(f"{test.name}: class {unknown[0]!r} does not occur in {data.name}")
        y = np.array([data.classes.index(name) for name in test.classes], dtype=np.int64)[test.y]
    return dataclasses.replace(
        data,
        name=f"{data.name}, tested on {test.name}",
        x=np.concatenate([data.x, test.x]),
        y=np.concatenate([data.y, y]),
        test_rows=len(test.x),
    )
