"""The step benchmark: `python bench/bench_step.py [--levels v3,v4] [--cases all]`.

Prints the tables with their targets and writes step.json and step.md into --out. PyTorch and optax are the
peers where they are installed, and are named where not. `bench/README.md` says how long each case takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ALL = (
    "one",
    "two",
    "small",
    "rules",
    "tail",
    "decay",
    "large",
    "shapes",
    "optax",
    "threads",
    "import",
)
Row = dict[str, Any]


def import_time() -> Iterator[Row]:
    """Milliseconds that `import fastopt` takes beyond `import numpy`, in fresh processes."""

    def once(code: str) -> float:
        timer = f"import time, numpy; t = time.perf_counter(); {code}; print((time.perf_counter() - t) * 1e3)"
        out = subprocess.run([sys.executable, "-c", timer], capture_output=True, text=True, check=True)
        return float(out.stdout)

    samples = [once("import fastopt") for _ in range(15)]
    yield {"case": "import fastopt beyond numpy", "ours_ms": statistics.median(samples)}


def cases() -> dict[str, Callable[[], Iterator[Row]]]:
    import large_cases
    import step_cases
    import thread_cases

    return {
        "one": lambda: step_cases.adam_sizes(1, (10, 12, 14, 16, 17, 18, 20, 24, 26)),
        "two": lambda: step_cases.adam_sizes(2, (10, 14, 17, 20, 24)),
        "small": step_cases.small_tensors,
        "rules": step_cases.every_rule,
        "tail": step_cases.whole_tail,
        "decay": step_cases.decay_beside_none,
        "large": large_cases.large_arrays,
        "shapes": large_cases.shapes,
        "optax": step_cases.beside_optax,
        "threads": thread_cases.thread_cases,
        "import": import_time,
    }


def one_level(names: list[str]) -> dict[str, Any]:
    """All cases at the level of this process."""
    from common import FLOOR_HELP, machine
    from tables import line

    from fastopt._dispatch import core

    if not hasattr(core, "floor_pass"):
        print(FLOOR_HELP, file=sys.stderr)
    tables: dict[str, list[Row]] = {}
    where, known = machine(), cases()
    for name in names:
        tables[name] = []
        for row in known[name]():
            tables[name].append(row)
            print(f"  {line(row, where)}", file=sys.stderr, flush=True)
    return {"machine": where, "tables": tables}


def levels() -> list[str]:
    """The levels of which this project speaks, as far as this installation and this processor have them."""
    from fastopt._dispatch import built, possible

    have = [level for level in built() if level in possible()]
    return [level for level in have if level in ("v3", "v4")] or have[-1:]


def main() -> None:
    """Run every level in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--levels", help="CPU levels, comma-separated; default: v3 and v4 where they are to be had"
    )
    parser.add_argument("--cases", default="all", help=f"which tables: all, or some of {','.join(ALL)}")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of step.json and step.md")
    parser.add_argument("--one-level", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    names = list(ALL) if args.cases == "all" else args.cases.split(",")
    if unknown := set(names) - set(ALL):
        parser.error(f"--cases: no case {sorted(unknown)[0]!r}; there are {', '.join(ALL)}")
    if args.one_level:
        print(json.dumps(one_level(names)))
        return
    from tables import markdown

    results = []
    for level in args.levels.split(",") if args.levels else levels():
        print(f"level {level}", file=sys.stderr)
        command = [sys.executable, __file__, "--one-level", "--cases", ",".join(names)]
        environment = {**os.environ, "FASTOPT_LEVEL": level, "OPENBLAS_NUM_THREADS": "1"}
        out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(out.stdout))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "step.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (args.out / "step.md").write_text(markdown(results), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
