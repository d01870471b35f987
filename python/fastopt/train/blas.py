"""The number of threads of the BLAS library behind NumPy's matrix products, by threadpoolctl.

OpenBLAS splits products of a few hundred thousand multiplications among all cores and spins while it waits.
Products that small gain nothing from it, and lose much when a core is busy with something else: on two cores
that others used as well, 20 epochs on the digits took 12 s with two BLAS threads, 0.6 s with one. Without
threadpoolctl (in the extra `report`) the library keeps its own number; `OPENBLAS_NUM_THREADS=1` does as much.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

# Multiplications per product from which all threads are worth it: one or two milliseconds of one core.
LARGE_PRODUCT = 1 << 26
#: What libraries read their number of threads from when NumPy is imported.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@cache
def controller() -> Any:
    """threadpoolctl's controller of the BLAS libraries in this process; None where it finds none."""
    try:
        import threadpoolctl
    except ImportError:
        return None
    found = threadpoolctl.ThreadpoolController().select(user_api="blas")
    return found if found.lib_controllers else None


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Within the block, matrix products use that many threads; None leaves the number as it is."""
    if threads is None:
        yield
        return
    if controller() is None:
        raise ValueError(
            "blas_threads: expected threadpoolctl to be installed, and to know NumPy's BLAS, to set it to "
            f"{threads}: pip install 'fastopt[report]', or leave it out"
        )
    with controller().limit(limits=threads):
        yield


def suitable(rows: int, widths: Sequence[int]) -> int | None:
    """The threads for passes of so many rows through layers of these widths: 1 where all products are small.

    None, the library's own choice, where they are not, or where nothing can be said to it.
    """
    return 1 if _small(rows, widths) and controller() is not None else None


def advice(rows: int, widths: Sequence[int]) -> str | None:
    """What to do about small products on all cores where nothing can be said to the library; else None."""
    known = any(os.environ.get(name) for name in THREAD_VARIABLES)
    if known or (os.cpu_count() or 1) == 1 or not _small(rows, widths) or controller() is not None:
        return None
    return (
        "matrix products this small may wait for each other on all cores, for want of a threadpoolctl that "
        "knows NumPy's BLAS: "
        f'pip install "fastopt[report]", or set {THREAD_VARIABLES[0]}=1'
    )


def _small(rows: int, widths: Sequence[int]) -> bool:
    return rows * max(a * b for a, b in pairwise(widths)) < LARGE_PRODUCT
