"""The thread pool: its mechanism explored and counted, its policy asked, and what it does at run time."""

from __future__ import annotations

import itertools
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import LEVELS, make, threads
from fastopt import _dispatch

HERE = Path(__file__).parent
CPP = HERE.parent / "cpp"
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

needs_compiler = pytest.mark.skipif(
    COMPILER is None or not CPP.exists() or not sys.platform.startswith("linux"),
    reason="needs the C++ sources, a compiler and Linux",
)


def build(folder: Path, name: str, *sources: Path) -> Path:
    program = folder / name
    command = [str(COMPILER), "-std=c++20", "-O2", "-pthread", f"-I{CPP}", f"-I{HERE / 'cpp'}"]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True, timeout=300)
    return program


def output(*command: object, timeout: float = 280) -> tuple[int, str]:
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("explore"), "explore", HERE / "cpp" / "explore.cpp")


# --- the mechanism ---


@needs_compiler
def test_every_interleaving_runs_every_chunk_once(explorer: Path) -> None:
    """Two participants with all values that loads may return, three with the newest, in half a minute."""
    code, text = output(explorer)
    assert code == 0, text
    assert cases(text) == explored()["make test"], text


@needs_compiler
@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_every_interleaving_of_larger_cases(explorer: Path) -> None:
    code, text = output(explorer, "nightly", timeout=7000)
    assert code == 0, text
    assert cases(text) == explored()["nightly"], text


def cases(text: str) -> list[str]:
    """What the explorer says that holds."""
    return [line.split("  ")[0] for line in text.splitlines() if " holds: " in line]


