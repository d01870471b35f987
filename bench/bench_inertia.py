"""fastopt.linalg.inertia beside eigvalsh (ours, NumPy's) and LAPACK's dsytrf: one run, interleaved.

    python bench/bench_inertia.py [--sizes 512,1024,...] [--threads 1,2] [--json inertia.json]

All sides take turns with the same number of threads. A ratio is the median of the turns' ratios, the other's
time over ours. dsytrf (SciPy, if it is installed) is one factorisation, without a count or a bound.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, side_by_side
from threadpoolctl import threadpool_limits

import fastopt
from fastopt.linalg import eigvalsh, inertia

try:
    from scipy.linalg import lapack
except ImportError:
    lapack = None


def matrices(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, n))
    b = rng.standard_normal((n, n // 10))
    q = np.linalg.qr(a)[0]
    return {
        "random": a + a.T,
        "random, float32": (a + a.T).astype(np.float32),
        "rank n/10": b @ b.T,
        "no gap": (q * (rng.standard_normal(n) * np.geomspace(1, 1e-20, n))) @ q.T,
    }


def peers(a: Any) -> dict[str, Callable[[], Any]]:
    calls: dict[str, Callable[[], Any]] = {
        "inertia": lambda: inertia(a),
        "eigvalsh": lambda: eigvalsh(a),
        "numpy": lambda: np.linalg.eigvalsh(a),
    }
    if lapack is not None:
        sytrf = lapack.ssytrf if a.dtype == np.float32 else lapack.dsytrf
        transposed = a.T
        calls["sytrf"] = lambda: sytrf(transposed, lower=1, lwork=64 * len(a))
    return calls


def run(sizes: list[int], threads: list[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    print(f"{'matrix':16} {'n':>5} {'threads':>7} {'inertia ms':>11}  others' time / ours")
    for n in sizes:
        for kind, a in matrices(n).items():
            for count in threads:
                fastopt.set_num_threads(count)
                with threadpool_limits(count, user_api="blas"):
                    result = side_by_side(peers(a), turns=5 if n > 600 else 15)
                row = {
                    "matrix": kind,
                    "n": n,
                    "threads": count,
                    "ms": {name: s * 1e3 for name, s in result["seconds"].items()},
                    "ratio": result["ratio"],
                    "spread": result["spread"],
                }
                rows.append(row)
                ratios = "  ".join(f"{name} {ratio:.2f}" for name, ratio in result["ratio"].items())
                print(f"{kind:16} {n:5} {count:7} {row['ms']['inertia']:11.3f}  {ratios}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="64,128,256,512,1024,2048", help="orders, separated by commas")
    parser.add_argument("--threads", help="thread counts; default: 1 and all that this process may use")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    default = [1, fastopt.get_num_threads()]
    threads = sorted({int(t) for t in options.threads.split(",")} if options.threads else set(default))
    where = machine()
    for key, value in where.items():
        print(f"{key:9} {value}")
    rows = run([int(n) for n in options.sizes.split(",")], threads)
    if options.json:
        options.json.write_text(json.dumps({"machine": where, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
