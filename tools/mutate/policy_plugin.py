"""A pytest plugin: `_dispatch.core.choose_width` is the one in the library that MUTATED_POLICY names."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from fastopt import _dispatch

library = ctypes.CDLL(os.environ["MUTATED_POLICY"])
library.choose_width.argtypes = [
    *(
        ctypes.c_double,
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_double,
        ctypes.c_int,
    ),
]


def choose_width(
    work_ns: float = 0,
    chunks: int = 0,
    most: int = 1,
    awake: int = 0,
    streak: int = 0,
    wake_ns: float = 0,
    paused: bool = False,
) -> Any:
    return library.choose_width(work_ns, chunks, most, awake, streak, wake_ns, paused)


_dispatch.core.choose_width = choose_width
