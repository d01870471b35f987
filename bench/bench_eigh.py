"""fastopt.linalg.eigh and eigvalsh beside numpy.linalg: one run, interleaved, ratios from pairs.

    python bench/bench_eigh.py [--sizes 32,64,...] [--stacks 2,3,...] [--png eigh.png] [--json eigh.json]

Both sides take turns with the same number of threads: 1, and all that this process may use. The ratio is
the median of the turns' ratios, NumPy's time over ours; beside it stand the 10 % and 90 % quantiles. NumPy
"at its best" is the better of its two thread counts, against our better one. Stacked rows are stacks of
4096 matrices in one call.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, side_by_side
from threadpoolctl import threadpool_info, threadpool_limits

import fastopt
from fastopt.linalg import eigh, eigvalsh

#: OpenBLAS's threads spin for 90 ms after a call; with several threads each side waits for that to end.
REST = 0.12


def measured(
    n: int, ours: Callable[[], Any], theirs: Callable[[], Any], rest: float = 0.0
) -> dict[str, float]:
    result = side_by_side({"ours": ours, "theirs": theirs}, turns=7 if n > 600 else 15, rest=rest)
    lowest, highest = result["spread"]["theirs"]
    return {
        "ours_ms": result["seconds"]["ours"] * 1e3,
        "theirs_ms": result["seconds"]["theirs"] * 1e3,
        "ratio": result["ratio"]["theirs"],
        "lowest": lowest,
        "highest": highest,
    }


def random_matrix(n: int, dtype: Any) -> Any:
    a = np.random.default_rng(n).standard_normal((n, n))
    return (a + a.T).astype(dtype)


def low_rank_matrix(n: int) -> Any:
    b = np.random.default_rng(n).standard_normal((n, n // 10))
    return b @ b.T


def cases(sizes: list[int]) -> list[tuple[str, str, int, Callable[[], Any], Callable[[], Any]]]:
    out: list[tuple[str, str, int, Callable[[], Any], Callable[[], Any]]] = []
    for n in sizes:
        a = random_matrix(n, np.float64)
        out.append(("eigvalsh", "random", n, lambda a=a: eigvalsh(a), lambda a=a: np.linalg.eigvalsh(a)))
        out.append(("eigh", "random", n, lambda a=a: eigh(a), lambda a=a: np.linalg.eigh(a)))
    for n in (m for m in sizes if m == 1024):
        a = low_rank_matrix(n)
        out.append(("eigvalsh", "rank n/10", n, lambda a=a: eigvalsh(a), lambda a=a: np.linalg.eigvalsh(a)))
        out.append(("eigh", "rank n/10", n, lambda a=a: eigh(a), lambda a=a: np.linalg.eigh(a)))
    for n in sizes:  # our float32 against our float64
        a, b = random_matrix(n, np.float32), random_matrix(n, np.float64)
        out.append(("eigvalsh", "f32 : own f64", n, lambda a=a: eigvalsh(a), lambda b=b: eigvalsh(b)))
        out.append(("eigh", "f32 : own f64", n, lambda a=a: eigh(a), lambda b=b: eigh(b)))
    return out


def stacks(orders: list[int], count: int) -> list[tuple[str, str, int, Callable[[], Any], Callable[[], Any]]]:
    """Stacks of `count` matrices, in both precisions against NumPy's in the same."""
    out: list[tuple[str, str, int, Callable[[], Any], Callable[[], Any]]] = []
    for n in orders:
        a = np.random.default_rng(n).standard_normal((count, n, n))
        for dtype, name in ((np.float64, f"{count} stacked"), (np.float32, f"{count} stk. f32")):
            s = (a + a.swapaxes(1, 2)).astype(dtype)
            out.append(("eigvalsh", name, n, lambda s=s: eigvalsh(s), lambda s=s: np.linalg.eigvalsh(s)))
            out.append(("eigh", name, n, lambda s=s: eigh(s), lambda s=s: np.linalg.eigh(s)))
    return out


