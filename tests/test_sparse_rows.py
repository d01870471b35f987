"""Gradients of some rows: what `fastopt.SparseRows` does to the rows given, and that it does nothing else."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, LEVELS, PAIRS, SETTINGS, bits, make, normal, rouse, setting, threads
from fastopt import SparseRows
from oracle import Oracle

ROWS, WIDTH = 60, 7


def _refuses(name: str, variant: int) -> bool:
    start = setting(name, variant).get("initial_accumulator_value")
    whole = name.startswith("ScheduleFree") or name in (
        *("ADOPT", "ASGD", "Adan", "LAMB", "LARS", "MARS", "Prodigy", "StableAdamW"),
        *("Adafactor", "Kron", "SOAP", "Shampoo"),
    )
    matrices = name == "Muon" and setting(name, variant).get("use_muon") is not False
    return whole or matrices or start == "gradient"


TAKES = [s for s in SETTINGS if not _refuses(*s)]
REFUSES = [s for s in SETTINGS if _refuses(*s)]


def draw(rng: Any, n: int, rows: int = ROWS, shape: Any = (WIDTH,), dtype: Any = np.float64) -> SparseRows:
    index = np.int32 if n % 2 else np.int64
    return SparseRows(rng.integers(0, rows, n).astype(index), rng.normal(size=(n, *shape)).astype(dtype))


def dense(rows: SparseRows, like: Any) -> Any:
    """The gradient of the whole table, added up in its type of computation, in the order given."""
    full = np.zeros(like.shape, np.float64 if like.dtype == np.float64 else np.float32)
    np.add.at(full, rows.indices, rows.values.astype(full.dtype))
    return full


def arrays(opt: Any) -> list[Any]:
    return [*opt._params, *(a for states in opt._states for a in states.values())]


def others(rows: SparseRows, count: int = ROWS) -> Any:
    return np.setdiff1d(np.arange(count), rows.indices)


# --- what becomes of the rows ---


@pytest.mark.parametrize("dtypes", [(p, g) for p in PAIRS for g in PAIRS[p]], ids=str)
@pytest.mark.parametrize(("name", "variant"), TAKES)
def test_rows_move_as_with_a_dense_gradient_and_no_other_does(name: str, variant: int, dtypes: Any) -> None:
    """To the last bit, with all that may happen around the rule but the norm, whose sums have an order."""
    rng = np.random.default_rng(3)
    options = {**setting(name, variant), "l1": 0.01, "l1_proximal": 0.02, "clip_value": 1.5, "maximize": True}
    table = normal(1, [(ROWS, WIDTH)], dtypes[0])[0]
    with_all, with_rows = make(name, [table.copy()], **options), make(name, [table.copy()], **options)
    for opt in (with_all, with_rows):
        opt.step(normal(2, [(ROWS, WIDTH)], dtypes[0]))  # states have begun
    for n in (5, 0, 40, 300):
        rows = draw(rng, n, dtype=dtypes[1])
        before = [a.copy() for a in arrays(with_all)]
        with_all.step([dense(rows, table)], grad_scale=4.0)
        for now, old in zip(arrays(with_all), before, strict=True):
            now[others(rows)] = old[others(rows)]
        with_rows.step([rows], grad_scale=4.0)
        assert bits(with_rows.state_dict()) == bits(with_all.state_dict())
        assert bits(with_rows._params) == bits(with_all._params)


def _start(name: str, options: dict[str, Any]) -> float:
    """What a state of the oracle holds of elements that were never touched."""
    if name == "step_size":
        return float(options["lr"])
    return float(options.get("initial_accumulator_value", 0.0)) if name in ("sum", "square_avg") else 0.0


@pytest.mark.parametrize(("name", "variant"), [s for s in TAKES if "row_steps" not in setting(*s)])
def test_rows_against_the_oracle_from_the_first_step_on(name: str, variant: int) -> None:
    """A mix of a table and a dense parameter; averages of the weights move everywhere."""
    rng = np.random.default_rng(4)
    options = {**setting(name, variant), "weight_decay": 0.05, "clip_norm": 2.0, "ema_decay": 0.9}
    table, other = rng.normal(size=(ROWS, WIDTH)), rng.normal(size=11)
    opt, oracle = make(name, [table, other], **options), Oracle(name, [table, other], **options)
    ema: Any = None
    for k in range(6):
        rows, grad = draw(rng, (4, 30, 0, 1, 200, 7)[k]), None if k == 3 else rng.normal(size=11)
        theta, states = oracle.params[0].copy(), {key: np.copy(a) for key, a in oracle.state[0].items()}
        opt.step([rows, grad], grad_scale=2.0)
        oracle.step([dense(rows, table), grad], grad_scale=2.0)
        untouched = others(rows)
        oracle.params[0][untouched] = theta[untouched]
        for key, a in oracle.state[0].items():
            if np.shape(a)[:1] == table.shape[:1]:
                old = states.get(key, np.full(a.shape, _start(key, options)))
                a[untouched] = np.broadcast_to(old, a.shape)[untouched]
        ema = oracle.params[0].copy() if k == 0 else 0.9 * ema + 0.1 * oracle.params[0]
        for got, exact in ((table, oracle.params[0]), (other, oracle.params[1])):
            np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-12)
        for got, exact in zip(opt.ema, (ema, oracle.ema[1]), strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-11, atol=1e-12)


def test_a_table_that_has_only_rows_keeps_its_step_count() -> None:
    table = np.ones((3, 2))
    opt = fastopt.Adam([table])
    opt.step([SparseRows(np.zeros(0, np.int64), np.zeros((0, 2)))])
    assert opt.state[0]["step"] == 1
    assert (table == 1).all()
    assert all((opt.state[0][name] == 0).all() for name in ("exp_avg", "exp_avg_sq"))
    opt.step([None])
    assert opt.state[0]["step"] == 1
    assert opt.step_count == 2


@pytest.mark.parametrize("duplicates", [False, True])
def test_sparse_adam_of_torch_is_a_witness(duplicates: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    table = rng.normal(size=(ROWS, WIDTH))
    theirs = torch.nn.Parameter(torch.tensor(table))
    # their epsilon is beside the root that is not corrected: next to nothing, it is the same
    peer, opt = (
        torch.optim.SparseAdam([theirs], lr=0.1, eps=1e-300),
        fastopt.Adam([table], lr=0.1, eps=1e-300),
    )
    for _ in range(20):
        n = 90 if duplicates else 15
        index = rng.integers(0, ROWS, n) if duplicates else rng.permutation(ROWS)[:n]
        values = rng.normal(size=(n, WIDTH))
        step_of_torch(peer, theirs, index, values)
        opt.step([SparseRows(index, values)])
    np.testing.assert_allclose(table, theirs.detach().numpy(), rtol=1e-12, atol=1e-13)


def step_of_torch(optimizer: Any, parameter: Any, index: Any, values: Any) -> None:
    """PyTorch's step with a sparse gradient."""
    import torch

    with torch.sparse.check_sparse_tensor_invariants(True):
        indices = torch.tensor(index)[None]
        parameter.grad = torch.sparse_coo_tensor(indices, torch.tensor(values), parameter.shape)
        optimizer.step()


