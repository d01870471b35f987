"""`fastopt bench`: how fast the fused kernels are here, beside the same rule in NumPy and beside the memory's
own speed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this sub-command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--sizes",
        default="1024,65536,1048576,16777216",
        help="elements of the tensor, comma-separated (default %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, help="threads of a step; by default as many as `fastopt info` says"
    )


def _seconds(call: Callable[[], object], budget: float = 0.05) -> float:
    """Median time of one call; `budget` is what all of them may take."""
    call()
    start = time.perf_counter()
    call()
    repeats = max(3, min(200, int(budget / max(time.perf_counter() - start, 1e-7))))
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def _numpy_adam(theta: Any, g: Any) -> Callable[[], None]:
    m, v = np.zeros_like(theta), np.zeros_like(theta)

    def step() -> None:
        m[:] = 0.9 * m + 0.1 * g
        v[:] = 0.999 * v + 0.001 * g * g
        theta[:] -= 1e-3 * m / (np.sqrt(v) + 1e-8)

    return step


def _staggered(size: int, count: int) -> list[Any]:
    """Arrays whose starts differ by a few cache lines within a page, as those of the engine's states do: a
    load 4096 bytes behind a store waits for it.
    """
    rows = np.zeros((count, size + 1024), np.float32)
    return [row[80 * (i + 1) :][:size] for i, row in enumerate(rows)]


def measure(size: int) -> dict[str, Any]:
    """One line: Adam in float32 on one tensor; ratios are medians of turns in which all three ran."""
    import fastopt
    from fastopt._dispatch import core

    rng = np.random.default_rng(0)
    theta, g = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    opt = fastopt.Adam([theta], lr=1e-3)
    opt.bind_grads([g])
    opt.step()
    changed = [theta, *_staggered(size, len(opt.state[0]) - 1)]  # its states but "step"
    plain = _numpy_adam(theta.copy(), g)
    turns = [
        (_seconds(opt.step), _seconds(lambda: core.floor_pass(changed, [g])), _seconds(plain))
        for _ in range(5)
    ]
    ours = statistics.median(t[0] for t in turns)
    return {
        "elements": size,
        "microseconds": ours * 1e6,
        "gigabytes_per_second": 28 * size / ours / 1e9,
        "share_of_floor": statistics.median(t[1] / t[0] for t in turns),
        "times_numpy": statistics.median(t[2] / t[0] for t in turns),
    }


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    import fastopt
    from fastopt._dispatch import core
    from fastopt.cli import UsageError

    try:
        sizes = [int(size) for size in args.sizes.split(",")]
    except ValueError:
        raise UsageError(f"--sizes: expected integers separated by commas, got {args.sizes!r}") from None
    if min(sizes) < 1:
        raise UsageError(f"--sizes: expected positive integers, got {args.sizes!r}")
    if args.threads is not None:
        if args.threads < 1:
            raise UsageError(f"--threads: expected a positive integer, got {args.threads}")
        fastopt.set_num_threads(args.threads)
    threads = fastopt.get_num_threads()
    if not args.json:
        print(f"Adam, float32, one tensor; level {core.level}, {threads} thread{'s' * (threads > 1)}")
        print(f"{'elements':>10}  {'us/step':>10}  {'GB/s':>6}  {'of floor':>8}  {'x NumPy':>8}")
    rows = []
    for size in sizes:
        row = measure(size)
        rows.append(row)
        if not args.json:
            print(
                f"{size:>10}  {row['microseconds']:>10.1f}  {row['gigabytes_per_second']:>6.1f}  "
                f"{row['share_of_floor']:>8.0%}  {row['times_numpy']:>8.1f}",
                flush=True,
            )
    if args.json:
        print(
            json.dumps(
                {"level": core.level, "threads": threads, "rule": "adam", "dtype": "float32", "rows": rows},
                indent=2,
            )
        )
    return 0
