"""Found by `make fuzz`: data files whose faults came through as what csv, zipfile, zlib and NumPy raise."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt.train import DataError, read_data
from fastopt.train.readers import read_features


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


X, Y = npy(np.ones((6, 2))), npy(np.arange(6) % 2)


def archive(x: bytes = X, y: bytes = Y, method: int = zipfile.ZIP_STORED) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("X.npy", x)
        file.writestr("y.npy", y)
    return bytearray(buffer.getvalue())


def header(text: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + bytes(96)


def changed(at: int, value: int, mark: bytes = b"PK\x01\x02", **given: Any) -> bytearray:
    """A byte of the directory's first entry."""
    content = archive(**given)
    content[content.find(mark) + at] = value
    return content


def inside() -> bytearray:
    """In the middle of what is compressed."""
    content = archive(method=zipfile.ZIP_DEFLATED)
    content[45] ^= 0xFF
    return content


ARCHIVES: dict[str, bytearray] = {
    "encrypted": changed(8, 1),
    "an unknown compression": changed(10, 99),
    "damaged compression": inside(),
    "no array in a member": archive(x=b"1,2,3"),
    "an array of no rows": archive(y=npy(np.float64(3))),
    "labels that are no text": archive(y=npy(np.array([b"a", b"\x93"] * 3))),
    "a shape without end": archive(
        x=header("{'descr': '<f8', 'fortran_order': False, 'shape': " + "(8,3" * 99 + "}")
    ),
    "a shape beyond memory": archive(
        x=header("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }")
    ),
    "a shape beyond 64 bits": archive(
        x=header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**70},), }}")
    ),
    "a dtype that is none": archive(
        x=header("{'descr': [('a', 'x', 3, 4)], 'fortran_order': False, 'shape': (1,), }")
    ),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(archive())
    read_data(path)
    path.write_bytes(ARCHIVES[case])
    with pytest.raises(DataError, match=r"a\.npz: "):
        read_data(path)


TEXTS = {
    "a quotation without end": '1,2\n"' + "x" * 200_000 + "\n",
    "a field without end": "a,b\n" + "1" * 200_000 + ",2\n",
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXTS[case], encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.csv: expected lines of cells"):
        read_data(path)
    with pytest.raises(DataError, match=r"a\.csv: expected lines of cells"):
        read_features(path, (), 2)
