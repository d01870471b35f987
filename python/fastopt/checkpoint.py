"""Checkpoint files: named arrays and JSON metadata in a `.npz` that is written whole and read only whole.

Used by ``save`` and ``load`` of every optimizer and by ``fastopt train --checkpoint``; use it for a model
too.

The file is an uncompressed `.npz`: ``numpy.load(path)`` reads its arrays without fastopt and without pickle
(those of bfloat16 as uint16). Its first member, ``fastopt.json``, holds format, version, the list of arrays
with dtypes and shapes, and the caller's metadata. Its last 79 bytes, the comment of the ZIP archive, are
``fastopt sha256`` and the SHA-256 of all bytes before them: a change of any byte, a cut at any place and any
addition are noticed before anything is interpreted. A checksum guards against accidents, not against forgery,
so the list of arrays is checked against the size of the file before memory is taken, every header is compared
with the only one that fits the list, and nothing in the file is ever executed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import _metadata, _npz
from ._checks import path_of
from ._errors import CheckpointError
from ._metadata import BFLOAT16, JSON_NAME, Entry
from ._replace import replacing

__all__ = ["CheckpointError", "read", "write"]

Array = NDArray[Any]

LABEL = b"fastopt sha256 "
TRAILER = len(LABEL) + 2 * hashlib.sha256().digest_size
#: As many bytes as stay in the cache between hashing and writing.
CHUNK = 1 << 20


def write(path: str | os.PathLike[str], arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays and metadata to a file, all or nothing.

    The file is written under a temporary name (ending in ``.fastopt-tmp``) in the folder of ``path``, synced
    to disk and renamed. Whatever happens (a full disk, missing permission, a crash, ``kill -9``), ``path`` is
    the old file or the new one, whole. A process that was killed may leave the temporary file; nothing else
    does.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace; the name is used as it is. A symbolic link stays one: its target is
        replaced.
    arrays : dict of str to ndarray
        Booleans, integers, floats (half, bfloat16, single, double) or complex numbers, of any shape, byte
        order and strides; stored in C order. A non-contiguous array is copied while it is written. Nobody may
        change them meanwhile.
    meta : dict
        What JSON can hold: dicts with str keys, lists, tuples (read back as lists), str, int, finite float,
        bool and None, nested at most 64 deep.

    Raises
    ------
    TypeError, ValueError
        If a name, an array or a piece of metadata cannot be stored; the message says which. The old file is
        untouched.
    OSError
        As the system reports it; the old file is untouched and the temporary one removed. (Only if syncing
        the folder fails, after the renaming, is the new file in place.)

    Notes
    -----
    About 580 MB/s, sync to disk included (64 MiB of float32, one core with SHA instructions): a pass for the
    CRC-32 that `.npz` wants, one for SHA-256, one to write.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastopt
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> fastopt.checkpoint.write(path, {"w": np.eye(2)}, {"epoch": 3})
    >>> arrays, meta = fastopt.checkpoint.read(path)
    >>> meta, arrays["w"].tolist(), np.load(path)["w"].tolist()
    ({'epoch': 3}, [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    """
    path = path_of("path", path)
    if not isinstance(arrays, Mapping):
        raise TypeError(f"arrays: expected a dict of arrays, got {type(arrays).__name__}")
    entries = [_metadata.entry_of(name, array) for name, array in arrays.items()]
    text = _metadata.encode(meta, entries)
    with replacing(path) as file:
        out = _Digesting(file)
        members = [_npz.Member(JSON_NAME.encode(), zlib.crc32(text), len(text))]
        out.write(_npz.local_header(members[0]))
        out.write(text)
        members += [_write_array(out, entry, arrays[entry.name]) for entry in entries]
        out.write(_npz.directory(members, TRAILER))
        file.write(LABEL + out.digest.hexdigest().encode())


class _Digesting:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), CHUNK):
            self.digest.update(view[start : start + CHUNK])
            self._file.write(view[start : start + CHUNK])


def _write_array(out: _Digesting, entry: Entry, array: Array) -> _npz.Member:
    # A function of its own, so that the copy of one array is gone before the next is made.
    bits = array.view(np.uint16) if entry.dtype == BFLOAT16 else array
    data = _bytes_of(np.ascontiguousarray(bits, entry.stored))
    member = entry.member(zlib.crc32(data, zlib.crc32(entry.header)))
    out.write(_npz.local_header(member))
    out.write(entry.header)
    out.write(data)
    return member


