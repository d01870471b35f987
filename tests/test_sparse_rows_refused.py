"""Bad `fastopt.SparseRows` are refused by name, and nothing has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import SETTINGS, everything, make, normal, setting
from fastopt import SparseRows
from test_sparse_rows import REFUSES

F32 = np.ones((2, 3), np.float32)
I64 = np.array([0, 4])


def rows(indices: Any = I64, values: Any = F32) -> Callable[[Any], Any]:
    return lambda table: SparseRows(indices, values)


def resized(table: Any) -> SparseRows:
    """Sound when it was made."""
    made = SparseRows(I64.copy(), F32.copy())
    made.values = np.ones((3, 3), np.float32)
    return made


def retyped(name: str, value: Any) -> Callable[[Any], Any]:
    def make_one(table: Any) -> SparseRows:
        made = SparseRows(I64.copy(), F32.copy())
        setattr(made, name, value)
        return made

    return make_one


#: What is wrong, the error, its text; made of the table.
BAD: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "beyond": (
        rows(np.array([0, 5])),
        ValueError,
        "grads[0].indices: expected 0 to 4, the rows of params[0], got 5 at position 1",
    ),
    "negative": (
        rows(np.array([-1, 0], np.int32)),
        ValueError,
        "grads[0].indices: expected 0 to 4, the rows of params[0], got -1 at position 0",
    ),
    "far": (
        rows(np.array([0, 2**62])),
        ValueError,
        f"grads[0].indices: expected 0 to 4, the rows of params[0], got {2**62} at position 1",
    ),
    "float": (
        retyped("indices", np.array([0.0, 1.0])),
        TypeError,
        "grads[0].indices: expected int64 or int32, got float64 of shape (2,)",
    ),
    "bool": (
        retyped("indices", np.array([True, False])),
        TypeError,
        "grads[0].indices: expected int64 or int32, got bool of shape (2,)",
    ),
    "unsigned": (
        retyped("indices", np.array([0, 1], np.uint64)),
        TypeError,
        "grads[0].indices: expected int64 or int32, got uint64",
    ),
    "short": (
        retyped("indices", np.array([0, 1], np.int16)),
        TypeError,
        "grads[0].indices: expected int64 or int32, got int16",
    ),
    "swapped": (
        retyped("indices", I64.astype(">i8")),
        TypeError,
        "grads[0].indices: expected int64 or int32, got >i8",
    ),
    "2-D": (
        retyped("indices", I64[:, None]),
        ValueError,
        "grads[0].indices: expected one axis, got int64 of shape (2, 1)",
    ),
    "list": (retyped("indices", [0, 1]), TypeError, "grads[0].indices: expected an array, got list"),
    "masked": (
        retyped("values", np.ma.masked_array(F32)),
        TypeError,
        "grads[0].values: expected an array, got ",
    ),
    "no values": (retyped("values", None), TypeError, "grads[0].values: expected an array, got NoneType"),
    "wide": (
        rows(values=np.ones((2, 4), np.float32)),
        ValueError,
        "grads[0].values: expected shape (2, 3), a row for each index, got float32 of shape (2, 4)",
    ),
    "flat": (
        rows(values=np.ones(2, np.float32)),
        ValueError,
        "grads[0].values: expected shape (2, 3), a row for each index, got float32 of shape (2,)",
    ),
    "more": (
        resized,
        ValueError,
        "grads[0].values: expected shape (2, 3), a row for each index, got float32 of shape (3, 3)",
    ),
    "double": (
        rows(values=F32.astype(np.float64)),
        TypeError,
        "grads[0].values: expected float32 or bfloat16 or float16, got float64",
    ),
    "integer": (
        rows(values=F32.astype(int)),
        TypeError,
        "grads[0].values: expected float32 or bfloat16 or float16, got int64",
    ),
    "overlap": (
        lambda table: SparseRows(I64, table[1:3]),
        ValueError,
        "grads[0].values: shares memory with params[0]; a gradient must not overlap a parameter",
    ),
    "column": (
        lambda table: SparseRows(I64, np.broadcast_to(table[1:3, :1], (2, 3))),
        ValueError,
        "grads[0].values: shares memory with params[0]",
    ),
    "other": (lambda table: object(), TypeError, "grads[0]: expected float32"),
}


@pytest.mark.parametrize("threads_worth", [1, 30_000])
@pytest.mark.parametrize("case", BAD)
def test_bad_rows_change_nothing(case: str, threads_worth: int) -> None:
    made, error, text = BAD[case]
    table, other = normal(1, [(5, 3), (4,)])
    opt = make("Adam", [table, other], ema_decay=0.9, clip_norm=1.0)
    opt.step([SparseRows(I64, F32), other.copy()])
    given = made(table)
    if case in ("beyond", "negative", "far") and threads_worth > 1:
        given = SparseRows(np.tile(given.indices, threads_worth), np.tile(given.values, (threads_worth, 1)))
    before = everything(opt)
    with pytest.raises(error, match=re.escape(text)):
        opt.step([given, other.copy()])
    assert everything(opt) == before
    opt.step([SparseRows(I64, F32), other.copy()])  # and it goes on


@pytest.mark.parametrize(("name", "variant"), REFUSES)
def test_rules_that_see_the_whole_refuse_rows_by_their_name(name: str, variant: int) -> None:
    table = normal(1, [(5, 3)])[0]
    opt = make(name, [table], **setting(name, variant))
    before = everything(opt)
    why = "(sums|averages|begins|transforms)"
    text = rf"grads\[0\]: expected a gradient of all of params\[0\], got SparseRows: \w+ {why}"
    with pytest.raises(TypeError, match=text):
        opt.step([SparseRows(I64, F32)])
    assert everything(opt) == before


def test_every_setting_is_tried() -> None:
    assert {name for name, _ in REFUSES} == {
        *("ADOPT", "ASGD", "Adagrad", "Adan", "LAMB", "LARS", "MARS", "Prodigy", "RMSprop"),
        *("Adafactor", "Kron", "Muon", "SOAP", "Shampoo"),
        *("ScheduleFreeAdamW", "ScheduleFreeRAdam", "ScheduleFreeSGD", "StableAdamW"),
    }
    assert len(REFUSES) < len(SETTINGS) // 2


@pytest.mark.parametrize(
    "table",
    [np.zeros((), np.float32), np.zeros((5, 3), np.float32, order="F"), np.zeros((5, 3), np.float32)[::-1]],
)
def test_parameters_without_rows_in_order(table: Any) -> None:
    opt = fastopt.SGD([table], lr=1.0)
    with pytest.raises(
        ValueError, match=r"grads\[0\]: SparseRows need a parameter with rows that lie in C's order"
    ):
        opt.step([SparseRows(I64, F32)])
    assert not table.any()


def test_zeroing_is_of_dense_gradients() -> None:
    table, other = np.zeros((5, 3), np.float32), np.zeros(2, np.float32)
    opt, full = fastopt.SGD([table, other], lr=1.0), np.ones(2, np.float32)
    with pytest.raises(TypeError, match=r"grads\[0\]: expected an array \(zero_grads=True\), got SparseRows"):
        opt.step([SparseRows(I64, F32), full], zero_grads=True)
    assert not table.any()
    assert full.all()


@pytest.mark.parametrize(
    ("indices", "values", "error", "text"),
    [
        ([0, 1], F32, TypeError, "indices: expected an array, got [0, 1] of type list"),
        (I64, F32.tolist(), TypeError, "values: expected an array"),
        (I64.astype(float), F32, TypeError, "indices: expected int64 or int32"),
        (I64 > 0, F32, TypeError, "indices: expected int64 or int32"),
        (I64[None], F32, ValueError, "indices: expected one axis"),
        (I64, F32[:1], ValueError, "values: expected 2 rows, one for each index"),
        (I64, F32[0, 0], TypeError, "values: expected an array"),
    ],
)
def test_what_is_wrong_from_the_beginning_is_said_there(
    indices: Any, values: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        SparseRows(indices, values)


@pytest.mark.parametrize("missing", ["indices", "values"])
def test_rows_that_were_never_made(missing: str) -> None:
    """By __new__ alone, or with a part deleted."""
    opt, given = make("SGD", [np.zeros((5, 3), np.float32)]), SparseRows(I64.copy(), F32.copy())
    delattr(given, missing)
    before = everything(opt)
    for bad in (given, SparseRows.__new__(SparseRows)):
        with pytest.raises(AttributeError, match=missing if bad is given else "indices"):
            opt.step([bad])
    assert everything(opt) == before
    opt.step([SparseRows(I64, F32)])


def test_a_table_without_rows() -> None:
    with pytest.raises(
        ValueError, match=r"indices: expected none, as there are no rows in params\[0\], got 0 at"
    ):
        fastopt.SGD([np.zeros((0, 3), np.float32)]).step([SparseRows(I64[:1], F32[:1])])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("first", [0.0, np.nan, np.inf, None])
def test_a_row_that_is_not_finite_is_named(first: float | None, strided: bool, dtype: Any) -> None:
    """Also where each gradient of it is finite, and only their sum is not."""
    rng, width = np.random.default_rng(1), 3
    index = rng.permutation(np.repeat(np.arange(400), 3))
    values = rng.normal(size=(len(index), width)).astype(dtype)
    at = np.flatnonzero(index == 137)
    values[at[:2], 1] = 0.9 * np.finfo(dtype).max
    if first is not None:
        values[at[0], 1] = first
    given = np.repeat(values, 2, axis=0)[::2] if strided else values
    opt = fastopt.SGD([np.zeros((400, width), dtype)], nonfinite="raise")
    before = everything(opt)
    if first == 0.0:
        opt.step([SparseRows(index, given)])
        return
    why = ", to which 3 finite gradients add up" if first is None else ""
    with pytest.raises(ValueError, match=re.escape(f"grads[0]: holds NaN or infinity in row 137{why} (non")):
        opt.step([SparseRows(index, given)])
    assert everything(opt) == before
