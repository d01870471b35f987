"""Sparse gradients: indices and values of any dtype, layout and content, against dense gradients.

An own generator: valid and invalid `SparseRows` are a matter of dtypes, shapes, strides and numbers, and the
oracle (add up, step densely, put back the other rows) tells right from wrong bits, which no crash-seeking
fuzzer would.

Held in each round: TypeError or ValueError and nothing changed, or the bits of the dense step on the rows
given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from making import bits_but_nan, make

from engine import BFLOAT16, everything
from fastopt import SparseRows

RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.5, "momentum": 0.9}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("Lion", {"lr": 0.1, "l1": 0.01}),
    ("FTRL", {"lr": 0.1, "clip_value": 1.5}),
]
DTYPES = [np.dtype(d) for d in ("f4", "f8", "f2", ">f4", "i4", "u2", "?", "c8")] + [BFLOAT16]
TAKES = {np.dtype("f4"): ("float32", "float16", "bfloat16"), np.dtype("f8"): ("float64", "float32")}


def prepare() -> Callable[[Random], str]:
    warnings.simplefilter("ignore")  # of casts beyond the range of a type

    def one_round(rng: Random) -> str:
        numbers = np.random.default_rng(rng.getrandbits(64))
        dtype = np.dtype(rng.choice(("f4", "f8")))
        shape = (rng.choice((*(0, 1, 2, 5, 9) * 3, 300)), *rng.choice(((), (1,), (3,), (2, 2), (70,), (0,))))
        table = numbers.standard_normal(shape).astype(dtype)
        name, options = rng.choice(RULES)
        opt, twin = make(name, [table], **options), make(name, [table.copy()], **options)
        if shape[0] and rng.randrange(2):
            for each in (opt, twin):
                each.step([np.ones(shape, dtype)])
        rows, good = _rows(rng, numbers, table)
        before = everything(opt)
        try:
            given = SparseRows(*rows)
            _spoil(rng, given)
            good = good and all(a is b for a, b in zip((given.indices, given.values), rows, strict=True))
            opt.step([given])
        except (TypeError, ValueError) as error:
            assert "expected" in str(error) or "shares memory" in str(error), error  # noqa: PT017
            assert not good, f"refused: {error}"  # noqa: PT017
            assert everything(opt) == before, "refused, and something has changed"
            return "refused"
        if not good:
            assert given.indices.dtype in (np.int64, np.int32)
            assert given.values.shape == (len(given.indices), *shape[1:])
        _check(twin, opt, given, table)
        return "stepped"

    return one_round


def _rows(rng: Random, numbers: Any, table: Any) -> tuple[tuple[Any, Any], bool]:
    """(indices, values), and whether they must be taken."""
    n = rng.choice((*(0, 1, 2, 3, 7, 40) * 6, 600))
    count = max(len(table), 1)
    indices: Any = numbers.integers(0, count, n, dtype=np.int64)
    good = bool(len(table)) or n == 0
    if rng.randrange(3) == 0:
        indices = np.sort(indices)
    if n and rng.randrange(6) == 0:
        at = rng.randrange(n)
        indices[at] = rng.choice(
            (-1, len(table), len(table) + 1, -(2**63), 2**63 - 1, 2**31, -(2**31), 2**62)
        )
        good = False
    kind = rng.choice((*("i8", "i4") * 5, "u8", "i2", ">i8", "f8", "?"))
    indices = indices.astype(kind)
    good = good and indices.dtype in (np.int64, np.int32)
    dtype = table.dtype if rng.randrange(4) else rng.choice(DTYPES)
    good = good and dtype.name in TAKES[table.dtype] and dtype.isnative
    shape = (n, *table.shape[1:])
    if rng.randrange(8) == 0:
        shape = rng.choice(((n + 1, *shape[1:]), (n, *shape[1:], 1), (n,), (), shape[1:] or (2,)))
        good = good and shape == (n, *table.shape[1:])
    values = np.asarray(numbers.standard_normal(shape) * 3).astype(dtype)
    return (_laid(rng, indices), _laid(rng, values)), good


def _laid(rng: Random, a: Any) -> Any:
    """The same numbers, somewhere else."""
    match rng.randrange(8):
        case 0 if a.ndim:
            return np.repeat(a, 2, axis=0)[::2]
        case 1 if a.ndim:
            return a[::-1].copy()[::-1]
        case 2:
            moved = np.ndarray(a.shape, a.dtype, np.zeros(a.nbytes + 1, np.uint8), 1)
            moved[...] = a
            return moved
        case 3:
            a.flags.writeable = False
            return a
        case 4:
            return np.asfortranarray(a)
        case 5 if a.ndim and len(a) == 1:
            return np.broadcast_to(a[0], a.shape)
    return a


def _spoil(rng: Random, rows: SparseRows) -> None:
    """Afterwards, by the attributes: each step looks at them anew."""
    match rng.randrange(24):
        case 0:
            rows.indices = rng.choice((rows.indices[:-1], rows.indices[None], rows.values, None, 3, [0]))
        case 1:
            rows.values = rng.choice(
                (rows.values[:-1], rows.values[None], rows.indices, None, 3.0, np.ma.ones(3))
            )


def _check(twin: Any, opt: Any, rows: SparseRows, table: Any) -> None:
    """The rows given as by a dense gradient, the others as they were; everywhere, states too."""
    old = [a.copy() for a in _arrays(twin)]
    full = np.zeros(table.shape, table.dtype)
    values, order = rows.values.astype(table.dtype), np.argsort(rows.indices, kind="stable")
    index, first = np.unique(rows.indices[order], return_index=True)
    for i, occurrences in zip(index, np.split(order, first[1:]) if len(order) else (), strict=True):
        for at in range(0, len(occurrences), 512):  # in parts of 512, as documented
            part = values[occurrences[at]].copy()
            for k in occurrences[at + 1 : at + 512]:
                part = part + values[k]
            full[i] = full[i] + part if at else part
    begun = bool(twin.step_count)
    twin.step([full])
    others = np.setdiff1d(np.arange(len(table)), rows.indices)
    for number, (now, was) in enumerate(zip(_arrays(twin), old, strict=True)):
        if number == 0 or begun:
            now[others] = was[others]
    if begun:
        same = bits_but_nan(opt.state_dict()) == bits_but_nan(twin.state_dict())
        assert same, "states differ from the dense ones"
    assert bits_but_nan(_arrays(opt)[0]) == bits_but_nan(_arrays(twin)[0]), "the table differs"


def _arrays(opt: Any) -> list[Any]:
    return [*opt._params, *(a for states in opt._states for a in states.values())]
