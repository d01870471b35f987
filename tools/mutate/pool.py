"""Mutants of the thread pool: explored by the model checker, asked by the policy's tests, without the
extension module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from build import OVERLAY, WORK, Broken, overlay
from killers import CPP, ROOT
from mutants import Mutant

TESTS = ROOT / "tests" / "cpp"
#: Of the processor's time. What only some machines or times show is not looked for: the explorer ends (it
#: takes 3 s, as the policy's tests do, and three participants 40), or the mutant makes it run without end.
QUICK = 15
SECONDS = 40
LARGER = 400
#: Of the clock's: who waits for what never comes takes no time of the processor.
PATIENCE = 300
COMPILER = os.environ.get("CXX", "c++")


def survives(mutant: Mutant) -> str:
    """Empty if something notices the mutant's absence of sense; else how far it came."""
    overlay(mutant)
    return _mechanism() if mutant.file.endswith("mechanism.hpp") else _policy()


def _mechanism() -> str:
    """The explorer in small cases, the tests of the policy, the real pool, the explorer in larger ones."""
    explorer = _compile("explore", TESTS / "explore.cpp")
    if not _well(explorer, "small") or not _policy():
        return ""
    stress = _compile("stress", CPP / "threads" / "pool.cpp", TESTS / "stress.cpp")
    if not _well(stress, "50000", "5", "1") or not _well(explorer, "three", seconds=LARGER):
        return ""
    return "explorer, policy and stress"


def _policy() -> str:
    """The policy's tests: in C++, as `make asan` runs them, and in Python, which ask a small library."""
    if not _well(_compile("measures", TESTS / "measures.cpp", flags=["-fsanitize=address"])):
        return ""
    library = _compile("policy.so", Path(__file__).with_name("policy.cpp"), flags=["-shared", "-fPIC"])
    places = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": ":".join(places), "MUTATED_POLICY": str(library)}
    words = "width or wider or alone or threads_make or lone or waking or shared or timings"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "policy_plugin"]
    command += ["tests/test_pool.py", "tests/test_recorded_timings.py", "-k", words]
    return "policy's tests" if _well(*command, seconds=QUICK, environment=environment) else ""


def _compile(name: str, *sources: Path, flags: list[str] | None = None) -> Path:
    program = WORK / name
    headers = [f"-I{folder}" for folder in (OVERLAY, CPP, TESTS)]
    command = [
        COMPILER,
        "-std=c++20",
        "-O1",
        "-pthread",
        *headers,
        *(flags or []),
        *map(str, sources),
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(done.stderr[-300:])
    return program


def _well(*command: object, seconds: int = SECONDS, environment: dict[str, str] | None = None) -> bool:
    limited = ["sh", "-c", f'ulimit -t {seconds}; exec "$0" "$@"', *map(str, command)]
    try:
        done = subprocess.run(
            limited,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
            timeout=PATIENCE + 10 * seconds,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
