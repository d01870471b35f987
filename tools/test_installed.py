"""Is the installed fastopt sound? What a wheel must pass where it is for: `python tools/test_installed.py`.

`fastopt info` and `selftest`, then the core of the suite: what the compiler, the processor and the version of
Python can break. Needs pytest, pytest-timeout, hypothesis and threadpoolctl, and ml_dtypes for what is about
bfloat16; further arguments go to pytest. Its last line says which CPU levels ran: one that this processor
lacks is not tested here.

    python tools/test_installed.py --at-once 4    # each test in four threads (pytest-run-parallel)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Import; the numbers of every rule and their bits; arrays, refusals, files; threads; the eigensolver.
CORE = (
    *("packaging", "import", "dispatch", "exports", "surface"),
    *("rules", "bits", "step_order", "storage_bits", "coded"),
    *("arrays", "bad_input", "native_plan", "state_dict", "checkpoint"),
    *("threads", "free_threading", "eigh_small", "eigh_stacks", "inertia", "schedules"),
)
#: Of these, what several threads cannot run at once, and why.
ALONE = {
    "packaging": "reads files; nothing of the library runs",
    "import": "starts an interpreter for each import",
    "dispatch": "exchanges the module in use",
    "exports": "reads the modules' files",
    "surface": "reads signatures; nothing of the library runs",
    "checkpoint": "its fixture gives all threads the same file",
    "threads": "sets limits, signals and affinities of the whole process",
    "free_threading": "starts threads of its own, as many as it means",
}
#: What a test that several threads cannot run at once calls: it acts on the whole process.
OF_THE_PROCESS = (
    *("engine.threads", "engine.rouse", "fastopt.set_num_threads", "pressing.pressed_after"),
    *("tracemalloc.start", "subprocess.run", "test_threads.python"),
    "ast.parse",  # whose depth CPython counts for all threads together
)
LEVELS = """
from fastopt import _dispatch
ran = [level for level in _dispatch.built() if level in _dispatch.possible()]
left = [level for level in _dispatch.built() if level not in ran]
print("CPU levels that ran:", *ran, "" if not left else f"(not on this processor: {', '.join(left)})")
"""


def tests(arguments: list[str]) -> list[str]:
    """The command for pytest."""
    parallel: list[str] = []
    names = list(CORE)
    if arguments[:1] == ["--at-once"]:
        parallel = [
            f"--parallel-threads={arguments[1]}",
            "-o",
            f"thread_unsafe_functions={chr(10).join(OF_THE_PROCESS)}",
        ]
        arguments, names = arguments[2:], [name for name in CORE if name not in ALONE]
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in names]
    options = ["-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *options, *parallel, *files, *arguments]


def main() -> int:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # the installed one, no other
    commands = [
        [sys.executable, "-m", "fastopt", "info"],
        [sys.executable, "-m", "fastopt", "selftest"],
        tests(sys.argv[1:]),
        [sys.executable, "-c", LEVELS],
    ]
    print(f"fastopt {version('fastopt')} on Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return max(
            abs(subprocess.run(c, cwd=folder, env=environment, check=False).returncode) for c in commands
        )


if __name__ == "__main__":
    sys.exit(main())
