"""Rules that keep something of each row of a table: row-wise second moments, and the steps of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, LEVELS, bits, everything, make, normal, rouse, setting, threads
from fastopt import SparseRows
from test_sparse_rows import draw

ROWS = 30
#: Classes with what they keep of rows, and the same for a parameter that is one row.
BY_ROW: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "RowWiseAdagrad": (
        "RowWiseAdagrad",
        {"initial_accumulator_value": 0.3},
        {"initial_accumulator_value": 0.3},
    ),
    "RowWiseAdam": ("RowWiseAdam", {"row_steps": True, "weight_decay": 0.1}, {"weight_decay": 0.1}),
    "Adam": ("Adam", {"row_steps": True, "amsgrad": True}, {"amsgrad": True}),
    "AdamW": ("AdamW", {"row_steps": True}, {}),
}
SHAPES: dict[str, tuple[int, ...]] = {"plain": (7,), "numbers": (), "axes": (2, 3), "long": (3000,)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, BFLOAT16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", BY_ROW)
def test_each_row_is_as_a_parameter_of_its_own(case: str, shape: str, dtype: Any) -> None:
    """To the last bit: with steps counted by row it is stepped when it has a gradient, and not else."""
    name, options, alone = BY_ROW[case]
    common = {"lr": 0.05, "l1": 0.01, "l1_proximal": 0.02, "clip_value": 1.5, "maximize": True}
    table = normal(1, [(ROWS, *SHAPES[shape])], dtype)[0]
    apart = [table[i : i + 1].copy() for i in range(ROWS)]
    opt, others = make(name, [table], **common, **options), make(name, apart, **common, **alone)
    rng = np.random.default_rng(2)
    for n in (4, 20, 0, 1, ROWS):
        index = rng.permutation(ROWS)[:n]
        values = rng.normal(size=(n, *SHAPES[shape])).astype(dtype)
        grads: list[Any] = [None] * ROWS
        for row, value in zip(index, values, strict=True):
            grads[row] = value[None]
        given = SparseRows(index, values)
        if n == ROWS:  # a dense gradient is one of all rows
            full = np.empty_like(table)
            full[index] = values
            opt.step([full], grad_scale=2.0)
        else:
            opt.step([given], grad_scale=2.0)
        others.step(grads, grad_scale=2.0)
        assert bits(table) == bits(np.concatenate(apart))
    counts = [others.state[i]["step"] for i in range(ROWS)]
    if "row_steps" in options:
        assert opt.state[0]["row_steps"].tolist() == counts
    for key, states in opt._states[0].items():
        if key != "row_steps":
            assert bits(states) == bits(np.concatenate([own[key] for own in others._states])), key


def test_a_row_that_is_met_late_begins_as_it_would_have_at_first() -> None:
    for row_steps, length in ((True, 0.01), (False, 0.01 * 0.1 / np.sqrt(0.001))):
        for cls in (fastopt.Adam, fastopt.AdamW, fastopt.RowWiseAdam):
            table = np.zeros((2, 4))
            opt = cls([table], lr=0.01, weight_decay=0.0, row_steps=row_steps)
            for k in range(10_000):
                opt.step([SparseRows(np.array([int(k == 9_999)]), np.ones((1, 4)))])
            np.testing.assert_allclose(table[1], -length, rtol=1e-4)


@pytest.mark.parametrize("order", ["C", "F", "rows backwards", "columns backwards", "axes turned"])
@pytest.mark.parametrize("name", ["RowWiseAdagrad", "RowWiseAdam", "Adam"])
def test_rows_in_any_order_of_memory(name: str, order: str) -> None:
    """Sums over a row have the order of memory, so the last bits may differ."""
    laid_out = {
        "C": lambda a: a.copy(),
        "F": np.asfortranarray,
        "rows backwards": lambda a: a[::-1].copy()[::-1],
        "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
        "axes turned": lambda a: a.transpose(1, 0, 2).copy().transpose(1, 0, 2),
    }[order]
    start, options = normal(1, [(40, 5, 6)], np.float64)[0], setting(name, 0)
    plain, turned = start.copy(), laid_out(start)
    assert np.array_equal(plain, turned)
    one, other = make(name, [plain], **options), make(name, [turned], **options)
    for seed in range(5):
        grad = normal(seed, [(40, 5, 6)], np.float64)[0]
        one.step([grad])
        other.step([laid_out(grad) if seed % 2 else grad])
    np.testing.assert_allclose(turned, plain, rtol=1e-13)
    for key, state in one._states[0].items():
        np.testing.assert_allclose(other._states[0][key], state, rtol=1e-13)


@pytest.mark.parametrize("name", ["RowWiseAdagrad", "RowWiseAdam", "Adam"])
def test_same_bits_for_every_number_of_threads_and_level(name: str) -> None:
    """Many rows, some that are longer than what a thread claims, one."""
    seen = []
    options = {**setting(name, 0), "clip_norm": 3.0, "ema_decay": 0.9}
    if name != "RowWiseAdagrad":
        options["row_steps"] = True
    for level in LEVELS:
        with threads(2):
            rouse(level)
        for workers in (1, 2, 7):
            tables = normal(9, [(4000, 24), (9, 20_000), (1, 30_011), (70_000,)])
            opt = make(name, tables, level, **options)
            rng = np.random.default_rng(9)
            with threads(workers):
                for n in (9000, 300, 1):
                    rows = draw(rng, n, 4000, (24,), np.float32)
                    opt.step([rows, *normal(n, [(9, 20_000), (1, 30_011), (70_000,)])])
                opt.step(normal(3, [t.shape for t in tables]))
            seen.append(bits([tables, opt.state_dict(), opt.ema, opt.grad_norm]))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RowWiseAdagrad", {"rounding": "stochastic", "initial_accumulator_value": 0.2}),
        ("RowWiseAdagrad", {"master": "split16"}),
        (
            "RowWiseAdam",
            {"state_dtype": "int8", "master": "split8", "rounding": "stochastic", "row_steps": True},
        ),
        ("RowWiseAdam", {"state_dtype": "bfloat16", "rounding": "kahan"}),
        ("Adam", {"state_dtype": "int8", "row_steps": True, "rounding": "stochastic"}),
    ],
)
def test_it_goes_on_from_a_file_bit_for_bit(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    def begun() -> tuple[Any, Any]:
        table = normal(1, [(100, 64)], BFLOAT16)[0]
        return table, make(name, [table], lr=0.01, seed=3, **options)

    grads = [draw(np.random.default_rng(k), 60, 100, (64,), BFLOAT16) for k in range(8)]
    table, opt = begun()
    for g in grads[:4]:
        opt.step([g])
    opt.save(tmp_path / "state.npz")
    other, resumed = begun()
    other[...] = table
    resumed.load(tmp_path / "state.npz")
    for g in grads[4:]:
        opt.step([g])
        resumed.step([g])
    assert bits([table, opt.state_dict()]) == bits([other, resumed.state_dict()])


@pytest.mark.parametrize("name", ["RowWiseAdagrad", "RowWiseAdam", "Adam"])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_state_from_before_the_first_step_begins_anew(name: str, sparse: bool) -> None:
    """Nothing is left of what the memory held; rows that have no gradient yet begin as well."""
    options = setting(name, 0) if name != "Adam" else {"row_steps": True}
    results = []
    for steps in (0, 3):
        table = normal(1, [(20, 8)])[0]
        opt = make(name, [table], **options)
        before = opt.state_dict()
        for _ in range(steps):
            opt.step([np.ones_like(table)])
        opt.load_state_dict(before)
        table[...] = 1
        values = np.full((1, 8), 0.5, np.float32)
        opt.step([SparseRows(np.array([3]), values) if sparse else normal(2, [(20, 8)])[0]])
        results.append(bits([table, opt.state_dict()]))
    assert results[0] == results[1]


def test_what_is_not_finite_spoils_its_row_and_no_other() -> None:
    for name in ("RowWiseAdagrad", "RowWiseAdam"):
        table = np.ones((4, 3))
        grad = np.ones((4, 3))
        grad[2, 1] = np.nan
        opt = make(name, [table], lr=0.1)
        opt.step([grad])
        assert np.isnan(table[2]).all()
        assert np.isfinite(np.delete(table, 2, axis=0)).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["RowWiseAdagrad", "RowWiseAdam"])
def test_squares_whose_sum_overflows_have_a_mean(name: str, level: str) -> None:
    for width in (1, 16, 3000):
        for bound in ({}, {"clip_value": 1e155}):  # as it lies, and copied
            theta = np.ones((3, width))
            opt = make(name, [theta], level, lr=1e-3, nonfinite="raise", **bound)
            opt.step([np.array([[1e154], [-1.3e154], [1.0]]) * np.ones((3, width))])
            kept = opt.state[0]["sum" if name == "RowWiseAdagrad" else "exp_avg_sq"]
            share = 1.0 if name == "RowWiseAdagrad" else 1 - opt.param_groups[0]["betas"][1]
            np.testing.assert_allclose(kept, np.array([1e308, 1.69e308, 1.0]) * share, rtol=1e-14)
            np.testing.assert_allclose(theta[:, 0], [0.999, 1.001, 0.999], rtol=1e-10)
            with pytest.raises(ValueError, match="its square"):
                opt.step([np.full((3, width), 1e155)])


def test_no_rows_no_columns_and_a_number() -> None:
    for name in ("RowWiseAdagrad", "RowWiseAdam", "Adam"):
        options = {} if name == "RowWiseAdagrad" else {"row_steps": True}
        tables = [np.ones(shape) for shape in ((0, 3), (3, 0), (0,), (), (1, 1))]
        opt = make(name, tables, lr=0.1, **options)
        opt.step([np.ones(t.shape) for t in tables])
        opt.step([SparseRows(np.zeros(0, np.int64), np.zeros((0, 3))), None, None, None, None])
        np.testing.assert_allclose([tables[3], tables[4][0, 0]], 0.9, rtol=1e-6)


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("RowWiseAdagrad", {"initial_accumulator_value": "gradient"}, TypeError, "initial_accumulator_value"),
    ("RowWiseAdagrad", {"initial_accumulator_value": -1.0}, ValueError, "initial_accumulator_value"),
    ("RowWiseAdam", {"row_steps": 1}, TypeError, "row_steps"),
    ("RowWiseAdam", {"amsgrad": True}, TypeError, "amsgrad"),
    ("RowWiseAdam", {"state_dtype": {"exp_avg_sq": "bfloat16"}}, TypeError, "exp_avg_sq"),
    ("RowWiseAdam", {"state_dtype": "int8"}, TypeError, r"params\[0\].*scale for 64 elements.*has 65"),
    ("Adam", {"state_dtype": "int8", "row_steps": True}, TypeError, r"params\[0\].*64 elements.*has 65"),
]


@pytest.mark.parametrize(("name", "options", "error", "text"), REFUSED)
def test_refused(name: str, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(name, [np.ones((100, 65), np.float32)], **options)


def test_row_steps_are_chosen_once_and_states_of_another_shape_are_refused() -> None:
    table = np.ones((4, 3))
    opt = fastopt.Adam([table], row_steps=True)
    with pytest.raises(ValueError, match="row_steps: chooses the formula"):
        opt.param_groups[0]["row_steps"] = False
    opt.step([np.ones((4, 3))])
    before = everything(opt)
    saved = opt.state_dict()
    for wrong in (np.ones(3), np.ones((4, 1)), np.ones(4, np.float32), None):
        state = {**saved["state"][0], "row_steps": wrong}
        with pytest.raises(ValueError, match="row_steps"):
            opt.load_state_dict({**saved, "state": {0: state}})
        assert everything(opt) == before
    with pytest.raises(ValueError, match="row_steps"):
        fastopt.Adam([table]).load_state_dict(saved)


def test_a_rate_that_only_a_first_step_cannot_hold_is_refused() -> None:
    """lr / (1 - beta1) of a row that is met late is beyond float32, and that of the table's step is not."""
    table = np.zeros((2, 3), np.float32)
    opt = fastopt.Adam([table], lr=1.0, betas=(0.999, 0.999), row_steps=True)
    for _ in range(3000):
        opt.step([SparseRows(np.array([0]), np.ones((1, 3), np.float32))])
    opt.param_groups[0]["lr"] = 1e37
    before = everything(opt)
    with pytest.raises(ValueError, match="lr: expected a value of which the step is formed within float32"):
        opt.step([SparseRows(np.array([1]), np.ones((1, 3), np.float32))])
    assert everything(opt) == before
