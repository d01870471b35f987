"""The end of a process, in every way there is, while threads step and save: no crash, no message, a whole
file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastopt

#: Two daemon threads go on to the very end, one steps and one saves; handlers step and save once more.
BUSY = """
import atexit, os, signal, sys, threading
order = []
def late():
    opt.step(g)
    fastopt.save(path, {"w": w, "opt": opt})
    order.append("before")
    assert order == ["after", "before"]
atexit.register(late)  # before the import: called after everything that it registers
import numpy as np, fastopt
path = sys.argv[1]
fastopt.set_num_threads(4)
fastopt._dispatch.core.set_eager(True)
n = 1 << 17
w, v = np.zeros(n), np.zeros(n)
opt, other = fastopt.Adagrad([w], lr=0.1), fastopt.Adagrad([v], lr=0.1)
g = [np.ones(n)]
opt.step(g)
fastopt.save(path, {"w": w, "opt": opt})
ready = threading.Barrier(3)
def stepping():
    ready.wait()
    while True: other.step(g)
def saving():
    ready.wait()
    while True: fastopt.save(path + ".other", {"w": v.copy(), "x": [1] * 100})
for work in (stepping, saving):
    threading.Thread(target=work, daemon=True).start()
atexit.register(lambda: (opt.step(g), order.append("after")))
cycle = [opt, other]
cycle.append(cycle)
ready.wait()
"""
#: (how it ends, the exit code, whether the handlers are called)
ENDS = {
    "returns": ("", 0, True),
    "sys.exit": ("sys.exit(3)", 3, True),
    "raises": ("raise SystemExit(4)", 4, True),
    "os._exit": ("os._exit(6)", 6, False),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait()", -signal.SIGTERM, False),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, False),
}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("end", ENDS)
def test_the_end(tmp_path: Path, end: str) -> None:
    code, expected, handled = ENDS[end]
    path = tmp_path / "run.npz"
    for _ in range(2):
        command = [sys.executable, "-c", f"{BUSY}\n{code}\n", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (expected, "", "")
        state = fastopt.load(path)["opt"]
        assert state["fastopt"]["step_count"] == (3 if handled else 1)
        assert (state["state"][0]["sum"] == state["fastopt"]["step_count"]).all()
        other = Path(f"{path}.other")
        if other.exists():
            fastopt.load(other)
        for left in tmp_path.iterdir():  # of a thread that was cut off while it wrote
            assert left.name.endswith((".npz", ".npz.other", ".fastopt-tmp"))
            left.unlink()


AVERAGED = """
import sys
import numpy as np, fastopt
w = np.zeros(3)
opt = fastopt.SGD([w], lr=1.0, ema_decay=0.5)
opt.step([np.ones(3)]); opt.step([np.ones(3)])
with opt.ema_weights():
    assert w[0] == -1.5
    sys.exit(0)
"""


def test_contexts_are_left_by_the_end() -> None:
    check = "import atexit\natexit.register(lambda: print(w[0]))\n"
    done = subprocess.run(
        [sys.executable, "-c", check + AVERAGED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "-2.0\n", "")
