"""fastopt.minimize beside scipy.optimize.minimize: evaluations, problems solved, own time per iteration.

    python bench/bench_minimize.py [--png minimize.png] [--json minimize.json] [--only counts|time]

Evaluations: the test set of Moré, Garbow and Hillstrom (tests/mgh.py), gtol 1e-5 for all, in the norm that
SciPy's method uses, everything else each method's default. A call of f, of its gradient and of its Hessian
count one each. A problem is solved if f is one of its known minima to 1e-4 (relative) or 1e-8. The profile
(Dolan & Moré, Mathematical Programming 91, 2002) shows the share of problems that a method solves with at
most tau times the evaluations of the best one.

Own time: of a run, what is not spent inside f and its gradient, per iteration; both sides take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.optimize
from common import QUICK, machine

import fastopt

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from mgh import PROBLEMS

Run = Callable[..., Any]

#: Ours, and the peer that each is compared with.
PAIRS = {
    "cg": "CG",
    "l-bfgs": "L-BFGS-B",
    "trust-region": "trust-exact",
    "arc": "trust-ncg",
}


def ours(method: str) -> Run:
    hessian = method not in ("cg", "l-bfgs")

    def run(p: Any) -> Any:
        # SciPy's trust methods test the 2-norm of the gradient, we the largest entry: this bounds both.
        if hessian:
            return fastopt.minimize(p.f, p.grad, p.x0, method, gtol=1e-5 / p.n**0.5, hessian=p.hess)
        return fastopt.minimize(p.f, p.grad, p.x0, method, gtol=1e-5)

    return run


def theirs(method: str) -> Run:
    hess = method.startswith("trust")

    def run(p: Any) -> Any:
        return scipy.optimize.minimize(
            p.f, p.x0, jac=p.grad, hess=p.hess if hess else None, method=method, options={"gtol": 1e-5}
        )

    return run


def count(run: Run) -> list[dict[str, Any]]:
    rows = []
    for p in PROBLEMS:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                r = run(p)
        except (ValueError, np.linalg.LinAlgError) as error:  # a Hessian that overflowed
            rows.append({"number": p.number, "n": p.n, "solved": False, "error": str(error)})
            continue
        counts = {"nfev": int(r.nfev), "njev": int(r.njev), "nhev": int(r.get("nhev", 0)), "nit": int(r.nit)}
        row = {"number": p.number, "n": p.n, "fun": float(r.fun), "solved": bool(p.reached(r.fun))} | counts
        rows.append(row | {"evaluations": counts["nfev"] + counts["njev"] + counts["nhev"]})
    return rows


def summary(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    table = []
    for mine, peer in PAIRS.items():
        both = [(a, b) for a, b in zip(found[mine], found[peer], strict=True) if a["solved"] and b["solved"]]
        for name, side in ((mine, 0), (peer, 1)):
            rows = found[name]
            table.append(
                {
                    "method": f"fastopt {name}" if side == 0 else f"scipy {name}",
                    "solved": sum(r["solved"] for r in rows),
                    "evaluations": sum(r.get("evaluations", 0) for r in rows),
                    "on_common": sum(pair[side]["evaluations"] for pair in both),
                    "common": len(both),
                }
            )
    return table


def profile(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """For each method the sorted ratios to the best method, infinite where it fails."""
    ratios: dict[str, list[float]] = {name: [] for name in found}
    for rows in zip(*found.values(), strict=True):
        best = min((r["evaluations"] for r in rows if r["solved"]), default=None)
        for name, r in zip(found, rows, strict=True):
            ratios[name].append(r["evaluations"] / best if best and r["solved"] else float("inf"))
    return {name: sorted(values) for name, values in ratios.items()}


class Bowl:
    """A quadratic in n variables that measures the time spent in it."""

    def __init__(self, n: int) -> None:
        self.curvature = np.linspace(1.0, 1000.0, n)
        self.start = np.ones(n)
        self.seconds = 0.0

    def f(self, x: Any) -> float:
        begin = time.perf_counter()
        value = 0.5 * float(x @ (self.curvature * x))
        self.seconds += time.perf_counter() - begin
        return value

    def grad(self, x: Any) -> Any:
        begin = time.perf_counter()
        g = self.curvature * x
        self.seconds += time.perf_counter() - begin
        return g


class Quartic(Bowl):
    """A bowl with walls of the fourth degree and a dense Hessian (rotated coordinates): some Newton steps."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
        self.start = self.q @ np.full(n, 10.0)

    def f(self, x: Any) -> float:
        begin = time.perf_counter()
        y = self.q.T @ x
        value = float(y @ (0.5 * self.curvature * y + 0.25 * y**3))
        self.seconds += time.perf_counter() - begin
        return value

    def grad(self, x: Any) -> Any:
        begin = time.perf_counter()
        y = self.q.T @ x
        g = self.q @ (self.curvature * y + y**3)
        self.seconds += time.perf_counter() - begin
        return g

    def hessian(self, x: Any) -> Any:
        begin = time.perf_counter()
        h = (self.q * (self.curvature + 3 * (self.q.T @ x) ** 2)) @ self.q.T
        self.seconds += time.perf_counter() - begin
        return (h + h.T) / 2