@pytest.mark.parametrize(("name", "options"), [("Adagrad", {"lr_decay": 0.1}), ("SGD", {})])
def test_what_torch_takes_sparse_gradients_with_is_a_witness(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    table = rng.normal(size=(ROWS, 2, 3))
    theirs = torch.nn.Parameter(torch.tensor(table))
    peer = getattr(torch.optim, name)([theirs], lr=0.1, **options)
    opt = getattr(fastopt, name)([table], lr=0.1, **options)
    for _ in range(10):
        index, values = rng.integers(0, ROWS, 70), rng.normal(size=(70, 2, 3))
        step_of_torch(peer, theirs, index, values)
        opt.step([SparseRows(index, values)])
    np.testing.assert_allclose(table, theirs.detach().numpy(), rtol=1e-12, atol=1e-13)


# --- how rows are added up ---

#: Tables, and how many rows are given: one digit or several to sort by, one thread's worth or more, rows that
#: are given a thousand times, rows as long as what several threads divide.
SHAPES: dict[str, tuple[int, tuple[int, ...], int]] = {
    "few": (7, (3,), 20),
    "none": (7, (3,), 0),
    "one row": (1, (5,), 3000),
    "numbers": (70_000, (), 40_000),
    "hot": (3, (16,), 5000),
    "many": (3_000_000, (2,), 30_000),
    "axes": (50, (2, 1, 3), 400),
    "long": (4, (40_000,), 9),
    "empty": (5, (0,), 9),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SHAPES)
def test_occurrences_are_added_in_their_order_in_parts_of_512(case: str, dtype: Any) -> None:
    count, shape, n = SHAPES[case]
    rows = draw(np.random.default_rng(7), n, count, shape, dtype)
    expected = np.zeros((count, *shape), dtype)
    order = np.argsort(rows.indices, kind="stable")
    index, first = np.unique(rows.indices[order], return_index=True)
    for i, occurrences in zip(index, np.split(order, first[1:]) if n else (), strict=True):
        for at in range(0, len(occurrences), 512):
            part = rows.values[occurrences[at]].copy()
            for k in occurrences[at + 1 : at + 512]:
                part = part + rows.values[k]
            expected[i] = expected[i] + part if at else part
    for level in LEVELS:
        with threads(2):
            rouse(level)
        for workers in (1, 2, 7):
            table = np.zeros((count, *shape), dtype)
            opt = make("SGD", [table], level, lr=1.0, maximize=True)
            with threads(workers):
                opt.step([rows])
            assert bits(table) == bits(expected + 0.0)


def test_a_sorted_gradient_without_duplicates_is_used_where_it_lies() -> None:
    """Its memory is read, not copied: an in-place step of SGD moves by exactly that."""
    table = np.zeros((1000, 8), np.float32)
    values = np.random.default_rng(8).normal(size=(500, 8)).astype(np.float32)
    fastopt.SGD([table], lr=1.0).step([SparseRows(np.arange(0, 1000, 2), values)])
    np.testing.assert_array_equal(table[::2], -values)
    assert not table[1::2].any()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["Adam", "Adagrad", "RMSprop", "Lion"])
