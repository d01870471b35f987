"""Threads: how many there are, and that fork, other threads, Ctrl-C and the end of the process do no harm."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import fastopt
import preloaded
from engine import LEVELS, everything, make, normal, rouse, threads
from fastopt import _dispatch, _threads

LARGE = 1 << 19  # elements: a step of a few hundred microseconds, shared between threads


def python(code: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that runs the code; variables that choose threads or levels come from here only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FASTOPT_", "OMP_"))}
    watched = f"import faulthandler; faulthandler.dump_traceback_later({0.8 * timeout}, exit=True)\n"
    return subprocess.run(
        [sys.executable, "-c", watched + code],  # one that hangs says where
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


# --- how many ---

COUNT = "import fastopt; print(fastopt.get_num_threads())"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTOPT_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"FASTOPT_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"FASTOPT_NUM_THREADS": "100000"}, 256),
        ({"FASTOPT_NUM_THREADS": "", "OMP_NUM_THREADS": ""}, None),
        ({"OMP_NUM_THREADS": "many"}, None),
    ],
    ids=str,
)
def test_the_environment_says_how_many(environment: dict[str, str], expected: int | None) -> None:
    done = python(COUNT, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == (expected or _threads._usable()[0])


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_that_is_none_is_refused_at_import(value: str) -> None:
    done = python(COUNT, FASTOPT_NUM_THREADS=value)
    assert done.returncode == 1
    assert f"ImportError: FASTOPT_NUM_THREADS: expected a positive integer, got {value!r}" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_the_affinity_mask_counts() -> None:
    first = min(os.sched_getaffinity(0))
    assert python(f"import os; os.sched_setaffinity(0, [{first}]); {COUNT}").stdout == "1\n"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (257, ValueError),
        (1.0, TypeError),
        ("2", TypeError),
        (True, TypeError),
    ],
)
def test_set_num_threads_takes_1_to_256(bad: Any, error: type[Exception]) -> None:
    before = fastopt.get_num_threads()
    with pytest.raises(error, match="threads: expected an integer >= 1"):
        fastopt.set_num_threads(bad)
    assert fastopt.get_num_threads() == before


@pytest.fixture(scope="module")
def told_processors(tmp_path_factory: pytest.TempPathFactory) -> str:
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs Linux and two processors")
    return preloaded.build("told_processors", tmp_path_factory.mktemp("processors"))


# Where a thread runs is told to it and not observed: on a machine with other work the system decides.
STEPS = """
import ctypes, os, time, numpy as np, fastopt
from fastopt._dispatch import core

told = ctypes.CDLL(None)
core.set_eager(True)
fastopt.set_num_threads(2)
w = np.ones(1 << 16, np.float32)
g = w * 2
opt = fastopt.Adam([w])
before = set(os.listdir("/proc/self/task"))
opt.step([g])
(worker,) = set(os.listdir("/proc/self/task")) - before
everywhere = sorted(os.sched_getaffinity(0))
here, there = everywhere[:2]

def step_until(done):
    end = time.monotonic() + 40
    while not done():
        assert time.monotonic() < end, "the worker has not come"
        opt.step([g])

def wanted(move):
    return [p for p in everywhere if told.told_processors_wanted(ctypes.c_long(move), p)]
"""


def test_a_worker_leaves_the_processor_of_its_caller(told_processors: str) -> None:
    """It asks for any other, and at once for all that it had: that it may be there later, too."""
    out = python(
        STEPS
        + """
begin = time.monotonic()
told.told_processors_say(here, here)
step_until(lambda: told.told_processors_moves() >= 6)
assert time.monotonic() - begin > 0.002, "three moves within three milliseconds"
for move in 0, 2, 4:
    assert wanted(move) == everywhere[1:], wanted(move)
    assert wanted(move + 1) == everywhere, wanted(move + 1)
""",
        LD_PRELOAD=told_processors,
        OPENBLAS_NUM_THREADS="1",
    )
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize("case", ["elsewhere", "unknown", "one processor"])
def test_a_worker_stays_where_it_is(case: str, told_processors: str) -> None:
    out = python(
        STEPS
        + {
            "elsewhere": "told.told_processors_say(here, there)",
            "unknown": "told.told_processors_say(-1, -1)",
            "one processor": "os.sched_setaffinity(int(worker), {here}); "
            "told.told_processors_say(here, here)",
        }[case]
        + """
