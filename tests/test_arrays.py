"""Every array that is accepted is handled exactly: any size, start, order of axes, stride and pair of dtypes.

"Exactly" means to the bit what the same numbers give in plain C-ordered arrays of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import (
    BFLOAT16,
    CLASSES,
    EXTRAS,
    HALVES,
    LEVELS,
    PAIRS,
    SETTINGS,
    bits,
    make,
    normal,
    setting,
    shaped,
)

# Either side of vectors and cache lines, of the engine's blocks (512 doubles, 1024 floats, 4096 of a sum).
SIZES = (0, 1, 7, 63, 64, 65, 127, 128, 129, 2 * 512 + 3, 2 * 1024 + 3, 4095, 4096, 4097, 2 * 8192 + 3)
SENTINEL = 0xA5
EPS = float(np.finfo(np.float64).eps)


def place(arrays: list[Any], starts: int) -> tuple[Any, list[Any]]:
    """Copies of arrays in one buffer, each at another item of its cache line, sentinels between them."""
    item = arrays[0].dtype.itemsize
    raw = np.full(sum(a.nbytes + 192 for a in arrays) + 64, SENTINEL, np.uint8)
    at = -raw.ctypes.data % 64
    views = []
    for i, a in enumerate(arrays):
        begin = at + (i % starts) * item
        view = raw[begin : begin + a.nbytes].view(a.dtype).reshape(a.shape)
        view[...] = a
        views.append(view)
        at = -(-(begin + a.nbytes + 64) // 64) * 64
    return raw, views


def untouched(raw: Any, views: list[Any]) -> bool:
    """All sentinels around the views still stand."""
    seen = raw.copy()
    for view in views:
        begin = view.ctypes.data - raw.ctypes.data
        seen[begin : begin + view.nbytes] = SENTINEL
    return bool((seen == SENTINEL).all())


@pytest.mark.parametrize("dtype", PAIRS, ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CLASSES)
def test_every_size_at_every_start(name: str, level: str, dtype: Any) -> None:
    starts = 64 // dtype.itemsize
    small = [n for n in SIZES if n < 200 for _ in range(starts)]
    large = [n for n in SIZES if n >= 200]
    plain = normal(1, small + large, dtype)
    rows = [normal(2 + k, small + large, dtype) for k in range(2)]
    raw, params = place(plain, starts)
    opt, expected = make(name, params, level, **setting(name)), make(name, plain, level, **setting(name))
    for row in rows:
        raw_grads, grads = place(row, starts - 1)
        before = raw_grads.tobytes()
        opt.step(grads)
        expected.step(row)
        assert raw_grads.tobytes() == before
    assert untouched(raw, params)
    assert bits(params) == bits(plain)


@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), SETTINGS)
def test_a_0d_array_is_an_array_of_one_element(
    name: str, variant: int, level: str, extras: dict[str, Any]
) -> None:
    options = {**setting(name, variant), **extras}
    zero, one = np.array(1.5), np.array([1.5])
    if name == "Shampoo" and "grafting" not in options:  # no axes, so no preconditioner: SGD, as it says
        a, b = make(name, [zero], level, **options), make("SGD", [one], level, lr=options["lr"], **extras)
    else:
        a, b = make(name, [zero], level, **options), make(name, [one], level, **options)
    for g in (0.3, -2.0, 0.0):
        a.step([np.array(g)])
        b.step([np.array([g])])
    assert zero[()].tobytes() == one.tobytes()


def dense_layouts(a: Any) -> dict[str, Any]:
    """Copies of a 3-d array in dense memory of other orders and directions."""
    return {
        "C": a.copy(),
        "Fortran": np.asfortranarray(a),
        "axes 1 0 2": a.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        "axes 2 0 1": a.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        "backwards": a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        "one axis backwards": a[:, ::-1].copy()[:, ::-1],
        "Fortran, one axis backwards": np.asfortranarray(a[::-1])[::-1],
    }


def misaligned(a: Any) -> Any:
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def gappy(a: Any, steps: tuple[int, ...]) -> Any:
    big = np.full([n * abs(s) + 2 for n, s in zip(a.shape, steps, strict=True)], 77, a.dtype)
    view = big[tuple(slice(None, None, s) for s in steps)][tuple(slice(n) for n in a.shape)]
    view[...] = a
    return view


GRADIENTS: dict[str, Callable[[Any], Any]] = {
    **{key: (lambda a, key=key: dense_layouts(a)[key]) for key in dense_layouts(np.zeros((1, 1, 1)))},
    "misaligned": misaligned,
    "misaligned Fortran": lambda a: misaligned(a.transpose(2, 1, 0)).transpose(2, 1, 0),
    "every second": lambda a: gappy(a, (1, 1, 2)),
    "gaps in every axis": lambda a: gappy(a, (2, 3, 2)),
    "negative with gaps": lambda a: gappy(a, (-1, 2, -3)),
    "rows of a wider array": lambda a: np.concatenate([a, a], axis=2)[:, :, : a.shape[2]],
}


@pytest.mark.parametrize("layout", dense_layouts(np.zeros((1, 1, 1))))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CLASSES)
def test_any_dense_parameter_with_any_gradient(name: str, level: str, layout: str) -> None:
    """The axes of both are matched by index, not by memory; sums (LARS, LAMB) are taken in memory order.

    So are the sums of squares of each row of RowWiseAdagrad and RowWiseAdam, whose parameters then differ by
    an ulp or two. Only these are let off: other rules give the same bits, with numbers of rows or without.
    """
    (start,) = normal(3, [(5, 33, 7)], np.float64)
    summed = getattr(fastopt, name).rule.norms != "none"
    rule = make(name, start.copy(), level, **setting(name))._rules[0]
    row_sums = not rule["matrix"] and set(shaped(rule)) - {"row_steps"}
    for kind, place_gradient in GRADIENTS.items():
        theta, plain = dense_layouts(start)[layout], start.copy()
        opt, expected = make(name, theta, level, **setting(name)), make(name, plain, level, **setting(name))
        for k in range(2):
            (g,) = normal(4 + k, [start.shape], np.float64)
            opt.step(place_gradient(g))
            expected.step(g)
        if summed:
            np.testing.assert_allclose(theta, plain, rtol=1e-14, atol=1e-15, err_msg=kind)
        elif row_sums:
            np.testing.assert_allclose(theta, plain, rtol=4 * EPS, atol=4 * EPS, err_msg=kind)
        else:
            np.testing.assert_array_equal(theta, plain, err_msg=kind)
        assert theta.strides == dense_layouts(start)[layout].strides


@pytest.mark.parametrize("dtype", PAIRS, ids=str)
@pytest.mark.parametrize("kind", GRADIENTS)
def test_zeroing_reaches_exactly_the_gradient(kind: str, dtype: Any) -> None:
    (g,) = normal(5, [(3, 5, 4)], dtype)
    view = GRADIENTS[kind](g)
    base = view if view.base is None else view.base
    while base.base is not None:
        base = base.base
    expected = base.copy()
    inside = np.ndarray(view.shape, view.dtype, expected, view.ctypes.data - base.ctypes.data, view.strides)
    inside[...] = 0
    theta = np.asfortranarray(np.ones(g.shape, dtype))
    make("SGD", theta, lr=0.1).step(view, zero_grads=True)
    assert bits(base) == bits(expected)
    assert theta.astype(float).ravel()[0] != 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_broadcast_gradient_is_read_as_if_written_out(level: str) -> None:
    row = np.arange(6.0)
    for shape, axes in (((4, 5, 6), None), ((6, 4, 5), (2, 0, 1))):
        g = np.broadcast_to(row, (4, 5, 6))
        g = g if axes is None else g.transpose(axes)
        theta, plain = np.ones(shape), np.ones(shape)
        make("Adam", theta, level, lr=0.1).step(g)
        make("Adam", plain, level, lr=0.1).step(g.copy())
        np.testing.assert_array_equal(theta, plain)


def test_axes_of_length_one_may_have_any_stride() -> None:
    g = np.ones((3, 4))[:, None, :, None]
    theta = np.zeros((3, 1, 4, 1), order="F")
    make("SGD", theta, lr=1.0).step(g)
    np.testing.assert_array_equal(theta, -1)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)], ids=str)
def test_empty_arrays_are_steps_over_nothing(shape: tuple[int, ...]) -> None:
    strided = np.zeros([2 * n + 3 for n in shape])[tuple(slice(0, n * 2, 2) for n in shape)]
    last = np.ones(2)
    opt = make("Adam", [np.zeros(shape), last], lr=0.1, clip_norm=1.0, ema_decay=0.5)
    for g in (np.zeros(shape), np.zeros(shape, order="F"), strided, strided[::-1]):
        opt.step([g, np.ones(2)], zero_grads=True)
    assert opt.state_dict()["state"][0]["exp_avg"].shape == shape
    assert opt.state_dict()["state"][0]["step"] == opt.step_count == 4


# --- dtypes ---


def as_bits(a: Any) -> Any:
    return a.view(np.uint16)


@pytest.mark.parametrize(
    ("dtype", "given"), [(d, g) for d, gs in PAIRS.items() for g in gs if d.itemsize >= g.itemsize], ids=str
)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_narrow_gradient_is_widened_exactly(name: str, level: str, dtype: Any, given: Any) -> None:
    shapes = [(3, 5), 129, 2 * 1024 + 3]
    theta, plain = normal(6, shapes, dtype), normal(6, shapes, dtype)
    opt = make(name, theta, level, **setting(name), **EXTRAS)
    expected = make(name, plain, level, **setting(name), **EXTRAS)
    for k in range(3):
        row = normal(7 + k, shapes, given)
        opt.step(row)
        expected.step([g.astype(dtype) for g in row])
    assert bits(theta) == bits(plain)


@pytest.mark.parametrize("grads_in_float32", [False, True], ids=["half gradients", "float32 gradients"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), SETTINGS)
def test_half_parameters_are_computed_in_float32_and_rounded_once(
    name: str, variant: int, level: str, dtype: Any, extras: dict[str, Any], grads_in_float32: bool
) -> None:
    """NumPy and ml_dtypes round to nearest even; the twin's parameters are rounded by them at every step."""
    shapes = [(3, 5), 129, 1024 + 3]
    options = {**setting(name, variant), **extras}
    theta = normal(8, shapes, dtype)
    wide = [p.astype(np.float32) for p in theta]
    opt, twin = make(name, theta, level, **options), make(name, wide, level, **options)
    for k in range(4):
        row = normal(9 + k, shapes, np.float32 if grads_in_float32 else dtype, scale=3.0)
        opt.step(row)
        twin.step([g.astype(np.float32) for g in row])
        for w in wide:
            w[...] = w.astype(dtype).astype(np.float32)
        assert bits([p.astype(np.float32) for p in theta]) == bits(wide)
    assert all(s.dtype == np.float32 for s in opt._states[0].values())


