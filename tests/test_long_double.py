"""Long doubles of eight bytes, as Windows and macOS on ARM have them: float64's kind and size, equal to it
for NumPy, and nothing that the compiled code takes. Elsewhere such a dtype is simulated.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import _checks, _memory
from fastopt.functions import layout, matrices
from fastopt.linalg import _matrices, _operator

EIGHT_BYTES: Any = SimpleNamespace(
    kind="f", itemsize=8, type=np.longdouble, isnative=True, name="float64", str="<f8"
)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_of_either_byte_order(dtype: str) -> None:
    assert _checks.is_computed(np.dtype(dtype))
    assert _checks.dtype_name(np.dtype(dtype)) == str(np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.complex64, np.int64, object, "U4", "M8[s]"])
def test_other_dtypes(dtype: Any) -> None:
    assert not _checks.is_computed(np.dtype(dtype))


def test_eight_bytes_are_not_enough() -> None:
    assert not _checks.is_computed(EIGHT_BYTES)
    assert _checks.dtype_name(EIGHT_BYTES) == "longdouble"
    assert _operator._working_dtype(EIGHT_BYTES) is None
    with pytest.raises(TypeError, match="hessian: expected float64 or float32, got longdouble"):
        matrices._check_real(EIGHT_BYTES)
    with pytest.raises(TypeError, match="x: expected float32 or float64, got longdouble"):
        layout._check(SimpleNamespace(dtype=EIGHT_BYTES), "x")  # type: ignore[arg-type]


def test_matrices_of_them_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SimpleNamespace(ndim=2, shape=(2, 2), dtype=EIGHT_BYTES, flags=SimpleNamespace(aligned=True))
    given.dtype.newbyteorder = lambda order: EIGHT_BYTES
    monkeypatch.setattr(_matrices, "np", SimpleNamespace(asarray=lambda a: a, float64=np.float64))
    with pytest.raises(TypeError, match="a: expected float64, float32 or integers, got longdouble"):
        _matrices.matrices(given)  # type: ignore[arg-type]


def test_states_in_them_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="state_dtype: expected float64, float32"):
        _memory.storage_dtype(np.longdouble)
    names = {name: getattr(np, name) for name in ("float64", "float32", "float16")}
    monkeypatch.setattr(_memory, "np", SimpleNamespace(dtype=lambda given: EIGHT_BYTES, **names))
    with pytest.raises(TypeError, match="state_dtype: expected float64, float32"):
        _memory.storage_dtype(np.longdouble)


def test_a_function_may_return_them() -> None:
    got = layout._read(np.ones(3, np.longdouble), (3,), "grad")
    assert got.dtype.type is np.float64


def test_no_dtype_is_known_by_its_size() -> None:
    """The only test of kind and size is the one here."""
    by_size = re.compile(r"itemsize (not )?in \(4, 8\)|itemsize (==|<=) 8|dtype (not )?in \(np\.float")
    root = Path(fastopt.__file__).parent
    found = {path.name for path in root.rglob("*.py") if by_size.search(path.read_text(encoding="utf-8"))}
    assert found == {"_checks.py"}