step_until(lambda: told.told_processors_asked() >= 20)
assert told.told_processors_moves() == 0
""",
        LD_PRELOAD=told_processors,
        OPENBLAS_NUM_THREADS="1",
    )
    assert out.returncode == 0, out.stderr


def test_set_num_threads_says_so() -> None:
    before = fastopt.get_num_threads()
    fastopt.set_num_threads(3)
    assert (fastopt.get_num_threads(), _threads.thread_reason()) == (3, "set_num_threads()")
    fastopt.set_num_threads(before)


def test_threadpoolctl_sees_and_limits_the_pool() -> None:
    def ours() -> list[dict[str, Any]]:
        return [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "fastopt"]

    _threads.register_with_threadpoolctl()
    before = fastopt.get_num_threads()
    in_use = [lib for lib in ours() if lib["level"] == _dispatch.core.level]
    assert [lib["num_threads"] for lib in in_use] == [before]
    assert in_use[0]["user_api"] == "fastopt"
    assert in_use[0]["version"] == fastopt.__version__
    with threadpoolctl.threadpool_limits(1):
        assert fastopt.get_num_threads() == 1
    with threadpoolctl.threadpool_limits(1, user_api="fastopt"):
        assert fastopt.get_num_threads() == 1
    assert fastopt.get_num_threads() == before


def test_threadpoolctl_is_not_imported_but_joined() -> None:
    code = "import sys, fastopt; assert 'threadpoolctl' not in sys.modules"
    assert python(code).returncode == 0
    joined = "import threadpoolctl as t, fastopt; print([i['user_api'] for i in t.threadpool_info()])"
    assert "'fastopt'" in python(joined).stdout


@pytest.mark.parametrize("level", LEVELS)
def test_the_two_functions_of_threadpoolctl_work(level: str) -> None:
    core = _dispatch.load(level)
    library = ctypes.CDLL(core.__file__)
    before = library.fastopt_get_num_threads()
    assert before == core.get_num_threads()
    library.fastopt_set_num_threads(5)
    assert core.get_num_threads() == 5
    library.fastopt_set_num_threads(before)


# --- several threads of Python ---


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    failed: list[BaseException] = []
    start = threading.Barrier(count)

    def body(i: int) -> None:
        start.wait()
        try:
            work(i)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for t in workers:
        t.start()
    for t in workers:
        t.join(60)
    assert not any(t.is_alive() for t in workers), "deadlock"
    return failed


@pytest.mark.parametrize("schedule", [False, True], ids=["constant", "schedule"])
@pytest.mark.parametrize("n", [100, 1 << 16], ids=["short steps", "long steps"])
def test_two_threads_on_one_optimizer_get_a_step_or_an_error(n: int, schedule: bool) -> None:
    """4 x 200 steps of theta -= 1: what succeeded is counted and was done, and nothing else."""
    theta, g = np.zeros(n), np.ones(n)
    lr = (lambda k: 2.0 ** (k % 3)) if schedule else 1.0
    opt = make("SGD", [theta], lr=lr, clip_norm=1e300, ema_decay=0.5)
    done = [0] * 4

    def work(i: int) -> None:
        for _ in range(200):
            try:
                opt.step([g])
            except RuntimeError as error:
                assert "this optimizer is in use" in str(error)  # noqa: PT017 - most steps succeed
            else:
                done[i] += 1

    assert in_threads(4, work) == []
    assert sum(done) == opt.step_count > 0
    moved = sum(2.0 ** (k % 3) if schedule else 1.0 for k in range(opt.step_count))
    np.testing.assert_array_equal(theta, -moved)
    opt.step([g])


def test_optimizers_of_different_threads_do_not_meet() -> None:
    shapes = [(1 << 16) + 3, 100]
    grads = [normal(10 + k, shapes) for k in range(30)]

    def run(opt: Any) -> None:
        for row in grads:
            opt.step(row)

    def optimizer() -> Any:
        return make("Adam", normal(1, shapes), lr=0.01, clip_norm=1.0)

    alone = optimizer()
    run(alone)
    together = [optimizer() for _ in range(4)]
    assert in_threads(4, lambda i: run(together[i])) == []
    assert all(everything(opt) == everything(alone) for opt in together)


def test_the_number_of_threads_may_change_while_others_step() -> None:
    shapes = [LARGE]
    grads = normal(2, shapes)
    opts = [make("Adam", normal(1, shapes), lr=0.01) for _ in range(2)]
    before = fastopt.get_num_threads()
    for _ in range(20):
        opts[0].step(grads)

    def work(i: int) -> None:
        for k in range(20):
            if i == 0:
                opts[1].step(grads)
            else:
                fastopt.set_num_threads(1 + k % 4)
                time.sleep(0.001)

    assert in_threads(2, work) == []
    fastopt.set_num_threads(before)
    assert everything(opts[0]) == everything(opts[1])


# --- fork ---

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")


def in_child(work: Callable[[], bool], seconds: float = 20) -> None:
    """Fork; the child answers by its exit code within the time, or is killed."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of forks with threads: that is the test
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail(f"the child did not finish within {seconds} s")
        time.sleep(0.002)


@needs_fork
@pytest.mark.parametrize("level", LEVELS)
def test_both_sides_of_a_fork_go_on_with_the_same_bits(level: str) -> None:
    grads = normal(2, [LARGE, 7])
    with threads(3):
        rouse(level)
        opt, twin = (make("Adam", normal(1, [LARGE, 7]), level, lr=0.01, clip_norm=1.0) for _ in range(2))
        for each in (opt, twin):
            each.step(grads)
            each.step(grads)
        rest = everything(twin)
        twin.step(grads)
        expected = everything(twin)

        def step() -> bool:
            rouse(level)
            opt.step(grads)
            return bool(everything(opt) == expected)

        in_child(step)
        assert everything(opt) == rest
        assert step()


