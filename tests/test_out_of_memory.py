"""Memory runs out: MemoryError with a text, whichever allocation fails in whichever thread."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import preloaded
from out_of_memory_cases import GROUPS

HERE = Path(__file__).parent


def child(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def allocator(tmp_path_factory: pytest.TempPathFactory) -> str:
    return preloaded.build("failing_allocator", tmp_path_factory.mktemp("allocator"))


@pytest.mark.parametrize("threads", [1, 7])
@pytest.mark.parametrize("group", GROUPS)
def test_every_allocation_may_fail(allocator: str, group: str, threads: int) -> None:
    arguments = [str(HERE / "out_of_memory_cases.py"), group, str(threads)]
    done = child(arguments, LD_PRELOAD=allocator)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    counts = [int(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()]
    assert sum(counts) > len(counts), "the allocator has not seen the engine"


def test_the_allocator_counts_the_engine_alone(allocator: str) -> None:
    code = """
        import ctypes, numpy as np
        from fastopt.linalg import eigvalsh
        library = ctypes.CDLL(None)
        a = np.eye(100)
        library.failing_allocator_arm(ctypes.c_long(1), 1)
        kept = [bytearray(10**k) for k in range(7)] + [np.ones(10**k) for k in range(7)]
        assert library.failing_allocator_seen() == 0
        try:
            eigvalsh(a)
        except MemoryError as e:
            print(e)
        assert library.failing_allocator_seen() > 0
    """
    done = child(["-c", textwrap.dedent(code)], LD_PRELOAD=allocator)
    assert (done.returncode, done.stdout) == (0, "not enough memory for this call\n"), done.stderr


def test_a_step_allocates_nothing(allocator: str) -> None:
    """From the fourth step on, whatever the rule, the policies and the threads; also with frozen tensors."""
    code = """
        import ctypes, numpy as np, fastopt
        from fastopt._dispatch import core
        library = ctypes.CDLL(None)
        core.set_eager(True)
        shapes = [(1 << 16,), (3, 5), (1 << 15,), (70,)]
        for threads in (1, 3):
            core.set_num_threads(threads)
            for name in ("SGD", "AdamW", "LAMB", "LARS", "Adan"):
                for some in (False, True):
                    for options in ({}, dict(clip_norm=1.0, ema_decay=0.9, nonfinite="raise", l1=0.1)):
                        rng = np.random.default_rng(0)
                        params = [rng.standard_normal(s, np.float32) for s in shapes]
                        grads = [rng.standard_normal(s, np.float32) for s in shapes]
                        if some:
                            grads[1] = grads[2] = None
                        opt = getattr(fastopt, name)(params, lr=1e-3, **options)
                        for _ in range(3):
                            opt.step(grads)
                        library.failing_allocator_arm(ctypes.c_long(1), 1)
                        for _ in range(5):
                            opt.step(grads)
                        seen = library.failing_allocator_seen()
                        library.failing_allocator_disarm()
                        assert seen == 0, (threads, name, some, options)
        print("done")
    """
    done = child(["-c", textwrap.dedent(code)], LD_PRELOAD=allocator)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# So much address space is left, in MB: from less than one copy of the matrix to more than all buffers.
LIMITED = """
    import resource, sys
    import numpy as np
    import fastopt
    from fastopt._dispatch import core
    from fastopt.linalg import eigh, eigvalsh, inertia

    threads, left = int(sys.argv[1]), float(sys.argv[2])
    fastopt.set_num_threads(threads)
    core.set_eager(True)
    a = np.random.default_rng(0).standard_normal((1100, 1100))
    a += a.T
    expected = np.linalg.eigvalsh(a)
    n = 1 << 18
    fastopt.SGD([np.zeros(n)], lr=0.0).step([np.zeros(n)])  # starts all workers; their stacks do not count
    assert core.pool_statistics()["workers"] >= threads - 1
    eigvalsh(np.eye(600))
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + int(left * 1e6)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    for call in (eigvalsh, eigh, inertia):
        try:
            found = call(a)
        except MemoryError as e:
            assert str(e)
            print("MemoryError", end=" ")
            continue
        if call is inertia:
            assert found.negative == (expected < 0).sum()
        else:
            w = found if call is eigvalsh else found[0]
            assert np.abs(w - expected).max() < 1e-9, np.abs(w - expected).max()
        print("right", end=" ")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="ADDRESS SPACE NOT TESTED: no /proc here")
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_little_address_space(threads: int) -> None:
    outcomes = []
    for left in (1, 10, 11, 12, 13, 15, 18, 22, 28, 40, 200):
        done = child(["-c", textwrap.dedent(LIMITED), str(threads), str(left)])
        assert done.returncode == 0, (left, done.stdout, done.stderr)
        outcomes.append(done.stdout.split())
    assert outcomes[0] == ["MemoryError"] * 3
    assert outcomes[-1] == ["right"] * 3


def test_matrices_of_an_order_beyond_all_memory() -> None:
    """One entry in memory, an order with a square near the end of 64 bits."""
    code = """
        import numpy as np
        from fastopt.linalg import eigh, eigvalsh, inertia
        for dtype in (np.float64, np.float32):
            for n in (2**24 + 1, 2**28, 2**29 - 1):
                a = np.broadcast_to(dtype(1), (n, n))
                for call in (eigvalsh, inertia, eigh):
                    try:
                        call(a)
                    except MemoryError as e:
                        assert str(e)
                    else:
                        raise AssertionError(n)
    """
    done = child(["-c", textwrap.dedent(code)])
    assert done.returncode == 0, done.stderr
