"""A data set as the trainer wants it, the embedded digits, and how classes or a regression are told apart."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt.train import readers
from fastopt.train.checks import path_of, word
from fastopt.train.readers import DataError

Array = NDArray[Any]
Task = Literal["classes", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Dataset:
    """Rows of features with their targets, such as `read_data` returns.

    Attributes
    ----------
    name : str
        Of the file, or ``"digits"``.
    x : ndarray of shape (rows, features)
        The features.
    y : ndarray of shape (rows,), or (rows, targets)
        Class numbers, or the float64 targets of a regression.
    classes : tuple of str
        The names of the classes in the order of their numbers; empty for a regression.
    image_shape : tuple of int, optional
        (height, width) where a row is an image.
    test_rows : int, default 0
        So many of the last rows are for testing alone.
    labels : tuple
        The classes as the file has them, numbers or text.
    features : tuple of str
        The names of the columns, where a header line gave any.
    target : str, optional
        The name of the target's column, likewise.
    """

    name: str
    x: Array
    y: Array
    classes: tuple[str, ...]
    image_shape: tuple[int, int] | None = None
    test_rows: int = 0
    labels: tuple[Any, ...] = ()
    features: tuple[str, ...] = ()
    target: str | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            object.__setattr__(self, "labels", self.classes)

    @property
    def task(self) -> Task:
        """``"classes"`` or ``"regression"``."""
        return "classes" if self.classes else "regression"

    @property
    def outputs(self) -> int:
        """Number of classes or of target columns."""
        return len(self.classes) if self.classes else int(self.y.shape[1])

    def fingerprint(self) -> str:
        """A digest of the numbers, by which a resumed run knows its data again."""
        digest = hashlib.sha256(repr((self.x.shape, self.y.shape, self.classes, self.test_rows)).encode())
        digest.update(np.ascontiguousarray(self.x, np.float64).data)
        digest.update(np.ascontiguousarray(self.y, np.float64).data)
        return digest.hexdigest()


def digits() -> Dataset:
    """The 1797 handwritten digits inside the package: 8 x 8 pixels of 0 to 16 (Alpaydin & Kaynak 1998).

    >>> data = digits()
    >>> data.x.shape, data.outputs, data.image_shape
    ((1797, 64), 10, (8, 8))
    """
    with resources.as_file(resources.files("fastopt") / "data" / "digits.npz") as path:
        return _dataset("digits", readers.read_npz(path), "classes")


def read_data(path: str | Path, *, task: Task | None = None, target: str | None = None) -> Dataset:
    """Read the user's data from FILE.npz or FILE.csv.

    Parameters
    ----------
    path : str or Path
        `.npz`: arrays `X`, of shape (rows, features) or (rows, height, width), and `y`, of shape (rows,), or
        (rows, targets) for a regression. `.csv`: one row per line, separated by commas, semicolons or tabs,
        with or without a header line; all columns but the target must be numbers.
    task : {"classes", "regression"}, optional
        By default, integer, boolean or text targets are classes, floating-point ones a regression.
    target : str, optional
        CSV only: the target column, by name or by number from 0 (negative from the end); by default the last.

    Raises
    ------
    DataError
        The file is missing, of another form, has missing or non-finite numbers, or too few rows. The message
        names the file and the place in it.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastopt.train
    >>> path = os.path.join(tempfile.mkdtemp(), "houses.csv")
    >>> with open(path, "w", encoding="utf-8") as file:
    ...     _ = file.write("rooms,area,price\\n" + "2,50,1.5\\n3,80,2.25\\n4,95,3.0\\n5,120,3.5\\n" * 5)
    >>> data = fastopt.train.read_data(path)
    >>> data.task, data.x.shape, data.features, data.target
    ('regression', (20, 2), ('rooms', 'area'), 'price')
    """
    path = path_of("path", path)
    if task is not None:
        word("task", task, TASKS)
    if readers.kind_of(path) == ".csv":
        return _dataset(str(path), readers.read_csv(path, target), task)
    if target is not None:
        raise DataError(
            f"{path}: a target column can be chosen for .csv files only; in .npz it is the array y"
        )
    return _dataset(str(path), readers.read_npz(path), task)


def with_test_rows(data: Dataset, test: Dataset) -> Dataset:
    """Both as one data set that knows which rows are for testing alone, since they were gathered elsewhere.

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
    name = f"{data.name}, tested on {test.name}"
    x, y = np.concatenate([data.x, test.x]), np.concatenate([data.y, y])
    return dataclasses.replace(data, name=name, x=x, y=y, test_rows=len(test.x))