def _bytes_of(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `write` wrote, after checking the whole file.

    Parameters
    ----------
    path : str or path-like
        A file written by `write`.

    Returns
    -------
    arrays : dict of str to ndarray
        New arrays that own their memory: C order, writeable, with dtypes and byte orders as written.
    meta : dict
        The metadata, with tuples turned into lists.

    Raises
    ------
    CheckpointError
        If the file is cut short, longer, changed in any byte, not a checkpoint, of another format version, or
        contradicts itself.
    OSError
        As the system reports it, such as FileNotFoundError.
    ModuleNotFoundError
        If the file has bfloat16 arrays and ml_dtypes is not installed.

    Notes
    -----
    About 1100 MB/s from the page cache (64 MiB of float32, one core with SHA instructions).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastopt import checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> checkpoint.write(path, {"w": np.arange(3)}, {"epoch": 3})
    >>> arrays, meta = checkpoint.read(path)
    >>> arrays["w"], meta
    (array([0, 1, 2]), {'epoch': 3})
    """
    path = path_of("path", path)
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        raise CheckpointError(
            f"{path}: expected a regular file"
        )  # opening a pipe would wait for its other end
    with open(path, "rb") as file:
        try:
            return _read(file)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from None


def _read(file: BinaryIO) -> tuple[dict[str, Array], dict[str, Any]]:
    size = os.fstat(file.fileno()).st_size
    _verify(file, size)
    first, text = _json_member(file, size)
    entries, meta = _metadata.decode(text)
    listed = sum(entry.nbytes for entry in entries)
    if listed > size:
        raise ValueError(f"expected arrays that fit into {size} bytes, got a list of {listed} bytes")
    offset = len(_npz.local_header(first)) + first.size
    members = [first]
    starts = []
    for entry in entries:
        member = _expect_headers(file, entry, offset)
        members.append(member)
        offset += len(_npz.local_header(member)) + member.size
        starts.append(offset - entry.nbytes)
    # The directory ends with where it is and the file with it, so no byte is left for anything else.
    end = _npz.directory(members, TRAILER)
    _expect(file, offset, end, "the directory of the archive")
    if offset + len(end) + TRAILER != size:
        raise ValueError("expected nothing behind the directory of the archive, got more")
    arrays = {}
    for entry, start in zip(entries, starts, strict=True):
        file.seek(start)
        arrays[entry.name] = _read_array(file, entry)
    return arrays, meta


def _verify(file: BinaryIO, size: int) -> None:
    """Compare the digest at the end with that of everything before it."""
    digest = hashlib.sha256()
    left = size - TRAILER
    buffer = memoryview(bytearray(max(0, min(left, CHUNK))))
    while left > 0:
        count = file.readinto(buffer[: min(left, CHUNK)])  # type: ignore[attr-defined]
        if not count:
            break
        digest.update(buffer[:count])
        left -= count
    trailer = file.read(TRAILER)
    if left or not trailer.startswith(LABEL):
        raise ValueError("expected a fastopt checkpoint, got another file or one that is cut short")
    if trailer != LABEL + digest.hexdigest().encode():
        raise ValueError("expected the SHA-256 at its end to be that of its content, got a damaged file")


def _json_member(file: BinaryIO, size: int) -> tuple[_npz.Member, bytes]:
    name = JSON_NAME.encode()
    file.seek(0)
    header = file.read(len(_npz.local_header(_npz.Member(name, 0, 0))))
    # Of the header only the two values that can differ are read; the comparison decides about the rest.
    member = _npz.Member(name, _npz.crc_in(header), _npz.size_in(header))
    if header != _npz.local_header(member) or member.size > min(size, _metadata.MAX_JSON):
        raise ValueError(f"expected {JSON_NAME} as first member of the archive, got another header")
    return member, file.read(member.size)


def _expect_headers(file: BinaryIO, entry: Entry, offset: int) -> _npz.Member:
    """Check the two headers before an array's elements; return the member with the checksum it states."""
    file.seek(offset)
    found = file.read(len(_npz.local_header(entry.member(0))))
    member = entry.member(_npz.crc_in(found))
    _expect(file, offset, _npz.local_header(member) + entry.header, f"the headers of {entry.name!r}")
    return member


def _expect(file: BinaryIO, offset: int, expected: bytes, what: str) -> None:
    file.seek(offset)
    if file.read(len(expected)) != expected:
        raise ValueError(f"expected {what} to fit the list of arrays, got other bytes")


def _read_array(file: BinaryIO, entry: Entry) -> Array:
    array = np.empty(entry.shape, entry.stored)
    if file.readinto(_bytes_of(array)) != entry.nbytes:  # type: ignore[attr-defined]
        raise ValueError("expected a file at rest, got one that was cut while it was read")
    if entry.dtype != BFLOAT16:
        return array
    try:
        import ml_dtypes
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"array {entry.name!r} is of bfloat16: install ml_dtypes to read it"
        ) from error
    return array.astype(np.uint16, copy=False).view(ml_dtypes.bfloat16)