def test_same_bits_for_every_number_of_threads_and_level(name: str, level: str) -> None:
    """Norm and clipping included."""
    seen = []
    with threads(2):
        rouse(level)
    for workers, on in ((1, LEVELS[-1]), (1, level), (2, level), (7, level)):
        rng = np.random.default_rng(9)
        table, other = normal(1, [(20_000, 24), (70, 70)])
        options = {**setting(name), "clip_norm": 3.0, "nonfinite": "raise", "ema_decay": 0.9}
        opt = make(name, [table, other], on, **options)
        with threads(workers):
            for n in (9000, 30_000, 1):
                opt.step([draw(rng, n, 20_000, (24,), np.float32), other.copy()])
        seen.append(bits([table, other, opt.state_dict(), opt.ema, opt.grad_norm]))
    assert all(one == seen[0] for one in seen)


LAYOUTS = {
    "plain": lambda v: v,
    "every other row": lambda v: np.repeat(v, 2, axis=0)[::2],
    "backwards": lambda v: v[::-1].copy()[::-1],
    "columns of a wider one": lambda v: np.concatenate([v, v], axis=1)[:, : v.shape[1]],
    "Fortran": np.asfortranarray,
    "misaligned": lambda v: _misaligned(v),
    "read-only": lambda v: _read_only(v),
}


def _misaligned(v: Any) -> Any:
    made = np.ndarray(v.shape, v.dtype, np.zeros(v.nbytes + 1, np.uint8), 1)
    made[...] = v
    return made


def _read_only(v: Any) -> Any:
    v = v.copy()
    v.flags.writeable = False
    return v


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [4, 9, 400])
def test_values_and_indices_in_any_strides(layout: str, n: int) -> None:
    rows = draw(np.random.default_rng(10), n, dtype=np.float32)
    seen = []
    for given in (
        rows,
        SparseRows(LAYOUTS[layout](rows.indices[:, None])[:, 0], LAYOUTS[layout](rows.values)),
    ):
        table = normal(1, [(ROWS, WIDTH)])[0]
        opt = make("Adam", [table], clip_norm=1.0)
        opt.step([given])
        seen.append(bits([table, opt.state_dict(), opt.grad_norm]))
    assert seen[0] == seen[1]


def test_broadcast_values_and_one_object_again_and_again() -> None:
    table, again = np.zeros((4, 3)), SparseRows(np.array([1, 1, 3]), np.broadcast_to(np.arange(3.0), (3, 3)))
    opt = fastopt.SGD([table], lr=1.0)
    for _ in range(3):
        opt.step([again])
    np.testing.assert_array_equal(table, -3 * np.array([[0] * 3, [0, 2, 4], [0] * 3, [0, 1, 2]]))
    again.indices[:] = 0  # it is looked at anew in every step
    opt.step([again])
    np.testing.assert_array_equal(table[0], [-0.0, -3, -6])


