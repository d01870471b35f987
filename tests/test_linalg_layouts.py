"""Every function of matrices on every layout that NumPy has: the same answer, or a text that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from fastopt._dispatch import core
from fastopt.linalg import eigh, eigsh, eigvalsh, inertia

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "eigh": eigh,
    "eigh, jacobi": lambda a: eigh(a, method="jacobi"),
    "eigh, out": lambda a: eigh(a, out=(np.empty(a.shape[:-1], a.dtype), np.empty(a.shape, a.dtype))),
    "eigvalsh": eigvalsh,
    "eigvalsh, jacobi": lambda a: eigvalsh(a, method="jacobi"),
    "eigvalsh, out": lambda a: eigvalsh(a, out=np.empty(a.shape[:-1], a.dtype)),
    "inertia": inertia,
}


def native(a: Any) -> Any:
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C")


def symmetric(*shape: int, dtype: Any = np.float64) -> Any:
    a = np.random.default_rng(0).standard_normal(shape)
    return ((a + a.swapaxes(-1, -2)) / 2).astype(dtype)


def in_bytes(a: Any, strides: tuple[int, ...], offset: int = 0) -> Any:
    """A copy of `a` with these strides, `offset` bytes from the start of a buffer."""
    reach = offset + sum((n - 1) * s for n, s in zip(a.shape, strides, strict=True)) + a.itemsize
    memory = np.zeros(reach, np.uint8)
    made = np.ndarray(a.shape, a.dtype, memory, offset, strides)
    made[...] = a
    return made


def layouts(dtype: Any) -> Iterator[tuple[str, Any]]:
    item = np.dtype(dtype).itemsize
    one = np.full((1, 1), 2.5, dtype)
    for strides in ((9, 9), (0, 0), (-3, 5), (1, 1 << 40), (item, 7)):
        yield f"1 x 1, strides {strides}", as_strided(one, strides=strides)
    yield "1 x 1 in a structure", np.array([[(1, 2.5)]], dtype=[("c", "u1"), ("x", dtype)])["x"]
    ones = np.full((3, 1, 1), 2.5, dtype)
    for strides in ((item, 9, 9), (0, 1, 1), (2 * item, 3, -5)):
        yield f"3 x 1 x 1, strides {strides}", as_strided(np.full(9, 2.5, dtype), ones.shape, strides)
    yield "3 x 1 x 1 backwards", as_strided(np.full(9, 2.5, dtype)[8:], (3, 1, 1), (-item, 9, 9))
    for n in (2, 3, 5, 17, 40, 70):
        a = symmetric(n, n, dtype=dtype)
        yield f"plain {n}", a
        yield f"Fortran {n}", np.asfortranarray(a)
        yield f"backwards {n}", a[::-1, ::-1]
        yield f"one axis backwards {n}", np.ascontiguousarray(a[:, ::-1])[:, ::-1]
        yield f"every second {n}", np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2]
        yield f"swapped bytes {n}", a.astype(a.dtype.newbyteorder())
        yield f"misaligned {n}", in_bytes(a, (n * item, item), 1)
        yield f"odd strides {n}", in_bytes(a, (n * (item + 1), item + 1))
        yield f"odd rows {n}", in_bytes(a, (n * item + 3, item))
        yield f"half an item {n}", in_bytes(a, (n * item + item // 2, item))
        yield f"constant, strides 0, {n}", np.broadcast_to(np.array(1.5, dtype), (n, n))
        s = symmetric(2, 3, n, n, dtype=dtype)
        yield f"stack {n}", s
        yield f"stack, axes swapped {n}", s.swapaxes(0, 1)
        yield f"stack, backwards {n}", s[::-1, ::-1]
        yield (
            f"stack, matrices last {n}",
            np.moveaxis(np.ascontiguousarray(np.moveaxis(s, (2, 3), (0, 1))), (0, 1), (2, 3)),
        )
        yield f"stack, repeated {n}", np.broadcast_to(s[:1], (4, 3, n, n))
        yield f"stack, odd strides {n}", in_bytes(s, (3 * n * n * item + 5, n * n * item, n * item, item))
        yield f"stack of one, odd strides {n}", as_strided(s, (1, 3, n, n), (13, *s.strides[1:]))
        yield f"empty stack {n}", s[:0]
    for shape in ((0, 0), (3, 0, 0), (0, 1, 1)):
        yield f"shape {shape}", np.zeros(shape, dtype)
        yield f"shape {shape}, strides 9", as_strided(np.zeros(9, dtype), shape, (9,) * len(shape))


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, tuple):
        return all(map(same, found, expected))
    return bool(np.array_equal(found, expected))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_layouts(function: str, dtype: Any) -> None:
    call = FUNCTIONS[function]
    for name, a in layouts(dtype):
        plain = native(a)
        expected = call(plain)
        if plain.size == 0:
            assert (
                np.shape(expected[0] if isinstance(expected, tuple) else expected)[: a.ndim - 2]
                == a.shape[:-2]
            )
        with np.errstate(all="raise"):
            if "out" in function and not a.dtype.isnative:
                continue  # results are native
            found = call(a)
        # another route may be taken from the same values: equal to rounding then
        close = same(found, expected) or all(
            np.allclose(x, y, rtol=0, atol=1e3 * np.finfo(dtype).eps * (1 + np.abs(plain).max(initial=0)))
            for x, y in zip(
                np.atleast_1d(found[0] if isinstance(found, tuple) else found),
                np.atleast_1d(expected[0] if isinstance(expected, tuple) else expected),
                strict=True,
            )
        )
        assert close, name


def test_eigsh_takes_them_too() -> None:
    for dtype in (np.float64, np.float32):
        for name, a in layouts(dtype):
            if a.ndim != 2 or len(a) == 0:
                continue
            found = eigsh(a, 1).eigenvalues
            expected = np.linalg.eigvalsh(native(a).astype(np.float64))[:1]
            assert np.allclose(found, expected, rtol=0, atol=1e3 * np.finfo(dtype).eps * len(a)), name


@pytest.mark.parametrize(
    "call", [lambda a, out: eigvalsh(a, out=out), lambda a, out: eigh(a, out=(out, np.empty(a.shape)))]
)
def test_misaligned_results_are_refused(call: Callable[[Any, Any], Any]) -> None:
    a = symmetric(5, 5)
    with pytest.raises(ValueError, match=r"out(\[0\])?: expected a writeable float64 array.*misaligned"):
        call(a, np.zeros(8 * 5 + 1, np.uint8)[1:].view(np.float64))
    vectors = np.zeros(8 * 25 + 1, np.uint8)[1:].view(np.float64).reshape(5, 5)
    with pytest.raises(ValueError, match=r"out\[1\]: expected a writeable float64 array.*misaligned"):
        eigh(a, out=(np.empty(5), vectors))


def test_overwriting_a_misaligned_matrix() -> None:
    a = symmetric(6, 6)
    odd = in_bytes(a, (6 * 8, 8), 1)
    w, v = eigh(odd, overwrite_a=True)
    assert np.abs(a @ v - v * w).max() < 1e-13


def test_the_engine_checks_what_it_is_given() -> None:
    """The private functions trust nobody with addresses."""
    a = symmetric(4, 4)
    w, odd = np.empty(4), np.zeros(8 * 4 + 1, np.uint8)[1:].view(np.float64)
    with pytest.raises(ValueError, match="aligned"):
        core.eigh(a, True, odd, None)
    with pytest.raises(ValueError, match="a: expected aligned memory"):
        core.eigh(in_bytes(a, (32, 8), 1), True, w, None)
    with pytest.raises(ValueError, match=r"a: expected (aligned memory|strides in whole)"):
        core.inertia(
            in_bytes(a, (36, 9)), True, 0.0, np.empty(3, np.int64), np.empty(()), np.empty((), np.int64)
        )
    with pytest.raises(ValueError, match=r"a: expected square matrices, got float64 of shape \(2, 4\)"):
        core.eigh(a[:2], True, w, None)


def results(dtype: Any, *shape: int) -> dict[str, Any]:
    """What is no result: of the wrong kind, dtype, size or layout, or read-only."""
    good, wide = np.empty(shape, dtype), np.empty((*shape[:-1], 2 * shape[-1]), dtype)
    frozen = np.empty(shape, dtype)
    frozen.flags.writeable = False
    return {
        "none": None,
        "list": good.tolist(),
        "bytes swapped": good.astype(good.dtype.newbyteorder()),
        "other dtype": np.empty(shape, np.float16),
        "too large": np.empty((*shape, 2), dtype),
        "too small": good[..., :1].copy(),
        "gaps": wide[..., ::2],
        "read-only": frozen,
    }


RESULTS = [case for case in results(float, 4) if case != "none"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", RESULTS)
def test_the_engine_writes_into_results_alone(case: str, dtype: Any) -> None:
    a = symmetric(4, 4, dtype=dtype)
    w, v = np.full(4, 7, dtype), np.full((4, 4), 7, dtype)
    counts, bounds, work = np.full(3, 7), np.full(1, 7.0), np.full(1, 7)
    refused = pytest.raises((TypeError, ValueError), match=r"^expected .*results")
    with refused:
        core.eigh(a, True, results(dtype, 4)[case], v)
    with refused:
        core.eigh(a, True, w, results(dtype, 4, 4)[case])
    with refused:
        core.inertia(a, True, 0.0, results(np.int64, 3)[case], bounds, work)
    if case not in ("too small", "gaps"):  # of one entry there is neither
        with refused:
            core.inertia(a, True, 0.0, counts, results(np.float64, 1)[case], work)
        with refused:
            core.inertia(a, True, 0.0, counts, bounds, results(np.int64, 1)[case])
    assert all((b == 7).all() for b in (w, v, counts, bounds, work))


@pytest.mark.parametrize(
    "a",
    [
        symmetric(4, 4).tolist(),
        symmetric(4, 4, dtype=np.int64),
        symmetric(4, 4, dtype=np.float16),
        symmetric(4, 4, dtype=np.complex128),
        symmetric(4, 4).astype(">f8"),
        symmetric(4, 4).astype(">f4"),
        np.zeros(4),
        np.array(1.0),
    ],
    ids=["list", "int64", "float16", "complex128", "float64 swapped", "float32 swapped", "one axis", "none"],
)
def test_the_engine_converts_nothing(a: Any) -> None:
    """What it would have to convert it refuses, or leaves to Python by an answer of None."""
    w = np.full(4, 7.0)
    with pytest.raises((TypeError, ValueError), match=r"^a: expected"):
        core.eigh(a, True, w, None)
    with pytest.raises((TypeError, ValueError), match=r"^a: expected"):
        core.inertia(a, True, 0.0, np.empty(3, np.int64), np.empty(()), np.empty((), np.int64))
    assert (w == 7).all()
    assert core.eigh_new(a, "L", None) is None


@pytest.mark.parametrize("result", [int, dict, object, list, 5, "tuple", (), lambda pair: pair])
def test_the_class_of_results_is_of_tuples(result: Any) -> None:
    """Its memory is filled as a tuple's."""
    for a in (symmetric(4, 4), symmetric(2, 3, 3)):
        with pytest.raises(TypeError, match="result: expected None or a subclass of tuple"):
            core.eigh_new(a, "L", result)
        for good in (tuple, type(eigh(a))):
            made = core.eigh_new(a, "L", good)
            assert type(made) is good
            assert same(tuple(made), tuple(eigh(a)))