@pytest.mark.parametrize("level", LEVELS)
def test_every_float16_and_bfloat16_survives_and_every_tie_goes_to_even(level: str) -> None:
    """All 2^16 patterns through a step that changes nothing; halves between neighbours as NumPy has them."""
    every = np.arange(1 << 16, dtype=np.uint16)
    for dtype in HALVES:
        theta = every.copy().view(dtype)
        make("SGD", theta, level, lr=1.0).step(np.zeros(every.size, dtype))
        with np.errstate(invalid="ignore"):
            nan, was_nan = np.isnan(theta), np.isnan(every.view(dtype))
        assert (nan == was_nan).all()
        assert (as_bits(theta)[~nan] == every[~nan]).all()
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    wide[: 1 << 17] &= np.uint32(0xFFFFF000)  # many exact halves, for both
    wide[: 1 << 16] = (np.arange(1 << 16, dtype=np.uint32) << 16) | 0x8000
    numbers = wide.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    for dtype in HALVES:
        theta = np.zeros(numbers.size, dtype)
        make("SGD", theta, level, lr=1.0, maximize=True).step(numbers)
        with np.errstate(over="ignore"):
            expected = (np.float32(0) - np.float32(-1) * numbers).astype(dtype)
        assert (as_bits(theta) == as_bits(expected)).all()


