"""Kron's factors against the oracle; what it draws; gradients of every kind and unit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats

import fastopt
from reference import ORACLES
from reference_kron import factors_in, kron, lower_bound, probe, triangular

SHAPES = [
    (7, 7),
    (20, 6),
    (1, 9),
    (9, 1),
    (3, 4, 5),
    (2, 2, 2, 3),
    (140, 66),
    (5, 3, 130),
    (30,),
    (1,),
    (),
    (0, 3),
]
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one diagonal": {"memory_save_mode": "one_diag", "momentum_into_precond_update": False},
    "the longest diagonal": {"memory_save_mode": "smart_one_diag", "balance_prob": 0.5},
    "diagonal": {"memory_save_mode": "all_diag", "preconditioner_update_probability": 0.4, "momentum": 0.0},
    "short ones triangular": {"max_size_triangular": 6, "min_ndim_triangular": 1, "balance_prob": 1.0},
    "of many axes triangular": {"min_ndim_triangular": 3, "precond_lr": 0.5, "precond_init_scale": 0.2},
}  # fmt: skip
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}


def hypers(**setting: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**ORACLES["Kron"].defaults, "lr": 0.1, "number": 0, **setting})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_class_is_its_oracle(shape: tuple[int, ...], setting: str, dtype: Any, order: Any) -> None:
    h = hypers(**SETTINGS[setting])
    rng = np.random.default_rng(0)
    theta = np.array(rng.normal(size=shape), dtype=dtype, order=order)
    exact, s = np.array(theta, dtype=np.float64), {}
    opt = fastopt.Kron([theta], **{key: value for key, value in vars(h).items() if key != "number"})
    for t in range(1, 11):
        g = np.asarray(rng.normal(size=shape) * (1 + t % 3), dtype=dtype)
        opt.step([g])
        exact = kron(exact, g.astype(np.float64), s, t, h)
    np.testing.assert_allclose(theta, exact, atol=TOLERANCE[dtype])
    assert opt.state[theta]["update_counter"] == s["update_counter"]
    if "Q" in s:
        error = np.linalg.norm(opt.state[theta]["Q"] - s["Q"])
        assert error <= TOLERANCE[dtype] * np.linalg.norm(s["Q"])


@pytest.mark.parametrize("n", [3, 40])
def test_the_bound_is_one(n: int) -> None:
    """Of the oracle, which the class has just been found to be: between the largest row and the norm."""
    a = np.random.default_rng(n).normal(size=(n, 2 * n))
    a = a @ a.T
    assert np.linalg.norm(a, axis=1).max() <= lower_bound(a) <= np.linalg.norm(a, 2)


# --- random numbers ---


def test_the_probe_is_normal() -> None:
    drawn = np.concatenate([probe(0, t, number, (5000,)) for t in (1, 2) for number in (0, 1)])
    assert len(np.unique(drawn)) == drawn.size
    assert scipy.stats.kstest(drawn, "norm").pvalue > 0.01
    assert np.var(drawn) == pytest.approx(1.0, abs=0.03)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02


def run(seed: int = 0, threads: int = 1, order: Any = "C", shapes: Any = ((30, 20), (5,))) -> bytes:
    before = fastopt.get_num_threads()
    fastopt.set_num_threads(threads)
    try:
        rng = np.random.default_rng(2)
        ws = [np.array(rng.normal(size=s), np.float32, order=order) for s in shapes]
        opt = fastopt.Kron(ws, lr=0.01, seed=seed, balance_prob=0.5)
        for _ in range(4):
            opt.step([rng.normal(size=w.shape).astype(np.float32) for w in ws])
        return b"".join(w.tobytes() for w in ws)
    finally:
        fastopt.set_num_threads(before)


def test_any_number_of_threads_and_order_of_memory_gives_the_same_bits() -> None:
    shapes = ((530, 400), (30, 20), (3, 40, 50), (300,))
    assert len({run(0, threads, order, shapes) for threads in (1, 2, 5) for order in ("C", "F")}) == 1


def test_the_seed_chooses_what_is_drawn() -> None:
    assert run(0) == run(0) != run(1)


def test_equal_tensors_draw_different_numbers() -> None:
    ws = [np.ones((4, 4)), np.ones((4, 4))]
    opt = fastopt.Kron(ws, lr=0.1)
    opt.step([np.eye(4), np.eye(4)])
    assert (ws[0] != ws[1]).any()


# --- what it is for ---


def test_it_whitens() -> None:
    """P is the inverse root of the gradients' second moment: what comes out has a unit covariance, where
    what came in had deviations of 0.1 to 10. The smallest are learnt last.
    """
    rng = np.random.default_rng(1)
    root = np.linalg.qr(rng.normal(size=(6, 6)))[0] * np.geomspace(0.1, 10, 6)
    w = np.zeros((6, 40))
    setting = {"max_size_triangular": 10, "momentum": 0.0, "preconditioner_update_probability": 1.0}
    opt = fastopt.Kron([w], lr=0.0, **setting)
    for _ in range(1500):
        opt.step([root @ rng.normal(size=w.shape)])
    q, of_columns = factors_in(opt.state[w]["Q"], w.shape, hypers(**setting))
    deviations = np.linalg.svd(q.T @ q * np.mean(of_columns**2) @ root)[1]
    assert 0.6 < deviations.min() < deviations.max() < 1.2


def test_the_step_is_no_longer_than_whitened_gradients_are() -> None:
    w = np.zeros((5, 4))
    fastopt.Kron([w], lr=1.0).step([np.full((5, 4), 1e6)])
    assert np.sqrt(np.mean(w**2)) == pytest.approx(1.1)


# --- units and bad input ---

#: 1e-30, 1e-12, 1e18, 1e30, 1e36; 1e-120, 1e-60, 1e150, 1e301: gradients times 4^j.
UNITS = {np.float32: (-50, -20, 30, 50, 60), np.float64: (-200, -100, 250, 500)}
KINDS = {"square": (6, 6), "tall": (90, 2), "vector": (9,), "row": (1, 8)}


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_units_change_not_a_bit(kind: str, dtype: Any) -> None:
    """P in the inverse unit of the gradient: Q in its root, shared by the sides."""
    shape = KINDS[kind]

    def path(j: int) -> bytes:
        rng = np.random.default_rng(4)
        w = rng.normal(size=shape).astype(dtype)
        opt = fastopt.Kron([w], lr=0.01, precond_init_scale=2.0**-j, min_ndim_triangular=0)
        for _ in range(6):
            opt.step([np.ldexp(rng.normal(size=shape), 2 * j).astype(dtype)])
        return w.tobytes()

    exact = path(0)
    for j in UNITS[dtype]:
        assert path(j) == exact, j


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("mode", [None, "all_diag"])
def test_gradients_of_every_size_in_turn(mode: Any, dtype: Any) -> None:
    """From the smallest number to the largest, and zeros: all stays finite, and moves."""
    info, rng = np.finfo(dtype), np.random.default_rng(5)
    shapes = [*KINDS.values(), (3, 4, 5), ()]
    ws = [rng.normal(size=s).astype(dtype) for s in shapes]
    start = [w.copy() for w in ws]
    opt = fastopt.Kron(ws, lr=1e-3, memory_save_mode=mode, balance_prob=0.3)
    low, high = np.log10(float(info.smallest_subnormal)) / 2, np.log10(float(info.max)) / 2 - 0.5
    for k in range(40):
        sizes = [10.0 ** rng.uniform(low, high) for _ in range(2)]
        row = [np.clip(rng.normal(size=s), -2, 2) * sizes[0] * sizes[1] for s in shapes]
        opt.step([np.asarray(np.zeros_like(g) if k % 7 == 5 else g, dtype) for g in row])
        assert all(np.abs(w).max() < 1e3 for w in ws), (k, sizes)  # NaN is not
    assert all((w != before).all() for w, before in zip(ws, start, strict=True))


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("shape", [(4, 3), (5,), (), (2, 2, 2)], ids=str)
def test_factors_do_not_grow_without_end(shape: tuple[int, ...], dtype: Any) -> None:
    """Under gradients of 0 each update makes them some 10 % larger: in float32 infinite after 900."""
    w = np.ones(shape, dtype)
    opt = fastopt.Kron([w], lr=0.1, momentum=0.0, preconditioner_update_probability=1.0, precond_lr=0.5)
    for _ in range(2500):
        opt.step([np.zeros(shape, dtype)])
    assert np.isfinite(opt.state[w]["Q"]).all()
    assert (w == 1).all()
    for size in (float(np.finfo(dtype).smallest_subnormal), 1e-30, 1.0, 1e30):
        opt.step([np.full(shape, size, dtype)])
        assert np.isfinite(opt.state[w]["Q"]).all()
    assert (np.abs(w - 1) < 1).all()
    assert (w != 1).all()


@pytest.mark.parametrize(
    "g", [np.zeros((4, 6)), np.ones((4, 6)), np.eye(4, 6)], ids=["zero", "rank one", "zero rows"]
)
def test_degenerate_gradients_stay_finite(g: Any) -> None:
    w = np.ones((4, 6), np.float32)
    opt = fastopt.Kron([w])
    for _ in range(50):
        opt.step([g.astype(np.float32)])
    assert np.isfinite(w).all()


@pytest.mark.parametrize("probability", [1.0, 0.0])
@pytest.mark.parametrize("mode", [None, "all_diag"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_in_all_of_the_parameter(
    value: float, mode: Any, probability: float
) -> None:
    w = np.ones((4, 6), np.float32)
    opt = fastopt.Kron([w], preconditioner_update_probability=probability, memory_save_mode=mode)
    g = np.ones((4, 6), np.float32)
    g[1, 2] = value
    opt.step([g])
    assert np.isnan(w).all()
    opt.step([np.ones((4, 6), np.float32)])
    assert np.isnan(w).all()


def test_which_factors_are_triangles() -> None:
    """The state's size says it."""
    for mode in (None, "one_diag", "smart_one_diag", "all_diag"):
        for shape in [(4, 6), (5, 5), (7,), (1, 3), (3, 2, 3), ()]:
            for setting in ({}, {"max_size_triangular": 4}, {"min_ndim_triangular": 1}):
                w = np.ones(shape)
                opt = fastopt.Kron([w], memory_save_mode=mode, **setting)
                opt.step([np.ones(shape)])
                h = hypers(memory_save_mode=mode, **setting)
                sides = zip(shape or (1,), triangular(shape, h), strict=True)
                assert opt.state[w]["Q"].shape == (sum(n * n if of else n for n, of in sides),)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("memory_save_mode", "two_diag"),
        ("precond_lr", 1.0),
        ("precond_init_scale", 0.0),
        ("balance_prob", 1.5),
        ("preconditioner_update_probability", -0.1),
        ("max_size_triangular", -1),
        ("min_ndim_triangular", -1),
    ],
)
def test_bad_values_are_named(keyword: str, value: Any) -> None:
    with pytest.raises(ValueError, match=keyword):
        fastopt.Kron([np.ones((2, 2))], **{keyword: value})
