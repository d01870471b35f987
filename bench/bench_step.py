"""The step benchmark: `python bench/bench_step.py [--levels v3,v4] [--cases
one,two,small,rules,tail,decay,large,threads,import]`.

Prints the tables with their targets and writes bench/results/step.json and step.md. Takes about ten minutes
for both levels on a quiet machine; PyTorch is the peer where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ALL = ("one", "two", "small", "rules", "tail", "decay", "large", "threads", "import")


def import_time() -> dict[str, Any]:
    """Milliseconds that `import fastopt` takes beyond `import numpy`, in fresh processes."""

    def once(code: str) -> float:
        timer = f"import time, numpy; t = time.perf_counter(); {code}; print((time.perf_counter() - t) * 1e3)"
        out = subprocess.run([sys.executable, "-c", timer], capture_output=True, text=True, check=True)
        return float(out.stdout)

    samples = [once("import fastopt") for _ in range(15)]
    return {"case": "import fastopt beyond numpy", "ours_ms": statistics.median(samples), "at_most": 10.0}


def one_level(cases: list[str]) -> dict[str, Any]:
    """All cases at the level of this process."""
    from common import machine
    from step_cases import CASES

    tables: dict[str, list[dict[str, Any]]] = {}
    for name in cases:
        if name == "import":
            tables[name] = [import_time()]
            continue
        tables[name] = []
        for row in CASES[name]():
            tables[name].append(row)
            print(f"  {line(row)}", file=sys.stderr, flush=True)
    return {"machine": machine(), "tables": tables}


def number(value: float | None, unit: str = "", digits: int = 2) -> str:
    """A cell."""
    return "" if value is None or value != value else f"{value:.{digits}f}{unit}"


def verdict(row: dict[str, Any]) -> str:
    """Whether the target is met."""
    if "at_most" in row:
        return "met" if row["ours_ms"] <= row["at_most"] else "MISSED"
    marks = []
    if row.get("target") is not None and row.get("ratio") is not None:
        marks.append(row["ratio"] >= row["target"])
    if row.get("floor_target") is not None:
        marks.append(row["of_floor"] >= row["floor_target"])
    return "" if not marks else "met" if all(marks) else "MISSED"


def line(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    if "at_most" in row:
        return (
            f"| {row['case']} | {row['ours_ms']:.1f} ms | | | | | {row['at_most']:.0f} ms | {verdict(row)} |"
        )
    peer = row.get("torch_us", row.get("serial_us"))
    spread = row.get("spread")
    ratio = number(row.get("ratio"), "x") + (f" ({spread[0]:.2f} to {spread[1]:.2f})" if spread else "")
    floor = number(row.get("of_floor") and 100 * row["of_floor"], " %", 0)
    if row.get("p95_over_serial") is not None:
        floor = f"p95 {row['p95_over_serial']:.2f}x"
    return (
        f"| {row['case']} | {number(row['ours_us'], ' us', 1)} | {number(peer, ' us', 1)} | {ratio} | "
        f"{number(row.get('numpy_ratio'), 'x', 1)} | {floor} | "
        f"{number(row.get('target'), 'x')} | {verdict(row)} |"
    )


def markdown(results: list[dict[str, Any]]) -> str:
    """The report."""
    parts = []
    for result in results:
        m = result["machine"]
        parts += [
            f"## Level {m['level']}",
            "",
            f"{m['date']}, commit {m['commit']}, {m['processor']}, {m['cpus']} CPUs, {m['compiler']} "
            f"`{m['flags']}`, NumPy {m['numpy']}, PyTorch {m['torch']}",
            "",
            "The peer is PyTorch; of AdamW over Adam it is our Adam; of two threads, our own step on one.",
            "",
            "| case | ours | peer | ratio (10 to 90 %) | against NumPy | share of the floor | at least | |",
            "|---|---|---|---|---|---|---|---|",
            *[line(row) for table in result["tables"].values() for row in table],
            "",
        ]
    return "\n".join(parts)


def main() -> None:
    """Run every level in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", default="v3,v4", help="CPU levels, comma-separated")
    parser.add_argument("--cases", default=",".join(ALL), help="which tables")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of step.json and step.md")
    parser.add_argument("--one-level", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = args.cases.split(",")
    if unknown := set(cases) - set(ALL):
        parser.error(f"--cases: no case {sorted(unknown)[0]!r}; there are {', '.join(ALL)}")
    if args.one_level:
        print(json.dumps(one_level(cases)))
        return
    results = []
    for level in args.levels.split(","):
        print(f"level {level}", file=sys.stderr)
        command = [sys.executable, __file__, "--one-level", "--cases", args.cases]
        environment = {**os.environ, "FASTOPT_LEVEL": level, "OPENBLAS_NUM_THREADS": "1"}
        out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(out.stdout))
    args.out.mkdir(exist_ok=True)
    (args.out / "step.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (args.out / "step.md").write_text(markdown(results), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
