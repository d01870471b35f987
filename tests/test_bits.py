"""The same bits for every CPU level, thread count and grouping of the tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import (
    CLASSES,
    EXTRAS,
    LEVELS,
    PAIRS,
    SETTINGS,
    bits,
    everything,
    make,
    normal,
    rouse,
    setting,
    threads,
)
from fastopt import _dispatch

SHAPES = [(), (3, 5), 129, 0, 2 * 1024 + 3, (2, 4099)]
#: Products of matrices are contracted where a level can: what levels agree to is in tests/test_muon.py.
MATRICES = [name for name in CLASSES if getattr(fastopt, name).rule.matrix]
#: Norms over whole tensors: cutting one changes what the rule is told.
SUMS = [name for name in CLASSES if getattr(fastopt, name).rule.norms != "none"]


def spread(seed: int, shapes: Any, dtype: Any) -> list[Any]:
    """Elements of many sizes, infinities of the dtype excluded: rounding shows in every place."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        made = [
            np.asarray(rng.normal(size=s) * 10.0 ** rng.uniform(-6, 3, size=s)).astype(dtype) for s in shapes
        ]
    return made


def run(name: str, level: str, dtype: Any, options: dict[str, Any], steps: int = 4) -> Any:
    opt = make(name, spread(1, SHAPES, dtype), level, **options)
    for k in range(steps):
        grads: list[Any] = spread(2 + k, SHAPES, dtype)
        if k == 1:
            grads[2] = None
        opt.step(grads, grad_scale=0.7 if k == 2 else 1.0)
    return everything(opt)


@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("dtype", PAIRS, ids=str)
@pytest.mark.parametrize(("name", "variant"), [s for s in SETTINGS if s[0] not in MATRICES])
def test_levels(name: str, variant: int, dtype: Any, extras: dict[str, Any]) -> None:
    options = {**setting(name, variant), **extras}
    results = [run(name, level, dtype, options) for level in LEVELS]
    assert len(results) >= 2 or LEVELS == ["base"], "nothing to compare: this processor runs one level only"
    for other in results[1:]:
        assert other == results[0]


@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("name", CLASSES)
def test_groupings(name: str, extras: dict[str, Any]) -> None:
    """One list, groups of any size, and the same tensors handed over one group at a time."""
    options = {**setting(name), **extras}
    results = []
    for cuts in ((), (1,), (2, 3), (1, 2, 3, 4, 5)):
        params = spread(1, SHAPES, np.float32)
        ends = [0, *cuts, len(params)]
        groups = [{"params": params[a:b]} for a, b in pairwise(ends)]
        opt = make(name, groups[:1], **options)
        for group in groups[1:]:
            opt.add_param_group(group)
        for k in range(3):
            opt.step(spread(2 + k, SHAPES, np.float32))
        results.append((bits(params), bits(opt._states), opt.grad_norm))
    assert all(other == results[0] for other in results[1:])


@pytest.mark.parametrize("dtype", PAIRS, ids=str)
@pytest.mark.parametrize("name", [c for c in CLASSES if c not in SUMS])
def test_one_tensor_or_its_pieces(name: str, dtype: Any) -> None:
    """Cut anywhere; without a norm, whose blocks begin anew with every tensor."""
    n = 3 * 1024 + 5
    options = {**setting(name), **EXTRAS, "clip_norm": None}
    whole = spread(1, [n], dtype)
    opt = make(name, whole, **options)
    cut = spread(1, [n], dtype)[0]
    ends = [0, 1, 8, 71, 72, 1024, 1024 + 513, n]
    pieces = make(name, [cut[a:b] for a, b in pairwise(ends)], **options)
    for k in range(3):
        (g,) = spread(2 + k, [n], dtype)
        opt.step([g])
        pieces.step([g[a:b] for a, b in pairwise(ends)])
    assert bits(whole) == bits([cut])
    assert bits(opt.ema) == bits([np.concatenate(pieces.ema)])


def shared_steps(opt: Any, grads: list[Any], level: str, steps: int) -> int:
    """Steps; how many regions of them ran on several threads."""
    core, shared = _dispatch.load(level), 0
    for _ in range(steps):
        if core.get_num_threads() > 1:
            rouse(level)
        before = core.pool_statistics()["parallel"]
        opt.step(grads)
        shared += core.pool_statistics()["parallel"] - before
    return shared


@pytest.mark.parametrize("extras", [{}, EXTRAS], ids=["bare", "extras"])
@pytest.mark.parametrize("name", CLASSES)
def test_thread_counts(name: str, extras: dict[str, Any]) -> None:
    """Large enough to be shared, and checked that it was: more chunks than threads, but no more than that,
    for ThreadSanitizer looks at every element. Products of matrices are shared from larger ones on."""
    shapes = [(1 << 16) + 5, 3, (700, 300) if name in MATRICES else (140, 300), 20_003]
    results, shared = [], []
    for count in (1, 2, 7):
        with threads(count):
            opt = make(name, normal(1, shapes), **setting(name), **extras)
            shared.append(shared_steps(opt, normal(2, shapes), LEVELS[-1], 3))
        results.append(everything(opt))
    assert results[0] == results[1] == results[2]
    assert shared[0] == 0
    assert min(shared[1:]) > 0


def test_norms_over_threads_and_levels() -> None:
    n = (1 << 22) + 12_345
    grads = normal(3, [n], np.float32)
    norms = set()
    for level in LEVELS:
        for count in (1, 2, 7):
            with threads(count):
                opt = make("SGD", [np.zeros(n, np.float32)], level, lr=0.0, nonfinite="skip")
                shared_steps(opt, grads, level, 2)
                norms.add(opt.grad_norm)
    assert len(norms) == 1
