"""What held before because one thread at a time ran Python holds without: on an interpreter with a GIL these
tests switch threads as often as they can, on a free-threaded one they show that the GIL stays off.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, LEVELS, bits, everything, make, normal, setting
from test_threads import python

FREE = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
THREADS = 4
SMALL = 129  # elements: over before the GIL could be given away


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Interpreters with a GIL change threads whenever they may."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """work(i) in so many threads that begin together; their results, or the first exception."""
    results: list[Any] = [None] * count
    failed: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
        assert not t.is_alive()
    if failed:
        raise failed[0]
    return results


@contextmanager
def refused() -> Iterator[list[str]]:
    """What was said by a call that came at the wrong time."""
    said: list[str] = []
    try:
        yield said
    except RuntimeError as error:
        said.append(str(error))
        if "in use" not in said[0] and "inside `with" not in said[0]:
            raise


@pytest.mark.skipif(not FREE, reason="this interpreter has a GIL")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("module", ["fastopt", "fastopt.linalg", "fastopt.methods", "fastopt.curvature"])
def test_the_gil_stays_off(module: str, level: str) -> None:
    code = (
        f"import sys, warnings; warnings.simplefilter('error'); import numpy, fastopt, {module}; "
        "w = numpy.ones(1 << 16); fastopt.Adam([w]).step([w.copy()]); fastopt.eigh(numpy.eye(40)); "
        "print(sys._is_gil_enabled())"
    )
    done = python(code, FASTOPT_LEVEL=level, PYTHON_GIL="")  # as if nobody had asked for either
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize("name", CLASSES)
def test_each_thread_with_an_optimizer_of_its_own(name: str) -> None:
    """The bits that one after the other would give."""
    shapes = [(3, 5), SMALL, (2, 70)]

    def train(i: int) -> Any:
        opt = make(name, normal(i, shapes, np.float64), **setting(name), clip_norm=1.0)
        for k in range(30):
            opt.step(normal(100 + k, shapes, np.float64))
        return everything(opt)

    alone = [train(i) for i in range(THREADS)]
    assert at_once(train) == alone


@pytest.mark.parametrize("size", [SMALL, 1 << 16])
@pytest.mark.parametrize("fresh", [False, True], ids=["same list", "new lists"])
def test_one_optimizer_for_all(size: int, fresh: bool) -> None:
    """Every call takes the step or raises; momentum 0.5 and gradient 1 tell how many were taken, exactly."""
    theta = np.zeros(size)
    opt = make("SGD", [theta], lr=1.0, momentum=0.5)
    grads = [np.ones(size)]

    def step(_: int) -> int:
        done = 0
        for _ in range(300):
            with refused():
                opt.step([np.ones(size)] if fresh else grads)
                done += 1
        return done

    done = sum(at_once(step))
    expected, velocity = 0.0, 0.0
    for _ in range(done):
        velocity = 0.5 * velocity + 1.0
        expected -= velocity
    assert (opt.step_count, theta.tolist()) == (done, [expected] * size)
    assert np.all(opt.state[0]["momentum_buffer"] == velocity)


def test_a_list_that_others_change_while_it_is_read() -> None:
    grads: list[Any] = [np.ones(SMALL) for _ in range(8)]
    params = [np.zeros(SMALL) for _ in range(8)]
    opts = [make("SGD", params if i == 0 else normal(i, [SMALL] * 8, np.float64)) for i in range(THREADS)]
    stop = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            for _ in range(4000):
                grads.append(np.ones(SMALL))
                grads[0] = np.ones(SMALL)
                grads.pop()
            stop.set()
            return 0
        done = 0
        while not stop.is_set():
            try:
                opts[i].step(grads)
                done += 1
            except ValueError as error:
                assert re.search("grads: expected 8 arrays|was changed while", str(error))  # noqa: PT017
        return done

    at_once(work)
    for opt in opts[1:]:
        opt.step([np.ones(SMALL)] * 8)


def test_looking_while_others_step() -> None:
    """Whatever is seen is of one moment."""
    theta = np.zeros(SMALL)
    opt = make("SGD", [theta], lr=1.0, momentum=0.5, ema_decay=0.0)
    grads = [np.ones(SMALL)]
    opt.step(grads)

    def work(i: int) -> None:
        for k in range(200):
            with refused():
                if i < 2:
                    opt.step(grads)
                elif i == 2:
                    saved = opt.state_dict()
                    buffer = saved["state"][0]["momentum_buffer"]
                    assert np.all(buffer == 2.0 - 2.0 ** (1 - saved["state"][0]["step"]))
                else:
                    opt.param_groups[0]["lr"] = 1.0 + k % 2
                    assert opt.param_groups[0]["lr"] in (1.0, 2.0)
                    assert opt.step_count >= 1

    at_once(work)
    assert np.all(opt.state[0]["momentum_buffer"] == 2.0 - 2.0 ** (1 - opt.step_count))


def test_one_look_ahead_for_all() -> None:
    """One `with` object in several threads: one enters at a time, and the parameters come home."""
    theta = np.ones(SMALL)
    opt = make("SGD", [theta], lr=0.5, momentum=0.5)
    opt.step([np.ones(SMALL)])
    home = theta.copy()
    ahead = opt.lookahead()

    def work(_: int) -> int:
        entered = 0
        for _ in range(200):
            with refused():
                try:
                    with ahead:
                        entered += 1
                except RuntimeError as error:
                    if "has been entered already" not in str(error):
                        raise
        return entered

    assert sum(at_once(work)) > 0
    assert bits(theta) == bits(home)


def test_groups_are_added_by_all() -> None:
    opt = make("Adam", [np.ones(3)])

    def add(_: int) -> int:
        done = 0
        while done < 20:
            with refused():
                opt.add_param_group({"params": [np.ones(5)]})
                done += 1
        return done

    added = sum(at_once(add))
    assert len(opt.param_groups) == 1 + added
    opt.step([np.ones(3)] + [np.ones(5)] * added)
    assert opt.step_count == 1


@pytest.mark.parametrize("rows", [4, 1 << 12], ids=["short", "long"])
def test_an_error_is_of_its_own_call(rows: int) -> None:
    """Not of the call of another thread that had the optimizer next."""
    opt = make("SGD", [np.zeros((rows, 16))])

    def step(i: int) -> int:
        told = 0
        given = fastopt.SparseRows(np.array([0] * i + [rows + i]), np.ones((i + 1, 16)))
        for _ in range(300):
            with refused():
                with pytest.raises(ValueError, match=f"got {rows + i} at position {i}$"):
                    opt.step([given])
                told += 1
        return told

    assert sum(at_once(step)) > 0
    assert opt.step_count == 0


def test_eigenproblems_in_all_threads() -> None:
    matrices = [np.random.default_rng(i).normal(size=(40, 40)) for i in range(THREADS)]
    matrices = [a + a.T for a in matrices]

    def solve(i: int) -> Any:
        return [bits(fastopt.eigh(matrices[i])) for _ in range(20)][-1]

    assert at_once(solve) == [solve(i) for i in range(THREADS)]


#: The first import in native code waits, and so gives the GIL away, while others want the same object.
SLOW_IMPORTS = """
import builtins, sys, threading, time
import numpy as np
import fastopt
real = builtins.__import__
def slow(name, *rest):
    if name in ("numpy", "fastopt._rows"):
        time.sleep(0.2)
    return real(name, *rest)
params = [np.ones((4, 3)) for _ in range(4)]
opts = [fastopt.SGD([p]) for p in params] if EARLY else None
builtins.__import__ = slow
barrier = threading.Barrier(4)
def work(i):
    barrier.wait()
    opt = opts[i] if EARLY else fastopt.SGD([params[i]])
    opt.step([fastopt.SparseRows(np.array([1]), np.ones((1, 3)))])
    opt.step([np.ones((4, 3))])
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(sum(p.sum() for p in params))
"""


@pytest.mark.parametrize("early", [False, True])
def test_the_first_use_by_all_at_once(early: bool) -> None:
    """Who waits for another's import must not keep from that one what it needs."""
    done = python(SLOW_IMPORTS.replace("EARLY", str(early)), timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) == pytest.approx(4 * (12 - 1e-3 * 15))  # lr is 1e-3
