"""Weights that the user writes between steps: what was left of the old ones is void where it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from coded import compensated, from_bfloat16, joined, restored, split, to_bfloat16
from engine import LEVELS, make
from fastopt import SparseRows
from fastopt._precision import Remainder

N = 1100  # more than a block, no multiple of a vector
FORMS: dict[str, dict[str, Any]] = {
    "split16": {"master": "split16"},
    "split8": {"master": "split8"},
    "split8 at random": {"master": "split8", "rounding": "stochastic"},
    "kahan": {"rounding": "kahan"},
    "kahan in float16": {"rounding": "kahan"},
}
EVERY = pytest.mark.parametrize("form", FORMS)
AT_LEVELS = pytest.mark.parametrize("level", LEVELS)


def in_half(values: Any, form: str) -> Any:
    values = np.asarray(values, np.float32)
    return (
        values.astype(np.float16) if "float16" in form else to_bfloat16(values.ravel()).reshape(values.shape)
    )


def wide(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float16 else from_bfloat16(array)


def trained(
    form: str, level: str = LEVELS[-1], name: str = "SGD", shape: Any = (N,), **options: Any
) -> tuple[Any, Any]:
    """Weights with a remainder of either sign beside almost each."""
    rng = np.random.default_rng(0)
    w = in_half(rng.standard_normal(shape), form)
    opt = make(name, [w], level, lr=1e-3, dtype="bfloat16", nonfinite="raise", **FORMS[form], **options)
    for _ in range(3):
        opt.step([rng.standard_normal(shape, np.float32)])
    return w, opt


def still(opt: Any) -> None:
    opt.step([np.zeros(opt.params[0].shape, np.float32)])


WRITTEN: dict[str, Callable[[Any], Any]] = {
    "zero": lambda x: x * 0,
    "negative zero": lambda x: x * 0 * np.float32(-1),
    "pruned": lambda x: np.where(np.abs(x) < 0.5, np.float32(0), x),
    "clamped": lambda x: np.clip(x, -0.25, 0.25),
    "scaled down": lambda x: x * np.float32(2.0**-6),
    "another sign": lambda x: -x,
    "infinite": lambda x: np.where(x > 0, np.float32(np.inf), -np.float32(np.inf)),
    "largest": lambda x: np.copysign(np.float32(2.0**15), x),
    "subnormal": lambda x: np.copysign(np.float32(2.0**-24), x),
}


@AT_LEVELS
@EVERY
@pytest.mark.parametrize("what", WRITTEN)
def test_a_weight_is_what_it_was_set_to(what: str, form: str, level: str) -> None:
    w, opt = trained(form, level)
    w[...] = in_half(WRITTEN[what](wide(w)), form)
    written = w.copy()
    seen = opt.state[0]["master"]
    still(opt)
    moved = np.abs(w.view(np.int16).astype(int) - written.view(np.int16))
    if "kahan" not in form:
        assert not moved.any()
    else:  # a rest that is half a unit to the bit may belong to either of two weights
        assert moved.max() <= 1
        assert np.mean(moved) < 0.02
    whole = opt.state[0]["master"]
    assert not np.isnan(whole).any()
    rounded = whole.astype(np.float16) if w.dtype == np.float16 else to_bfloat16(whole)
    bits = np.abs(rounded.view(np.int16).astype(int) - written.view(np.int16))
    assert bits.max() <= 1  # halves
    if what in ("zero", "negative zero") and "kahan" in form:
        assert not whole.any()
    if form != "split8 at random":
        np.testing.assert_array_equal(seen, whole)


@EVERY
@pytest.mark.parametrize("name", ["AdamW", "Lion", "LAMB"])
def test_training_goes_on_from_zero_as_from_new_weights(form: str, name: str) -> None:
    """Also where two passes read a weight, and where codes are decoded in the same loop."""
    more = {"state_dtype": "int8"} if name != "LAMB" else {}
    w, opt = trained(form, name=name, shape=(8, 1024), **more)
    w[...] = in_half(np.zeros(w.shape), form)
    start = wide(w).copy()
    for _ in range(20):
        opt.step([np.ones(w.shape, np.float32)])
    moved = wide(w) - start
    assert np.isfinite(moved).all()
    assert (moved < 0).all() or name == "LAMB"  # whose step is a share of the weight's norm


@AT_LEVELS
@EVERY
def test_rows_that_are_set_to_zero(form: str, level: str) -> None:
    w, opt = trained(form, level, "Adam", (40, 64))
    w[::2] = 0
    rows = SparseRows(np.arange(0, 40, 2), np.zeros((20, 64), np.float32))
    twin_w, twin = trained(form, level, "Adam", (40, 64))
    twin_w[::2] = 0
    twin.step([rows])
    opt.step([np.zeros((40, 64), np.float32)])
    assert np.isfinite(wide(twin_w)).all()
    np.testing.assert_array_equal(wide(twin_w)[::2], wide(w)[::2])


@EVERY
def test_averages_of_weights_that_are_set_to_zero(form: str) -> None:
    w, opt = trained(form, ema_decay=0.5)
    w[...] = 0
    for _ in range(40):
        still(opt)
    assert np.abs(opt.ema[0]).max() < 1e-9
    with opt.ema_weights():
        assert np.isfinite(wide(w)).all()
    assert not w.any()


@EVERY
def test_between_training_and_evaluation(form: str) -> None:
    w, opt = trained(form, name="ScheduleFreeSGD")
    w[...] = 0
    opt.eval()
    assert np.isfinite(wide(w)).all()
    opt.train()
    still(opt)
    assert np.isfinite(wide(w)).all()


@EVERY
def test_a_checkpoint_of_weights_that_were_written(form: str, tmp_path: Any) -> None:
    w, opt = trained(form)
    w[...] = 0
    opt.save(tmp_path / "state.npz")
    copy = w.copy()
    twin = make("SGD", [copy], lr=1e-3, dtype="bfloat16", nonfinite="raise", **FORMS[form])
    twin.load(tmp_path / "state.npz")
    np.testing.assert_array_equal(twin.state[0]["master"], opt.state[0]["master"])
    assert not np.isnan(twin.state[0]["master"]).any()


def pairs(kind: str) -> tuple[Any, Any]:
    """Every weight of bfloat16 beside remainders of all sizes."""
    weights = np.arange(0, 1 << 16, 7, dtype=np.uint32).astype(np.uint16)
    weights = np.concatenate(
        [weights, np.array([0, 0x8000, 0x7F80, 0xFF80, 0x7F7F, 0xFF7F, 1, 0x8001], np.uint16)]
    )
    if kind == "kahan":
        rests = [0, 0x8000, 1, 0x8001, 0x3B80, 0xBB80, 0x3C00, 0x7F80, 0x7FC0, 0x3A00]
        near = [
            ((weights & 0x7F80).astype(int) - (k << 7)).clip(0) + low
            for k in (8, 9, 10)
            for low in (0, 1, 127)
        ]
        every = [np.full(weights.shape, r, np.uint16) for r in rests]
        every += [(n + s).astype(np.uint16) for n in near for s in (0, 0x8000)]
    else:
        dtype = np.int16 if kind == "split16" else np.int8
        limits = np.iinfo(dtype)
        every = [np.full(weights.shape, r, dtype) for r in (0, 1, -1, limits.max, limits.min, 77, -77)]
    return np.tile(weights, len(every)), np.concatenate(every)


@AT_LEVELS
@pytest.mark.parametrize("kind", ["split16", "split8", "kahan"])
def test_any_two_numbers_are_read_as_the_oracle_reads_them(kind: str, level: str) -> None:
    weights, rests = pairs(kind)
    expected = joined(weights, rests) if "split" in kind else restored(weights, rests)
    numbers = ~np.isnan(from_bfloat16(weights))
    assert not np.isnan(expected[numbers]).any()
    found = Remainder(kind, rests).exact(weights)
    assert found[numbers].tobytes() == expected[numbers].tobytes()
    # through the engine: loaded, averaged with weight 1 and seen as the average
    w = weights.copy()
    form: dict[str, Any] = {"rounding": "kahan"} if kind == "kahan" else {"master": kind}
    opt = make("SGD", [w], level, lr=0.0, dtype="bfloat16", ema_decay=0.5, **form)
    opt._remainders[0].array[...] = rests
    still(opt)
    engine = opt.ema[0]
    # a tie of the largest number rounds to infinity; zeros may be of either sign
    finite = numbers & (np.abs(expected) < float.fromhex("0x1.ffp127"))
    assert (engine[finite] + 0).tobytes() == (expected[finite] + 0).tobytes()


@pytest.mark.parametrize("kind", ["split16", "split8", "kahan"])
def test_what_was_stored_is_never_void(kind: str) -> None:
    rng = np.random.default_rng(3)
    x = (rng.standard_normal(200_000) * np.exp2(rng.uniform(-120, 120, 200_000))).astype(np.float32)
    edges = np.exp2(np.arange(-126, 127)).astype(np.float32)
    x = np.concatenate(
        [x, edges, np.nextafter(edges, np.float32(0)), -edges, edges * np.float32(1 - 2.0**-9)]
    )
    if kind == "kahan":
        weights, rest = compensated(x)
        both = from_bfloat16(weights) + from_bfloat16(rest)
    else:
        weights, rest = split(x, 16 if kind == "split16" else 8)
        shift = 0 if kind == "split16" else 8
        both = (
            ((weights.astype(np.int64) << 16) + (rest.astype(np.int64) << shift))
            .astype(np.uint32)
            .view(np.float32)
        )
    np.testing.assert_array_equal(Remainder(kind, rest).exact(weights), both)


def test_the_same_of_float16() -> None:
    x = np.random.default_rng(4).standard_normal(100_000).astype(np.float32)
    x *= np.exp2(np.random.default_rng(5).uniform(-24, 14, x.size)).astype(np.float32)
    weights = x.astype(np.float16)
    rest = (x - weights.astype(np.float32)).astype(np.float16)
    both = weights.astype(np.float32) + rest.astype(np.float32)
    np.testing.assert_array_equal(Remainder("kahan", rest).exact(weights), both)


def test_a_zeroed_weight_in_the_first_example() -> None:
    w = np.full(64, 0x3DCD, np.uint16)
    opt = fastopt.AdamW([w], lr=1e-3, dtype="bfloat16", master="split16", nonfinite="raise")
    opt.step([np.ones(64, np.float32)])
    w[:] = 0
    opt.step([np.ones(64, np.float32)])
    assert np.isfinite(from_bfloat16(w)).all()
    assert (from_bfloat16(w) < 0).all()