@pytest.mark.skipif(not BFLOAT16, reason="no ml_dtypes here")
@pytest.mark.parametrize("name", CLASSES)
def test_uint16_patterns_are_bfloat16_if_said_so(name: str) -> None:
    shapes = [(3, 5), 129]
    theta, plain = normal(10, shapes, BFLOAT16), normal(10, shapes, BFLOAT16)
    row = normal(11, shapes, BFLOAT16)
    opt = make(name, [as_bits(p) for p in theta], dtype="bfloat16", ema_decay=0.9, **setting(name))
    expected = make(name, plain, ema_decay=0.9, **setting(name))
    for _ in range(3):
        opt.step([as_bits(g) for g in row])
        expected.step(row)
    assert bits(theta) == bits(plain)
    assert bits(opt.ema) == bits(expected.ema)
    assert opt.ema[0].dtype == np.float32


STATE_DTYPES = [
    (dtype, state)
    for dtype in PAIRS
    for state in (*PAIRS, *(["bfloat16"] if BFLOAT16 else []))
    if not (np.dtype(state if state != "bfloat16" else BFLOAT16) == np.float64 and dtype != np.float64)
]


@pytest.mark.parametrize(("dtype", "state_dtype"), STATE_DTYPES, ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CLASSES)
def test_states_are_stored_as_asked_and_rounded_once(
    name: str, level: str, dtype: Any, state_dtype: Any
) -> None:
    """Half precision at random, so to one of the two neighbours (which one: tests/test_storage_bits.py).

    States that are not the elements' own, of rows and matrices, and those that parameters are formed of, are
    kept as they are computed.
    """
    stored = BFLOAT16 if state_dtype == "bfloat16" else np.dtype(state_dtype)
    wide = np.float64 if dtype == np.float64 else np.float32
    theta, plain = normal(12, [1024 + 3], dtype), normal(12, [1024 + 3], dtype)
    twin = make(name, plain, level, state_dtype=wide, **setting(name))
    rule = twin._rules[0]
    kept = {*shaped(rule), *filter(None, rule["exact"])}
    if stored == np.float16 and any((*rule["squared"], *rule["small"])):
        why = "holds squares" if any(rule["squared"]) else "must not be 0"
        with pytest.raises(TypeError, match=rf"state_dtype: .* got float16: its state .* {why}"):
            make(name, theta, level, state_dtype=state_dtype, **setting(name))
        return
    if stored.itemsize == 2 and kept and kept == {*filter(None, rule["states"])}:
        with pytest.raises(TypeError, match=rf"state_dtype: {name} has no state that {stored.name} can hold"):
            make(name, theta, level, state_dtype=state_dtype, **setting(name))
        return
    opt = make(name, theta, level, state_dtype=state_dtype, **setting(name))
    # LAMB, Prodigy: moments are stored between the phases, and read again as stored
    two_phases = getattr(fastopt, name).rule.norms in ("update", "all")
    for k in range(3):
        row = normal(13 + k, [1024 + 3], dtype)
        opt.step(row)
        twin.step(row)
        for key, state in twin._states[0].items():
            if key in kept:
                assert bits(opt._states[0][key]) == bits(state)
                continue
            found, nearest = opt._states[0][key].view(stored), state.astype(stored)
            if stored.itemsize == 2:
                ours, theirs = ((as_bits(a) & 0x7FFF).astype(int) for a in (found, nearest))
                assert np.max(np.abs(ours - theirs)) <= 1
            else:
                assert bits([found]) == bits([nearest])
            state[...] = found.astype(wide)
        if two_phases:
            np.testing.assert_allclose(theta[0].astype(float), plain[0].astype(float), rtol=0.05, atol=0.05)
        else:
            assert bits(theta) == bits(plain)
    for key, state in opt._states[0].items():
        assert state.itemsize == (np.dtype(wide) if key in kept else stored).itemsize


