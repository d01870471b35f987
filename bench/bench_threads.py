"""Threads by sizes: `python bench/bench_threads.py [--sizes 14,...,28] [--threads 1,2,4,8,16]`.

Adam and AdamW, float32, steps back to back and with 1 ms of training passes between, beside PyTorch's fused
step with the same number of threads. Several processes each, ours and the peer in turns; prints a table and
writes bench/results/threads.json and threads.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def measure(name: str, exponent: int, threads: int, gap_ms: float, turns: int) -> dict[str, Any]:
    """Median microseconds of a step of ours and of PyTorch's, in this process."""
    from common import staggered, with_gaps
    from step_cases import ours, set_threads, torch, torchs

    from fastopt._dispatch import core

    set_threads(threads)
    theta, grad = staggered(1 << exponent, 2)
    steps = {"ours": ours(name, theta, grad).step}
    if torch is not None:
        steps["torch"] = torchs(name, theta, grad).step
    count = max(3, min(60, (1 << 22) >> max(0, exponent - 4)))

    def block(step: Any) -> float:
        samples = with_gaps(step, gap_ms, count)
        return statistics.median(samples[count // 5 :])

    for step in steps.values():  # all have woken and measured what they need
        block(step)
    before = core.pool_statistics()
    rows = [{name: block(step) for name, step in steps.items()} for _ in range(turns)]
    after = core.pool_statistics()
    if torch is not None:
        torch.set_num_threads(1)
    both = [r for r in rows if "torch" in r]
    return {
        "ours_us": statistics.median(r["ours"] for r in rows),
        "torch_us": statistics.median(r["torch"] for r in both) if both else None,
        "ratio": statistics.median(r["torch"] / r["ours"] for r in both) if both else None,
        "shared": (after["parallel"] - before["parallel"]) / max(1, turns * count),
        "width": after["width"],
    }


def in_processes(processes: int, *case: Any) -> dict[str, Any]:
    """The median process."""
    from common import in_fresh_process

    code = f"import json, bench_threads; print(json.dumps(bench_threads.measure(*{case!r})))"
    rows = [in_fresh_process(code) for _ in range(processes)]
    name, exponent, threads, gap_ms, _ = case
    return {
        "rule": name,
        "exponent": exponent,
        "threads": threads,
        "gap_ms": gap_ms,
        **{
            key: None if rows[0][key] is None else statistics.median(row[key] for row in rows)
            for key in rows[0]
        },
        "worst_us": max(row["ours_us"] for row in rows),
    }


def cell(row: dict[str, Any]) -> str:
    ratio = "PyTorch: not installed" if row["ratio"] is None else f"{row['ratio']:.2f}x"
    return f"{row['ours_us']:.0f} ({ratio}, {100 * row['shared']:.0f} %)"


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """One table for each rule and gap."""
    threads = sorted({row["threads"] for row in rows})
    torch = f"PyTorch {machine['torch']}" if machine["torch"] else "PyTorch: not installed"
    lines = [
        f"{machine['date']}, commit {machine['commit']}, {machine['processor']}, {machine['cpus']} CPUs, "
        f"level {machine['level']}, NumPy {machine['numpy']}, {torch}",
        "",
        "Microseconds of a step (PyTorch's fused step over ours; share of steps that used several threads).",
        "",
    ]
    for rule, gap in sorted({(row["rule"], row["gap_ms"]) for row in rows}):
        gap_text = f"{gap:g} ms of training passes between the steps" if gap else "back to back"
        lines += [
            f"## {rule}, {gap_text}",
            "",
            "| size | " + " | ".join(f"{t} threads" for t in threads) + " |",
        ]
        lines.append("|" + "---|" * (len(threads) + 1))
        for exponent in sorted({row["exponent"] for row in rows}):
            cells = []
            for t in threads:
                found = [
                    r
                    for r in rows
                    if (r["rule"], r["gap_ms"], r["exponent"], r["threads"]) == (rule, gap, exponent, t)
                ]
                cells.append(cell(found[0]) if found else "not measured")
            lines.append(f"| 2^{exponent} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Every case in processes of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="14,16,17,18,20,22,24", help="exponents of two")
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--rules", default="Adam,AdamW")
    parser.add_argument(
        "--gaps", default="0,1", help="milliseconds of forward and backward passes between steps"
    )
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    from common import machine

    rows = []
    for name in args.rules.split(","):
        for gap in map(float, args.gaps.split(",")):
            for exponent in map(int, args.sizes.split(",")):
                for threads in map(int, args.threads.split(",")):
                    rows.append(in_processes(args.processes, name, exponent, threads, gap, args.turns))
                    print(rows[-1], file=sys.stderr, flush=True)
    found = machine()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "threads.json").write_text(
        json.dumps({"machine": found, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )
    (args.out / "threads.md").write_text(markdown(found, rows), encoding="utf-8")
    print(markdown(found, rows))


if __name__ == "__main__":
    main()
