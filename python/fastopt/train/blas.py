"""The number of threads of the BLAS library behind NumPy's matrix products, by threadpoolctl.

OpenBLAS splits products of a few hundred thousand multiplications among all cores and spins while it waits.
Products that small gain nothing from it, and lose much when a core is busy with something else: on two cores
that others used as well, 20 epochs on the digits took 12 s with two BLAS threads, 0.6 s with one. Without
threadpoolctl (in the extra `report`) the library keeps its own number; `OPENBLAS_NUM_THREADS=1` does as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

# Multiplications per product from which all threads are worth it: one or two milliseconds of one core.
LARGE_PRODUCT = 1 << 26


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
    largest = rows * max(a * b for a, b in pairwise(widths))
    return 1 if largest < LARGE_PRODUCT and controller() is not None else None
