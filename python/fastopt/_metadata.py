"""The JSON member of a checkpoint: what may be in it, and the list of arrays that it carries."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import _checks, _npz

__all__ = ["Entry", "decode", "encode", "entry_of"]

FORMAT, VERSION = "fastopt.checkpoint", 1

#: Larger metadata is refused, written or read: as Python objects it takes many times its size.
MAX_JSON = 64 << 20
#: Deeper nesting is refused, written or read: Python's stack is finite.
MAX_DEPTH = 64
#: NumPy 1's largest number of axes.
MAX_AXES = 32
#: What the lengths of a name in a ZIP header can express, with room for ".npy".
MAX_NAME = 60_000

BFLOAT16 = "bfloat16"
NUMBERS = ["i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8", "c8", "c16"]
DTYPES = {"|b1", "|i1", "|u1", BFLOAT16} | {f"{order}{kind}" for order in "<>" for kind in NUMBERS}

#: The member of the archive with the JSON text; no array may have this name.
JSON_NAME = "fastopt.json"


class Entry(NamedTuple):
    """One array: its name, its dtype as in ``dtype.str`` (or "bfloat16"), its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype in the file. `.npy` knows no bfloat16: its bits are stored, its name is in the list."""
        return np.dtype("<u2" if self.dtype == BFLOAT16 else self.dtype)

    @property
    def header(self) -> bytes:
        """The `.npy` header."""
        return _npz.npy_header(self.stored.str, self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements, in Python's integers: no product of lengths overflows."""
        return math.prod(self.shape) * self.stored.itemsize

    def member(self, crc: int) -> _npz.Member:
        """The member of the archive."""
        return _npz.Member(f"{self.name}.npy".encode(), crc, len(self.header) + self.nbytes)


def entry_of(name: object, array: object) -> Entry:
    """Describe an array that is to be written, or raise TypeError or ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"arrays: expected names of type str, got {_checks.shown(name)}")
    problem = problem_of_name(name)
    if problem:
        raise ValueError(f"arrays: expected {problem}, got {name!r}")
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"arrays[{name!r}]: expected a NumPy array without mask, got {type(array).__name__}")
    dtype = BFLOAT16 if array.dtype.name == BFLOAT16 else array.dtype.str
    if dtype not in DTYPES:
        raise TypeError(f"arrays[{name!r}]: expected booleans or numbers of up to 64 bits, got {array.dtype}")
    if array.ndim > MAX_AXES:
        raise ValueError(f"arrays[{name!r}]: expected at most {MAX_AXES} axes, got {array.ndim}")
    return Entry(name, dtype, array.shape)


def problem_of_name(name: str) -> str | None:
    if not name.isprintable() or not 0 < len(name.encode(errors="replace")) <= MAX_NAME:
        return f"names of 1 to {MAX_NAME} printable bytes"
    if name == JSON_NAME or name.endswith(".npy"):
        return f"names other than {JSON_NAME} and not ending in .npy, which numpy.load would confuse"
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        return "names that are no path out of a folder"  # somebody will unpack the archive
    return None


def encode(meta: Mapping[str, Any], entries: list[Entry]) -> bytes:
    """Make the JSON text, or raise TypeError or ValueError that names the place in `meta`."""
    if not isinstance(meta, Mapping):
        raise TypeError(f"meta: expected a dict, got {type(meta).__name__}")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "arrays": entries,
        "meta": _plain("meta", meta, MAX_DEPTH),
    }
    text = _dump(document)
    if len(text) > MAX_JSON:
        raise ValueError(f"meta: expected at most {MAX_JSON} bytes of JSON, got {len(text)}")
    return text


def decode(text: bytes) -> tuple[list[Entry], dict[str, Any]]:
    """Read the JSON text, or raise ValueError."""
    try:
        document = json.loads(text)
        # One text for one content: refuses keys given twice, NaN, and whatever else a parser lets pass.
        canonical = _dump(document) == text
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{JSON_NAME}: expected JSON, got {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{JSON_NAME}: expected format {FORMAT!r}")
    if document.get("version") != VERSION or type(document["version"]) is not int:
        raise ValueError(
            f"version: expected {VERSION}, the only one this fastopt reads, got {document.get('version')!r}"
        )
    if not canonical or document.keys() != {"format", "version", "arrays", "meta"}:
        raise ValueError(f"{JSON_NAME}: expected the text that fastopt writes")
    entries = document["arrays"]
    if not isinstance(entries, list) or not isinstance(document["meta"], dict):
        raise ValueError(f"{JSON_NAME}: expected a list of arrays and a dict of metadata")
    try:
        meta = _plain("meta", document["meta"], MAX_DEPTH)
    except TypeError as error:  # pragma: no cover  (JSON has no other types)
        raise ValueError(str(error)) from None
    checked = [_checked(item) for item in entries]
    if len({entry.name for entry in checked}) != len(checked):
        raise ValueError(f"{JSON_NAME}: expected every array once")
    return checked, meta


def _checked(item: object) -> Entry:
    match item:
        case [str(name), str(dtype), list(shape)] if (
            problem_of_name(name) is None
            and dtype in DTYPES
            and len(shape) <= MAX_AXES
            and all(type(length) is int and 0 <= length < 2**63 for length in shape)
        ):
            return Entry(name, dtype, tuple(map(int, shape)))
    raise ValueError(f"{JSON_NAME}: expected arrays as [name, dtype, shape], got {_checks.shown(item)}")


def _dump(document: object) -> bytes:
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def _plain(where: str, value: Any, depth: int) -> Any:
    """Return a copy of `value` if JSON can hold it exactly; `json` itself turns an int key into a str."""
    if depth < 0:
        raise ValueError(f"meta: expected at most {MAX_DEPTH} levels, got more")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where}: expected keys of type str, got {_checks.shown(key)}")
        return {key: _plain(f"{where}[{key!r}]", item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{where}[{i}]", item, depth - 1) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: expected a finite number (JSON has no other), got {value!r}")
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"{where}: expected what JSON can hold, got {_checks.shown(value)}")
    return value