def explored() -> dict[str, list[str]]:
    """The table of docs/design/threads.md, "The proof": which cases run where."""
    found: dict[str, list[str]] = {"make test": [], "nightly": []}
    for line in (HERE.parent / "docs" / "design" / "threads.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 8 and cells[-2] in found:
            found[cells[-2]].append(", ".join(filter(None, cells[1:3])))
    return found


@needs_compiler
def test_every_memory_order_is_needed_and_its_absence_seen(explorer: Path) -> None:
    """What goes wrong without each order, without waking, with sleep that does not look at the word first,
    and with claims in two steps; the last three with three participants too."""
    code, text = output(explorer, "weaken")
    assert code == 0, text
    assert text.count("FAILS") == text.count("without its order") + 2 * 3
    assert text.count("without its order") >= 9


@needs_compiler
def test_what_the_policy_is_told_is_a_low_measurement_of_the_last_ones(tmp_path: Path) -> None:
    code, text = output(build(tmp_path, "measures", HERE / "cpp" / "measures.cpp"))
    assert code == 0, text


@needs_compiler
def test_the_explorer_finds_the_fault_of_the_first_pool(explorer: Path) -> None:
    """With two participants, and with three: one chunk is run by both of two, side by side."""
    code, text = output(explorer, "canary")
    assert code == 0, text
    assert re.findall(r"(\d) participants.* FAILS: .*: a race: plain memory", text) == ["2", "3"], text


@needs_compiler
@pytest.mark.parametrize(("regions", "size", "forks"), [(200_000, 2, 0), (50_000, 7, 1)])
def test_every_chunk_runs_once_under_stress(tmp_path: Path, regions: int, size: int, forks: int) -> None:
    program = build(tmp_path, "stress", CPP / "threads" / "pool.cpp", HERE / "cpp" / "stress.cpp")
    code, text = output(program, regions, size, forks)
    assert code == 0, text


@needs_compiler
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc for stacks as small as musl's")
def test_workers_have_a_stack_of_their_own_size(tmp_path: Path) -> None:
    program = build(tmp_path, "stack", CPP / "threads" / "pool.cpp", HERE / "cpp" / "stack.cpp")
    assert output(program) == (0, "there is room\n")


# --- the policy ---


def width(**known: Any) -> int:
    return int(_dispatch.core.choose_width(**{"chunks": 1 << 20, "most": 16, **known}))


def test_a_short_region_stays_alone() -> None:
    for work in (0.0, 100.0, 7e3):
        assert width(work_ns=work, awake=15, streak=100) == 1


def test_width_grows_with_the_work() -> None:
    works = [1e3 * 2**k for k in range(14)]
    for hot in (0, 9):
        widths = [width(work_ns=w, streak=hot, awake=15 if hot else 0) for w in works]
        assert widths == sorted(widths)
        assert (widths[0], widths[-1]) == (1, 16)
    hot = [width(work_ns=w, streak=9, awake=15) for w in works]
    assert any(1 < w < 16 for w in hot), "between alone and all there are widths"


def hot_ns(work: float, w: int) -> float:
    """What a region takes with spinning workers: a hand-over, and a little for each of them."""
    return work / w + (1500 + 250 * (w - 1) if w > 1 else 0)


def test_more_threads_never_make_a_region_longer_than_fewer_would() -> None:
    for work in (1e3 * 1.7**k for k in range(20)):
        took = [
            hot_ns(work, width(work_ns=work, most=m, awake=m - 1, streak=9)) for m in (1, 2, 4, 8, 16, 128)
        ]
        assert all(later <= earlier * 1.02 for earlier, later in itertools.pairwise(took)), (
            work,
            took,
        )


def test_never_wider_than_chunks_or_allowed() -> None:
    for chunks in (1, 2, 3, 17):
        for most in (1, 2, 5):
            for work in (1e4, 1e6, 1e9):
                assert 1 <= width(work_ns=work, chunks=chunks, most=most, streak=9) <= min(chunks, most)


def test_a_lone_region_must_pay_for_waking() -> None:
    assert width(work_ns=1.5e5, wake_ns=5e4, most=2) == 1
    assert width(work_ns=2.5e5, wake_ns=5e4, most=2) == 2
    assert width(work_ns=1.5e5, wake_ns=2e4, most=2) == 2
    assert width(work_ns=1.9e5, wake_ns=2e4) >= 4


def test_whatever_waking_took_a_long_region_is_shared() -> None:
    for wake in (1e6, 1e9):
        assert width(work_ns=6e5, wake_ns=wake, most=2) in (1, 2)
        assert width(work_ns=1e8, wake_ns=1e6, most=2) == 2


def test_while_others_need_the_processors_only_long_regions_are_shared() -> None:
    assert width(work_ns=2e5, streak=9, awake=15, paused=True) == 1
    assert width(work_ns=2e6, streak=9, awake=15, paused=True) > 1


def restated(
    work_ns: float, chunks: int, most: int, awake: int, streak: int, wake_ns: float, paused: bool
) -> int:
    """docs/design/threads.md, "The policy", in its words."""
    most = min(most, chunks)
    hot = streak >= 4
    long = work_ns >= 5e5
    if most < 2 or work_ns < 8e3 or (paused and not long):
        return 1
    if not hot and not long and work_ns < 4 * wake_ns:
        most = min(most, awake + 1)
    took = {1: 0.85 * work_ns}
    w = 2
    while w <= most:
        cold = 0 if hot else max(0, w - 1 - awake)
        level = [1] * 4 + [2] * 16 + [3] * 64 + [4] * 256
        late = sum(level[:cold]) * wake_ns
        took[w] = (work_ns + late) / w + 1500 + 250 * (w - 1) + 3000 * min(cold, 4)
        w = w + 1 if w == most else min(most, w + max(1, w // 2))
    return min(took, key=lambda w: (took[w], w))


def test_the_width_is_what_the_design_note_says() -> None:
    works = [7999.0, 8e3, 9e3, 13.5e3, 2e4, 5e4, 1.2e5, 2e5, 499_999.0, 5e5, 2e6, 1e8]
    for work, wake, most, streak in itertools.product(
        works, (0.0, 1e3, 3e4, 5e4), (2, 6, 16, 90), (0, 3, 4, 9)
    ):
        for awake, chunks, paused in itertools.product((0, 1, 7, 15, 89), (1, 2, 5, 1 << 20), (False, True)):
            asked = {
                "work_ns": work, "chunks": chunks, "most": most, "awake": awake,
                "streak": streak, "wake_ns": wake, "paused": paused,
            }  # fmt: skip
            assert width(**asked) == restated(**asked), asked


def test_of_two_widths_that_take_the_same_the_smaller_one() -> None:
    assert 13.5e3 / 6 + 250 * 5 == 13.5e3 / 9 + 250 * 8
    assert width(work_ns=13.5e3, most=9, awake=8) == 6
    assert width(work_ns=13510, most=9, awake=8) == 9


# --- at run time ---

LARGE = 1 << 21  # elements: long enough to be shared whatever has been measured


def _shared(steps: int, opt: Any, grads: Any, gap: float = 0.0005) -> int:
    core = _dispatch.core
    before = core.pool_statistics()["parallel"]
    for _ in range(steps):
        opt.step(grads)
        time.sleep(gap)
    return int(core.pool_statistics()["parallel"] - before)


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor shares nothing")
def test_slow_wake_ups_are_forgotten() -> None:
    """However slow six wake-ups in a row have been, lone regions are shared again: the decision is probed."""
    n = 1 << 20
    opt, grads = make("Adam", [np.zeros(n, np.float32)]), [np.ones(n, np.float32)]
    with threads(2):
        core = _dispatch.core
        core.set_eager(False)
        core.pretend_wake(900e3)
        assert core.pool_statistics()["wake_ns"] == 900e3
        until = time.monotonic() + 60
        while core.pool_statistics()["wake_ns"] == 900e3:
            _shared(5, opt, grads)
            assert time.monotonic() < until, "waking was never measured again"


def test_a_wide_pool_does_not_make_two_chunks_expensive() -> None:
    """A region of two chunks starts one worker, however many threads are allowed."""
    code = """
import numpy as np, fastopt
from fastopt import _dispatch
core = _dispatch.core
fastopt.set_num_threads(128)
core.set_eager(True)
n = 2 * 8192
opt = fastopt.SGD([np.zeros(n, np.float32)], lr=0.0)
for _ in range(50): opt.step([np.zeros(n, np.float32)])
s = core.pool_statistics()
print(s["workers"] <= 4, s["width"] <= 5, s["parallel"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "True True 50\n", done.stderr


def test_a_lower_number_parks_workers() -> None:
    core = _dispatch.core
    theta = np.zeros(1 << 17, np.float32)
    opt = make("SGD", [theta], lr=0.0)
    core.set_eager(True)
    with threads(5):
        opt.step([theta.copy()])
        workers = core.pool_statistics()["workers"]
        assert workers >= 4
        fastopt.set_num_threads(2)
        opt.step([theta.copy()])
        assert core.pool_statistics()["width"] == 2
        assert core.pool_statistics()["workers"] == workers
        fastopt.set_num_threads(1)
        before = core.pool_statistics()["parallel"]
        opt.step([theta.copy()])
        assert core.pool_statistics()["parallel"] == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_take_no_signal_but_their_own_faults() -> None:
    core = _dispatch.core
    core.set_eager(True)
    before = set(_signal_masks())
    with threads(core.pool_statistics()["workers"] + 4):
        make("SGD", [np.zeros(1 << 18, np.float32)], lr=0.0).step([np.zeros(1 << 18, np.float32)])
        faults = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
        until = time.monotonic() + 30
        while True:  # a thread that has just been made blocks everything for a moment
            masks = [mask for task, mask in _signal_masks().items() if task not in before]
            deaf = [mask for mask in masks if mask >> (signal.SIGINT - 1) & 1]
            closed = [mask for mask in deaf if any(mask >> (s - 1) & 1 for s in faults)]
            if len(deaf) >= 3 and not closed:
                return
            assert time.monotonic() < until, [hex(mask) for mask in masks]
            time.sleep(0.01)


def _signal_masks() -> dict[int, int]:
    """The signals that each thread of this process blocks."""
    masks = {}
    for task in os.listdir("/proc/self/task"):
        status = Path(f"/proc/self/task/{task}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("SigBlk"))
        masks[int(task)] = int(line.split()[1], 16)
    return masks


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc for stacks as small as musl's")
@pytest.mark.parametrize("level", LEVELS)
def test_work_fits_where_threads_get_small_stacks(level: str) -> None:
    """With 128 KiB, as musl gives them, workers ran out of it in stacks of matrices of order 200."""
    code = """
import ctypes
import numpy as np, fastopt
from fastopt import _dispatch
libc = ctypes.CDLL(None)
attributes = ctypes.create_string_buffer(64)
assert libc.pthread_attr_init(attributes) == 0
assert libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(128 << 10)) == 0
assert libc.pthread_setattr_default_np(attributes) == 0
fastopt.set_num_threads(4)
_dispatch.core.set_eager(True)
a = np.random.default_rng(0).standard_normal((8, 400, 400))
for n in (24, 200, 400):
    part = a[:, :n, :n] + a[:, :n, :n].swapaxes(1, 2)
    fastopt.linalg.eigh(part)
    fastopt.linalg.inertia(part)
for cls in (fastopt.Adam, fastopt.Muon, fastopt.SOAP, fastopt.Shampoo):
    opt = cls([a[0].copy(), a[1].copy()], lr=1e-3)
    for _ in range(12):
        opt.step([a[2], a[3]])
print(_dispatch.core.pool_statistics()["workers"])
"""
    environment = {**os.environ, "FASTOPT_LEVEL": level}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


@pytest.mark.parametrize("level", LEVELS)
def test_no_thread_is_started_before_there_is_work_for_it(level: str) -> None:
    code = f"""
import numpy as np, fastopt
from fastopt import _dispatch
core = _dispatch.load({level!r})
core.set_num_threads(64)
assert core.pool_statistics()["workers"] == 0
opt = fastopt.Adam([np.zeros(100, np.float32)])
for _ in range(100): opt.step([np.ones(100, np.float32)])
print(core.pool_statistics()["workers"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "0\n", done.stderr
