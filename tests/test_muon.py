"""Muon beyond the batteries: matrices of every shape and order, the exact method, what belongs to AdamW."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, LEVELS, bits, everything, make, rouse, threads
from reference import ORACLES, muon

SHAPES = [
    (1, 7), (7, 1), (8, 8), (5, 9), (9, 5), (64, 200), (200, 64), (300, 300), (320, 330), (40, 800),
    (3, 4, 6), (2, 50, 33), (6, 2, 3, 3), (4, 3, 2, 2, 2),
]  # fmt: skip
KEYWORDS: dict[str, dict[str, Any]] = {
    "original": {},
    "polar-express": {"ns_coefficients": "polar-express", "ns_steps": 7},
    "NorMuon": {"normalize": True, "adjust_lr_fn": "match_rms_adamw"},
    "exact": {"method": "exact"},
}
#: Share of the longest step so far. Float32 loses of small singular values what the iteration makes large.
BOUND = {np.float64: 1e-11, np.float32: 1e-4}


def apart(theta: Any, exact: Any, before: Any) -> float:
    return float(np.max(np.abs(theta - exact)) / np.max(np.abs(exact - before)))


def hypers(**keywords: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**ORACLES["Muon"].defaults, **keywords})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
@pytest.mark.parametrize("keywords", KEYWORDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matrices_in_any_order_of_memory(shape: Any, keywords: str, order: str, dtype: Any) -> None:
    rng = np.random.default_rng(len(shape))
    theta = np.array(rng.normal(size=shape), dtype, order="F" if order == "F" else "C")
    theta = theta[::-1, ::-1] if order == "reversed" else theta
    h, exact, state = hypers(lr=0.1, **KEYWORDS[keywords]), theta.astype(np.float64), {}
    opt = fastopt.Muon([theta], lr=0.1, **KEYWORDS[keywords])
    for t in range(1, 4):
        g = rng.normal(size=shape).astype(dtype)
        before = exact
        exact = muon(exact, g.astype(np.float64), state, t, h)
        opt.step([g])
        assert apart(theta, exact, before) <= BOUND[dtype]


def orthogonalised(m: Any, level: str = LEVELS[-1], **keywords: Any) -> Any:
    """Of a matrix with at least as many columns as rows: X itself."""
    theta = np.zeros_like(m)
    make("Muon", [theta], level, lr=1.0, weight_decay=0.0, momentum=0.0, **keywords).step([m])
    return -theta


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(8, 8), (100, 100), (60, 300), (512, 512)], ids=str)
def test_the_exact_method_is_orthogonal_to_rounding(shape: tuple[int, int], level: str) -> None:
    m = np.random.default_rng(1).normal(size=shape)
    for dtype, bound in ((np.float32, 1e-6), (np.float64, 1e-14)):
        x = orthogonalised(m.astype(dtype), level, method="exact").astype(np.float64)
        assert np.max(np.abs(x @ x.T - np.eye(len(x)))) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("condition", [1e2, 1e4, 1e5])
def test_the_exact_method_with_a_bad_condition(condition: float, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.normal(size=(60, 60)))[0] for _ in range(2))
    m = (left * np.geomspace(1, 1 / condition, 60) @ right).astype(dtype)
    x = orthogonalised(m, method="exact").astype(np.float64)
    assert np.max(np.abs(x @ x.T - np.eye(60))) <= (1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [1, 3])
def test_the_exact_method_without_full_rank(rank: int, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    m = (rng.normal(size=(30, rank)) @ rng.normal(size=(rank, 40))).astype(dtype)
    values = np.linalg.svd(orthogonalised(m, method="exact"), compute_uv=False)
    assert values[:rank] == pytest.approx(np.ones(rank), abs=1e-6)
    assert np.max(values[rank:]) < 1e-5


@pytest.mark.parametrize("keywords", KEYWORDS)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_no_size_of_the_gradient_overflows_or_vanishes(size: float, keywords: str) -> None:
    m = np.random.default_rng(4).normal(size=(6, 9))
    for dtype, power in ((np.float32, 1), (np.float64, 10)):
        options = {**KEYWORDS[keywords], "eps": 0.0}
        one = orthogonalised(m.astype(dtype), **options)
        scaled = orthogonalised((m * size**power).astype(dtype), **options)
        assert np.max(np.abs(scaled - one)) <= 1e-4


@pytest.mark.parametrize("keywords", KEYWORDS)
def test_nothing_and_not_finite(keywords: str) -> None:
    """A zero matrix rests, one with NaN becomes NaN and leaves its neighbours alone, an empty one is none."""
    params = [np.ones((3, 4)), np.ones((3, 4)), np.ones((0, 4)), np.ones((3, 4)), np.ones((2, 2, 2))]
    grads = [np.zeros((3, 4)), np.ones((3, 4)), np.ones((0, 4)), np.ones((3, 4)), np.ones((2, 2, 2))]
    grads[1][0, 0] = np.nan
    grads[4][1, 1, 1] = np.inf
    opt = fastopt.Muon(params, lr=0.5, weight_decay=0.0, **KEYWORDS[keywords])
    opt.step(grads)
    assert (params[0] == 1).all()
    assert np.isnan(params[1]).all()
    assert np.isfinite(params[3]).all()
    assert np.isfinite(params[4][0]).all()  # of a stack only that matrix
    assert np.isnan(params[4][1]).all()


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_policies(policy: str) -> None:
    params = [np.ones((3, 4), np.float32)]
    opt = fastopt.Muon(params, nonfinite=policy)
    opt.step([np.full((3, 4), 1e38, np.float32)])  # its square is never formed
    before = everything(opt)
    bad = np.ones((3, 4), np.float32)
    bad[1, 1] = np.nan
    if policy == "skip":
        opt.step([bad])
        assert opt.skipped == 1
    else:
        with pytest.raises(ValueError, match="grads\\[0\\]: holds NaN or infinity"):
            opt.step([bad])
        assert everything(opt) == before
    assert np.isfinite(params[0]).all()


NAMES = {
    "blocks.0.attn.multi_head.weight": (4, 6),
    "blocks.0.norm.weight": (4,),
    "scale": (),
    "tok_embeddings.weight": (9, 4),
    "transformer/wte": (9, 4),
    "lm_head.weight": (9, 4),
    "head": (3, 4),
    "conv.weight": (4, 2, 3, 3),
}


def buffers(opt: Any, names: dict[str, Any] = NAMES) -> set[str]:
    opt.step({name: np.ones(shape) for name, shape in names.items()})
    return {name for name in names if "momentum_buffer" in opt.state[name]}


def test_names_and_axes_say_what_is_a_matrix() -> None:
    def made(**keywords: Any) -> Any:
        return fastopt.Muon({name: np.ones(shape) for name, shape in NAMES.items()}, **keywords)

    matrices = {name for name, shape in NAMES.items() if len(shape) >= 2}
    assert buffers(made()) == {"blocks.0.attn.multi_head.weight", "conv.weight"}
    assert buffers(made(exclude=())) == matrices
    assert buffers(made(exclude=("conv",))) == matrices - {"conv.weight"}
    assert buffers(made(use_muon=True)) == matrices
    assert buffers(made(use_muon=False)) == set()
    assert buffers(made(batch_axes=2)) == {"conv.weight"}


@pytest.mark.parametrize("keywords", [{}, {"adamw_lr_ratio": 0.25, "adamw_weight_decay": 0.3}], ids=str)
def test_the_rest_is_adamw_to_the_last_bit(keywords: dict[str, Any]) -> None:
    """Under a schedule, with everything around the rule."""
    around: dict[str, Any] = {"l1": 0.01, "l1_proximal": 0.02, "clip_value": 1.0, "ema_decay": 0.9}
    rng, a = np.random.default_rng(5), [np.ones(50), np.ones((6, 7))]
    b, rate = [np.ones(50), np.ones((6, 7))], fastopt.schedules.cosine(0.1, total=8)
    ratio = keywords.get("adamw_lr_ratio", 1.0)
    opt = fastopt.Muon([{"params": a, "use_muon": False}], rate, weight_decay=0.1, **keywords, **around)
    twin = fastopt.AdamW(
        b,
        lambda k: rate(k) * ratio,
        betas=(0.9, 0.95),
        eps=1e-10,
        weight_decay=keywords.get("adamw_weight_decay", 0.1),
        **around,
    )
    for _ in range(5):
        grads = [rng.normal(size=p.shape) for p in a]
        opt.step(grads)
        twin.step(grads)
    assert bits(a) == bits(b)
    assert bits(opt.ema) == bits(twin.ema)


def test_a_group_may_be_assigned_and_both_rules_see_it() -> None:
    params = [np.ones((3, 4)), np.ones(5)]
    opt = fastopt.Muon(params, lr=0.1, weight_decay=0.0)
    opt.step([np.ones((3, 4)), np.ones(5)])
    before = bits(params)
    opt.param_groups[0].update(lr=0.0, momentum=0.5, adamw_betas=(0.5, 0.6))
    opt.step([np.ones((3, 4)), np.ones(5)])
    assert bits(params) == before
    opt.param_groups[0]["maximize"] = True
    opt.param_groups[0]["lr"] = 0.1
    opt.step([np.ones((3, 4)) * 9, np.ones(5) * 9])
    assert (params[0] > 0.9).any()
    assert (params[1] > 0.9).all()
    with pytest.raises(ValueError, match="exclude: chooses the formula"):
        opt.param_groups[0]["exclude"] = ("x",)


@pytest.mark.parametrize("keywords", KEYWORDS)
def test_any_number_of_threads_gives_the_same_bits(keywords: str) -> None:
    """Matrices that all threads share, that each has for itself, and both."""
    shapes = [(700, 300), (500, 500), *[(40, 60)] * 9, (3, 30, 20), 4000]
    rng = np.random.default_rng(6)
    start, grads = ([rng.normal(size=s).astype(np.float32) for s in shapes] for _ in range(2))
    results = []
    for count in (1, 2, 7):
        with threads(count):
            if count > 1:
                rouse(LEVELS[-1])
            opt = make("Muon", [p.copy() for p in start], **KEYWORDS[keywords])
            for _ in range(2):
                opt.step(grads)
        results.append(everything(opt))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("keywords", KEYWORDS)
def test_levels_agree_to_rounding(keywords: str) -> None:
    assert len(LEVELS) >= 2 or LEVELS == ["base"], "nothing to compare: this processor runs one level only"
    m = np.random.default_rng(7).normal(size=(60, 90)).astype(np.float32)
    results = [orthogonalised(m, level, **KEYWORDS[keywords]) for level in LEVELS]
    for other in results[1:]:
        assert np.max(np.abs(other - results[0])) <= 1e-5


@pytest.mark.parametrize("dtype", [BFLOAT16, np.float16], ids=str)
def test_half_precision_is_computed_in_float32(dtype: Any) -> None:
    rng = np.random.default_rng(8)
    theta, g = (rng.normal(size=(20, 30)).astype(dtype) for _ in range(2))
    wide = theta.astype(np.float32)
    for params in (theta, wide):
        fastopt.Muon([params], lr=0.1).step([g.astype(params.dtype)])
    assert bits(theta) == bits(wide.astype(dtype))


@pytest.mark.parametrize("keywords", KEYWORDS)
def test_a_saved_state_goes_on(keywords: str, tmp_path: Any) -> None:
    rng = np.random.default_rng(9)
    shapes = [(8, 5), (2, 4, 3), 7]
    a = [rng.normal(size=s) for s in shapes]
    options = {"lr": 0.1, **KEYWORDS[keywords]}
    opt = fastopt.Muon(a, **options)
    opt.step([rng.normal(size=s) for s in shapes])
    opt.save(tmp_path / "state.npz")
    b = [p.copy() for p in a]
    twin = fastopt.Muon(b, **options)
    twin.step([rng.normal(size=s) for s in shapes])  # overwritten
    for mine, theirs in zip(a, b, strict=True):
        theirs[...] = mine
    twin.load(tmp_path / "state.npz")
    for _ in range(2):
        grads = [rng.normal(size=s) for s in shapes]
        opt.step(grads)
        twin.step(grads)
    assert bits(a) == bits(b)
    assert everything(opt) == everything(twin)


def test_a_state_of_another_shape_is_refused() -> None:
    opt = fastopt.Muon([np.ones((8, 5))], normalize=True)
    opt.step([np.ones((8, 5))])
    saved = opt.state_dict()
    saved["state"][0]["second_momentum"] = np.ones(5)
    before = everything(opt)
    with pytest.raises(
        fastopt.CheckpointError, match=r"'second_momentum'\]: expected shape \(8,\), got \(5,\)"
    ):
        opt.load_state_dict(saved)
    assert everything(opt) == before


def test_zeroing_clipping_and_scaling_meet_matrices_too() -> None:
    a, b = [np.ones((4, 6))], [np.ones((4, 6))]
    opts = [
        fastopt.Muon(p, clip_value=0.5, clip_norm=1.0, l1=0.1, maximize=True, ema_decay=0.9) for p in (a, b)
    ]
    g = np.random.default_rng(10).normal(size=(4, 6))
    scaled = 8 * g
    opts[0].step([g])
    opts[1].step([scaled], grad_scale=8.0, zero_grads=True)
    assert bits(a) == bits(b)
    assert (scaled == 0).all()
    assert opts[0].grad_norm == opts[1].grad_norm
    assert math.isfinite(opts[0].grad_norm)


def test_sparse_rows_are_refused_by_name() -> None:
    opt = fastopt.Muon([np.ones((4, 6))])
    with pytest.raises(TypeError, match="muon transforms the whole matrix"):
        opt.step([fastopt.SparseRows(np.array([1]), np.ones((1, 6)))])


def test_a_matrix_arrives() -> None:
    """At the minimum of a quadratic, with the rate falling."""
    goal = np.random.default_rng(11).normal(size=(12, 8))
    for keywords in KEYWORDS.values():
        theta = np.zeros((12, 8))
        opt = fastopt.Muon([theta], lambda k: 0.1 * 10 ** (-3 * k / 600), weight_decay=0.0, **keywords)
        for _ in range(600):
            opt.step([theta - goal])
        assert np.sum((theta - goal) ** 2) <= 1e-3 * np.sum(goal**2)
