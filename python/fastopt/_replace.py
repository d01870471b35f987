"""Replace a file all at once: at any moment and after any crash there is the old one or the new, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["replacing"]

#: How the names of temporary files end. One that a killed process left behind may be deleted.
TEMPORARY = ".fastopt-tmp"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new binary file that takes the place of `path` when the block ends.

    It is written under a temporary name in the same folder (`rename` is atomic within a file system only),
    synced to disk, renamed, and the folder synced. On any exception in the block or here the old file is as
    it was and the temporary one removed. Through a symbolic link its target is replaced, so the link stays;
    permissions of an existing file are kept.

    Raises
    ------
    OSError
        As the system reports it, and if `path` exists but is not a regular file (a device would be lost).
    """
    if not os.fspath(path):  # to realpath it is the working folder
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    target = os.path.realpath(path)
    mode = _mode(target)
    folder, name = os.path.split(target)
    with _syncing(folder):
        unique = f"{os.getpid()}-{secrets.token_hex(4)}"
        temporary = os.path.join(folder, f".{name[:40]}.{unique}{TEMPORARY}")
        try:
            with open(temporary, "xb") as file:  # within: Ctrl-C may come through as soon as it is made
                if mode is not None and hasattr(os, "fchmod"):
                    os.fchmod(file.fileno(), mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _mode(target: str) -> int | None:
    """The permissions of the file to be replaced; None if there is none yet."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "expected a regular file or none", target)
    return stat.S_IMODE(status.st_mode)


@contextlib.contextmanager
def _syncing(folder: str) -> Iterator[None]:
    """Write the folder's entries to disk at the end, so that the new name outlives a power cut.

    The folder is opened first: if it cannot be, nothing has happened yet.
    """
    if os.name == "nt":  # which has no such call
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that cannot; the rename itself has succeeded
                raise
    finally:
        os.close(descriptor)
