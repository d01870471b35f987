"""Two threads against one, with the work of a training loop between the steps and busy neighbours beside."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from common import QUICK, staggered, with_gaps
from step_cases import Row, ours

import fastopt


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Other processes that use every moment of `count` processors."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.3)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def step_samples(n: int, threads: int, work_ms: float, count: int) -> Any:
    """Microseconds of `count` steps with NumPy work in between, the first tenth left out."""
    fastopt.set_num_threads(threads)
    theta, grad = staggered(n, 2)
    opt = ours("Adam", theta, grad)
    samples = with_gaps(opt.step, work_ms, count)
    return np.array(samples[count // 10 :])


def threads_against_one(
    label: str, work_ms: float, exponents: tuple[int, ...], count: int, turns: int
) -> Iterator[Row]:
    """Two threads against one: ratio of medians and of 95th percentiles, medians over the turns."""
    if QUICK:
        exponents, count, turns = exponents[:1], 20, 2
    for e in exponents:
        pairs = [
            (step_samples(1 << e, 1, work_ms, count), step_samples(1 << e, 2, work_ms, count))
            for _ in range(turns)
        ]
        medians = [float(np.median(a) / np.median(b)) for a, b in pairs]
        tails = [float(np.quantile(b, 0.95) / np.quantile(a, 0.95)) for a, b in pairs]
        yield {
            "case": f"{label}, Adam 2^{e}",
            "ours_us": statistics.median(float(np.median(b)) for _, b in pairs),
            "peer_us": statistics.median(float(np.median(a)) for a, _ in pairs),
            "peer_name": "ours",
            "ratio": statistics.median(medians),
            "spread": (min(medians), max(medians)),
            "p95_over_serial": statistics.median(tails),
        }


def thread_cases() -> Iterator[Row]:
    """Back to back; with 1 and 5 ms of training passes between; with two busy neighbours."""
    sizes = (14, 16, 17, 18, 19, 20, 21, 22, 23)
    yield from threads_against_one("2 threads, back to back", 0, (17, 18, 19, 20), 120, 9)
    yield from threads_against_one("2 threads, 1 ms between", 1, sizes, 40, 9)
    yield from threads_against_one("2 threads, 5 ms between", 5, sizes, 20, 9)
    with busy_neighbours(2):
        yield from threads_against_one("2 threads, 2 busy neighbours", 0, (18,), 400, 9)
