"""The oracle of storage in fewer bits: what it promises, by counting and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from coded import (
    GROUP,
    HALF,
    TABLE,
    bits_of,
    compensated,
    decode,
    dither,
    encode,
    float_of,
    from_bfloat16,
    joined,
    split,
    to_bfloat16,
    to_float16,
)

MOST = (1 << 19) - 1
FLOAT_MAX = np.finfo(np.float32).max
KINDS = pytest.mark.parametrize("with_sign", [False, True], ids=["squares", "signed"])


def kept(x, random, with_sign):
    return decode(*encode(x, random, with_sign), with_sign)


def every_random(x, with_sign):
    """The mean of what becomes of x, in a group whose largest is 1, over all random bits."""
    groups = -(-(MOST + 1) // (GROUP - 1))
    values = np.full((groups, GROUP), x, np.float32)
    values[:, 0] = 1
    random = np.full((groups, GROUP), HALF)
    random[:, 1:] = np.resize(np.arange(MOST + 1), (groups, GROUP - 1))
    found = kept(values.reshape(-1), random.reshape(-1), with_sign).reshape(groups, GROUP)[:, 1:]
    return found.reshape(-1)[: MOST + 1].astype(np.float64).mean()


@KINDS
@pytest.mark.parametrize("x", [0.999, 0.7, 0.5001, 0.3, 0.01, 1.0 / 3000, 3e-5])
def test_a_code_is_right_on_average(x, with_sign):
    # 2^-22 is taken off so that the largest stays the largest; three more for the ends of what is cut off
    assert every_random(x, with_sign) == pytest.approx(np.float32(x), rel=2.0**-21)


@KINDS
def test_a_code_is_off_by_less_than_its_spacing(with_sign):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=64_000) * np.exp2(rng.uniform(-10, 0, 64_000))).astype(np.float32)
    x = x if with_sign else np.abs(x)
    spacing = 2.0**-3 if with_sign else 2.0**-4
    scale = np.repeat(encode(x, 0, with_sign)[1], GROUP)
    wide = np.abs(x) > 2.0**-15 * scale
    for random, bound in ((rng.integers(0, MOST + 1, x.size), spacing), (HALF, spacing / 2)):
        error = np.abs(kept(x, random, with_sign) - x)
        assert np.max(error[wide] / np.abs(x[wide])) < bound + 1e-6
        assert np.max(error / scale) < bound


@KINDS
def test_what_a_code_stands_for_is_kept(with_sign):
    codes = np.arange(256, dtype=np.uint8)
    codes[codes == (128 if with_sign else 0)] = 255
    codes[::GROUP] = 127 if with_sign else 255
    x = decode(codes, np.full(4, 3.7, np.float32), with_sign)
    again, scales = encode(x, HALF, with_sign)
    np.testing.assert_array_equal(again, codes)
    np.testing.assert_array_equal(scales, np.float32(3.7))


def test_squares_never_become_zero():
    x = np.zeros(3 * GROUP, np.float32)
    x[0], x[1], x[2], x[GROUP] = 1, 1e-30, 2e-38, 1e-40
    codes, scales = encode(x, 0, False)
    assert codes[1] == codes[2] == codes[3] == 1
    np.testing.assert_array_equal(scales, np.float32([1, 1e-40, 0]))  # subnormal numbers are kept
    np.testing.assert_allclose(kept(x, MOST, False)[GROUP], np.float32(1e-40), rtol=1e-4)
    assert not kept(x, MOST, False)[2 * GROUP :].any()


@KINDS
@pytest.mark.parametrize("random", [0, MOST])
def test_the_largest_stays_the_largest(random, with_sign):
    mantissas = np.arange(0, 1 << 23, 997)
    for exponent in (1, 2, 100, 127, 200, 252, 253, 254):
        x = np.zeros((mantissas.size, GROUP), np.float32)
        x[:, 0] = float_of((exponent << 23) + mantissas)
        x[:, 1] = x[:, 0] * np.float32(0.5)
        found = kept(x.reshape(-1), random, with_sign).reshape(x.shape)
        low = 1 if random == MOST else 1 - (2.0**-4 if with_sign else 2.0**-5)
        assert (found[:, 0] <= x[:, 0]).all()
        assert (found[:, 0] >= x[:, 0] * np.float32(low)).all()


@KINDS
def test_what_is_not_finite_leaves_its_group_alone(with_sign):
    x = np.linspace(0.1, 1, 2 * GROUP, dtype=np.float32)
    alone = kept(x, HALF, with_sign)
    for bad in (np.inf, np.nan):
        spoilt = x.copy()
        spoilt[[3, 17]] = bad
        found = kept(spoilt, HALF, with_sign)
        assert not np.isfinite(found[[3, 17]]).any()
        others = np.delete(np.arange(x.size), [3, 17])
        np.testing.assert_allclose(found[others], x[others], rtol=2.0**-4)
        np.testing.assert_array_equal(found[GROUP:], alone[GROUP:])
    assert np.isfinite(kept(np.where(x > 0.5, FLOAT_MAX, np.float32(np.inf)), HALF, with_sign)).any()


def test_random_bits_are_uniform_and_change_with_everything():
    assert TABLE[0] == 0xE220A8397B1DCDAF >> 45  # the first of SplitMix64 from 0, as published
    base = dither(1, 1, 0, 0, 5000)
    assert (base >= 0).all()
    assert (base <= MOST).all()
    np.testing.assert_array_equal(dither(1, 1, 0, 0, 700), base[:700])
    for other in ((2, 1, 0, 0), (1, 2, 0, 0), (1, 1, 1, 0), (1, 1, 0, 1)):
        # the mean of 5000 products of independent deviations, each of variance 1 / 12
        product = np.mean((dither(*other, 5000) / MOST - 0.5) * (base / MOST - 0.5))
        assert abs(product) < 5 / 12 / np.sqrt(5000)
    steps = np.stack([dither(0, t, 3, 1, 2048) for t in range(400)]) / MOST
    assert abs(steps.mean(0) - 0.5).max() < 5.5 / np.sqrt(12 * 400)
    after = np.mean((steps[1:] - 0.5) * (steps[:-1] - 0.5), axis=0) * 12
    assert abs(after).max() < 5.5 / np.sqrt(399)


def test_bfloat16_is_right_on_average_and_to_nearest():
    x = np.float32(1 + 3 / 512)  # three quarters of the way from 1 to 1 + 2^-7
    found = from_bfloat16(to_bfloat16(np.full(1 << 16, x), np.arange(0, 1 << 19, 8)))
    assert found.astype(np.float64).mean() == x
    assert from_bfloat16(to_bfloat16(np.float32([x]))) == 1 + 2.0**-7
    special = np.float32([np.inf, -np.inf, np.nan, 0, -0.0])
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(special, MOST)), special)


def test_float16_is_right_on_average():
    for x in (1.0004, 3e-5, 3.0000001e-8, 6.2e-5):
        random = np.arange(0, 1 << 19)
        found = to_float16(np.full(random.size, x, np.float32), random).astype(np.float64)
        assert found.mean() == pytest.approx(x, rel=2.0**-13 * 2.0**-9 + 1e-6, abs=2.0**-24 * 2.0**-12)
    edge = np.float32([65504, 65535, 65536, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(
        to_float16(edge, np.full(6, MOST)), np.float16([65504, 65504, np.inf, np.inf, -np.inf, np.nan])
    )


def test_a_split_master_holds_every_float():
    bits = np.concatenate(
        [np.arange(0, 1 << 32, 65537 * 3), np.arange(99_999), 0x7F800000 - np.arange(99_999)]
    )
    x = float_of(bits)
    upper, lower = split(x, 16)
    numbers = ~np.isnan(x)
    np.testing.assert_array_equal(bits_of(joined(upper, lower))[numbers], bits[numbers])
    assert np.isnan(joined(upper, lower)[~numbers]).all()
    # the upper half is what rounding to nearest makes of it, but for halves
    half = (bits & 0xFFFF) == 0x8000
    np.testing.assert_array_equal(upper[numbers & ~half], to_bfloat16(x)[numbers & ~half])


def test_eight_more_bits_are_a_float_of_24():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=100_000) * np.exp2(rng.uniform(-100, 100, 100_000))).astype(np.float32)
    near, at_random = joined(*split(x, 8)), joined(*split(x, 8, rng.integers(0, MOST + 1, x.size)))
    assert np.max(np.abs(near / x - 1)) <= 2.0**-16
    assert np.max(np.abs(at_random / x - 1)) <= 2.0**-15
    assert abs(np.mean(at_random.astype(np.float64) / x - 1)) < 5 * 2.0**-15 / np.sqrt(12 * x.size)
    np.testing.assert_array_equal(joined(*split(near, 8)), near)


def test_compensation_moves_a_weight_of_one():
    w, rest = to_bfloat16(np.ones(1, np.float32)), np.zeros(1, np.uint16)
    for _ in range(100):
        w, rest = compensated(from_bfloat16(w) + from_bfloat16(rest) - np.float32(1e-4))
    # what is left out is below 2^-9, and itself rounded to eight bits
    assert from_bfloat16(w) + from_bfloat16(rest) == pytest.approx(0.99, abs=100 * 2.0**-18)
    assert from_bfloat16(compensated(np.float32([np.inf]))[1]) == 0
