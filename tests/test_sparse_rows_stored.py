"""Rows of parameters and states in fewer bytes: rounding, remainders, codes, shadows as in a dense step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import LEVELS, bits, everything, make, rouse, threads
from fastopt import SparseRows
from test_storage import FORMS, HALF_FORMS, bfloat16

ROWS = 90
#: Classes that take rows, with states of each kind.
RULES: dict[str, dict[str, Any]] = {
    "Adam": {},
    "AdamW": {"weight_decay": 0.1},
    "Lion": {},
    "Adagrad": {"initial_accumulator_value": 0.5},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "NAdam": {},
    "FTRL": {"lambda1": 0.01},
    "SGD": {"momentum": 0.9},
    "RowWiseAdagrad": {"initial_accumulator_value": 0.5},
    "RowWiseAdam": {"weight_decay": 0.1, "row_steps": True},
}
#: Elements of a row: a group, several that cross the runs of random bits, more than a run.
WIDTHS = (64, 192, 1280)


def _rows(rng: Any, n: int, width: int, half: bool) -> tuple[SparseRows, Any]:
    """Without duplicates, so that what is given is what a dense gradient in half precision holds."""
    index = rng.permutation(ROWS)[:n]
    values = rng.standard_normal((n, width), np.float32)
    values = bfloat16(values) if half else values
    full = np.zeros((ROWS, width), values.dtype)
    full[index] = values
    return SparseRows(index, values), full


def _memory(opt: Any, width: int, shadow: Any) -> list[Any]:
    """All that belongs to rows, as arrays with an axis of rows."""
    found = [*opt._params, shadow, *(r.array for r in opt._remainders if r is not None)]
    for state in opt._states[0].values():
        if isinstance(state, np.ndarray):
            found.append(state)
        else:
            found += [state.codes, state.scales.reshape(ROWS, width // 64)]
    return [a for a in found if a is not None]


def _takes(name: str, form: dict[str, Any]) -> bool:
    """Classes refuse forms that their states cannot have."""
    try:
        getattr(fastopt, name)([np.zeros((ROWS, 64), np.float32)], **RULES[name], **_of_states(form))
    except (TypeError, ValueError):
        return False
    return True


def _of_states(form: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in form.items() if key == "state_dtype"}


EVERY = {**FORMS, **HALF_FORMS}
CASES = [(name, form) for name in RULES for form in EVERY if _takes(name, EVERY[form])]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "form"), CASES)
def test_rows_move_as_with_a_dense_gradient_and_no_other_does(name: str, form: str, width: int) -> None:
    half, rng = form in HALF_FORMS, np.random.default_rng(1)
    options = {**RULES[name], **EVERY[form], "lr": 1e-2, "l1_proximal": 0.01, "seed": 3}
    start = rng.standard_normal((ROWS, width), np.float32)
    made = []
    for _ in range(2):
        table = bfloat16(start) if half else start.copy()
        shadow = None if half else np.zeros((ROWS, width), np.uint16)
        group = {"params": [table]} if half else {"params": [table], "shadow": [shadow]}
        made.append((make(name, [group], dtype="bfloat16", **options), shadow))
    (with_all, all_shadow), (with_rows, rows_shadow) = made
    _, first = _rows(rng, ROWS, width, half)
    for opt, _ in made:
        opt.step([first])  # states have begun
    for n in (7, 40, 0, 1):
        rows, full = _rows(rng, n, width, half)
        before = [a.copy() for a in _memory(with_all, width, all_shadow)]
        with_all.step([full])
        untouched = np.setdiff1d(np.arange(ROWS), rows.indices)
        for now, old in zip(_memory(with_all, width, all_shadow), before, strict=True):
            now[untouched] = old[untouched]
        with_rows.step([rows])
        got = _memory(with_rows, width, rows_shadow)
        assert bits(got) == bits(_memory(with_all, width, all_shadow))


@pytest.mark.parametrize("form", EVERY)
def test_same_bits_for_every_number_of_threads_and_level(form: str) -> None:
    half, seen = form in HALF_FORMS, []
    for level in LEVELS:
        with threads(2):
            rouse(level)
        for workers in (1, 2, 7):
            rng = np.random.default_rng(2)
            table = np.zeros((ROWS, 192), np.float32)
            table = bfloat16(table) if half else table
            opt = make("Adam", [table], level, dtype="bfloat16", seed=5, **EVERY[form])
            with threads(workers):
                for n in (ROWS, 30, 80):  # the first step is one of rows
                    opt.step([_rows(rng, n, 192, half)[0]])
            seen.append(bits([table, opt.state_dict()]))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("width", [1, 7, 65, 100])
def test_codes_need_rows_of_whole_groups(width: int) -> None:
    """Else a row's step would round its neighbour's states anew."""
    table = np.ones((9000 // width, width), np.float32)
    opt = fastopt.Adam([table], state_dtype="int8")
    before = everything(opt)
    with pytest.raises(TypeError, match=rf"grads\[0\]: .*scale for 64 elements.*a row has {width} elements"):
        opt.step([SparseRows(np.array([0]), table[:1].copy())])
    assert everything(opt) == before
    small = np.ones((9, width), np.float32)  # below 4096 elements states are float32
    fastopt.Adam([small], state_dtype="int8").step([SparseRows(np.array([0]), small[:1].copy())])