def _dataset(name: str, table: readers.Table, task: str | None) -> Dataset:
    """Check the arrays and decide what the targets are."""
    (x, image_shape), y = as_rows(name, table.x), table.y
    if len(x) != len(y):
        raise DataError(f"{name}: X and y: expected the same number of rows, got {len(x)} and {len(y)}")
    if len(x) < 5:
        raise DataError(f"{name}: expected at least 5 rows to split in three, got {len(x)}")
    if task is None:
        task = "regression" if y.dtype.kind == "f" else "classes"
        _check_plausible(name, y, task)
    labels: tuple[Any, ...] = ()
    if task == "regression":
        y = _values(name, y)
    else:
        y, labels = _classes(name, y)
    classes, columns = tuple(map(str, labels)), (table.features, table.target)
    return Dataset(name, x, y, classes, image_shape, 0, labels, *columns)


def as_rows(name: str, x: Array) -> tuple[Array, tuple[int, int] | None]:
    """Finite features of shape (rows, features), and the shape of the images if `x` holds such."""
    image_shape = None
    if x.ndim == 3:
        image_shape = (int(x.shape[1]), int(x.shape[2]))
        x = x.reshape(len(x), -1)
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: X: expected numbers of shape (rows, features) or (rows, height, width), "
            f"got {x.dtype} of shape {x.shape}"
        )
    if x.dtype.kind == "f":
        _check_finite(name, "X", x)
    return x, image_shape


def _check_finite(name: str, what: str, a: Array) -> None:
    if not np.isfinite(a).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise DataError(f"{name}: {what}{list(place)}: expected a finite number, got {a[place]}")


def _check_plausible(name: str, y: Array, task: str) -> None:
    """Many different integers are more likely counts than classes: better ask than train nonsense."""
    if task == "classes" and y.dtype.kind in "iu" and y.ndim == 1:
        different = len(np.unique(y))
        if different > 50 and different > len(y) // 10:
            raise DataError(
                f"{name}: y has {different} different integers in {len(y)} rows, which could be classes or "
                "numbers: say which with --task classes or --task regression"
            )


def _values(name: str, y: Array) -> Array:
    if y.ndim not in (1, 2) or y.dtype.kind not in "biuf" or (y.ndim == 2 and y.shape[1] == 0):
        raise DataError(
            f"{name}: y: expected numbers of shape (rows,) or (rows, targets) for a regression, "
            f"got {y.dtype} of shape {y.shape}"
        )
    _check_finite(name, "y", y.astype(np.float64))
    return y.reshape(len(y), -1).astype(np.float64)


def _classes(name: str, y: Array) -> tuple[Array, tuple[Any, ...]]:
    """(class numbers, labels as the file has them: integers, truths or text)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{name}: y: expected class labels of shape (rows,), got shape {y.shape}")
    if y.dtype.kind == "f":
        _check_finite(name, "y", y)
        if not (y == np.round(y)).all():
            raise DataError(
                f"{name}: y: expected whole numbers as class labels, got {y[y != np.round(y)][0]}"
            )
        y = y.astype(np.int64)
    if y.dtype.kind not in "biuUS":
        raise DataError(f"{name}: y: expected integers, floats or text, got {y.dtype}")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: y: expected UTF-8 text ({error})") from None
    labels, numbers = np.unique(y, return_inverse=True)
    if len(labels) < 2:
        raise DataError(f"{name}: y: expected at least two classes, got only {labels[0]!s}")
    return numbers.astype(np.int64), tuple(labels.tolist())
