"""Run by test_out_of_memory.py under failing_allocator.cpp: every native call, with every allocation failing.

    python out_of_memory_cases.py GROUP THREADS

A case makes a fresh state and gives three functions: the call, a check of its result, and a check that a
failed call has changed nothing. The N-th allocation fails for N = 1, 2, ... until the call is done without;
once alone, once with all that follow it. After a failure the call is made again and must be right: after each
where the call changes something.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import fastopt
from fastopt._dispatch import core
from fastopt.linalg import eigh, eigsh, eigvalsh, inertia

library = ctypes.CDLL(None)


class Fault:
    happened = False


@contextmanager
def failing(nth: int, onwards: bool) -> Iterator[Fault]:
    fault = Fault()
    library.failing_allocator_arm(ctypes.c_long(nth), int(onwards))
    try:
        yield fault
    finally:
        library.failing_allocator_disarm()
        fault.happened = library.failing_allocator_failed() > 0


class State(NamedTuple):
    call: Callable[[], Any]
    right: Callable[[Any], None]
    unchanged: Callable[[], None] = lambda: None
    again: bool = True  # call after each failure, not only after the first
    large: bool = False  # for several threads; allocations fail one at a time only


Make = Callable[[], State]


def sweep(make: Make, onwards: bool) -> int:
    """The number of allocations that the call can be without."""
    for nth in range(1, 100_000):
        state, error, result = make(), None, None
        with failing(nth, onwards) as fault:
            try:
                result = state.call()
            except MemoryError as e:
                error = e
        if error is None:  # without a failure, or in spite of it
            state.right(result)
            if not fault.happened:
                return nth - 1
            continue
        assert fault.happened, "MemoryError of its own"
        assert len(str(error)) > 10, f"no text: {error!r}"
        assert "std::" not in str(error), error
        state.unchanged()
        if nth == 1 or state.again:
            state.right(state.call())
    raise AssertionError("no end")


# --- the eigensolver ---


def symmetric(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    a = np.random.default_rng(seed).standard_normal(shape)
    return ((a + a.swapaxes(-1, -2)) / 2).astype(dtype)


def unchanged(*arrays: Any) -> Callable[[], None]:
    copies = [a.copy() for a in arrays]

    def check() -> None:
        for a, copy in zip(arrays, copies, strict=True):
            assert np.array_equal(a, copy, equal_nan=True)

    return check


def right_values(a: Any) -> Callable[[Any], None]:
    expected = np.linalg.eigvalsh(a.astype(np.float64))
    allowed = 30 * a.shape[-1] * np.finfo(a.dtype).eps * np.abs(expected).max()
    return lambda w: np.testing.assert_allclose(w, expected, rtol=0, atol=allowed)


def right_vectors(a: Any) -> Callable[[Any], None]:
    values, n = right_values(a), a.shape[-1]
    allowed = 30 * n * np.finfo(a.dtype).eps

    def check(found: Any) -> None:
        w, v = (x.astype(np.float64) for x in found)
        values(w)
        size = np.abs(w).max()
        assert np.abs(a @ v - v * w[..., None, :]).max() <= allowed * size
        assert np.abs(v.swapaxes(-1, -2) @ v - np.eye(n)).max() <= allowed

    return check


def values_of(a: Any, **options: Any) -> Make:
    right, same = right_values(a), unchanged(a)
    return lambda: State(lambda: eigvalsh(a, **options), right, same, again=False, large=len(a) > 500)


def vectors_of(a: Any, **options: Any) -> Make:
    right, same = right_vectors(a), unchanged(a)
    return lambda: State(lambda: eigh(a, **options), right, same, again=False, large=len(a) > 500)


def refused(a: Any) -> Make:
    """A stack with a matrix that holds NaN: also its error needs memory."""

    def call() -> str:
        try:
            eigh(a)
        except np.linalg.LinAlgError as e:
            return str(e)
        raise AssertionError("NaN went through")

    def right(text: str) -> None:
        assert "matrix 3 of the stack" in text

    return lambda: State(call, right, unchanged(a))


def inertia_of(a: Any) -> Make:
    expected = inertia(a)
    same = unchanged(a)

    def right(found: Any) -> None:
        assert found == expected

    return lambda: State(lambda: inertia(a), right, same)


def eigensolver() -> Iterator[tuple[str, Make]]:
    for dtype in (np.float64, np.float32):
        for n in (20, 40):  # alone, in blocks
            a = symmetric(n, n, dtype=dtype)
            yield f"eigvalsh {n} {a.dtype}", values_of(a)
            yield f"eigh {n} {a.dtype}", vectors_of(a)
        # in panels (tridiagonalise.cpp)
        n = 620 if dtype is np.float64 else 860
        yield f"eigvalsh {n} {dtype.__name__}", values_of(symmetric(n, n, dtype=dtype))
        positive = symmetric(24, 24, dtype=dtype)
        yield f"jacobi, indefinite, {a.dtype}", vectors_of(positive, method="jacobi")
        positive = (positive @ positive + np.eye(24)).astype(dtype)
        yield f"jacobi, positive, {a.dtype}", vectors_of(positive, method="jacobi")
    yield "eigh 520", vectors_of(symmetric(520, 520))  # with all threads


def stacks() -> Iterator[tuple[str, Make]]:
    for dtype in (np.float64, np.float32):
        for count, n in ((100, 4), (70, 20), (5, 60)):
            a = symmetric(count, n, n, dtype=dtype)
            yield f"eigvalsh ({count}, {n}, {n}) {a.dtype}", values_of(a)
            yield f"eigh ({count}, {n}, {n}) {a.dtype}", vectors_of(a)
    yield "eigh (2, 310, 310)", vectors_of(symmetric(2, 310, 310))  # products are packed
    yield "jacobi", vectors_of(symmetric(5, 12, 12), method="jacobi")
    yield "values by jacobi", values_of(symmetric(5, 12, 12), method="jacobi")
    strided = np.swapaxes(symmetric(7, 3, 5, 5), 0, 1)
    yield "strided", vectors_of(strided)
    for n in (4, 60):
        bad = symmetric(9, n, n)
        bad[3, 1, 1] = np.nan
        yield f"NaN, {n}", refused(bad)


def inertias() -> Iterator[tuple[str, Make]]:
    for dtype in (np.float64, np.float32):
        yield f"5 {dtype.__name__}", inertia_of(symmetric(5, 5, dtype=dtype))
        yield f"130 {dtype.__name__}", inertia_of(symmetric(130, 130, dtype=dtype))
        yield f"1010 {dtype.__name__}", inertia_of(symmetric(1010, 1010, dtype=dtype))
    thin = np.random.default_rng(1).standard_normal((200, 9))
    yield "low rank", inertia_of(thin @ thin.T)
    yield "stack", lambda: stack_of_inertias(symmetric(6, 30, 30))


def stack_of_inertias(a: Any) -> State:
    expected = inertia(a)

    def right(found: Any) -> None:
        for x, y in zip(found, expected, strict=True):
            assert np.array_equal(x, y)

    return State(lambda: inertia(a), right, unchanged(a))


# --- Lanczos ---

LONG, COLUMNS = 5000, 40


@cache
def orthonormal() -> Any:
    return np.linalg.qr(np.random.default_rng(0).standard_normal((LONG, COLUMNS)))[0]


def basis(dtype: Any) -> tuple[Any, Any]:
    made = core.Basis(LONG, COLUMNS + 1, dtype == np.float32)
    q = orthonormal().astype(dtype)
    for j in range(COLUMNS):
        made.append(np.ascontiguousarray(q[:, j]), 1.0)
    return made, q


def columns_of(made: Any) -> Any:
    return np.stack([made.column(j) for j in range(made.columns)], axis=1)


def lanczos() -> Iterator[tuple[str, Make]]:
    for dtype in (np.dtype(np.float64), np.dtype(np.float32)):
        for name in ("orthogonalise", "append", "rotate", "rotate to many", "combine", "column", "construct"):
            yield f"{name} {dtype}", lambda name=name, dtype=dtype: basis_call(name, dtype)
    rng = np.random.default_rng(3)
    d = np.sort(rng.standard_normal(200))

    def search() -> State:
        def right(found: Any) -> None:
            np.testing.assert_allclose(found.eigenvalues, d[:1], rtol=1e-3)

        return State(lambda: eigsh(lambda v: d * v, 1, n=len(d), tol=1e-3), right)

    yield "eigsh", search


def basis_call(name: str, dtype: Any) -> State:
    eps = float(np.finfo(dtype).eps)
    made, q = basis(dtype)
    rng = np.random.default_rng(7)
    before = columns_of(made)

    def same() -> None:
        assert np.array_equal(columns_of(made), before)

    if name == "orthogonalise":
        w = rng.standard_normal(LONG).astype(dtype)
        start = w.copy()

        def right(found: Any) -> None:
            h, norm = found
            rest = 2 * start.astype(np.float64) - q.astype(np.float64) @ h
            assert np.abs(w - rest).max() < 100 * eps * np.abs(start).max() * 2
            assert abs(norm - np.linalg.norm(rest)) < 1000 * eps * norm
            same()

        def nothing() -> None:
            assert np.array_equal(w, start)
            same()

        return State(lambda: made.orthogonalise(w, 2.0), right, nothing)
    if name == "append":
        extra = rng.standard_normal(LONG).astype(dtype)

        def appended(_: Any) -> None:
            assert made.columns == COLUMNS + 1
            assert np.array_equal(made.column(COLUMNS), extra)

        return State(lambda: made.append(extra, 1.0), appended, same)
    if name.startswith("rotate"):
        rows, kept = (30, 29) if "many" in name else (35, 8)
        factor = np.linalg.qr(rng.standard_normal((rows, kept)))[0]

        def rotated(_: Any) -> None:
            wanted = np.hstack([before[:, :rows].astype(np.float64) @ factor, before[:, rows:]])
            np.testing.assert_allclose(columns_of(made), wanted, rtol=0, atol=100 * eps)

        return State(lambda: made.rotate(factor), rotated, same)
    if name == "combine":
        factor = rng.standard_normal((COLUMNS, 12))

        def combined(found: Any) -> None:
            wanted = (before.astype(np.float64) @ factor).T
            np.testing.assert_allclose(found, wanted, rtol=0, atol=100 * eps * np.abs(wanted).max())
            same()

        return State(lambda: made.combine(factor), combined, same)
    if name == "column":
        return State(lambda: made.column(3), lambda c: np.testing.assert_array_equal(c, before[:, 3]), same)

    def empty(found: Any) -> None:
        assert found.columns == 0

    return State(lambda: core.Basis(LONG, 9, dtype == np.float32), empty)


# --- line searches ---


def vectors() -> Iterator[tuple[str, Make]]:
    for n in (7, 3 * 4096 + 5, 1 << 16):
        for name in ("construct", "steepest", "step", "take", "take with products", "conjugate"):
            yield f"{name} {n}", lambda name=name, n=n: line_call(name, n)
        for pairs in (0, 1, 3):  # a first pair, a second, and one that takes the place of the oldest
            yield f"quasi_newton {n}, {pairs} pairs before", lambda n=n, pairs=pairs: quasi_newton(n, pairs)
    yield (
        "minimize",
        lambda: State(
            lambda: fastopt.minimize(quadratic, slope, np.ones(9000), "l-bfgs", maxiter=4).x,
            lambda x: np.testing.assert_allclose(x, 0, atol=1e-3),
        ),
    )


WEIGHTS = np.linspace(1, 1.01, 9000)


def quadratic(x: Any) -> float:
    return 0.5 * float(WEIGHTS @ (x * x))


def slope(x: Any) -> Any:
    return WEIGHTS * x


@cache
def normal(n: int, seed: int) -> Any:
    """Drawn once: what is drawn anew for each allocation that fails takes most of the time."""
    return np.random.default_rng(seed).standard_normal(n)


def walked(n: int, pairs: int, memory: int) -> Any:
    """Vectors after a step and, if `pairs`, after so many pairs: the same at every call."""
    scale = np.linspace(1, 2, n)
    made = core.LineVectors(normal(n, n), normal(n, n + 1), memory)
    made.steepest(0.5)
    for k in range(pairs + 1):
        made.step(0.25 / (k + 1))
        made.take(scale * made.trial)
        if k < pairs:
            assert made.quasi_newton() is not None
    return made


ROLES = ("x", "g", "trial", "trial_g", "d")


def line_state(made: Any) -> Any:
    return [getattr(made, role).copy() for role in ROLES]


def compared(call: Callable[[Any], Any], n: int, pairs: int, memory: int) -> State:
    """Against a twin whose call does not fail."""
    made, twin = walked(n, pairs, memory), walked(n, pairs, memory)
    before = line_state(made)
    expected = call(twin)

    def right(found: Any) -> None:
        assert np.array_equal(found, expected)
        for x, y in zip(line_state(made), line_state(twin), strict=True):
            assert np.array_equal(x, y)
        assert made.products() == twin.products()

    def same() -> None:
        for x, y in zip(line_state(made), before, strict=True):
            assert np.array_equal(x, y)

    return State(lambda: call(made), right, same)


def line_call(name: str, n: int) -> State:
    g = normal(n, 5)
    if name == "construct":

        def right(made: Any) -> None:
            assert np.array_equal(made.x, g)
            assert np.array_equal(made.g, 2 * g)

        return State(lambda: core.LineVectors(g, 2 * g, 3), right)
    calls: dict[str, Callable[[Any], Any]] = {
        "steepest": lambda v: v.steepest(0.5),
        "step": lambda v: v.step(0.125),
        "take": lambda v: v.take(g),
        "take with products": lambda v: v.take(g),
        "conjugate": lambda v: v.conjugate(0.5),
    }
    return compared(calls[name], n, 0, 0 if "products" in name else 2)


def quasi_newton(n: int, pairs: int) -> State:
    return compared(lambda v: v.quasi_newton(), n, pairs, 2)


# --- steps ---

#: Odd sizes, one with several chunks, one of float64, one that shares its group's numbers.
SHAPES = [(3,), (130, 140), (9001,), (7, 5)]


@cache
def drawn(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    made[2] = made[2].astype(np.float64)
    return made


def parameters(seed: int = 0) -> list[Any]:
    return [a.copy() for a in drawn(seed)]


def gradients(seed: int) -> list[Any]:
    return parameters(seed)


SETTINGS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "AdamW": {"clip_norm": 1.0, "ema_decay": 0.9, "nonfinite": "raise"},
    "LAMB": {"clip_norm": 1.0, "ema_decay": 0.9},
    "LARS": {"nonfinite": "skip"},
    "Muon": {"normalize": True},
    "SGD": {"momentum": 0.9, "clip_value": 0.5},
}


def same_state(a: Any, b: Any) -> None:
    """Dictionaries, lists, arrays and numbers, to the bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same_state(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same_state(x, y)
    else:
        assert np.array_equal(a, b), (a, b)


def stepping(name: str, steps: int, act: Callable[[Any, list[Any]], Any]) -> State:
    """`act` on an optimizer that has made some steps, against a twin; one more step must be right too."""

    def made() -> tuple[Any, list[Any]]:
        p = parameters()
        o = getattr(fastopt, name)(p, lr=0.01, **SETTINGS[name])
        for k in range(steps):
            o.step(gradients(k + 1))
        return o, p

    (o, p), (twin, q) = made(), made()
    before, copies = o.state_dict(), [x.copy() for x in p]
    act(twin, q)

    def right(_: Any) -> None:
        same_state(p, q)
        same_state(o.state_dict(), twin.state_dict())
        more = sum(len(group["params"]) for group in twin.param_groups) - len(SHAPES)
        after = gradients(50) + [np.ones(5)] * more
        o.step(after)
        twin.step(after)
        same_state(p, q)
        same_state(o.state_dict(), twin.state_dict())

    def same() -> None:
        same_state(p, copies)
        same_state(o.state_dict(), before)

    return State(lambda: act(o, p), right, same)


def load_back(o: Any, p: list[Any]) -> None:
    o.load_state_dict(SAVED[type(o).__name__])


SAVED: dict[str, Any] = {}


def saved(name: str) -> Any:
    o = getattr(fastopt, name)(parameters(), lr=0.02, **SETTINGS[name])
    o.step(gradients(9))
    return o.state_dict()


def some_none(o: Any, p: list[Any]) -> None:
    g = gradients(8)
    g[1] = None
    o.step(g)


def some_rows(o: Any, p: list[Any]) -> None:
    """Of two tables: many with duplicates, that are sorted by digits, and few."""
    rng, g = np.random.default_rng(8), gradients(8)
    for table, n in ((1, 400), (3, 9)):
        rows, width = SHAPES[table]
        values = rng.standard_normal((n, width)).astype(p[table].dtype)
        g[table] = fastopt.SparseRows(rng.integers(0, rows, n), values)
    o.step(g)


ACTS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "step": lambda o, p: o.step(gradients(7)),
    "step with a missing gradient": some_none,
    "step with strided gradients": lambda o, p: o.step(
        [np.repeat(g, 2, axis=-1)[..., ::2] for g in gradients(7)]
    ),
    "step that zeroes": lambda o, p: o.step(gradients(7), zero_grads=True),
    "step of some rows": some_rows,
    "bind": lambda o, p: o.bind_grads(gradients(7)),
}
CHANGES: dict[str, Callable[[Any, list[Any]], Any]] = {
    "add group": lambda o, p: o.add_param_group({"params": [np.ones(5)], "lr": 0.5}),
    "load": load_back,
    "hyper": lambda o, p: o.param_groups[0].__setitem__("lr", 0.25),
}


