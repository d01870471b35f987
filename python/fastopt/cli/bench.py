"""`fastopt bench`: how fast the fused kernels are here, beside the memory's speed and, for Adam, NumPy."""

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
        "--rules-size",
        type=int,
        default=1048576,
        metavar="N",
        help="elements of the matrix that every rule is timed on (default %(default)s)",
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


def _matrix_of(size: int) -> tuple[int, int]:
    """Its shape, as nearly square as whole numbers allow."""
    rows = next(n for n in range(int(size**0.5), 0, -1) if size % n == 0)
    return rows, size // rows


def measure(name: str, size: int, turns: int = 5, *, matrix: bool = False) -> dict[str, Any]:
    """One line: a rule in float32 on one tensor; ratios are medians of turns in which all of them ran.

    The floor is a pass that moves as many bytes as the rule must: theta and its states changed, the
    gradient read. Rules of matrices, whose products take longer than their bytes, have none. Adam alone is
    beside NumPy as well.
    """
    import fastopt
    from fastopt._dispatch import core

    rng = np.random.default_rng(0)
    shape = _matrix_of(size) if matrix else (size,)
    theta, g = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    cls = fastopt.optimizers()[name]
    opt = cls([theta], lr=1e-3)
    opt.bind_grads([g])
    opt.step()
    states = [a for a in opt.state[0].values() if isinstance(a, np.ndarray)]
    changed = [theta.reshape(-1), *_staggered(size, sum(a.shape == shape for a in states))]
    moved = 3 * theta.nbytes + 2 * sum(a.nbytes for a in states)
    read = [g.reshape(-1)]
    products = cls.rule.matrix
    floor = None if products else getattr(core, "floor_pass", None)
    plain = _numpy_adam(theta.copy(), g) if name == "adam" else None
    times = [
        (
            _seconds(opt.step),
            _seconds(lambda: floor(changed, read)) if floor else 0.0,
            _seconds(plain) if plain is not None else 0.0,
        )
        for _ in range(turns)
    ]
    ours = statistics.median(t[0] for t in times)
    row = {
        "optimizer": name,
        "elements": size,
        "shape": list(shape),
        "microseconds": ours * 1e6,
        "gigabytes_per_second": None if products else moved / ours / 1e9,
        "share_of_floor": statistics.median(t[1] / t[0] for t in times) if floor else None,
    }
    return row | ({"times_numpy": statistics.median(t[2] / t[0] for t in times)} if plain is not None else {})


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
    if args.rules_size < 1:
        raise UsageError(f"--rules-size: expected a positive integer, got {args.rules_size}")
    if args.threads is not None:
        if args.threads < 1:
            raise UsageError(f"--threads: expected a positive integer, got {args.threads}")
        fastopt.set_num_threads(args.threads)
    threads = fastopt.get_num_threads()
    if not hasattr(core, "floor_pass") and not args.json:
        print(
            "('of floor' is measured by an installation for benchmarks: "
            "pip install . -C cmake.define.FASTOPT_BENCHMARKS=ON)"
        )
    level = fastopt.info()["levels"]["in_use"]
    head = f"float32, one tensor; level {level}, {threads} thread{'s' * (threads > 1)}"
    rows = _table(f"Adam, {head}", [("adam", size) for size in sizes], 5, args.json)
    names = list(fastopt.optimizers())
    square = "x".join(map(str, _matrix_of(args.rules_size)))
    title = f"every rule, {head}, {square}"
    rules = _table(title, [(name, args.rules_size) for name in names], 1, args.json, matrix=True)
    if args.json:
        found = {"level": level, "threads": threads, "rule": "adam", "dtype": "float32", "rows": rows}
        print(json.dumps(found | {"rules": rules}, indent=2))
    return 0


def _table(
    title: str, cases: list[tuple[str, int]], turns: int, silent: bool, *, matrix: bool = False
) -> list[dict[str, Any]]:
    """Measure the cases, and print each as soon as it is there."""
    say = (lambda *_, **__: None) if silent else print
    say(title)
    width = max(len(name) for name, _ in cases) + 2
    say(f"{'rule':<{width}}{'elements':>10}  {'us/step':>10}  {'GB/s':>6}  {'of floor':>8}  {'x NumPy':>8}")
    rows = []
    for name, size in cases:
        row = measure(name, size, turns, matrix=matrix)
        rows.append(row)
        times = f"{row['times_numpy']:>8.1f}" if "times_numpy" in row else f"{'-':>8}"
        share = f"{row['share_of_floor']:.0%}" if row["share_of_floor"] is not None else "-"
        speed = row["gigabytes_per_second"]
        say(
            f"{name:<{width}}{size:>10}  {row['microseconds']:>10.1f}  "
            f"{f'{speed:.1f}' if speed is not None else '-':>6}  {share:>8}  {times}",
            flush=True,
        )
    say()
    return rows
