"""Every system call of writing a checkpoint fails, or is the last one: the old file or the new one, whole.

`failing_calls.cpp` is preloaded and counts the calls below the checkpoint's folder: N = 1, 2, ... until the
writing ends without a fault, which is what SQLite does to its files.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
import preloaded
from fastopt import _replace
from fastopt.checkpoint import read, write

TEMPORARY = re.compile(r"\.run\.npz\.\d+-[0-9a-f]{8}\.fastopt-tmp")
NEW = "np.arange(300_000.0)"  # beyond one buffer, so that there are several writes
LIBRARY = str(Path(fastopt.__file__).parent)
ERROR, SHORT, KILL_BEFORE, KILL_AFTER = 1, 2, 3, 4


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    return preloaded.build("failing_calls", tmp_path_factory.mktemp("calls"))


def child(code: str, shim: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "LD_PRELOAD": shim, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


PRELUDE = f"""
import ctypes, os, sys
import numpy as np
import fastopt
from fastopt import _replace
from fastopt.checkpoint import read, write
path = sys.argv[1]
folder = os.path.dirname(path)
calls = ctypes.CDLL(None)
calls.failing_calls_last.restype = ctypes.c_char_p
kept = folder.encode()
def arm(nth, how, code=0):
    calls.failing_calls_arm(kept, ctypes.c_long(nth), how, code)
def save():
    write(path, {{"w": {NEW}, "b": np.ones(3)}}, {{"version": 1}})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.npz"
    write(path, {"w": np.zeros(100)}, {"version": 0})
    return path


def version(path: Path) -> int:
    """Of the file, which is one of the two, whole."""
    arrays, meta = read(path)
    expected = np.arange(300_000.0) if meta["version"] else np.zeros(100)
    np.testing.assert_array_equal(arrays["w"], expected)
    return int(meta["version"])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
def test_every_call_may_fail(path: Path, shim: str, code: int) -> None:
    """OSError with this number, the old file, nothing beside it; but for what comes behind the renaming."""
    done = child(
        f"""
        seen = []
        for nth in range(1, 100):
            write(path, {{"w": np.zeros(100)}}, {{"version": 0}})
            arm(nth, {ERROR}, {code})
            try:
                save()
                error = None
            except OSError as e:
                error = e
            reached = calls.failing_calls_disarm() >= nth
            name = calls.failing_calls_last().decode()
            if not reached:
                break
            seen.append(name)
            renamed = "rename" in seen[:-1]
            meta = read(path)[1]
            assert os.listdir(folder) == ["run.npz"], (nth, name, os.listdir(folder))
            assert meta["version"] == int(renamed), (nth, name, meta)
            assert error is not None or name == "close", (nth, name)
            if error is not None:
                assert error.errno == {code}, (nth, name, error)
        save()
        print(*seen)
        """,
        shim,
        path,
    )
    assert done.returncode == 0, done.stderr
    calls = done.stdout.split()
    assert {"open", "write", "fsync", "fchmod", "rename", "close"} <= set(calls)
    assert calls.count("write") > 2
    assert version(path) == 1


