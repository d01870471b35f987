"""Features and targets from `.npz` and `.csv` files, with errors that name the place."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class DataError(ValueError):
    """The data file cannot be used; the message says where and why."""


def read_npz(path: Path) -> tuple[Array, Array]:
    """Arrays `X` and `y` of an `.npz` file; nothing in the file is executed (no pickle)."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a readable .npz file (it is no ZIP archive)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in ("X", "y"):
                if key not in archive.files:
                    found = ", ".join(archive.files) or "nothing"
                    raise DataError(f"{path}: expected arrays named X and y, found {found}")
            return archive["X"], archive["y"]
    except DataError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: X and y must be arrays of numbers; Python objects are never loaded"
            ) from None
        raise DataError(f"{path}: not a readable .npz file ({error})") from None


def read_csv(path: Path, target: str | None) -> tuple[Array, Array]:
    """Features as float64 (rows, columns - 1) and the target column as int64, else float64, else text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parse(path, file, target)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text ({error})") from None


def _parse(path: Path, file: Any, target: str | None) -> tuple[Array, Array]:
    first = file.readline()
    delimiter = max(",;\t", key=first.count)
    width = len(next(csv.reader([first], delimiter=delimiter), []))
    if width < 2:
        raise DataError(f"{path}:1: expected at least two columns separated by commas, semicolons or tabs")
    header = _header(first, delimiter)
    column = _target_column(path, header, width, target)
    if not header:
        file.seek(0)
    rows: list[Array] = []
    labels: list[str] = []
    for line, cells in enumerate(csv.reader(file, delimiter=delimiter), start=2 if header else 1):
        if not cells:
            continue
        if len(cells) != width:
            raise DataError(f"{path}:{line}: expected {width} columns, got {len(cells)}")
        label = cells.pop(column).strip()
        if not label:
            raise DataError(f"{path}:{line}: the target (column {column + 1}) is empty")
        labels.append(label)
        try:
            rows.append(np.array(cells, dtype=np.float64))
        except ValueError:
            _report_cell(path, line, cells, column)
    if not rows:
        raise DataError(f"{path}: expected at least one row of data")
    return np.stack(rows), _target(labels)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _header(first: str, delimiter: str) -> list[str]:
    """The column names, or an empty list: a first line is a header if none of its cells is a number."""
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    return [] if any(_is_number(cell) for cell in cells) else cells


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


def _report_cell(path: Path, line: int, cells: list[str], target: int) -> None:
    for i, cell in enumerate(cells):
        if not _is_number(cell):
            place = f"{path}:{line}: column {i + 1 + (i >= target)}"
            got = repr(cell) if cell.strip() else "an empty cell"
            raise DataError(f"{place}: expected a number, got {got}")


def _target(labels: list[str]) -> Array:
    for dtype in (np.int64, np.float64):
        try:
            return np.array(labels, dtype=dtype)
        except (ValueError, OverflowError):
            continue
    return np.array(labels)
