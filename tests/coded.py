"""The oracle of storage in fewer bits: codes, half precision, remainders and random bits, in NumPy.

Written from docs/design/bytes.md and kept independent of ``cpp/engine``, which must agree with it bit by bit.
Arrays are of one axis, in the order of memory. `random` are integers below 2^19, one for each element; a
constant `HALF` rounds to nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

GROUP = 64
RANDOM_BITS = 19
HALF = 1 << 18
#: By whether there is a sign: mantissa bits that a code keeps, largest code, the code of what is not finite.
MANTISSA, LARGEST, SPECIAL = {False: 4, True: 3}, {False: 255, True: 127}, {False: 255, True: 128}

_INFINITE = 0x7F800000
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


# --- random bits ---


def _scrambled(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def _mixed(h: int, x: int) -> int:
    return _scrambled((h + _GOLDEN * (x + 1)) & _MASK)


TABLE = np.array([_scrambled(i * _GOLDEN & _MASK) >> (64 - RANDOM_BITS) for i in range(1, 2048 + 1024 + 1)])


def dither(seed: int, step: int, tensor: int, role: int, size: int) -> Array:
    """Of a whole tensor at its update number `step`. `role`: the number of the state, 4 of the parameter."""
    of_role = _mixed(_mixed(_mixed(seed, step), tensor), role)
    runs = [np.zeros(0, np.int64)]
    for run in range(-(-size // 1024)):
        h = _mixed(of_role, run)
        runs.append(TABLE[h % 2048 : h % 2048 + 1024] ^ (h >> (64 - RANDOM_BITS)))
    return np.concatenate(runs)[:size]


# --- eight bits ---


def bits_of(x: Array) -> Array:
    """The bit patterns of float32 as int64, so that sums of them cannot overflow."""
    return np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.int64)


def float_of(bits: Array) -> Array:
    return np.asarray(bits, np.int64).astype(np.uint32).view(np.float32)


def encode(x: Array, random: Any, with_sign: bool) -> tuple[Array, Array]:
    """Codes (uint8) and a scale (float32) for each group."""
    x = np.asarray(x, np.float32)
    groups = -(-x.size // GROUP)
    padded = np.zeros((groups, GROUP), np.float32)
    padded.reshape(-1)[: x.size] = x
    magnitude = bits_of(padded) & 0x7FFFFFFF
    finite = magnitude < _INFINITE
    marked = ~finite.all(axis=1)
    largest = float_of(np.where(finite, magnitude, 0).max(axis=1, initial=0))
    # subnormal numbers have the codes of larger ones: their inverse may be infinite
    tiny = (largest < np.float32(2.0**-126)) & ~marked
    larger = np.where(tiny, np.float32(2.0**100), np.float32(1))
    scale = largest * larger
    # a code above that of the largest is free where a group holds what is not finite
    limits = np.finfo(np.float32)
    room = np.clip(scale, limits.tiny, limits.max / 2).astype(np.float32) * np.float32(1.125)
    scale = np.where(marked, room, scale)
    shrunk = np.float32(1 - 2.0**-22)
    with np.errstate(under="ignore"):
        inverse = np.divide(shrunk, scale, out=np.zeros_like(scale), where=scale > 0)
        y = np.where(finite, float_of(magnitude), np.float32(0)) * larger[:, None] * inverse[:, None]
    shift = 23 - MANTISSA[with_sign]
    added = np.zeros((groups, GROUP), np.int64)
    added.reshape(-1)[: x.size] = np.asarray(random) << (shift - RANDOM_BITS)
    base = (0x3F800000 >> shift) - LARGEST[with_sign]
    code = np.maximum((bits_of(y).reshape(y.shape) + added >> shift) - base, 0 if with_sign else 1)
    if with_sign:
        negative = np.signbit(padded)
        code = code + np.where(negative & ~(marked[:, None] & (code == 0)), 128, 0)
    code = np.where(finite, code, SPECIAL[with_sign])
    scale = np.where(marked, -scale, scale / larger).astype(np.float32)
    return code.reshape(-1)[: x.size].astype(np.uint8), scale


def decode(codes: Array, scales: Array, with_sign: bool) -> Array:
    """The numbers that codes stand for."""
    shift = 23 - MANTISSA[with_sign]
    base = (0x3F800000 >> shift) - LARGEST[with_sign]
    scale = np.repeat(scales, GROUP)[: codes.size]
    code = codes.astype(np.int64)
    size = code & 127 if with_sign else code
    x = float_of(size + base << shift) * np.abs(scale)
    if with_sign:
        x = np.where(size == 0, np.float32(0), np.where(code > 127, -x, x))
    special = np.signbit(scale) & (code == SPECIAL[with_sign])
    return np.where(special, np.float32(np.nan if with_sign else np.inf), x).astype(np.float32)


# --- sixteen bits ---


def to_bfloat16(x: Array, random: Any = None) -> Array:
    """Bit patterns (uint16): at random, or to nearest with ties to even. A NaN becomes a quiet one."""
    bits = bits_of(x)
    added = 0x7FFF + (bits >> 16 & 1) if random is None else np.asarray(random) >> 3
    magnitude = bits & 0x7FFFFFFF
    upper = np.where(magnitude < _INFINITE, bits + added, bits) >> 16
    return np.where(magnitude > _INFINITE, upper | 0x40, upper).astype(np.uint16)


def from_bfloat16(bits: Array) -> Array:
    return float_of(bits.astype(np.int64) << 16)


def to_float16(x: Array, random: Any) -> Array:
    """At random; beyond 65504, the largest, everything below 65536 becomes it."""
    x, random = np.asarray(x, np.float32), np.asarray(random)
    size = np.abs(x).astype(np.float64)
    normal = np.isfinite(x) & (size >= 2.0**-14)
    unit = 2.0 ** (np.floor(np.log2(np.where(normal, size, 1.0))) - 10)
    kept = np.floor(np.where(normal, size, 1.0) / unit + (random >> 6) / 2.0**13) * unit
    # below 2^-14 the unit is 2^-24, and the sum is one of float32
    small = np.where(normal, 0, np.abs(x)) * np.float32(2.0**24)
    small = small + random.astype(np.float32) * np.float32(2.0**-19)
    kept = np.where(normal, kept, np.floor(small) / 2.0**24)
    kept = np.where((size >= 65504) & (size < 65536), 65504.0, kept)
    with np.errstate(over="ignore"):
        return np.copysign(np.where(np.isfinite(x), kept, np.abs(x)), x).astype(np.float16)


# --- remainders ---


def split(x: Array, width: int, random: Any = HALF) -> tuple[Array, Array]:
    """The upper half of float32 (as uint16, halves away from zero) and the lower `width` bits, signed."""
    bits = bits_of(x)
    magnitude, sign = bits & 0x7FFFFFFF, bits >> 31 << 15
    shift = 16 - width
    kept = magnitude + (np.asarray(random) >> (RANDOM_BITS - shift)) >> shift
    high = kept + (1 << (width - 1)) >> width
    low = kept - (high << width)
    nan = magnitude > _INFINITE
    upper = np.where(nan, 0x7FC0, high | sign).astype(np.uint16)
    return upper, np.where(nan, 0, low).astype(np.int8 if width == 8 else np.int16)


def joined(upper: Array, lower: Array) -> Array:
    """The number of both parts; the upper alone, where the lower would change its sign or make it a NaN."""
    shift = 8 if lower.dtype == np.int8 else 0
    size = (upper.astype(np.int64) & 0x7FFF) << 16
    both = size + (lower.astype(np.int64) << shift)
    belongs = (both >= 0) & (both <= _INFINITE) | (size > _INFINITE)
    return float_of(np.where(belongs, both, size) + (upper.astype(np.int64) >> 15 << 31))


def restored(values: Array, rest: Array) -> Array:
    """What bfloat16 and its rest stand for: the number alone, where another is nearer to their sum."""
    number = from_bfloat16(values)
    with np.errstate(invalid="ignore", over="ignore"):
        both = number + from_bfloat16(rest)
        size = values.astype(np.int64) & 0x7FFF
        near = (from_bfloat16(np.clip(size + d, 0, 0x7F80)).astype(np.float64) for d in (-1, 0, 1))
        less, same, more = (np.minimum(x, 2.0**128) for x in near)
        signed = np.where(values >> 15, -1.0, 1.0) * both
        belongs = (signed >= (less + same) / 2) & (signed <= (same + more) / 2) & (both != 0)
    return np.where(belongs, both, number)


def compensated(x: Array) -> tuple[Array, Array]:
    """Kahan's: the nearest bfloat16, and the nearest to what that leaves out (nothing of infinity)."""
    values = to_bfloat16(x)
    with np.errstate(invalid="ignore"):
        left = np.asarray(x, np.float32) - from_bfloat16(values)
    return values, to_bfloat16(np.where(np.isfinite(left), left, np.float32(0)))
