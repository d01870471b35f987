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
#: What only some machines or times show is not looked for: the explorer ends, or the mutant makes it run
#: without end.
SECONDS = 240
COMPILER = os.environ.get("CXX", "c++")


def survives(mutant: Mutant) -> str:
    """Empty if something notices the mutant's absence of sense; else how far it came."""
    overlay(mutant)
    return _mechanism() if mutant.file.endswith("mechanism.hpp") else _policy()


def _mechanism() -> str:
    """What the explorer finds in the small cases, then the larger ones, then the real pool under stress."""
    explorer = _compile("explore", TESTS / "explore.cpp")
    if not _well(explorer) or not _well(explorer, "three"):
        return ""
    stress = _compile("stress", CPP / "threads" / "pool.cpp", TESTS / "stress.cpp")
    return "explorer and stress" if _well(stress, "50000", "5", "1") else ""


def _policy() -> str:
    """The policy's own tests in C++ and, asked through a small library, those in Python."""
    if not _well(_compile("measures", TESTS / "measures.cpp")):
        return ""
    library = _compile("policy.so", Path(__file__).with_name("policy.cpp"), flags=["-shared", "-fPIC"])
    environment = {
        **os.environ,
        "PYTHONPATH": f"{Path(__file__).parent}:{WORK / 'python'}",
        "MUTATED_POLICY": str(library),
    }
    words = "width or wider or alone or threads_make or lone or waking or shared or timings"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "policy_plugin"]
    command += ["tests/test_pool.py", "-k", words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=SECONDS
    )
    return "" if done.returncode else "policy's tests"


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


def _well(*command: object) -> bool:
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
