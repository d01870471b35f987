"""Arrays that nobody thought of: drawn views are refused, or give the bits of plain copies of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawing import repeatable
from engine import BFLOAT16, PAIRS, bits, make

DTYPES = [np.dtype(d) for d in ("f4", "f8", "f2", ">f4", ">f8", "i4", "u2", "?", "c8")] + [BFLOAT16]


@st.composite
def views(draw: Any, dtype: Any, wanted: tuple[int, ...] | None = None) -> Any:
    """A view of a larger buffer: sliced with steps of both signs, transposed, broadcast, at any byte."""
    axes = len(wanted) if wanted is not None else draw(st.integers(0, 4))
    shape = wanted if wanted is not None else tuple(draw(st.integers(0, 5)) for _ in range(axes))
    order = draw(st.permutations(range(axes)))
    steps = [draw(st.sampled_from((1, 1, 1, -1, -1, 2, -3))) for _ in range(axes)]
    repeated = [draw(st.integers(0, 9)) == 0 for _ in range(axes)]
    start = draw(st.sampled_from((0, 0, 0, dtype.itemsize, 1)))
    lengths = [1 if repeated[axis] else max(shape[axis], 1) * abs(steps[axis]) for axis in order]
    size = int(np.prod(lengths, dtype=int)) * dtype.itemsize
    raw = np.zeros(size + start, np.uint8)
    big = raw[start:].view(dtype).reshape(lengths)
    view = big.transpose(np.argsort(order)) if axes else big.reshape(())
    # the ellipsis keeps an array without axes an array
    view = view[(..., *(slice(None, None, 1 if r else s) for s, r in zip(steps, repeated, strict=True)))]
    view = view[(..., *(slice(0, 1) if r else slice(n) for n, r in zip(shape, repeated, strict=True)))]
    view = np.broadcast_to(view, shape) if any(repeated) else view
    if not any(repeated):
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        with np.errstate(all="ignore"):
            view[...] = np.asarray(rng.normal(size=shape) * 3).astype(dtype)
    return view


@st.composite
def cases(draw: Any) -> tuple[Any, Any]:
    """A parameter and a gradient, mostly of a shape, mostly of dtypes that go together."""
    dtype = draw(st.sampled_from([*PAIRS, *PAIRS, *PAIRS, *DTYPES]))
    theta = draw(views(dtype))
    others = [*PAIRS.get(dtype, (dtype,)) * 4, *DTYPES]
    shape = theta.shape if draw(st.integers(0, 9)) else None
    return theta, draw(views(draw(st.sampled_from(others)), shape))


def dense(a: Any) -> bool:
    """Does it walk over its memory without gaps, whatever the order and directions of its axes?"""
    expected = a.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= length
    return True


def may_be_parameter(a: Any) -> bool:
    lies_well = a.size == 0 or (dense(a) and a.ctypes.data % a.itemsize == 0)
    return bool(a.dtype in PAIRS and a.flags.writeable and lies_well)


@repeatable(150)
@given(cases())
def test_a_step_with_drawn_arrays(case: tuple[Any, Any]) -> None:
    theta, g = case
    if not may_be_parameter(theta):
        # an empty array lies nowhere, so where it would lie may be refused or not
        if theta.size:
            refused(lambda: make("Adam", [theta], lr=0.1))
        return
    plain, before = np.ascontiguousarray(theta).reshape(theta.shape).copy(), theta.copy()
    try:
        opt = make("Adam", [theta], lr=0.1, ema_decay=0.5)
    except (TypeError, ValueError):
        assert theta.size == 0
        return
    fits = g.dtype in PAIRS[theta.dtype] and g.shape == theta.shape
    if not fits:
        refused(lambda: opt.step([g]))
        refused(lambda: opt.bind_grads([g]))
        assert bits(theta.copy()) == bits(before)
        return
    kept = g.copy()
    expected = make("Adam", [plain], lr=0.1, ema_decay=0.5)
    plain_g = np.ascontiguousarray(g).reshape(g.shape).copy()
    opt.bind_grads([g])
    for _ in range(2):
        opt.step([g])
        opt.step()
        expected.step([plain_g])
        expected.step([plain_g])
    assert bits(theta.copy()) == bits(plain)
    assert bits(opt.ema[0].copy(order="C")) == bits(expected.ema[0])
    assert bits(g.copy()) == bits(kept)
    for name, state in expected._states[0].items():
        assert bits(opt._states[0][name].copy(order="C")) == bits(state)


@repeatable(100)
@given(cases())
def test_zeroing_drawn_gradients(case: tuple[Any, Any]) -> None:
    """All elements are zero afterwards and no other byte of their memory has changed; or nothing has."""
    theta, g = case
    if not (
        may_be_parameter(theta) and theta.size and g.dtype in PAIRS[theta.dtype] and g.shape == theta.shape
    ):
        return
    opt = make("SGD", [theta], lr=0.1)
    raw = g
    while raw.base is not None:
        raw = raw.base
    where = raw.copy()
    if g.flags.writeable:
        opt.step([g], zero_grads=True)
        assert not g.astype(np.float64).any()
        assert not np.signbit(g.astype(np.float64)).any()
        changed = np.flatnonzero(raw != where)
        g.view(f"u{g.itemsize}")[...] = (1 << (8 * g.itemsize)) - 1
        assert (raw[changed] == 0xFF).all()
    else:
        refused(lambda: opt.step([g], zero_grads=True))
        assert raw.tobytes() == where.tobytes()


@repeatable(80)
@given(st.data())
def test_loading_drawn_arrays(data: Any) -> None:
    """A saved state may lie in memory in any way; of another dtype or shape it is refused."""
    theta = data.draw(views(np.dtype("f4")))
    if not (may_be_parameter(theta) and theta.size):
        return
    opt = make("SGD", [theta], lr=0.1, momentum=0.5)
    opt.step([np.ones(theta.shape, np.float32)])
    before = opt.state_dict()
    dtype = data.draw(st.sampled_from([np.dtype("f4")] * 3 + DTYPES))
    drawn = data.draw(views(dtype, theta.shape if data.draw(st.integers(0, 4)) else None))
    d = opt.state_dict()
    d["state"][0]["momentum_buffer"] = drawn
    if drawn.dtype == np.float32 and drawn.shape == theta.shape:
        opt.load_state_dict(d)
        assert bits(opt._states[0]["momentum_buffer"].copy()) == bits(drawn.copy())
    else:
        refused(lambda: opt.load_state_dict(d))
        assert bits(opt.state_dict()) == bits(before)


def refused(call: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"expected|shares memory"):
        call()