@needs_fork
@pytest.mark.parametrize("schedule", [False, True], ids=["constant", "schedule"])
def test_fork_while_another_thread_is_inside_a_step(schedule: bool) -> None:
    grads = normal(2, [LARGE])
    opt = make("Adam", normal(1, [LARGE]), lr=(lambda k: 0.01) if schedule else 0.01)
    stop = threading.Event()

    def forever() -> None:
        while not stop.is_set():
            opt.step(grads)

    stepping = threading.Thread(target=forever)
    with threads(2):
        stepping.start()
        try:
            for _ in range(20):

                def step() -> bool:
                    before = opt.step_count
                    opt.step(grads)
                    counted = opt.state_dict()["state"][0]["step"]
                    return bool(opt.step_count == before + 1 == counted)

                in_child(step)
        finally:
            stop.set()
            stepping.join()


# --- the end ---


def test_the_process_ends_quietly_with_live_threads_and_optimizers() -> None:
    code = """
import atexit, threading, numpy as np, fastopt
n, lr = 1 << 19, fastopt.schedules.cosine(0.1, total=9)
opts = [fastopt.Adam([np.ones(n, np.float32)], lr=lr) for _ in range(3)]
g = [np.ones(n, np.float32)]
for opt in opts: opt.step(g); opt.step(g)
opts.append(opts)  # a cycle
def forever():
    while True: opts[0].step(g)
threading.Thread(target=forever, daemon=True).start()
atexit.register(lambda: opts[1].step(g))
opts[2].step(g)
print("done")
"""
    for _ in range(3):
        done = python(code, FASTOPT_NUM_THREADS="4")
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# `interrupt_after(seconds)` raises KeyboardInterrupt then, from a signal. `arrived` counts: where Python
# swallows the exception, in a finaliser, a loop over `arrived` ends without one.
INTERRUPTS = """
import signal
arrived = 0
def arrive(*_):
    global arrived
    arrived += 1
    raise KeyboardInterrupt
def interrupt_after(seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds)
signal.signal(signal.SIGALRM, arrive)
"""
needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers")


@needs_timer
def test_ctrl_c_leaves_an_optimizer_that_goes_on() -> None:
    """Interrupted at any time, a step was done or not: counters, states and parameters agree."""
    code = """
import numpy as np, fastopt
theta, g = np.zeros(1 << 16), np.ones(1 << 16)
opt = fastopt.SGD([theta], lr=lambda k: 1.0, ema_decay=0.0)
interrupted = 0
for n in range(20):
    try:
        interrupt_after(0.005)
        while arrived == n:
            opt.step([g])
    except KeyboardInterrupt:
        interrupted += 1
    assert (theta == -opt.step_count).all()
    assert opt.ema[0].tobytes() == theta.tobytes()
opt.step([g])
assert opt.state_dict()["state"][0]["step"] == opt.step_count
print(interrupted)
"""
    done = python(INTERRUPTS + code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "20\n", "")


def test_the_quota_of_a_cgroup_is_the_tightest_on_the_way_to_the_root(tmp_path: Path) -> None:
    from fastopt._threads import _quota

    own = tmp_path / "cgroup"
    inner = tmp_path / "fs" / "a" / "b"
    inner.mkdir(parents=True)
    own.write_text("0::/a/b\n", encoding="utf-8")
    root = str(tmp_path / "fs")
    assert _quota(root, str(own)) is None
    (inner / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    assert _quota(root, str(own)) is None
    (inner / "cpu.max").write_text("250000 100000\n", encoding="utf-8")
    assert _quota(root, str(own)) == 3  # two and a half, rounded up
    (tmp_path / "fs" / "cpu.max").write_text("50000 100000\n", encoding="utf-8")
    assert _quota(root, str(own)) == 1
    assert _quota(str(tmp_path / "nowhere"), str(own)) is None


def test_the_quota_of_version_1(tmp_path: Path) -> None:
    from fastopt._threads import _quota

    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="utf-8")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n", encoding="utf-8")
    assert _quota(str(tmp_path), str(tmp_path / "none")) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("400000\n", encoding="utf-8")
    assert _quota(str(tmp_path), str(tmp_path / "none")) == 4


def test_hardware_threads_of_one_core_count_once(tmp_path: Path) -> None:
    from fastopt._threads import _cores

    root = str(tmp_path)
    for cpu, siblings in enumerate(["0,4", "1,5", "2-3", "2-3", "0,4", "1,5"]):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n", encoding="utf-8")
    assert _cores({0, 1, 2, 3, 4, 5}, root) == 3
    assert _cores({0, 4}, root) == 1
    assert _cores({3, 4, 5}, root) == 3  # whose siblings are not in the mask
    assert _cores({0, 7}, root) == 2  # nothing is known of the last one
    (tmp_path / "smt").mkdir()
    (tmp_path / "smt" / "active").write_text("0\n", encoding="utf-8")
    assert _cores({0, 1, 2, 3, 4, 5}, root) == 6
