"""Layouts of parameters and gradients: strides, dtypes, alignment, byte order, overlap, protection,
subclasses.

An own generator of views, with NumPy's exact answer to "do they share memory" and a step on plain copies as
the oracle.

Held in each round: TypeError or ValueError and no byte of the buffers has changed; or the bits of the same
steps on plain copies, gradients and gaps untouched.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from making import bits_but_nan, make

from engine import BFLOAT16, PAIRS

DTYPES = [np.dtype(d) for d in ("f4", "f8", "f2", ">f4", ">f8", "i4", "u2", "?", "c8", "f16", "V4")] + [
    BFLOAT16
]
GOOD = list(PAIRS)
SIZE = 1 << 12  # bytes of a buffer


class Odd(np.ndarray):
    """A subclass."""


def prepare() -> Callable[[Random], str]:
    warnings.simplefilter("ignore")  # of casts beyond the range of a type
    return lambda rng: _step(rng) if rng.randrange(3) else _two(rng)


def _step(rng: Random) -> str:
    numbers = np.random.default_rng(rng.getrandbits(64))
    dtype = rng.choice(GOOD) if rng.randrange(8) else rng.choice(DTYPES)
    raw, other = _buffer(rng, numbers, dtype), None
    theta = _view(rng, raw, dtype, plain=rng.randrange(3) > 0)
    g_dtype = rng.choice(PAIRS.get(dtype, (dtype,))) if rng.randrange(8) else rng.choice(DTYPES)
    other = raw if rng.randrange(8) == 0 else _buffer(rng, numbers, g_dtype)
    g = _view(rng, other, g_dtype, shape=theta.shape if rng.randrange(10) else None)
    if other is not raw and rng.randrange(8) == 0:
        g = _oddly(rng, g)
    kept, kept_other, plain_g = raw.copy(), other.copy(), np.array(g)
    fits = _may_be_parameter(theta)
    try:
        opt = make("Adam", [theta], lr=0.1)
    except (TypeError, ValueError) as error:
        return _refused(error, fits and theta.size > 0, (raw, kept))
    assert fits or theta.size == 0, "a parameter that cannot be updated in place was taken"
    plain = make("Adam", [np.ascontiguousarray(theta).reshape(theta.shape).copy()], lr=0.1)
    takes = type(g) is np.ndarray and dtype in PAIRS and g.dtype in PAIRS[dtype] and g.shape == theta.shape
    takes = takes and not np.shares_memory(g, theta)
    zero = rng.randrange(3) == 0
    zeroable = takes and g.flags.writeable and not _repeats(g)
    try:
        opt.step([g], zero_grads=zero)
    except (TypeError, ValueError) as error:
        return _refused(error, zeroable if zero else takes, (raw, kept), (other, kept_other))
    assert zeroable if zero else takes or theta.size == 0, "a gradient that does not fit was taken"
    if theta.size == 0:
        return "empty"
    plain.step([plain_g])
    same = bits_but_nan(theta.copy()) == bits_but_nan(plain._params[0])
    assert same, "another result than with plain copies"
    if zero:
        assert not g.view(f"u{g.itemsize}").any()
    written = [theta, g] if zero else [theta]
    _only(raw, kept, *(a for a in written if a is theta or other is raw))
    if other is not raw:
        _only(other, kept_other, *([g] if zero else []))
    return "zeroed" if zero else "stepped"


def _two(rng: Random) -> str:
    """Two parameters of one buffer: taken exactly if they share no byte."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    dtype = rng.choice(GOOD)
    raw = _buffer(rng, numbers, dtype)
    a, b = (_view(rng, raw, dtype, plain=True) for _ in range(2))
    apart = not np.shares_memory(a, b) and all(map(_may_be_parameter, (a, b)))
    kept = raw.copy()
    try:
        make(rng.choice(("SGD", "Lion", "Adam")), [a, b], lr=0.1)
    except (TypeError, ValueError) as error:
        return _refused(error, apart and a.size > 0 and b.size > 0, (raw, kept))
    assert apart or not a.size or not b.size, "parameters that overlap were taken"
    return "apart"


