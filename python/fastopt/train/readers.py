"""Features and targets from `.npz` and `.csv` files, with errors that name the place."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class DataError(ValueError):
    """The data file cannot be used; the message says where and why."""


class Table(NamedTuple):
    """Features (rows, columns) and targets of a file, and the columns' names where it has a header line."""

    x: Array
    y: Array
    features: tuple[str, ...] = ()
    target: str | None = None


def kind_of(path: Path) -> str:
    """The ending of a file that exists, one that can be read."""
    if not path.is_file():
        if path.exists():
            found = "a folder" if path.is_dir() else "something else"
            raise DataError(f"{path}: expected a file, got {found}")
        raise DataError(f"{path}: no such file")
    kind = path.suffix.lower()
    if kind not in (".csv", ".npz"):
        raise DataError(f"{path}: expected a file ending in .npz or .csv")
    return kind


def read_npz(path: Path) -> Table:
    """Arrays `X` and `y` of an `.npz` file; nothing in the file is executed (no pickle)."""
    x, y = _npz_arrays(path, "X", "y")
    return Table(x, y)


def read_features(path: Path, features: Sequence[str], count: int) -> Array:
    """The features alone, of data to predict for: the array `X` of an `.npz`, or columns of a `.csv`.

    Where the training data and this file have header lines, columns are found by their names, wherever they
    are; else there must be as many columns as features, `count`.
    """
    if kind_of(path) == ".npz":
        (x,) = _npz_arrays(path, "X")
        return x
    with _csv_lines(path, least=1) as (header, width, lines):
        if header and features:
            for name in features:
                if header.count(name) != 1:
                    found = "no column is" if name not in header else "several columns are"
                    raise DataError(
                        f"{path}: {found} called {name!r}; the model was trained on {', '.join(features)}"
                    )
            columns = [header.index(name) for name in features]
        elif width != count:
            raise DataError(
                f"{path}: expected {count} columns, the features without the target, as in training, "
                f"got {width}"
            )
        else:
            columns = list(range(count))
        rows = [_numbers(path, line, cells, columns) for line, cells in lines]
    return np.stack(_some(path, rows))


def read_csv(path: Path, target: str | None) -> Table:
    """Features as float64 (rows, columns - 1) and the target column as int64, else float64, else text."""
    with _csv_lines(path, least=2) as (header, width, lines):
        column = _target_column(path, header, width, target)
        others = [i for i in range(width) if i != column]
        rows, labels = [], []
        for line, cells in lines:
            labels.append(cells[column].strip())
            if not labels[-1]:
                raise DataError(f"{path}:{line}: the target (column {column + 1}) is empty")
            rows.append(_numbers(path, line, cells, others))
    x = np.stack(_some(path, rows))
    if len(set(header)) < width:  # no header line, or names that do not tell the columns apart
        return Table(x, _target(labels))
    return Table(x, _target(labels), tuple(header[i] for i in others), header[column])


def _npz_arrays(path: Path, *names: str) -> list[Array]:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a readable .npz file (it is no ZIP archive)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not set(names) <= set(archive.files):
                wanted = (
                    f"arrays named {' and '.join(names)}" if len(names) > 1 else f"an array named {names[0]}"
                )
                raise DataError(f"{path}: expected {wanted}, found {', '.join(archive.files) or 'nothing'}")
            arrays = [archive[name] for name in names]
    except DataError:
        raise
    except Exception as error:  # zlib, tokenize and others raise through NumPy what they raise
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: {' and '.join(names)} must be arrays of numbers; Python objects are never loaded"
            ) from None
        raise DataError(f"{path}: not a readable .npz file ({error})") from None
    for name, array in zip(names, arrays, strict=True):
        if not isinstance(array, np.ndarray) or array.ndim == 0:  # bytes, where the member is no array
            found = "a single number" if isinstance(array, np.ndarray) else "something else"
            raise DataError(f"{path}: {name}: expected an array with a row for each example, got {found}")
    return arrays


@contextmanager
def _csv_lines(path: Path, least: int) -> Iterator[tuple[list[str], int, Iterator[tuple[int, list[str]]]]]:
    """(header or an empty list, number of columns, the lines with their numbers) of an open file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
            if len(cells) < least:
                wanted = "two columns separated by commas, semicolons or tabs" if least == 2 else "one column"
                raise DataError(f"{path}:1: expected at least {wanted}")
            # A first line is a header if none of its cells is a number.
            header = [] if any(_is_number(cell) for cell in cells) else cells
            if not header:
                file.seek(0)
            yield header, len(cells), _lines(path, csv.reader(file, delimiter=delimiter), cells, header)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text ({error})") from None
    except csv.Error as error:  # a quotation that never ends, say
        raise DataError(f"{path}: expected lines of cells ({error})") from None


def _lines(path: Path, rows: Any, first: list[str], header: list[str]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in enumerate(rows, start=2 if header else 1):
        if not cells:
            continue
        if len(cells) != len(first):
            raise DataError(f"{path}:{line}: expected {len(first)} columns, got {len(cells)}")
        yield line, cells


def _numbers(path: Path, line: int, cells: list[str], columns: list[int]) -> Array:
    try:
        return np.array([cells[i] for i in columns], dtype=np.float64)
    except ValueError:
        i = next((i for i in columns if not _is_number(cells[i])), columns[0])
        got = repr(cells[i]) if cells[i].strip() else "an empty cell"
        raise DataError(f"{path}:{line}: column {i + 1}: expected a number, got {got}") from None


def _some(path: Path, rows: list[Array]) -> list[Array]:
    if not rows:
        raise DataError(f"{path}: expected at least one row of data")
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _target_column(path: Path, header: list[str], width: int, target: str | None) -> int:
    if target is None:
        return width - 1
    if target in header:
        return header.index(target)
    try:
        number = int(target)
    except ValueError:
        names = ", ".join(header) if header else "no header line"
        raise DataError(f"{path}: no column is called {target!r} ({names})") from None
    if not -width <= number < width:
        raise DataError(
            f"{path}: target column: expected a number from {-width} to {width - 1}, got {number}"
        )
    return number % width


def _target(labels: list[str]) -> Array:
    for dtype in (np.int64, np.float64):
        try:
            return np.array(labels, dtype=dtype)
        except (ValueError, OverflowError):
            continue
    return np.array(labels)