@pytest.mark.parametrize("uplo", [None, 1, "l", "LU", "", b"L"])
def test_a_triangle_that_is_none_is_left_to_python(uplo: Any) -> None:
    a = symmetric(4, 4)
    assert core.eigh_new(a, uplo, None) is None
    for good in "LU":
        assert core.eigh_new(a, good, None).shape == (4,)
    assert core.eigh_new(a[:2], "L", None) is None
    assert core.eigh_new(in_bytes(a, (32, 8), 1), "L", None) is None


def test_line_vectors_refuse_misaligned_memory() -> None:
    odd = np.zeros(8 * 4 + 1, np.uint8)[1:].view(np.float64)
    with pytest.raises(ValueError, match=r"x: expected contiguous float64 of shape \(4,\) in aligned memory"):
        core.LineVectors(odd, np.zeros(4), 1)
    made = core.LineVectors(np.zeros(4), np.zeros(4), 1)
    with pytest.raises(ValueError, match="gradient: expected contiguous"):
        made.take(odd)
    with pytest.raises(ValueError, match="pairs: expected 0 to 255, got -5"):
        core.LineVectors(np.zeros(4), np.zeros(4), -5)


def test_line_vectors_of_nothing() -> None:
    made = core.LineVectors(np.zeros(0), np.zeros(0), 1)
    assert made.steepest(1.0) == (0, 0)
    made.step(0.5)
    assert made.take(np.zeros(0)) == (0, 0)
