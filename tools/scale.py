"""Sizes beyond what tests have time or memory for: 2^31 elements in one tensor, 10^5 tensors, 10^4 groups.

    python tools/scale.py                     # all that fits into this machine's free memory
    python tools/scale.py --parts elements --dtype float32

Prints a line for each part: what was done, seconds, peak memory. The exit code is 1 if a result is wrong.

elements  a step of SGD, and of SparseRows, on 2^31 + 17 elements: to the last one exact. The gradient is
memory that nobody
          has touched, which costs none, but for its last elements. bfloat16: 4.3 GB; float32: 8.6 GB.
moments   the same with Adam's two moments in 8 bits: 2.1 bytes an element more
tensors   10^5 tensors of 8 elements: made, stepped, saved, loaded, and the same as one by one
groups    10^4 groups of a tensor each, each with a learning rate of its own
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastopt

BEYOND = 2**31 + 17


def elements(dtype: str) -> str:
    theta, one = _table(dtype)
    opt = fastopt.SGD([theta], lr=1.0, maximize=True, **_options(dtype))
    grad = np.zeros_like(theta)
    grad[-3:] = one
    opt.step([grad])
    assert (theta[-3:] == one).all(), theta[-5:]
    assert not theta[:5].any()
    assert not theta[2**31 - 5 : 2**31 + 5].any()
    del grad
    rows = theta[:-1].reshape(-1, 16)
    table = fastopt.SGD([rows], lr=1.0, maximize=True, **_options(dtype))
    index = np.array([len(rows) - 2, 0, len(rows) // 2])
    table.step([fastopt.SparseRows(index, np.full((3, 16), one, theta.dtype))])
    assert (rows[index] == one).all()
    assert np.count_nonzero(theta) == 3 + 3 * 16
    return f"{len(theta)} elements of {dtype}, dense and by rows"


def moments(dtype: str) -> str:
    theta, one = _table(dtype)
    opt = fastopt.Adam([theta], lr=1.0, maximize=True, state_dtype="int8", **_options(dtype))
    grad = np.zeros_like(theta)
    grad[-3:] = one
    opt.step([grad])
    moved = theta[-3:]
    assert (moved == moved[0]).all()
    assert moved[0] != 0
    assert not theta[:5].any()
    assert np.count_nonzero(theta) == 3
    return f"{len(theta)} elements of {dtype}, two moments in eight bits"


def tensors(dtype: str, count: int = 100_000) -> str:
    rng = np.random.default_rng(0)
    start, grads = (rng.standard_normal((count, 8), np.float32) for _ in range(2))
    params, gradients = [row.copy() for row in start], [row.copy() for row in grads]
    times = {}
    opt = _timed(times, "made", lambda: fastopt.AdamW(params, lr=0.1, clip_norm=1e9))
    _timed(times, "first step", lambda: opt.step(gradients))
    _timed(times, "step", lambda: opt.step(gradients))
    whole = start.copy()
    one = fastopt.AdamW([whole], lr=0.1, clip_norm=1e9)
    one.step([grads])
    one.step([grads])
    assert np.array_equal(np.stack(params), whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        _timed(times, "saved", lambda: fastopt.save(path, {"model": params, "opt": opt}))
        opt.step(gradients)
        _timed(times, "loaded", lambda: fastopt.load(path, into={"model": params, "opt": opt}))
    assert np.array_equal(np.stack(params), whole)
    assert opt.step_count == 2
    return f"{count} tensors ({_told(times)})"


def groups(dtype: str, count: int = 10_000) -> str:
    params = [np.zeros(8, np.float32) for _ in range(count)]
    times: dict[str, float] = {}
    given = [{"params": [p], "lr": 1.0 + k % 7} for k, p in enumerate(params)]
    opt = _timed(times, "made", lambda: fastopt.SGD(given, momentum=0.9))
    gradients = [np.ones(8, np.float32) for _ in params]
    _timed(times, "first step", lambda: opt.step(gradients))
    assert all((p == -(1.0 + k % 7)).all() for k, p in enumerate(params))
    _timed(times, "step", lambda: opt.step(gradients))

    def rates() -> None:
        for group in opt.param_groups:
            group["lr"] = 0.0

    _timed(times, "rates set", rates)
    before = np.stack(params)
    opt.step(gradients)
    assert np.array_equal(np.stack(params), before)
    state = _timed(times, "state_dict", opt.state_dict)
    _timed(times, "load_state_dict", lambda: opt.load_state_dict(state))
    return f"{count} groups ({_told(times)})"


def _table(dtype: str) -> tuple[Any, Any]:
    """Zeros, and a one of theirs."""
    if dtype == "bfloat16":
        return np.zeros(BEYOND, np.uint16), np.uint16(0x3F80)
    return np.zeros(BEYOND, dtype), np.dtype(dtype).type(1)


def _options(dtype: str) -> dict[str, Any]:
    return {"dtype": "bfloat16"} if dtype == "bfloat16" else {}


def _timed(times: dict[str, float], what: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = call()
    times[what] = time.perf_counter() - began
    return result


def _told(times: dict[str, float]) -> str:
    return ", ".join(f"{what} {1e3 * seconds:.0f} ms" for what, seconds in times.items())


#: A part, and the bytes that an element of it takes.
PARTS: dict[str, tuple[Callable[[str], str], float]] = {
    "groups": (groups, 0),
    "tensors": (tensors, 0),
    "elements": (elements, 0.05),
    "moments": (moments, 2.2),
}


def _free() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tools/scale.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32", "float64"])
    given = parser.parse_args()
    wrong = 0
    for name in given.parts.split(","):
        part, more = PARTS[name]
        item = 2 if given.dtype == "bfloat16" else np.dtype(given.dtype).itemsize
        needed = int((item + more) * BEYOND) if more else 0
        if needed > _free():
            print(f"{name}: left out, {needed / 1e9:.1f} GB needed, {_free() / 1e9:.1f} GB free")
            continue
        began = time.perf_counter()
        try:
            told = part(given.dtype)
        except (AssertionError, MemoryError) as error:
            wrong += 1
            told = f"WRONG: {error!r}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"{name}: {told}; {time.perf_counter() - began:.1f} s, peak {peak / 1e9:.1f} GB", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
