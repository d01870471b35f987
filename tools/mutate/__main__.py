"""Mutants of the C++: does a test notice each?

    python tools/mutate --only rules --sample 40 --seed 1     # forty of the rules' mutants, drawn
    python tools/mutate --only pool                           # all of the pool's
    python tools/mutate --only rules/adam.hpp                 # all of one file

One mutant at a time is compiled into the module (CPU level v4; FASTOPT_MUTATED_LEVEL=v3 for another) and the
tests that concern it are run until one fails. What became of each is kept in build/mutate/results.json, and
is not tried again: a run may be stopped and resumed (--again tries survivors once more). Survivors are
explained in tools/mutate/survivors.json, or a test is missing: the exit code is 1 if one is not.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pool
from build import MODULE, WORK, Broken, build
from killers import CPP, PARTS, ROOT, Plan, plan_for
from mutants import Mutant, mutants_of, swapped_statements

RESULTS = WORK / "results.json"
EXPLAINED = Path(__file__).with_name("survivors.json")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tools/mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="rules,engine,pool", help="parts (rules, engine, pool) or files below cpp/"
    )
    parser.add_argument(
        "--sample", type=int, default=0, help="so many mutants of each part, drawn (default: all)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="try survivors once more")
    parser.add_argument("--as-built", action="store_true", help="use the build of an earlier run as it is")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no mutant after that")
    return parser.parse_args()


def chosen(given: argparse.Namespace) -> list[Mutant]:
    found = []
    for part in given.only.split(","):
        mutants = []
        for file in PARTS.get(part, [part]):
            text = (CPP / file).read_text(encoding="utf-8")
            mutants += [*mutants_of(file, text), *swapped_statements(file, text)]
        rng = random.Random(f"{given.seed} {part}")
        found += rng.sample(mutants, min(given.sample, len(mutants))) if given.sample else mutants
    return found


def fate(mutant: Mutant) -> str:
    """ "killed: by what", "survived" or "does not compile"."""
    try:
        if mutant.file in PARTS["pool"]:
            left = pool.survives(mutant)
            return f"survived: {left}" if left else "killed"
        plan = plan_for(mutant.file)
        build(mutant, plan.objects)
    except Broken:
        return "does not compile"
    try:
        done = tested(plan)
    except subprocess.TimeoutExpired:
        return "killed: it hangs"
    return f"killed: {first_failure(done)}" if done.returncode else "survived"


def tested(plan: Plan) -> subprocess.CompletedProcess[str]:
    """The tests of a plan, on the module as it is now. There is one CPU level: none are compared."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *plan.tests]
    for comparison in ("test_bits.py::test_levels", "test_muon.py::test_levels_agree_to_rounding"):
        command += ["--deselect", f"tests/{comparison}"]
    command += ["-k", plan.words] if plan.words else []
    return subprocess.run(
        command, cwd=ROOT, env=MODULE.environment(), capture_output=True, text=True, check=False, timeout=1800
    )


def first_failure(done: subprocess.CompletedProcess[str]) -> str:
    failed = (line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))
    return next(failed, "the process ends")[:160]


def check_tests(mutants: list[Mutant]) -> None:
    """Raise SystemExit if a test fails without any mutant: it would kill them all."""
    for plan in {str(plan): plan for plan in (plan_for(m.file) for m in mutants)}.values():
        done = tested(plan)
        if done.returncode:
            raise SystemExit(f"fails without a mutant: {first_failure(done)}")


def main() -> int:
    given = arguments()
    mutants = chosen(given)
    if given.list:
        print("\n".join(m.name for m in mutants))
        return 0
    if not given.as_built and any(mutant.file not in PARTS["pool"] for mutant in mutants):
        MODULE.build()
        check_tests([m for m in mutants if m.file not in PARTS["pool"]])
    results: dict[str, str] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    explained = json.loads(EXPLAINED.read_text(encoding="utf-8")) if EXPLAINED.exists() else {}
    until = time.monotonic() + 60 * given.minutes
    for mutant in mutants:
        known = results.get(mutant.name)
        if (known and not (given.again and known.startswith("survived"))) or time.monotonic() > until:
            continue
        began = time.monotonic()
        results[mutant.name] = fate(mutant)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{time.monotonic() - began:6.1f} s  {results[mutant.name]}  {mutant.name}", flush=True)
    return report([m for m in mutants if m.name in results], results, explained)


def report(mutants: list[Mutant], results: dict[str, str], explained: dict[str, str]) -> int:
    open_questions = []
    for part in ("rules", "engine", "pool"):
        of_part = [m.name for m in mutants if m.file.split("/")[0] == ("threads" if part == "pool" else part)]
        count = Counter(results[name].split(":")[0] for name in of_part)
        survivors = [name for name in of_part if results[name].startswith("survived")]
        equivalent = [
            name for name in survivors if explained.get(_without_line(name), "").startswith("equivalent")
        ]
        open_questions += [name for name in survivors if _without_line(name) not in explained]
        tried = count["killed"] + len(survivors) - len(equivalent)
        if tried:
            share, broken = 100 * count["killed"] / tried, count["does not compile"]
            print(f"{part}: {count['killed']} of {tried} killed ({share:.1f} %)", end=", ")
            print(f"{len(equivalent)} equivalent, {broken} do not compile")
    for name in open_questions:
        print(f"not explained: {name}")
    return 1 if open_questions else 0


def _without_line(name: str) -> str:
    """An explanation outlives a line that is inserted above."""
    file, _, rest = name.partition(":")
    return f"{file}:{rest.partition(':')[2]}"


if __name__ == "__main__":
    sys.exit(main())