# --- memory-mapped files ---


@pytest.mark.parametrize("mode", ["w+", "r+"])
def test_a_memory_mapped_parameter_is_updated_in_its_file(tmp_path: Any, mode: str) -> None:
    path = tmp_path / "theta"
    np.ones(100, np.float32).tofile(path)
    theta = np.memmap(path, np.float32, mode, shape=(100,))
    theta[...] = 1
    make("SGD", [theta], lr=0.5).step([np.ones(100, np.float32)])
    theta.flush()
    np.testing.assert_array_equal(np.fromfile(path, np.float32), 0.5)


def test_a_memory_mapped_gradient_is_read(tmp_path: Any) -> None:
    path = tmp_path / "grad"
    np.full(100, 2, np.float32).tofile(path)
    theta = np.ones(100, np.float32)
    make("SGD", [theta], lr=0.5).step([np.memmap(path, np.float32, "r")])
    np.testing.assert_array_equal(theta, 0)


def test_parameters_live_as_long_as_their_optimizer() -> None:
    import gc
    import weakref

    theta = np.ones(100)
    alive = weakref.ref(theta)
    opt = make("Adam", [theta], lr=0.1)
    del theta
    gc.collect()
    opt.step([np.ones(100)])
    assert alive() is not None
    del opt
    gc.collect()
    assert alive() is None