# --- drawing ---


def _buffer(rng: Random, numbers: Any, dtype: Any) -> Any:
    """Bytes that are ordinary numbers of the dtype wherever an item of it may begin."""
    raw = np.zeros(SIZE + 8, np.uint8)
    with np.errstate(all="ignore"):
        values = numbers.standard_normal(SIZE // dtype.itemsize) * 3
        raw[: SIZE // dtype.itemsize * dtype.itemsize] = (
            values.astype(dtype).view(np.uint8) if dtype.kind != "V" or dtype == BFLOAT16 else 1
        )
    return raw


def _view(rng: Random, raw: Any, dtype: Any, shape: Any = None, plain: bool = False) -> Any:
    """A window on the buffer: any order of axes, steps of any sign, or 0, at any byte."""
    if shape is None:
        shape = tuple(
            rng.choice((0, 1, 1, 2, 3, 5, 17)) if rng.randrange(6) else 1 for _ in range(rng.randrange(4))
        )
    strides, span = [0] * len(shape), dtype.itemsize
    for axis in rng.sample(range(len(shape)), len(shape)):
        step = 1 if plain else rng.choice((1, 1, 1, 1, 2, 3, 0))
        strides[axis] = span * step
        span *= max(shape[axis], 1) * max(step, 1)
    if span > SIZE:
        return _view(rng, raw, dtype, (), plain)
    start = rng.randrange(0, SIZE - span + 1, dtype.itemsize)
    start += 0 if plain or rng.randrange(6) else rng.randrange(8)
    for axis, stride in enumerate(strides):
        if rng.randrange(5) == 0:
            start += max(shape[axis] - 1, 0) * stride
            strides[axis] = -stride
    found = np.ndarray(shape, dtype, raw, min(start, SIZE), strides)
    found.flags.writeable = rng.randrange(15) > 0
    return found


def _oddly(rng: Random, a: Any) -> Any:
    return rng.choice(
        (lambda: a.view(Odd), lambda: np.ma.masked_array(a), lambda: a.tolist(), lambda: a[..., None])
    )()


# --- judging ---


def _may_be_parameter(a: Any) -> bool:
    """Writeable, of a dtype that there is, aligned, dense in some order of its axes."""
    if a.dtype not in PAIRS or not a.flags.writeable:
        return False
    expected, lowest = a.itemsize, a.ctypes.data
    for stride, length in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n != 1):
        if stride != expected and a.size:
            return False
        expected *= length
    return a.size == 0 or lowest % a.itemsize == 0


def _repeats(a: Any) -> bool:
    """Does an element lie where another lies?"""
    if a.size < 2:
        return False
    at = np.zeros(a.shape, np.int64)
    for axis, (stride, length) in enumerate(zip(a.strides, a.shape, strict=True)):
        at += (np.arange(length) * stride).reshape([-1 if k == axis else 1 for k in range(a.ndim)])
    return bool((np.diff(np.sort(at, axis=None)) < a.itemsize).any())


def _only(raw: Any, kept: Any, *arrays: Any) -> None:
    """No byte of the buffer has changed that is not one of the arrays'."""
    mine = np.zeros(len(raw), bool)
    for a in arrays:
        at = np.zeros(a.shape, np.int64) + (a.ctypes.data - raw.ctypes.data)
        for axis, (stride, length) in enumerate(zip(a.strides, a.shape, strict=True)):
            at += (np.arange(length) * stride).reshape([-1 if k == axis else 1 for k in range(a.ndim)])
        for byte in range(a.itemsize):
            mine[at.ravel() + byte] = True
    assert np.array_equal(raw[~mine], kept[~mine]), "bytes beside the arrays have changed"


def _refused(error: Exception, good: bool, *buffers: tuple[Any, Any]) -> str:
    assert "expected" in str(error) or "shares memory" in str(error), error
    assert not good, f"refused: {error}"
    for now, before in buffers:
        assert np.array_equal(now, before), "refused, and something has changed"
    return "refused"
