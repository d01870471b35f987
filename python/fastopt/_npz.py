"""The bytes around the data of an uncompressed `.npz` file, as functions of what they describe.

The writer writes these bytes; the reader does not parse them but computes what they have to be and compares.
So no header can lie, and no byte of a file can vary. ZIP as in PKWARE's APPNOTE.TXT 6.3.10, always with its
64-bit records: files beyond 4 GiB take no path that smaller ones do not. `.npy` version 1.0 as in NumPy's
`numpy.lib.format`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Member", "crc_in", "directory", "local_header", "npy_header", "size_in"]

VERSION = 45  # of the ZIP format: 64-bit records
UTF8_NAMES = 0x0800
EPOCH = (0, 0x21)  # midnight, 1980-01-01: equal content gives equal bytes
SENTINEL16, SENTINEL32 = 0xFFFF, 0xFFFFFFFF  # "see the 64-bit record"

LOCAL = struct.Struct("<4s5H3I2H")
LOCAL_EXTRA = struct.Struct("<2H2Q")
CENTRAL = struct.Struct("<4s6H3I5H2I")
CENTRAL_EXTRA = struct.Struct("<2H3Q")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")


class Member(NamedTuple):
    """One file of the archive: its name, the CRC-32 and the size of its content."""

    name: bytes
    crc: int
    size: int


def local_header(member: Member) -> bytes:
    """What precedes a member's content; its length depends on the name alone."""
    sizes = LOCAL_EXTRA.pack(1, 16, member.size, member.size)
    fixed = LOCAL.pack(
        b"PK\x03\x04",
        VERSION,
        UTF8_NAMES,
        0,
        *EPOCH,
        member.crc,
        SENTINEL32,
        SENTINEL32,
        len(member.name),
        20,
    )
    return fixed + member.name + sizes


def crc_in(header: bytes) -> int:
    """The checksum that a local header states."""
    return int.from_bytes(header[14:18], "little")


def size_in(header: bytes) -> int:
    """The size that the 64-bit record at the end of a local header states."""
    return int.from_bytes(header[-16:-8], "little")


def directory(members: Sequence[Member], comment_length: int) -> bytes:
    """What follows the last member's content, up to the comment with which the file ends."""
    entries, offset = [], 0
    for member in members:
        entries.append(_central_header(member, offset))
        offset += len(local_header(member)) + member.size
    listing = b"".join(entries)
    count, start, end = len(members), offset, offset + len(listing)
    end64 = END64.pack(b"PK\x06\x06", 44, VERSION, VERSION, 0, 0, count, count, len(listing), start)
    locator = LOCATOR.pack(b"PK\x06\x07", 0, end, 1)
    last = END.pack(b"PK\x05\x06", 0, 0, SENTINEL16, SENTINEL16, SENTINEL32, SENTINEL32, comment_length)
    return listing + end64 + locator + last


def _central_header(member: Member, offset: int) -> bytes:
    where = CENTRAL_EXTRA.pack(1, 24, member.size, member.size, offset)
    fixed = CENTRAL.pack(
        b"PK\x01\x02",
        VERSION,
        VERSION,
        UTF8_NAMES,
        0,
        *EPOCH,
        member.crc,
        SENTINEL32,
        SENTINEL32,
        len(member.name),
        len(where),
        0,
        0,
        0,
        0,
        SENTINEL32,
    )
    return fixed + member.name + where


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What precedes an array's elements, in C order, in a `.npy` file."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}"
    padding = -(10 + len(text) + 1) % 64  # magic, version and length take 10 bytes; a newline ends it
    return (
        struct.pack("<6s2BH", b"\x93NUMPY", 1, 0, len(text) + padding + 1)
        + f"{text}{' ' * padding}\n".encode()
    )
