"""The suite without PyTorch, as most who run it have it: what needs it skips, and nothing is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def about_torch() -> list[Path]:
    """Tests that name it, but for those of trainers, which want an environment of their own."""
    found = sorted(TESTS.rglob("test_*.py"))
    return [f for f in found if "hosts" not in f.parts and "torch" in f.read_text(encoding="utf-8")]


def test_it_can_be_collected(tmp_path: Path) -> None:
    missing = 'raise ModuleNotFoundError("No module named \'torch\'", name="torch")\n'
    (tmp_path / "torch.py").write_text(missing, encoding="utf-8")
    given = {k: v for k, v in os.environ.items() if k not in ("FASTOPT_REQUIRE_TORCH", "PYTEST_ADDOPTS")}
    given["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    command += [str(f) for f in about_torch()]
    done = subprocess.run(command, cwd=TESTS.parent, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
