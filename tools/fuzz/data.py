"""Data for `fastopt train --data`: CSV text and `.npz` archives, changed.

An own mutator of bytes and cells: the reader is Python over `csv` and `numpy.load`; what it can get wrong is
which of their many exceptions come through, and numbers that are none.

Held in each round: a data set of finite numbers that fit each other, or DataError that names the file.
"""

from __future__ import annotations

import io
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutators import EDGES, mutated

from fastopt.train import DataError, read_data
from fastopt.train.readers import read_features

CELLS = (
    *(
        "0",
        "1",
        "-1.5",
        "1e3",
        "1e999",
        "-inf",
        "nan",
        "NaN",
        "1_000",
        "0x10",
        "٣",
        "²",
        "1,5",
        "",
        " ",
        "\t",
        '"',
        '""',
    ),
    *(
        "oak",
        "a b",
        "\ufeff",
        "\x00",
        "\u2028",
        "\x1c",
        "9" * 30,
        "1" * 5000,
        "True",
        "1+2j",
        "é",
        "\U0001f600",
        "'",
        "\r",
    ),
)
TEXTS = (
    "width,kind,height\n1.5,oak,10\n2.5,elm,20\n3.5,oak,30\n4.5,elm,40\n5.5,oak,50\n",
    "".join(f"{i}.5;{i * i};{'yes' if i % 2 else 'no'}\n" for i in range(8)),
    "a\tb\n" + "1\t0.5\n2\t1.5\n" * 4,
    '"a, b","c"\r\n' + '"1","x"\r\n' * 3 + "2,y\r\n" * 3,
)


def prepare() -> Callable[[Random], str]:
    warnings.simplefilter("ignore")  # NumPy's, of text that begins like a number
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    csv, npz = folder / "a.csv", folder / "a.npz"
    archives = [_archive(compressed) for compressed in (False, True)]

    def one_round(rng: Random) -> str:
        path = csv if rng.randrange(3) else npz
        path.write_bytes(_text(rng) if path is csv else _bytes(rng, rng.choice(archives)))
        task = rng.choice((None, None, "classes", "regression"))
        target = rng.choice((None, None, None, "0", "-1", "kind", "9", "x", "")) if path is csv else None
        try:
            if rng.randrange(6) == 0:
                x = read_features(path, rng.choice(((), ("width", "height"))), rng.choice((1, 2, 3)))
                assert x.ndim >= 1
                return "features"
            found = read_data(path, task=task, target=target)
        except DataError as error:
            assert str(error).startswith(str(path)), error  # noqa: PT017
            return "refused"
        assert np.isfinite(found.x).all()
        assert len(found.x) == len(found.y) >= 5
        assert np.isfinite(found.y).all()
        assert found.classes or found.y.dtype == np.float64
        return found.task

    return one_round


def _text(rng: Random) -> bytes:
    text = rng.choice(TEXTS)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        lines = text.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                lines[at : at + 1] = [lines[at]] * rng.choice((0, 2, 2, 40))
            case 1:
                lines[at] = lines[at].replace(
                    rng.choice((",", ";", "\t", "\n", ".")), rng.choice((",", ";", "\n", "\r", "")), 1
                )
            case 2:
                lines[at] = rng.choice(("\n", '"' + "x" * 200_000, "\x00\n", ",,,\n", '"\n', "\r"))
            case _:
                mark = next((m for m in (",", ";", "\t") if m in lines[at]), ",")
                cells = lines[at].rstrip("\r\n").split(mark)
                cells[rng.randrange(len(cells))] = rng.choice(CELLS)
                lines[at] = mark.join(cells) + "\n"
        text = "".join(lines) or "\n"
    content = text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))
    return mutated(rng, content) if rng.randrange(3) == 0 else content


# --- archives ---


def _archive(compressed: bool) -> list[tuple[str, bytes, int]]:
    """(name, `.npy` bytes, method) of good members."""
    members = []
    for name, array in (("X", np.arange(24.0).reshape(8, 3)), ("y", np.arange(8) % 2)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        members.append(
            (f"{name}.npy", buffer.getvalue(), zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
        )
    return members


SHAPES = (
    "(8,)",
    "(8, 3)",
    "()",
    "(8, 0)",
    "(-1,)",
    "(2**70,)",
    "(1000000000000,)",
    "(8, 3, 1)",
    "[8]",
    "8",
    "(8,3" * 99,
)
TYPES = (
    "<f8",
    "<i8",
    "|O",
    "<U4",
    "<c16",
    "|S3",
    "<f2",
    "|b1",
    ">f4",
    "<M8[s]",
    "|V4",
    "x",
    "<f8,<i4",
    "<U999999999",
)


def _bytes(rng: Random, members: list[tuple[str, bytes, int]]) -> bytes:
    """An archive with checksums that fit, around members that do not; or with bytes changed anywhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, method in members:
            data: Any = content
            if rng.randrange(2):
                order = rng.choice(("False", "True", "3"))
                header = f"{{'descr': '{rng.choice(TYPES)}', 'fortran_order': {order}, "
                header += f"'shape': {rng.choice(SHAPES)}, }}"
                data = b"\x93NUMPY" + rng.choice((b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
                data += struct.pack("<H" if data[6] == 1 else "<I", len(header) + 1) + header.encode() + b"\n"
                data += content[-rng.choice((0, 1, 64, 192)) :]
            if rng.randrange(3) == 0:
                data = mutated(rng, data)
            archive.writestr(
                rng.choice((name, name, name, name.lower(), name[:1])), data, compress_type=method
            )
    content = bytearray(buffer.getvalue())
    if rng.randrange(3) == 0:  # of the archive: flags (encrypted), method, sizes
        at = rng.choice(
            (content.find(b"PK\x03\x04"), content.rfind(b"PK\x01\x02"), content.rfind(b"PK\x05\x06"))
        )
        at += rng.randrange(4, 46)
        width = rng.choice((1, 2, 4))
        content[at : at + width] = (rng.choice(EDGES) % (1 << 8 * width)).to_bytes(width, "little")
    return mutated(rng, bytes(content)) if rng.randrange(4) == 0 else bytes(content)