def blas() -> list[str]:
    return [
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture')}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def run(sizes: list[int], orders: list[int], count: int, threads: list[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    print(
        f"{'function':9} {'matrix':14} {'n':>5} {'threads':>7} "
        f"{'ours ms':>10} {'theirs ms':>10} {'ratio':>6}  10 % to 90 %"
    )
    for name, kind, n, ours, theirs in cases(sizes) + stacks(orders, count):
        for workers in threads:
            fastopt.set_num_threads(workers)
            with threadpool_limits(workers, user_api="blas"):
                row = {"function": name, "matrix": kind, "n": n, "threads": workers} | measured(
                    n, ours, theirs, rest=REST if workers > 1 else 0.0
                )
            rows.append(row)
            print(
                f"{name:9} {kind:14} {n:5} {workers:7} {row['ours_ms']:10.4f} {row['theirs_ms']:10.4f} "
                f"{row['ratio']:6.2f}  {row['lowest']:.2f} to {row['highest']:.2f}",
                flush=True,
            )
    return rows


def best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NumPy at its best thread count against ours at ours."""
    out = []
    for row in rows:
        if row["threads"] != 1 or row["matrix"] != "random":
            continue
        same = [r for r in rows if all(r[k] == row[k] for k in ("function", "matrix", "n"))]
        ours, theirs = min(r["ours_ms"] for r in same), min(r["theirs_ms"] for r in same)
        out.append({"function": row["function"], "n": row["n"], "ratio": theirs / ours})
    return out


def draw(rows: list[dict[str, Any]], path: Path, where: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for axis, name in zip(axes, ("eigvalsh", "eigh"), strict=True):
        for count in sorted({r["threads"] for r in rows}):
            some = [r for r in rows if (r["function"], r["matrix"], r["threads"]) == (name, "random", count)]
            axis.plot(
                [r["n"] for r in some],
                [r["ratio"] for r in some],
                "o-",
                label=f"{count} thread{'s' * (count > 1)}",
            )
            axis.fill_between(
                [r["n"] for r in some], [r["lowest"] for r in some], [r["highest"] for r in some], alpha=0.15
            )
        axis.axhline(1, color="black", lw=0.8)
        axis.set(title=name, xlabel="n", xscale="log", ylim=(0, None))
        axis.set_xticks(sorted({r["n"] for r in rows}), [str(n) for n in sorted({r["n"] for r in rows})])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("NumPy's time / ours, float64")
    axes[0].legend()
    figure.suptitle(
        f"{where['processor']}, {where['level']}; NumPy {where['numpy']}, {', '.join(where['blas'])}",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", default="2,3,4,8,16,32,64,128,256,512,1024,2048", help="orders, separated by commas"
    )
    parser.add_argument(
        "--stacks", default="2,3,4,8,16,32,48,64", help="orders of the stacked matrices; '' for none"
    )
    parser.add_argument("--count", type=int, default=4096, help="matrices in a stack")
    parser.add_argument("--threads", help="thread counts; default: 1 and all that this process may use")
    parser.add_argument("--png", type=Path, default=Path("eigh.png"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    default = [1, fastopt.get_num_threads()]
    threads = sorted({int(t) for t in options.threads.split(",")} if options.threads else set(default))
    where = machine() | {"blas": blas()}
    for key, value in where.items():
        print(f"{key:9} {value}")
    sizes, orders = ([int(n) for n in text.split(",") if n] for text in (options.sizes, options.stacks))
    rows = run(sizes, orders, options.count, threads)
    print("\nNumPy at its best thread count, against ours at its best:")
    for row in best(rows):
        print(f"{row['function']:9} {row['n']:5} {row['ratio']:6.2f}")
    draw(rows, options.png, where)
    print(f"\nfigure: {options.png}")
    if options.json:
        options.json.write_text(json.dumps({"machine": where, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
