"""Rules that need sums over whole tensors before they update, where the engine walks twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from oracle import Oracle

ml_dtypes = pytest.importorskip("ml_dtypes")
RULES: dict[str, dict[str, Any]] = {
    "LARS": {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.05, "trust_coefficient": 0.02, "eps": 0.3},
    "LAMB": {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    "MARS": {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "optimize_1d": True},
    "StableAdamW": {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
}
# One sum is over blocks of 4096: none, less than one, exactly one, one and a rest, several and a rest.
SIZES = (0, 1, 63, 4096, 4097, 3 * 4096 + 5)


def _params(rng: np.random.Generator, dtype: Any) -> list[Any]:
    return [rng.normal(size=n).astype(dtype) for n in SIZES]


@pytest.fixture(autouse=True)
def _threads_as_before() -> Any:
    before = fastopt.get_num_threads()
    yield
    fastopt.set_num_threads(before)


@pytest.mark.parametrize("name", RULES)
def test_against_the_oracle_with_every_action_around_the_rule(name: str) -> None:
    """What phase one reads is what phase two updates: clipped, decayed, strided, missing or zero."""
    rng = np.random.default_rng(1)
    params = [np.asfortranarray(rng.normal(size=(70, 90))), rng.normal(size=9001), np.zeros(5000)]
    clips = {"clip_value": 1.5, "clip_norm": 30.0}
    options = {**RULES[name], **clips, "ema_decay": 0.7, "l1": 0.02, "l1_proximal": 0.01, "maximize": True}
    opt = getattr(fastopt, name)(params, **options)
    oracle = Oracle(name, params, **options)
    for k in range(12):
        grads: list[Any] = [
            rng.normal(size=(90, 70)).T[::-1, ::-1],
            None if k in (0, 4) else rng.normal(size=18002)[::2],
            np.zeros(5000) if k == 3 else np.broadcast_to(rng.normal(), (5000,)),
        ]
        opt.step(grads, grad_scale=2.0)
        oracle.step(grads, grad_scale=2.0)
    for got, exact in zip([*params, *opt.ema], [*oracle.params, *oracle.ema], strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_tensors_keep_their_sums_to_themselves(name: str) -> None:
    """All dtypes in one optimizer, between a group of another rate, step as each would alone, bit for bit."""
    rng = np.random.default_rng(2)
    dtypes = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
    params = [p for dtype in dtypes for p in _params(rng, dtype)]
    half = len(params) // 2
    single = [p.copy() for p in params]
    groups = [{"params": params[:half]}, {"params": params[half:], "lr": 0.03}]
    together = getattr(fastopt, name)(groups, **RULES[name])
    alone = [
        getattr(fastopt, name)([p], **{**RULES[name], "lr": RULES[name]["lr"] if i < half else 0.03})
        for i, p in enumerate(single)
    ]
    for k in range(5):
        grads: list[Any] = [rng.normal(size=p.shape).astype(p.dtype) for p in params]
        if k in (0, 2):  # step counts, and with them the coefficients, part
            grads[3] = grads[half] = None
        for opt, g in zip(alone, grads, strict=True):
            opt.step([g])
        together.step(grads, zero_grads=True)
        assert not any(np.any(g.astype(np.float64)) for g in grads if g is not None)
    for got, expected in zip(params, single, strict=True):
        np.testing.assert_array_equal(got.view(np.uint8), expected.view(np.uint8))


@pytest.mark.parametrize("name", RULES)
def test_the_sums_do_not_depend_on_threads(name: str) -> None:
    results = []
    for threads in (1, 2, 3):
        fastopt.set_num_threads(threads)
        rng = np.random.default_rng(3)
        params = [rng.standard_normal(n, dtype=np.float32) for n in (900_003, 4097, 0, 1_300_001)]
        opt = getattr(fastopt, name)(params, **RULES[name])
        for _ in range(3):
            opt.step([rng.standard_normal(p.size, dtype=np.float32) for p in params])
        results.append(b"".join(p.tobytes() for p in params))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", RULES)
def test_a_zero_norm_means_a_ratio_of_one(name: str) -> None:
    """A tensor that starts at 0 moves, and a zero gradient without decay leaves all finite."""
    w, v = np.zeros(5), np.ones(5)
    opt = getattr(fastopt, name)([w, v], **{**RULES[name], "weight_decay": 0.0})
    opt.step([np.ones(5), np.zeros(5)])
    assert (w < 0).all()
    np.testing.assert_array_equal(v, np.ones(5))
