"""Prodigy: two sums over all tensors, and one estimate for them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, LEVELS, bits, everything, make, normal, threads
from oracle import Oracle

NUMBERS = ("d", "d_max", "d_numerator", "k")
SHAPES: list[Any] = [(), (3, 5), 1027, 2 * 4096 + 5]


def pull(params: list[Any], k: int) -> list[Any]:
    """Gradients that lead from the start to ones, with noise."""
    rng = np.random.default_rng(k)
    return [np.asarray(p - 1 + 0.1 * rng.normal(size=p.shape)).astype(p.dtype) for p in params]


def numbers(opt: Any) -> list[dict[str, float]]:
    return [{key: state[key] for key in NUMBERS} for state in opt.state.values() if state["step"] > 0]


@pytest.mark.parametrize("options", [{}, {"growth_rate": 1.3, "d0": 1e-3}, {"use_bias_correction": True}])
def test_the_estimate_grows_to_the_distance(options: dict[str, Any]) -> None:
    """From 1e-6 to the largest coordinate's distance, as the oracle's does."""
    params = [np.zeros(s) for s in SHAPES]
    opt, oracle = make("Prodigy", params, **options), Oracle("Prodigy", params, **options)
    for k in range(150):
        grads = pull(params, k)
        opt.step(grads)
        oracle.step(grads)
    found = numbers(opt)
    assert all(one == found[0] for one in found)
    for key in NUMBERS:
        assert found[0][key] == pytest.approx(oracle.common[key], rel=1e-11)
    assert 0.3 < found[0]["d"] < 3


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, BFLOAT16], ids=str)
def test_sums_do_not_depend_on_threads(level: str, dtype: Any) -> None:
    found = []
    for count in (1, 3):
        with threads(count):
            params = normal(1, [300_000, 7, 5000], dtype)
            opt = make("Prodigy", params, level, d0=1e-2)
            for k in range(4):
                opt.step(pull(params, k))
            found.append(bits([params, numbers(opt)]))
    assert found[0] == found[1]


# --- who takes part ---


def test_tensors_without_a_gradient_follow() -> None:
    """Also those that had none so far, were added later, or are not in a saved state."""
    params = [np.zeros(s) for s in SHAPES]
    opt, oracle = make("Prodigy", params, d0=1e-2), Oracle("Prodigy", params, d0=1e-2)
    for k in range(12):
        grads = pull(params, k)
        if k < 6:
            grads[0] = None
        if k in (3, 4):
            grads[2] = None
        opt.step(grads)
        oracle.step(grads)
        found = numbers(opt)
        assert len(found) == (3 if k < 6 else 4)
        assert all(one == found[0] for one in found)
    for p, exact in zip(params, oracle.params, strict=True):
        np.testing.assert_allclose(p, exact, rtol=1e-12, atol=1e-12)
    opt.add_param_group({"params": [np.zeros(3)]})
    d = found[0]["d"]
    opt.step([*pull(params, 12), np.ones(3)])
    assert {one["k"] for one in numbers(opt)} == {13.0}
    assert all(one["d"] >= d for one in numbers(opt))


def test_a_state_dict_without_one_of_them_goes_on_alike() -> None:
    params = [np.zeros(3), np.zeros(4)]
    opt = make("Prodigy", params, d0=1e-2)
    for k in range(5):
        opt.step([*pull(params[:1], k), None])
    fresh = [p.copy() for p in params]
    twin = make("Prodigy", fresh, d0=1e-2)
    twin.load_state_dict(opt.state_dict())
    for k in range(5, 9):
        grads = pull(params, k)
        opt.step(grads)
        twin.step(grads)
    assert everything(opt) == everything(twin)


def test_a_group_whose_rate_is_0_rests() -> None:
    """It is in no sum, and neither moves nor decays, though its averages were there."""
    left, right = np.zeros(5), np.zeros(7)
    groups = [{"params": [left]}, {"params": [right]}]
    opt = make("Prodigy", groups, d0=1e-2, weight_decay=0.1)
    for k in range(5):
        opt.step(pull([left, right], k))
    alone = left.copy()
    twin = make("Prodigy", [alone], d0=1e-2, weight_decay=0.1)
    saved = opt.state_dict()
    one = {"state": {0: saved["state"][0]}, "param_groups": [saved["param_groups"][0]]}
    twin.load_state_dict({**one, "fastopt": saved["fastopt"]})
    opt.param_groups[1]["lr"] = 0.0
    before = bits([right, *(opt.state[1][s] for s in ("exp_avg", "exp_avg_sq", "s", "p0"))])
    for k in range(5, 9):
        grads = pull([left, right], k)
        opt.step(grads)
        twin.step(grads[:1])
    assert bits([right, *(opt.state[1][s] for s in ("exp_avg", "exp_avg_sq", "s", "p0"))]) == before
    assert bits([left, numbers(opt)[:1]]) == bits([alone, numbers(twin)])


@pytest.mark.parametrize(
    "key", ["lr", "betas", "beta3", "d0", "d_coef", "growth_rate", "use_bias_correction"]
)
def test_groups_that_disagree_are_refused_by_name(key: str) -> None:
    other: dict[str, Any] = {"betas": (0.8, 0.9), "growth_rate": 2.0, "use_bias_correction": True}
    word = {"betas": "beta1"}.get(key, key)
    opt = make("Prodigy", [{"params": [np.ones(2)]}, {"params": [np.ones(2)], key: other.get(key, 0.5)}])
    before = everything(opt)
    with pytest.raises(ValueError, match=f"^{word}: expected the same value in all groups.*prodigy.*, got "):
        opt.step([np.ones(2), np.ones(2)])
    assert everything(opt) == before
    opt.step([np.ones(2), None])  # who has no gradient has no say


# --- from nothing ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BFLOAT16], ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_from_zero_gradients_nothing_moves_and_nothing_is_lost(dtype: Any, decay: float) -> None:
    params = normal(2, SHAPES, dtype)
    opt = make("Prodigy", params, weight_decay=decay)
    before = [p.copy() for p in params]
    for _ in range(3):
        opt.step([np.zeros_like(p) for p in params])
        assert all(np.array_equal(p, q) for p, q in zip(params, before, strict=True))
    assert numbers(opt) == [{"d": 1e-6, "d_max": 1e-6, "d_numerator": 0.0, "k": 0.0}] * 4
    opt.step(pull(params, 0))
    assert {one["k"] for one in numbers(opt)} == {1.0}
    assert all(np.isfinite(p.astype(float)).all() for p in params)


def test_a_rate_of_0_everywhere_is_no_step() -> None:
    params = [np.zeros(3)]
    opt = make("Prodigy", params, lr=lambda k: float(k > 2))
    for k in range(3):
        opt.step(pull(params, k))
    assert numbers(opt) == [{"d": 1e-6, "d_max": 1e-6, "d_numerator": 0.0, "k": 0.0}]
    opt.step(pull(params, 3))
    assert numbers(opt)[0]["k"] == 1


def test_an_estimate_that_is_not_finite_is_not_taken(tmp_path: Any) -> None:
    params = [np.zeros(3), np.zeros(3)]
    opt = make("Prodigy", params, d0=1e-2)
    for k in range(3):
        opt.step(pull(params, k))
    before = numbers(opt)[0]
    opt.step([np.array([1.0, np.nan, 1.0]), np.ones(3)])
    now = numbers(opt)[0]
    assert {**now, "k": 0} == {**before, "k": 0}
    assert np.isnan(params[0]).tolist() == [False, True, False]
    assert np.isfinite(params[1]).all()
    opt.save(tmp_path / "state.npz")


@pytest.mark.parametrize(
    ("keywords", "word"), [({"d0": 1e-20}, "d0"), ({"d0": 1e-10, "eps": 1e-30}, "eps"), ({"eps": 0.0}, "eps")]
)
def test_what_would_vanish_in_float32_is_refused(keywords: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=f"^{word}: expected"):
        make("Prodigy", [np.ones(2, np.float32)], **keywords)
    if keywords["eps" if word == "eps" else "d0"] > 0:
        make("Prodigy", [np.ones(2)], **keywords)


def test_infinity_is_kept_as_the_word_that_files_can_hold(tmp_path: Any) -> None:
    theta = np.ones(2)
    opt = make("Prodigy", [theta])
    opt.step([np.ones(2)])
    assert opt.param_groups[0]["growth_rate"] == "inf"
    opt.save(tmp_path / "state.npz")
    twin = make("Prodigy", [np.ones(2)], growth_rate="inf")
    twin.load(tmp_path / "state.npz")
    assert everything(twin)[1:] == everything(opt)[1:]


def test_decay_of_either_kind() -> None:
    """Coupled it is in the sums as well."""
    for decouple in (True, False):
        params = [np.ones(3)]
        options = {"weight_decay": 0.2, "decouple": decouple, "d0": 0.1}
        opt, oracle = make("Prodigy", params, **options), Oracle("Prodigy", params, **options)
        for k in range(5):
            grads = pull([p + 1 for p in params], k)
            opt.step(grads)
            oracle.step(grads)
        np.testing.assert_allclose(params[0], oracle.params[0], rtol=1e-12)
    assert fastopt.Prodigy.rule.decay({"decouple": False}) == "coupled"
    assert fastopt.Prodigy.rule.decay({}) == "own"
