"""Every table for which README.md or bench/README.md makes a claim: `make bench`, or `python bench/run.py`.

    python bench/run.py [--quick] [--parts step,training] [--levels v3,v4] [--cases one,small]
        [--out build/bench]

Each part runs in a process of its own and writes into --out, beside nothing that git tracks; at the end
stands what missed its target. `--quick` is a small version of everything within a few minutes, to see that
it runs: its numbers judge nothing. `--record` appends the numbers to bench/results/history.jsonl.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
#: Arguments of each part's script; {out} is the folder.
PARTS: dict[str, list[str]] = {
    "step": ["bench_step.py", "--out", "{out}"],
    "torch": ["bench_torch.py", "--out", "{out}"],
    "bytes": ["bench_bytes.py", "--out", "{out}"],
    "rules": ["bench_rules.py", "--out", "{out}"],
    "peers": ["bench_peers.py", "--out", "{out}"],
    "training": ["bench_training.py", "--out", "{out}"],
    "sparse": ["bench_sparse.py", "--out", "{out}"],
    "threads": ["bench_threads.py", "--out", "{out}"],
    "eigh": ["bench_eigh.py", "--json", "{out}/eigh.json", "--png", "{out}/eigh.png"],
    "inertia": ["bench_inertia.py", "--json", "{out}/inertia.json"],
    "eigsh": ["bench_eigsh.py"],
    "curvature": ["bench_curvature.py", "--json", "{out}/curvature.json"],
    "wheel": ["bench_wheel.py", "--out", "{out}"],
    "minimize": ["bench_minimize.py", "--json", "{out}/minimize.json", "--png", "{out}/minimize.png"],
}
QUICK: dict[str, list[str]] = {
    "threads": ["--sizes", "14", "--rules", "Adam", "--processes", "1", "--turns", "2"],
    "eigh": ["--sizes", "8,64", "--stacks", "3", "--count", "256"],
    "inertia": ["--sizes", "64"],
    "eigsh": ["--n", "500", "--large", "20000"],
}
#: What a part cannot do without, by the name that it is imported by.
NEEDS = {
    "torch": ("torch",),
    "bytes": ("torch",),
    "peers": ("torch",),
    "sparse": ("torch",),
    "rules": ("torch",),
    "eigh": ("threadpoolctl", "matplotlib"),
    "inertia": ("threadpoolctl",),
    "eigsh": ("scipy",),
    "minimize": ("scipy", "matplotlib"),
}


def threads_to_try() -> str:
    """1, 2, 4, ... and all that this machine has."""
    import fastopt

    most = fastopt.get_num_threads()
    return ",".join(map(str, sorted({most, *(t for t in (1, 2, 4, 8, 16) if t <= most)})))


def take_parts(args: argparse.Namespace) -> None:
    """Parts that were named among the cases: those alone are run. "rules" is both."""
    named = [name for name in args.cases.split(",") if name in PARTS]
    if named:
        cases = [name for name in args.cases.split(",") if name not in PARTS or name == "rules"]
        args.parts = ",".join([*named, *(["step"] if cases else [])])
        args.cases = ",".join(cases) or "all"


def command(part: str, args: argparse.Namespace) -> list[str]:
    line = [text.format(out=args.out) for text in PARTS[part]]
    line[0] = str(HERE / line[0])
    if args.quick:
        line += QUICK.get(part, [])
    elif part == "threads":
        line += ["--threads", threads_to_try()]
    if part == "step":
        line += ["--cases", args.cases] + (["--levels", args.levels] if args.levels else [])
    return [sys.executable, *line]


def run(part: str, args: argparse.Namespace) -> str:
    """Run one part; how it ended."""
    from common import missing

    if gone := [text for text in map(missing, NEEDS.get(part, ())) if text]:
        return f"not run; {', '.join(gone)}"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if args.quick:
        environment["FASTOPT_BENCH_QUICK"] = "1"
    if args.levels and part != "step":
        environment["FASTOPT_LEVEL"] = args.levels.split(",")[-1]
    begin = time.perf_counter()
    with (args.out / f"{part}.txt").open("w", encoding="utf-8") as copy:
        process = subprocess.Popen(command(part, args), stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            copy.write(text)
    seconds = time.perf_counter() - begin
    return f"{'done' if process.wait() == 0 else f'FAILED ({process.returncode})'} in {seconds:.0f} s"


def summary(folder: Path) -> None:
    """What this run missed."""
    from claims import judged

    found = judged(folder)
    print(f"\n{sum(j.met for j in found)} of {len(found)} targets met; missed:")
    for j in found:
        if not j.met:
            print(f"  {j.case} ({j.level}): {j.value:.3g}, wanted {j.target}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="which (default: %(default)s)")
    parser.add_argument(
        "--cases",
        default="all",
        help="tables of the step benchmark (bench_step.py --help), or parts to run alone",
    )
    parser.add_argument("--levels", help="CPU levels; default: v3 and v4 for the step, the best for the rest")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "build" / "bench", help="folder (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a small version of everything; judges nothing")
    parser.add_argument("--record", action="store_true", help="append to bench/results/history.jsonl")
    args = parser.parse_args()
    take_parts(args)
    parts = args.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: no part {sorted(unknown)[0]!r}; there are {', '.join(PARTS)}")
    if args.quick and args.record:
        parser.error("--record: numbers of a quick run are not worth keeping")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob("*.json"):  # of another run
        if old.stem in parts:
            old.unlink()
    ended = {}
    for part in parts:
        print(f"\n== {part} ==", flush=True)
        ended[part] = run(part, args)
    print()
    for part, how in ended.items():
        print(f"{part:10} {how}")
    if args.quick:
        print("\nA quick run: too few turns, and sizes too small, to judge by.")
    else:
        summary(args.out)
    if args.record:
        import history

        print(f"\n{history.record(args.out)} lines appended to {history.HISTORY.relative_to(HERE.parent)}")
    print(f"\nResults: {args.out}")
    return 0 if all("FAILED" not in how for how in ended.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
