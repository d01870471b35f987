"""Whatever interrupts the writing of a checkpoint, there is the old file or the new one, whole."""

from __future__ import annotations

import os
import random
import re
import signal
import stat
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import fastopt
from fastopt.checkpoint import read, write

#: What the names of leftovers look like; after anything but a kill there are none.
TEMPORARY = re.compile(r"\.run\.npz\.\d+-[0-9a-f]{8}\.fastopt-tmp")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.npz"
    write(path, {"w": np.zeros(100)}, {"version": 0})
    return path


def assert_only_the_old_file(path):
    assert os.listdir(path.parent) == ["run.npz"]
    arrays, meta = read(path)
    assert meta == {"version": 0}
    assert not arrays["w"].any()


class Interruption(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), Interruption()], ids=["OSError", "Base"]
)
@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_an_exception_in_any_system_call_leaves_the_old_file(path, monkeypatch, call, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write(path, {"w": np.ones(100)}, {"version": 1})
    monkeypatch.undo()
    assert_only_the_old_file(path)


def run_child(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_full_disk_at_any_point_leaves_the_old_file(path):
    pytest.importorskip("resource", reason="limits on file sizes are a matter of POSIX")
    child = run_child(
        """
        import os, resource, sys
        import numpy as np
        from fastopt.checkpoint import write
        path = sys.argv[1]
        folder = os.path.dirname(path)
        whole, hard = None, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        old = open(path, "rb").read()
        failures = 0
        for limit in [*range(0, 2000, 7), *range(2000, 60_000, 997), 1 << 30]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                write(path, {"w": np.ones(3000), "b": np.ones(2000)}, {"version": 1})
            except OSError:
                failures += 1
                assert open(path, "rb").read() == old
                assert os.listdir(folder) == ["run.npz"]
            else:
                assert os.path.getsize(path) <= limit
                break
        print(failures)
        """,
        path,
    )
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert int(out) > 300
    arrays, meta = read(path)
    assert meta == {"version": 1}
    assert arrays["w"].all()


@pytest.mark.parametrize("point", ["fsync", "replace", "close"])
def test_killed_at_a_chosen_point(path, point):
    """The file is new only if the renaming has been done; `close` is called after it, on the folder."""
    child = run_child(
        """
        import os, signal, sys
        import numpy as np
        from fastopt.checkpoint import write
        setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        write(sys.argv[1], {"w": np.ones(100)}, {"version": 1})
        """,
        path,
        point,
    )
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    arrays, meta = read(path)
    assert meta == {"version": int(point == "close")}
    assert (arrays["w"] == meta["version"]).all()
    others = [name for name in os.listdir(path.parent) if name != "run.npz"]
    assert len(others) == int(point != "close")
    assert all(TEMPORARY.fullmatch(name) for name in others)


def patience(seconds, enough):
    """Six times at most so many seconds; then longer, where the machine is too busy for that."""
    yield from [seconds] * 6
    while not enough() and seconds < 10:
        seconds *= 2
        yield seconds


def test_killed_at_random_points(path):
    rng = random.Random(1)
    versions = set()
    for longest in patience(0.1, lambda: len(versions) > 1):
        child = run_child(
            """
            import sys
            import numpy as np
            from fastopt.checkpoint import write
            print("ready", flush=True)
            for version in range(1, 1_000_000):
                write(sys.argv[1], {"w": np.full(200_000, float(version))}, {"version": version})
            """,
            path,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, longest))
        child.kill()
        child.communicate(timeout=60)
        arrays, meta = read(path)
        versions.add(meta["version"])
        assert (arrays["w"] == meta["version"]).all()
        for name in os.listdir(path.parent):
            if name != "run.npz":
                assert TEMPORARY.fullmatch(name)
                os.unlink(path.parent / name)
    assert len(versions) > 1


def test_a_symbolic_link_stays_and_its_target_is_replaced(path, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for target in ("run.npz", "elsewhere/not there yet.npz"):
        link = tmp_path / "link.npz"
        link.symlink_to(target)
        write(link, {}, {"version": 2})
        assert link.is_symlink()
        assert read(tmp_path / target)[1] == read(link)[1] == {"version": 2}
        assert not list(tmp_path.glob("**/*fastopt-tmp"))
        link.unlink()


@pytest.mark.skipif(os.name == "nt", reason="permissions are those of POSIX")
def test_permissions_are_kept_or_those_of_a_new_file(path, tmp_path):
    path.chmod(0o640)
    write(path, {}, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        write(tmp_path / "new.npz", {}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o640


def test_a_folder_or_a_device_is_not_replaced(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write(target, {}, {})
    with pytest.raises(OSError, match="expected a regular file"):
        write(os.devnull, {}, {})
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "run.npz", {}, {})
    assert os.listdir(tmp_path) == ["folder"]


def test_long_names_are_no_obstacle(tmp_path):
    path = tmp_path / ("ä" * 120 + ".npz")
    write(path, {}, {"version": 1})
    assert read(path)[1] == {"version": 1}


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("run.npz", {}, {"version": 1})
    assert read("run.npz")[1] == {"version": 1}


# --- fastopt.save: the whole run ----------------------------------------------------------------------------

#: A run whose parts all tell the number of the step: Adagrad with gradients of 1 sums up its steps.
RUN = """
import os, resource, signal, sys
import numpy as np, fastopt
path, n = sys.argv[1], int(sys.argv[2])
w = np.zeros(n)
opt = fastopt.Adagrad([w], lr=0.1)
rng = np.random.default_rng(1)
def save():
    fastopt.save(path, {"model": {"w": w}, "opt": opt, "rng": rng, "step": opt.step_count})
def step():
    opt.step([np.ones(n)])
    rng.random()
"""


def step_of(path):
    """The number of the step that the file holds; all its parts agree."""
    tree = fastopt.load(path)
    w, other, rng = np.zeros_like(tree["model"]["w"]), np.zeros(1), np.random.default_rng(1)
    opt = fastopt.Adagrad([w], lr=0.1)
    assert fastopt.load(path, into={"model": {"w": w}, "opt": opt, "rng": rng})["step"] == opt.step_count
    one = fastopt.Adagrad([other], lr=0.1)
    expected = np.random.default_rng(1)
    for _ in range(opt.step_count):
        one.step([np.ones(1)])
        expected.random()
    assert (w == other).all()
    assert (tree["opt"]["state"].get(0, {"sum": np.zeros(1)})["sum"] == opt.step_count).all()
    assert rng.random() == expected.random()
    return opt.step_count


@pytest.mark.parametrize("point", ["fsync", "replace", "close"])
def test_a_run_killed_at_a_chosen_point(tmp_path, point):
    path = tmp_path / "run.npz"
    child = run_child(
        RUN
        + """
save()
step()
setattr(os, sys.argv[3], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
save()
""",
        path,
        300,
        point,
    )
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert step_of(path) == int(point == "close")


def test_a_run_killed_at_random_points(tmp_path):
    path = tmp_path / "run.npz"
    rng = random.Random(2)
    seen = set()
    for longest in patience(0.2, lambda: len(seen) > 1):
        child = run_child(
            RUN
            + """
save()
print("ready", flush=True)
while True:
    step()
    save()
""",
            path,
            100_000,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, longest))
        child.kill()
        child.communicate(timeout=60)
        seen.add(step_of(path))
        for name in os.listdir(tmp_path):
            if name != "run.npz":
                assert TEMPORARY.fullmatch(name)
                os.unlink(tmp_path / name)
    assert len(seen) > 1


def test_a_run_on_a_full_disk_leaves_the_old_file(tmp_path):
    pytest.importorskip("resource", reason="limits on file sizes are a matter of POSIX")
    path = tmp_path / "run.npz"
    child = run_child(
        RUN
        + """
save()
old = open(path, "rb").read()
step()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in range(0, len(old), 97):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        save()
    except OSError:
        pass
    else:
        sys.exit(f"written in spite of a limit of {limit}")
    assert open(path, "rb").read() == old and os.listdir(os.path.dirname(path)) == ["run.npz"]
    step()  # the optimizer is free again
""",
        path,
        500,
    )
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert step_of(path) == 0
