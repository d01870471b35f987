"""Random input, round after round, against what is promised of bad input.

    python tools/fuzz --rounds 20000 --seed 1 --only checkpoint,sparse
    python tools/fuzz --only sparse --seed 1 --first 1234 --rounds 1      # one round again

In each round the library answers or raises a documented error; then nothing has changed. It never crashes,
hangs, or takes memory without bound. A round is a function of (seed, target, number). The exit code is 1 if
anything was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).parents[2] / "tests")
)  # engine.py: how optimizers are made and compared

from watch import run

#: A module each, and its share of the rounds: what is cheap has more.
TARGETS = {"data": 64, "layout": 20, "sparse": 6, "state": 6, "checkpoint": 4}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tools/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=100_000, help="of all targets together (default 100000)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, separated by commas")
    parser.add_argument("--first", type=int, default=0, help="number of the first round of each target")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parsed = parser.parse_args()
    parsed.only = parsed.only.split(",")
    if unknown := set(parsed.only) - set(TARGETS):
        parser.error(f"--only: expected some of {', '.join(TARGETS)}, got {', '.join(sorted(unknown))}")
    return parsed


def main() -> int:
    given = arguments()
    whole = sum(TARGETS[name] for name in given.only)
    figures, found = {}, 0
    for name in given.only:
        rounds = max(1, given.rounds * TARGETS[name] // whole)
        began = time.monotonic()
        result = run(name, given.seed, given.first, rounds)
        took = time.monotonic() - began
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(result.outcomes.items()))
        print(
            f"{name:<11}{rounds:>8} rounds  {took:7.1f} s  {len(result.findings)} found  ({outcomes})",
            flush=True,
        )
        for finding in result.findings:
            print(f"  round {finding['round']}: {finding['text']}", flush=True)
        found += len(result.findings)
        figures[name] = {"rounds": rounds, "seconds": round(took, 1), **result._asdict()}
    if given.json:
        given.json.write_text(
            json.dumps({"seed": given.seed, "targets": figures}, indent=1) + "\n", encoding="utf-8"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