def own_time(bowl: Bowl, run: Callable[[], Any]) -> float:
    """Microseconds of one iteration outside f and its gradient."""
    bowl.seconds = 0.0
    begin = time.perf_counter()
    r = run()
    return (time.perf_counter() - begin - bowl.seconds) / r.nit * 1e6


def timed_dense(n: int, turns: int) -> dict[str, Any]:
    """The trust region with the exact Hessian, beside SciPy's."""
    bowl = Quartic(n)
    samples = [
        (
            own_time(
                bowl,
                lambda: fastopt.minimize(
                    bowl.f, bowl.grad, bowl.start, "trust-region", hess=bowl.hessian, gtol=1e-6
                ),
            ),
            own_time(
                bowl,
                lambda: scipy.optimize.minimize(
                    bowl.f,
                    bowl.start,
                    jac=bowl.grad,
                    hess=bowl.hessian,
                    method="trust-exact",
                    options={"gtol": 1e-6},
                ),
            ),
        )
        for _ in range(turns)
    ]
    return time_row(n, "trust-region", "trust-exact", samples)


def time_row(n: int, mine: str, peer: str, samples: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "n": n,
        "method": mine,
        "peer": peer,
        "threads": fastopt.get_num_threads(),
        "ours_us": statistics.median(a for a, _ in samples),
        "theirs_us": statistics.median(b for _, b in samples),
        "ratio": statistics.median(b / a for a, b in samples),
    }


def timed(n: int, iterations: int, turns: int) -> list[dict[str, Any]]:
    bowl, rows = Bowl(n), []
    options = {"maxiter": iterations, "gtol": 1e-12}
    for mine, peer in (("cg", "CG"), ("l-bfgs", "L-BFGS-B")):
        off = {"ftol": 0.0} if peer == "L-BFGS-B" else {}
        samples = []
        for _ in range(turns):
            a = own_time(
                bowl, lambda m=mine: fastopt.minimize(bowl.f, bowl.grad, bowl.start, m, **options, ftol=0.0)
            )
            b = own_time(
                bowl,
                lambda m=peer, off=off: scipy.optimize.minimize(
                    bowl.f, bowl.start, jac=bowl.grad, method=m, options=options | off
                ),
            )
            samples.append((a, b))
        rows.append(time_row(n, mine, peer, samples))
    return rows


def draw(ratios: dict[str, list[float]], path: Path, where: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.8))
    for color, (mine, peer) in zip(("C0", "C1", "C2", "C3"), PAIRS.items(), strict=True):
        for name, style in ((mine, "-"), (peer, "--")):
            reached = [r for r in ratios[name] if np.isfinite(r)]
            share = np.arange(1, len(reached) + 1) / len(ratios[name])
            label = f"{'fastopt' if style == '-' else 'scipy'} {name}"
            axis.step([*reached, 1e3], [*share, share[-1]], style, where="post", color=color, label=label)
    axis.set(xscale="log", xlim=(1, 300), ylim=(0, 1), xlabel="evaluations / those of the best method")
    axis.set_ylabel(f"share of {len(PROBLEMS)} problems solved")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower right")
    axis.set_title(
        f"Moré-Garbow-Hillstrom set, gtol 1e-5; SciPy {where['scipy']}, f + gradient + Hessian calls",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--png", type=Path, default=Path("minimize.png"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=["counts", "time"])
    options = parser.parse_args()
    where = machine() | {"scipy": scipy.__version__}
    for key, value in where.items():
        print(f"{key:9} {value}")
    result: dict[str, Any] = {"machine": where}
    if options.only != "time":
        found = {name: count(ours(name)) for name in PAIRS} | {p: count(theirs(p)) for p in PAIRS.values()}
        result |= {"counts": found, "summary": summary(found)}
        print(f"\n{'method':22} {'solved':>6} {'evaluations':>11} {'on those both solve':>20}")
        for row in result["summary"]:
            print(
                f"{row['method']:22} {row['solved']:6} {row['evaluations']:11} "
                f"{row['on_common']:13} ({row['common']:2})"
            )
        draw(profile(found), options.png, where)
        print(f"\nfigure: {options.png}")
    if options.only != "counts":
        large, turns = (10_000, 2) if QUICK else (1_000_000, 25)
        result["time"] = [
            *timed(100, 200, turns),
            timed_dense(100, turns),
            *timed(large, 25, 2 if QUICK else 5),
        ]
        print(f"\n{'n':>8} {'method':12} {'threads':>7} {'ours us':>10} {'theirs us':>10} {'ratio':>6}")
        for row in result["time"]:
            print(
                f"{row['n']:8} {row['method']:12} {row['threads']:7} {row['ours_us']:10.1f} "
                f"{row['theirs_us']:10.1f} {row['ratio']:6.2f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
