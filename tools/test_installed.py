"""Is the installed fastopt sound? What a wheel must pass where it is for: `python tools/test_installed.py`.

`fastopt info` and `selftest`, then the core of the suite: what the compiler, the processor and the version of
Python can break. Needs pytest, pytest-timeout, hypothesis, ml_dtypes and threadpoolctl; further arguments go
to pytest.
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


def main() -> int:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # the installed one, no other
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in CORE]
    options = ["-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    commands = [
        [sys.executable, "-m", "fastopt", "info"],
        [sys.executable, "-m", "fastopt", "selftest"],
        [sys.executable, "-m", "pytest", *options, *files, *sys.argv[1:]],
    ]
    print(f"fastopt {version('fastopt')} on Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return max(
            abs(subprocess.run(c, cwd=folder, env=environment, check=False).returncode) for c in commands
        )


if __name__ == "__main__":
    sys.exit(main())
