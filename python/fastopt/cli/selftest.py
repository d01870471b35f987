"""`fastopt selftest`: is this installation sound? A few seconds, NumPy only; the full suite is in the
repository.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this sub-command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def adam_matches_numpy() -> None:
    """The fused kernel against Adam written in NumPy, in float64."""
    import fastopt

    rng = np.random.default_rng(0)
    theta = rng.standard_normal(10_007)
    expected, m, v = theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
    opt = fastopt.Adam([theta], lr=1e-2)
    for t in range(1, 11):
        g = rng.standard_normal(theta.size)
        opt.step([g])
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        expected -= 1e-2 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    error = float(np.abs(theta - expected).max())
    assert error < 1e-13, f"differs from NumPy by {error:.1e}"


def every_optimizer_descends() -> None:
    """Twenty steps of each rule lower a parabola."""
    import fastopt

    for name, cls in fastopt.optimizers().items():
        theta = np.linspace(1.0, 2.0, 257, dtype=np.float32)
        opt = cls([theta])
        before = float(theta @ theta)
        for _ in range(20):
            opt.step([2 * theta])
        after = float(theta @ theta)
        assert after < before, f"{name}: the loss went from {before:.6g} to {after:.6g}"


def levels_agree() -> None:
    """Every CPU level that this processor can run gives the same bits, norm and clipping included."""
    import fastopt
    from fastopt import _dispatch

    used, results = _dispatch.core, {}
    try:
        for level in _dispatch.possible():
            if level not in _dispatch.built():
                continue
            _dispatch.core = _dispatch.load(level)
            rng = np.random.default_rng(1)
            theta = rng.standard_normal(9_999).astype(np.float32)
            opt = fastopt.AdamW([theta], lr=1e-2, clip_norm=1.0)
            for _ in range(5):
                opt.step([rng.standard_normal(theta.size).astype(np.float32)])
            results[level] = theta.tobytes()
    finally:
        _dispatch.core = used
    assert len(set(results.values())) == 1, f"levels differ: {sorted(results)}"


def resumes_exactly() -> None:
    """A checkpoint continues bit for bit."""
    import fastopt

    rng = np.random.default_rng(2)
    grads = [rng.standard_normal(1000).astype(np.float32) for _ in range(6)]
    theta = np.ones(1000, dtype=np.float32)
    opt = fastopt.NAdam([theta], lr=1e-2, clip_norm=1.0)
    with tempfile.TemporaryDirectory() as folder:
        for g in grads[:3]:
            opt.step([g])
        opt.save(Path(folder) / "state.npz")
        other = theta.copy()
        twin = fastopt.NAdam([other], lr=1e-2, clip_norm=1.0)
        twin.load(Path(folder) / "state.npz")
    for g in grads[3:]:
        opt.step([g])
        twin.step([g])
    assert np.array_equal(theta, other), "the resumed optimizer went another way"


CHECKS: tuple[Callable[[], None], ...] = (
    adam_matches_numpy,
    every_optimizer_descends,
    levels_agree,
    resumes_exactly,
)


def run(args: argparse.Namespace) -> int:
    """Run every check; exit code 1 if one fails."""
    results: list[dict[str, Any]] = []
    for check in CHECKS:
        start = time.perf_counter()
        try:
            check()
            message = None
        except Exception as error:  # whatever it is, it is what the user wants to see
            message = (
                f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)
            )
        name = check.__name__.replace("_", " ")
        results.append(
            {"check": name, "ok": message is None, "message": message, "seconds": time.perf_counter() - start}
        )
        if not args.json:
            print(f"{'ok    ' if message is None else 'FAILED'} {name}" + (f": {message}" if message else ""))
    ok = all(result["ok"] for result in results)
    if args.json:
        print(json.dumps({"ok": ok, "checks": results}, indent=2))
    return 0 if ok else 1
