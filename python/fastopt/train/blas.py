"""The number of threads of the BLAS library behind NumPy's matrix products.

OpenBLAS splits products of a few hundred thousand multiplications among all cores and spins while it waits.
Products that small gain nothing from it, and lose much when a core is busy with something else: on two cores
that others used as well, 20 epochs on the digits took 12 s with two BLAS threads, 0.6 s with one.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

# Multiplications per product from which all threads are worth it: one or two milliseconds of one core.
LARGE_PRODUCT = 1 << 26

# The extension module of NumPy that calls the BLAS, in NumPy 2 and 1.
EXTENSIONS = ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath")

# (get, set) in the builds of OpenBLAS that NumPy comes with or is built against, and in MKL.
FUNCTIONS = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)


class Control(NamedTuple):
    """Functions that read and set the number of threads."""

    get: Callable[[], int]
    set: Callable[[int], None]


@cache
def control() -> Control | None:
    """The functions of NumPy's BLAS, or None where it has none that we know (Accelerate, for example)."""
    paths = [getattr(sys.modules.get(name), "__file__", None) for name in EXTENSIONS]
    path = next((p for p in paths if p is not None and not p.endswith(".py")), None)
    if path is None:
        return None
    # Symbols of a library are also looked for in the libraries that it needs, the BLAS among them.
    library = ctypes.CDLL(path)
    for get_name, set_name in FUNCTIONS:
        if hasattr(library, get_name) and hasattr(library, set_name):
            get, set_ = getattr(library, get_name), getattr(library, set_name)
            get.argtypes, get.restype = [], ctypes.c_int
            set_.argtypes, set_.restype = [ctypes.c_int], None
            return Control(get, set_)
    return None


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Within the block, matrix products use that many threads; None leaves the number as it is."""
    if threads is None:
        yield
        return
    functions = control()
    if functions is None:
        raise ValueError("blas_threads: the number cannot be set for the BLAS of this NumPy; leave it out")
    before = functions.get()
    functions.set(threads)
    try:
        yield
    finally:
        functions.set(before)


def suitable(largest_product: int) -> int | None:
    """One thread for small products where that can be said, else None: the library's own choice."""
    return 1 if largest_product < LARGE_PRODUCT and control() is not None else None