def acting(acts: dict[str, Callable[[Any, list[Any]], Any]]) -> Iterator[tuple[str, Make]]:
    for name in SETTINGS:
        SAVED[name] = saved(name)
        for done in (0, 3):
            for act in acts:
                if act == "step of some rows" and name in ("LAMB", "LARS", "Muon"):
                    continue
                yield (
                    f"{name}, {act} after {done} steps",
                    lambda name=name, done=done, act=act: stepping(name, done, acts[act]),
                )


def changes() -> Iterator[tuple[str, Make]]:
    yield from acting(CHANGES)
    for name in SETTINGS:

        def construct(name: str = name) -> State:
            def right(o: Any) -> None:
                o.step(gradients(1))

            p = parameters()
            return State(lambda: getattr(fastopt, name)(p, lr=0.01, **SETTINGS[name]), right, unchanged(*p))

        yield f"{name}, construct", construct


def floors() -> Iterator[tuple[str, Make]]:
    def floor() -> State:
        x, y = np.zeros(1 << 16, np.float32), np.ones(1 << 16, np.float32)

        def right(_: Any) -> None:
            assert np.array_equal(x, y)

        return State(lambda: core.floor_pass([x], [y]), right, unchanged(x, y))

    yield "floor", floor


GROUPS: dict[str, Callable[[], Iterator[tuple[str, Make]]]] = {
    "eigensolver": eigensolver,
    "stacks": stacks,
    "inertia": inertias,
    "lanczos": lanczos,
    "vectors": vectors,
    "steps": lambda: acting(ACTS),
    "changes": changes,
}
if hasattr(core, "floor_pass"):  # built for bench/
    GROUPS["floor"] = floors


def main(group: str, threads: int) -> None:
    fastopt.set_num_threads(threads)
    core.set_eager(True)
    for name, make in GROUPS[group]():
        state = make()
        if state.large and threads == 1:
            continue
        state.right(state.call())  # workers start here, and whatever is kept for the process
        for onwards in (False,) if state.large else (False, True):
            print(f"{name}, {'all after' if onwards else 'one'}: ", end="", flush=True)
            print(sweep(make, onwards), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
