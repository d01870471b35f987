"""Timing side by side: what every benchmark here shares.

Machines that are shared change their speed from second to second, so nothing is timed alone: ours, the peer
and the floor take turns, and what is kept is the median of the ratios within each turn.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], object]


def timed(call: Call, repeats: int) -> float:
    """Median seconds of one call among `repeats`."""
    samples = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        call()
        samples.append(time.perf_counter_ns() - start)
    return statistics.median(samples) / 1e9


def in_fresh_process(code: str) -> Any:
    """What the code prints as JSON, run beside these files in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def with_gaps(step: Call, work_ms: float, count: int) -> list[float]:
    """Microseconds of `count` calls with NumPy work before each."""
    matrix = np.random.default_rng(0).standard_normal((64, 64))
    samples = []
    for _ in range(count):
        end = time.perf_counter_ns() + int(work_ms * 1e6)
        while work_ms and time.perf_counter_ns() < end:
            matrix @ matrix
        start = time.perf_counter_ns()
        step()
        samples.append((time.perf_counter_ns() - start) / 1e3)
    return samples


def side_by_side(
    calls: Mapping[str, Call], *, turns: int = 15, budget: float = 0.02, rest: float = 0.0
) -> dict[str, Any]:
    """Seconds of each call (median over the turns) and, for each but the first, the median ratio to the
    first.

    `budget` is the time in seconds that a call gets within one turn; before each the process sleeps for
    `rest` seconds, so that threads that the other side has left spinning do not take its processors.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, min(200, round(budget / max(timed(call, 2), 1e-7))))

    def rested(name: str, call: Call) -> float:
        if rest > 0:
            time.sleep(rest)
        return timed(call, repeats[name])

    rows = [{name: rested(name, call) for name, call in calls.items()} for _ in range(turns)]
    first = next(iter(calls))
    ratios = {name: [row[name] / row[first] for row in rows] for name in calls if name != first}
    return {
        "seconds": {name: statistics.median(row[name] for row in rows) for name in calls},
        "ratio": {name: statistics.median(r) for name, r in ratios.items()},
        "spread": {
            name: (float(np.quantile(r, 0.1)), float(np.quantile(r, 0.9))) for name, r in ratios.items()
        },
    }


def staggered(n: int, count: int, seed: int = 0) -> list[Any]:
    """`count` float32 arrays of n random numbers, whose addresses do not coincide modulo a page."""
    rng = np.random.default_rng(seed)
    arrays = []
    for i in range(count):
        buffer = np.empty(n + 4096, dtype=np.float32)
        start = (-(buffer.ctypes.data // 4) + 176 * (i + 1)) % 1024  # 704 bytes further in the page each time
        array = buffer[start : start + n]
        array[:] = (
            rng.standard_normal(min(n, 1 << 20), dtype=np.float32)[np.arange(n) % (1 << 20)]
            if n > 1 << 20
            else (rng.standard_normal(n, dtype=np.float32))
        )
        arrays.append(array)
    return arrays


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    from fastopt.cli.info import collect

    info = collect()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": info["processor"],
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "compiler": info["build"]["compiler"],
        "flags": info["build"]["flags"],
        "level": info["levels"]["in_use"],
        "numpy": info["numpy"],
        "torch": info["packages"]["torch"],
        "commit": commit.stdout.strip(),
    }
