"""How tests are run: on which threads, in which processes, and what is left out."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

# The threads of NumPy's BLAS wait for each other longer than such matrices take.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
BENCH = Path(__file__).parents[1] / "bench"
# Who copies the tests alone has no scripts in `bench/`: there, no test of them.
collect_ignore_glob = [] if BENCH.is_dir() else ["test_bench_*.py"]


def pytest_report_header() -> list[str]:
    return [] if BENCH.is_dir() else ["bench/ is not here: test_bench_*.py are left out"]


def pytest_collection_finish() -> None:
    """Tens of thousands of tests are millions of objects that stay: the collector need not see them again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Of `-n auto`, as `make test` has it: a selection is run, and read, in this process; all, in several."""
    chosen = config.option.keyword or getattr(config.option, "lf", False)
    return 0 if chosen else None  # pytest-xdist's own number: the processors that may be used
