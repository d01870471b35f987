"""NumPy's own tests of eigh and eigvalsh pass with our functions in NumPy's place."""

from __future__ import annotations

import os
import subprocess
import sys

# A pytest plugin of one module: real matrices go to us, complex ones stay NumPy's.
PLUGIN = """
import numpy as np
import fastopt.linalg as ours

called = {"eigh": 0, "eigvalsh": 0}

def placed(name):
    theirs, mine = getattr(np.linalg, name), getattr(ours, name)
    def function(a, UPLO="L"):
        if np.iscomplexobj(a):
            return theirs(a, UPLO)
        called[name] += 1
        return mine(a, UPLO)
    return function

for name in called:
    setattr(np.linalg, name, placed(name))

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"calls of ours: {called['eigh']} {called['eigvalsh']}")
"""


def test_numpys_own_tests(tmp_path):
    (tmp_path / "ours_in_place.py").write_text(PLUGIN, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "ours_in_place", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), "-W", "ignore", "-o", "markers=slow: takes a while"]
    command += ["--pyargs", "numpy.linalg.tests.test_linalg", "-k", "TestEigh or TestEigvalsh"]
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    env = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}  # ours counts calls in one process
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    eigh, eigvalsh = (int(word) for word in run.stdout.split("calls of ours:")[1].split()[:2])
    assert eigh > 40
    assert eigvalsh > 40
