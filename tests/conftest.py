"""The scripts in `bench/` are in the repository, not in the source distribution: there, no test of them."""

from __future__ import annotations

from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"
collect_ignore_glob = [] if BENCH.is_dir() else ["test_bench_*.py"]


def pytest_report_header() -> list[str]:
    return [] if BENCH.is_dir() else ["bench/ is not here: test_bench_*.py are left out"]
