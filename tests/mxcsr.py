"""The floating-point control register of x86-64, from Python: two instructions in a page of our own."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

FLUSH_TO_ZERO, DENORMALS_ARE_ZERO, ROUND_DOWN = 0x8000, 0x0040, 0x2000
CONTROL = 0xFFC0  # the rest are sticky flags of what has happened

_page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_page.write(b"\x0f\xae\x17\xc3" + b"\x0f\xae\x1f\xc3")  # ldmxcsr [rdi]; ret; stmxcsr [rdi]; ret
_at = ctypes.addressof(ctypes.c_char.from_buffer(_page))
_function = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))
_load, _store = _function(_at), _function(_at + 4)


def read() -> int:
    """Rounding mode, FTZ, DAZ and exception masks of the calling thread."""
    value = ctypes.c_uint32()
    _store(ctypes.byref(value))
    return value.value & CONTROL


@contextmanager
def changed(bits: int) -> Iterator[None]:
    """Set these bits inside."""
    before = read()
    _load(ctypes.byref(ctypes.c_uint32(before | bits)))
    try:
        yield
    finally:
        _load(ctypes.byref(ctypes.c_uint32(before)))