def test_bound_gradients_alone_and_by_name() -> None:
    rows = SparseRows(np.array([1]), np.ones((1, 2)))
    bound, alone, named = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
    opt = fastopt.SGD([bound], lr=1.0)
    opt.bind_grads([rows])
    opt.step()
    rows.values[:] = 2
    opt.step()
    fastopt.SGD(alone, lr=1.0).step(rows)
    fastopt.SGD({"w": named}, lr=1.0).step({"w": rows})
    assert bound.tolist() == [[0, 0], [-3, -3]]
    assert alone.tolist() == named.tolist() == [[0, 0], [-2, -2]]


def test_rows_dense_and_none_take_turns() -> None:
    table = np.zeros((3, 2))
    opt = fastopt.SGD([table], lr=1.0)
    full = np.ones((3, 2))
    for grad in (
        full,
        SparseRows(np.array([0]), np.ones((1, 2))),
        None,
        full,
        None,
        SparseRows(np.array([2]), full[:1]),
    ):
        opt.step([grad])
    assert table.tolist() == [[-3, -3], [-2, -2], [-3, -3]]


# --- the cost ---


@pytest.mark.skipif(sys.platform != "linux", reason="pages that nobody has touched are Linux's")
def test_a_step_needs_no_memory_and_no_pass_of_the_tables_size() -> None:
    """A table of 4 GiB of pages that nobody has touched: 1000 rows of it cost 1000 rows."""
    pages = mmap.mmap(-1, 1 << 32)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    table = np.frombuffer(pages, np.float32).reshape(-1, 64)
    opt = fastopt.SGD([table], lr=1.0, clip_norm=1e9, weight_decay=0.1)
    before = _resident()
    opt.step([draw(np.random.default_rng(11), 1000, len(table), (64,), np.float32)])
    assert _resident() - before < 64 << 20


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * mmap.PAGESIZE


# --- policies ---


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_a_row_that_is_not_finite_meets_the_policy(bad: float) -> None:
    """Also one that becomes so when its occurrences are added."""
    values = np.ones((3, 4), np.float32)
    values[:2, 1] = bad
    rows = SparseRows(np.array([5, 5, 1]), values)
    for policy in ("skip", "raise", "propagate"):
        table = np.ones((9, 4), np.float32)
        opt = fastopt.SGD([table], lr=0.1, momentum=0.9, nonfinite=policy)
        opt.step([SparseRows(np.array([2]), values[2:])])
        kept = bits([table, opt.state_dict()])
        if policy == "raise":
            with pytest.raises(ValueError, match=r"grads\[0\]: holds NaN or infinity"):
                opt.step([rows])
            assert bits([table, opt.state_dict()]) == kept
        else:
            opt.step([rows])
        if policy == "skip":
            assert opt.skipped == 1
            assert bits(table) == kept[0]
        if policy == "propagate":
            assert not np.isfinite(table[5, 1])
            assert np.isfinite(np.delete(table, 5, axis=0)).all()


def test_the_norm_is_that_of_the_sums() -> None:
    table, other = np.zeros((5, 1)), np.zeros(2)
    opt = fastopt.SGD([table, other], lr=1.0, clip_norm=1e9)
    opt.step([SparseRows(np.array([3, 3]), np.array([[1.0], [2.0]])), np.array([4.0, 0.0])])
    assert opt.grad_norm == 5
    per = fastopt.SGD([table, other], lr=1.0, clip_norm=1.0, clip_norm_per="tensor", clip_norm_type="inf")
    table[:], other[:] = 0, 0
    per.step([SparseRows(np.array([3, 3]), np.array([[1.0], [2.0]])), np.array([0.5, 0.0])])
    np.testing.assert_allclose([table[3, 0], other[0]], [-1, -0.5], rtol=1e-6)


@pytest.mark.parametrize("half", [BFLOAT16, np.dtype(np.float16)], ids=str)
def test_half_tables_and_half_states(half: Any) -> None:
    table = np.ones((6, 3), half)
    opt = fastopt.Lion([table], lr=0.5, state_dtype=half)
    opt.step([SparseRows(np.array([4]), np.ones((1, 3), half))])
    assert table[4].astype(float).tolist() == [0.5] * 3
    assert (np.delete(table, 4, axis=0).astype(float) == 1).all()
