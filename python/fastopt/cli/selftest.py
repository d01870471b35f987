"""`fastopt selftest`: is this installation sound? A few seconds, NumPy only; the full suite is in the
repository.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

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


STEPS_OF_A_LEVEL = """
import numpy as np, sys, fastopt
rng = np.random.default_rng(1)
theta = rng.standard_normal(9_999).astype(np.float32)
opt = fastopt.AdamW([theta], lr=1e-2, clip_norm=1.0)
for _ in range(5):
    opt.step([rng.standard_normal(theta.size).astype(np.float32)])
sys.stdout.write(fastopt.info()["levels"]["in_use"] + " " + theta.tobytes().hex())
"""


def levels_agree() -> None:
    """Every CPU level that this processor can run gives the same bits, norm and clipping included."""
    import fastopt

    levels, results = fastopt.info()["levels"], {}
    for level in levels["built"]:
        if level in levels["possible"]:  # one is chosen when a process imports fastopt
            made = subprocess.run(
                [sys.executable, "-c", STEPS_OF_A_LEVEL],
                env={**os.environ, "FASTOPT_LEVEL": level},
                capture_output=True,
                text=True,
                check=False,
            )
            assert made.returncode == 0, f"{level}: {made.stderr.strip()}"
            used, _, results[level] = made.stdout.partition(" ")
            assert used == level, f"{level}: the process used {used}"
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


def eigenvalues_match_numpy() -> None:
    """The eigensolver and the signs of a factorisation against NumPy's."""
    import fastopt

    a = np.random.default_rng(3).standard_normal((60, 60))
    a = a + a.T
    expected, (values, vectors) = np.linalg.eigvalsh(a), fastopt.eigh(a)
    scale = float(np.abs(expected).max())
    error = float(np.abs(values - expected).max()) / scale
    assert error < 1e-13, f"eigenvalues differ from NumPy by {error:.1e} of the largest"
    residual = float(np.abs(a @ vectors - vectors * values).max()) / scale
    assert residual < 1e-13, f"the residual of the eigenvectors is {residual:.1e}"
    found, wanted = fastopt.inertia(a).negative, int((expected < 0).sum())
    assert found == wanted, f"inertia counts {found} negative eigenvalues, NumPy {wanted}"


def saddles_are_recognised() -> None:
    """The verdict on a saddle and on a minimum whose Hessians are known."""
    import fastopt

    for signs, kind in (([1.0, -2.0, 3.0], "saddle"), ([1.0, 2.0, 3.0], "minimum")):
        found = fastopt.critical_point(lambda x, d=signs: np.array(d) * x, np.zeros(3)).kind
        assert found == kind, f"a {kind} is called {found}"


def minima_are_found() -> None:
    """Full-batch methods of each family at the bottom of Rosenbrock's valley."""
    import fastopt

    def f(x: Any) -> float:
        return float((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)

    def grad(x: Any) -> Any:
        slope = x[1] - x[0] ** 2
        return np.array([-2 * (1 - x[0]) - 400 * x[0] * slope, 200 * slope])

    methods: tuple[Literal["cg", "l-bfgs", "trust-region"], ...] = ("cg", "l-bfgs", "trust-region")
    for method in methods:
        error = float(np.abs(fastopt.minimize(f, grad, np.array([-1.2, 1.0]), method).x - 1).max())
        assert error < 1e-4, f"{method} ended {error:.1e} from the minimum"


CHECKS: tuple[Callable[[], None], ...] = (
    adam_matches_numpy,
    every_optimizer_descends,
    levels_agree,
    resumes_exactly,
    eigenvalues_match_numpy,
    saddles_are_recognised,
    minima_are_found,
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