def test_writes_that_take_a_part_are_continued(path: Path, shim: str) -> None:
    done = child(
        f"""
        for nth in range(1, 100):
            arm(nth, {SHORT})
            save()
            if calls.failing_calls_disarm() < nth:
                break
            assert read(path)[1] == {{"version": 1}}
        print(nth)
        """,
        shim,
        path,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8
    assert version(path) == 1


@pytest.mark.parametrize("how", [KILL_BEFORE, KILL_AFTER], ids=["before", "after"])
def test_killed_at_every_call(path: Path, shim: str, how: int) -> None:
    """Each N is a process of its own, forked from one that has imported everything."""
    done = child(
        f"""
        import warnings
        warnings.simplefilter("ignore")
        old = open(path, "rb").read()
        versions = []
        for nth in range(1, 100):
            pid = os.fork()
            if pid == 0:
                arm(nth, {how})
                save()
                os._exit(7)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            arrays, meta = read(path)
            whole = {NEW} if meta["version"] else np.zeros(100)
            assert np.array_equal(arrays["w"], whole), nth
            if status == 7:
                break
            assert status == -9, status
            versions.append(meta["version"])
            with open(path, "wb") as file:
                file.write(old)
        print(*versions)
        """,
        shim,
        path,
    )
    assert done.returncode == 0, done.stderr
    versions = done.stdout.split()
    assert versions == sorted(versions)
    assert {"0", "1"} <= set(versions)
    assert version(path) == 1
    assert all(TEMPORARY.fullmatch(name) for name in os.listdir(path.parent) if name != "run.npz")


def test_a_full_device_leaves_the_old_file(tmp_path: Path) -> None:
    """A real one: a file system in memory of 256 kB."""
    device = tmp_path / "device"
    device.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(device)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("FULL DEVICE NOT TESTED: no file system may be mounted here")
    try:
        path = device / "run.npz"
        write(path, {"w": np.zeros(100)}, {"version": 0})
        with pytest.raises(OSError, match="No space left") as caught:
            write(path, {"w": np.arange(300_000.0)}, {"version": 1})
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(device) == ["run.npz"]
        assert version(path) == 0
        write(path, {"w": np.zeros(100)}, {"version": 0})  # the room is free again
    finally:
        subprocess.run(["umount", str(device)], check=True)


# --- reading ---


def test_a_whole_run_is_saved_and_loaded_under_faults(path: Path, shim: str) -> None:
    """Whatever call fails, optimizer, model and generator are as they were, and free."""
    done = child(
        f"""
        w = np.arange(6.0)
        opt = fastopt.Adam([w], lr=0.1)
        rng = np.random.default_rng(1)
        tree = {{"model": w, "opt": opt, "rng": rng}}
        opt.step([w.copy()])
        fastopt.save(path, tree)
        def everything():
            state = opt.state_dict()["state"][0]
            return w.tobytes(), state["exp_avg"].tobytes(), state["step"], str(rng.bit_generator.state)
        saved = everything()
        for call in (lambda: fastopt.save(path, tree), lambda: fastopt.load(path, into=tree)):
            for nth in range(1, 100):
                opt.step([w.copy()])
                rng.random()
                before = everything()
                arm(nth, {ERROR}, 5)
                failed = False
                try:
                    call()
                except OSError:
                    failed = True
                if calls.failing_calls_disarm() < nth:
                    assert not failed
                    break
                assert everything() in ((before,) if failed else (before, saved)), nth
        assert nth > 1
        """,
        shim,
        path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # dropped where it was, and thereby closed
def test_ctrl_c_at_any_instruction_leaves_no_temporary_file(tmp_path: Path) -> None:
    """Also right after the system has made the file, before the name of its descriptor is bound."""
    path = tmp_path / "run.npz"
    passed = -1

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != _replace.__file__:
            return None
        frame.f_trace_opcodes = True
        passed += event == "opcode"
        if passed == nth:
            passed += 1
            raise KeyboardInterrupt
        return trace

    fastopt.save(path, {"n": -1})
    for nth in range(10_000):
        passed = -1
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            fastopt.save(path, {"n": nth})
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        assert os.listdir(tmp_path) == ["run.npz"], nth
        assert fastopt.load(path)["n"] <= nth
    assert nth > 50


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as above
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])]
)
def test_ctrl_c_at_any_line_while_a_run_is_saved_and_loaded(tmp_path: Path, every: bool) -> None:
    """The old file or the new one, no leftovers, an optimizer that is free and of one step.

    Each line of the library in its turn, when it is first reached; nightly, each time that one is.
    """
    path = tmp_path / "run.npz"
    w, g = np.zeros(3000), [np.ones(3000)]
    opt = fastopt.Adagrad([w], lr=0.1)
    tree: dict[str, Any] = {"w": w, "opt": opt}
    opt.step(g)
    fastopt.save(path, {**tree, "n": 0})
    old = 0, 1  # what the file holds: its number, steps of its optimizer
    left, met = 0, set[tuple[str, int]]()

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        file, line = frame.f_code.co_filename, frame.f_lineno
        if not file.startswith(LIBRARY):
            return None
        if event == "line" and (every or (file, line) not in met):
            met.add((file, line))
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    for nth in itertools.count(1):
        opt.step(g)
        count = opt.step_count
        left = nth
        met.clear()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            fastopt.save(path, {**tree, "n": nth})
            fastopt.load(path, into=tree)
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        assert left == 0
        assert opt.step_count <= count, nth
        assert (opt.state_dict()["state"][0]["sum"] == opt.step_count).all(), nth
        assert os.listdir(tmp_path) == ["run.npz"], nth
        saved: Any = fastopt.load(path, into=tree)
        assert (saved["n"], opt.step_count) in {old, (nth, count)}, nth
        old = saved["n"], opt.step_count
    assert nth > 400  # what lines there are to reach
    opt.step(g)
    saved = fastopt.load(path)
    assert (saved["opt"]["state"][0]["sum"] == saved["opt"]["fastopt"]["step_count"]).all()
