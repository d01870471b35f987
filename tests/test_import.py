"""Importing fastopt changes nothing in the process and imports nothing that is optional."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

import fastopt
from test_threads import python

TESTS = str(Path(__file__).parent)
OPTIONAL = (*fastopt.info()["packages"], "pytest")


def run(code: str) -> str:
    done = python(f"import sys; sys.path.insert(0, {TESTS!r}); {code}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_no_optional_package_is_imported() -> None:
    code = f"import fastopt; print([m for m in {OPTIONAL} if m in sys.modules])"
    assert run(code) == "[]\n"


def test_only_numpy_is_imported_besides_the_standard_library() -> None:
    code = (
        "import numpy; before = set(sys.modules); import fastopt; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names; "
        "print(sorted(m for m in new if not m.startswith('_')))"
    )
    assert run(code) in ("['fastopt']\n", "['fastopt', 'numpy']\n")  # NumPy loads more of itself


def test_no_file_of_the_main_job_is_read() -> None:
    folders = ("fastopt.cli", "fastopt.train", "fastopt.data")
    code = f"import fastopt; print([m for m in sys.modules if m.startswith({folders})])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize("use", ["", "; fastopt.SGD([numpy.ones(1 << 20)]).step([numpy.ones(1 << 20)])"])
def test_no_state_of_the_process_changes(use: str) -> None:
    state = [
        "[signal.getsignal(s) for s in sorted(signal.valid_signals())]",
        "locale.setlocale(locale.LC_ALL)",
        "os.getcwd()",
        "dict(os.environ)",
        "sys.getswitchinterval()",
        "sys.getrecursionlimit()",
        "numpy.geterr()",
        "warnings.filters[:]",
        "[x.__name__ for x in sys.meta_path if hasattr(x, '__name__')]",
        "threading.active_count()",
    ]
    if hasattr(__import__("os"), "sched_getaffinity"):
        state += ["sorted(os.sched_getaffinity(0))", "os.sched_getscheduler(0)"]
    if hasattr(__import__("signal"), "pthread_sigmask"):
        state.append("sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))")
    if platform.machine() in ("x86_64", "AMD64") and sys.platform != "win32":
        state.append("__import__('mxcsr').read()")
    look = f"[{', '.join(state)}]"
    code = (
        "import contextlib, locale, numpy, os, signal, threading, warnings\n"
        "for s in signal.valid_signals():\n"  # a child inherits what its parent ignores
        "    with contextlib.suppress(OSError, ValueError): signal.signal(s, signal.SIG_DFL)\n"
        f"before = {look}\nimport fastopt{use}\nafter = {look}\nprint(before == after)"
    )
    assert run(code) == "True\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by Linux's /proc")
def test_no_thread_starts_before_it_is_needed() -> None:
    count = "len(os.listdir('/proc/self/task'))"
    step = "fastopt.SGD([numpy.ones(9)]).step([numpy.ones(9)])"
    use = f"import fastopt; fastopt.set_num_threads(4); {step}"
    code = f"import os, numpy; n = {count}; {use}; print({count} - n)"
    assert run(code) == "0\n"
