"""Timing side by side: what every benchmark here shares.

Machines that are shared change their speed from second to second, so nothing is timed alone: ours, the peer
and the floor take turns, and what is kept is the median of the ratios within each turn.
"""

from __future__ import annotations

import functools
import importlib.util
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
#: A small version of everything, to see that it runs: few turns, small arrays.
QUICK = os.environ.get("FASTOPT_BENCH_QUICK") == "1"
PEERS = {"torch": "PyTorch", "optax": "optax", "scipy": "SciPy", "threadpoolctl": "threadpoolctl"}
NO_FLOOR = "floor: not built"
FLOOR_HELP = "the floor is not in this build: pip install . -C cmake.define.FASTOPT_BENCHMARKS=ON"


def missing(package: str) -> str | None:
    """What the table says of a peer that is not here; None if it is."""
    if importlib.util.find_spec(package) is None:
        return f"{PEERS.get(package, package)}: not installed"
    return None


def timed(call: Call, repeats: int) -> float:
    """Median seconds of one call among `repeats`."""
    samples = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        call()
        samples.append(time.perf_counter_ns() - start)
    return statistics.median(samples) / 1e9


def in_fresh_process(code: str, **environment: str) -> Any:
    """What the code prints as JSON, on its last line, run beside these files in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])  # peers print what they like before


@functools.cache
def training_step() -> Call:
    """What a training loop does between two steps of its optimizer: forward and backward of the reference
    model (a perceptron for the handwritten digits) on one batch.
    """
    from fastopt.train import MLP, digits

    data = digits()
    x = (np.asarray(data.x[:64]) / 16).astype(np.float32)
    t = np.eye(data.outputs, dtype=np.float32)[np.asarray(data.y[:64], dtype=int)]
    model = MLP([64, 128, 10], rng=np.random.default_rng(0))
    return lambda: model.loss_and_gradients(x, t)


def with_gaps(step: Call, work_ms: float, count: int) -> list[float]:
    """Microseconds of `count` calls; before each, passes of the reference model for `work_ms`."""
    work = training_step()
    samples = []
    for _ in range(count):
        end = time.perf_counter_ns() + int(work_ms * 1e6)
        while work_ms and time.perf_counter_ns() < end:
            work()
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
    if QUICK:
        turns, budget, rest = 3, budget / 10, rest / 10
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


def over_processes(module: str, key: str, threads: int, processes: int) -> dict[str, Any]:
    """What a module's `one_process` finds in fresh processes: medians of its numbers, the range of ratios."""
    code = f"import json, {module}; print(json.dumps({module}.one_process({key!r}, {threads})))"
    rows = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(processes)]
    numbers = {
        k: statistics.median(row[k] for row in rows)
        for k, v in rows[0].items()
        if isinstance(v, (int, float))
    }
    return {**rows[0], **numbers, "spread": (min(r["ratio"] for r in rows), max(r["ratio"] for r in rows))}


def publish(folder: Path, name: str, result: dict[str, Any], text: str) -> None:
    """Write a result and its table, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def commit() -> str:
    """Of the sources beside this file."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    from fastopt import info as of_installation

    info = of_installation()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": info["processor"],
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "compiler": info["build"]["compiler"],
        "flags": info["build"]["flags"],
        "level": info["levels"]["in_use"],
        "numpy": info["numpy"],
        "torch": info["packages"]["torch"],
        "commit": commit(),
        **({"quick": True} if QUICK else {}),
    }


def machine_text(found: Mapping[str, Any]) -> str:
    """The machine on one line, without any name of its own."""
    torch = f"PyTorch {found['torch']}" if found.get("torch") else "PyTorch: not installed"
    return f"{found['processor']}, {found['cpus']} CPUs, {found['compiler']}, NumPy {found['numpy']}, {torch}"
