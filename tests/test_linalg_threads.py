"""set_num_threads() while others compute: their buffers are for so many threads, and no more may come."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

# In a process of its own, which would be lost. Answers are judged by LAPACK's ratios, in units of n eps |A|.
RACE = """
    import sys, threading, time
    import numpy as np
    import fastopt
    from fastopt._dispatch import core
    from fastopt.linalg import eigh, eigsh, eigvalsh, inertia

    def symmetric(*shape, dtype=np.float64):
        a = np.random.default_rng(0).standard_normal(shape)
        return ((a + a.swapaxes(-1, -2)) / 2).astype(dtype)

    def judged(a):
        expected = np.linalg.eigvalsh(a.astype(np.float64))
        unit = a.shape[-1] * np.finfo(a.dtype).eps * np.abs(expected).max()
        def values(w):
            assert np.abs(w - expected).max() <= 30 * unit
        def vectors(found):
            w, v = found
            values(w)
            assert np.abs(a @ v - v * w[..., None, :]).max() <= 30 * unit
            lost = np.abs(v.swapaxes(-1, -2) @ v - np.eye(a.shape[-1])).max()
            assert lost <= 30 * a.shape[-1] * np.finfo(a.dtype).eps
        return values, vectors

    def whole(dtype):
        n = 700 if dtype is np.float64 else 900  # in panels (tridiagonalise.cpp)
        a = symmetric(n, n, dtype=dtype)
        return a, *judged(a)

    def calls(kind):
        if kind in ("eigh", "eigvalsh"):
            for dtype in (np.float64, np.float32):
                a, values, vectors = whole(dtype)
                yield (lambda a=a: eigh(a), vectors) if kind == "eigh" else (lambda a=a: eigvalsh(a), values)
        elif kind == "stacks":
            for shape in ((30000, 4, 4), (3000, 12, 12), (40, 60, 60)):
                a = symmetric(*shape)
                yield (lambda a=a: eigh(a), judged(a)[1])
                yield (lambda a=a: eigvalsh(a), judged(a)[0])
        elif kind == "inertia":
            a = symmetric(1010, 1010)
            negative = (np.linalg.eigvalsh(a) < 0).sum()
            def counted(found):
                assert found.negative == negative
            yield lambda: inertia(a), counted
        else:
            d = np.sort(np.random.default_rng(1).standard_normal(3000))
            def found(pairs):
                assert np.abs(pairs.eigenvalues - d[:4]).max() < 1e-10
            yield lambda: eigsh(lambda v: d * v, 4, n=len(d)), found

    kind, seconds = sys.argv[1], float(sys.argv[2])
    core.set_eager(True)
    stop = time.monotonic() + seconds
    over = threading.Event()

    def change():
        rng = np.random.default_rng(2)
        while not over.is_set():
            fastopt.set_num_threads(int(rng.choice([1, 2, 3, 32])))
            time.sleep(float(rng.exponential(3e-3)))

    changer = threading.Thread(target=change)
    changer.start()
    rounds = 0
    try:
        work = list(calls(kind))
        while rounds == 0 or time.monotonic() < stop:
            for call, right in work:
                right(call())
            rounds += 1
    finally:
        over.set()
        changer.join()
    print(rounds)
"""


@pytest.mark.parametrize("kind", ["eigh", "eigvalsh", "stacks", "inertia", "eigsh"])
def test_the_number_of_threads_changes_meanwhile(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RACE), kind, "4"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr[-3000:]}"
    assert int(done.stdout) >= 1
