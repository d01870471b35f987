"""Schedule-Free: the exchange of the training point y for the average x, and the mode that goes with it."""

from __future__ import annotations

import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fastopt
from engine import LEVELS, bits, everything, make, normal, setting, threads

CLASSES = ["ScheduleFreeAdamW", "ScheduleFreeRAdam", "ScheduleFreeSGD"]
SHAPES: list[Any] = [(), (3, 5), 1027, 3 * 4096 + 5]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def stepped(name: str, params: list[Any], steps: int = 8, level: str | None = None, **more: Any) -> Any:
    opt = make(name, params, level, **{**setting(name), **more})
    for k in range(steps):
        opt.step(normal(10 + k, [p.shape for p in params], np.float32))
    return opt


def beta(opt: Any) -> float:
    group = opt.param_groups[0]
    return float(group["momentum"] if "momentum" in group else group["betas"][0])


def averages(opt: Any) -> list[Any]:
    """x of every parameter in double, from y and z."""
    b = beta(opt)
    return [
        (p.astype(np.float64) - (1 - b) * opt.state[i]["z"].astype(np.float64)) / b
        for i, p in enumerate(opt.params.values())
    ]


# --- the numbers ---


@pytest.mark.parametrize("name", CLASSES)
def test_the_average_is_that_of_all_z_with_their_weights(name: str) -> None:
    """x is never formed while training; here it is, from the z that the steps leave."""
    theta = np.random.default_rng(1).normal(size=7)
    opt = make(name, [theta], **setting(name))
    total, mean = 0.0, np.zeros(7)
    for k in range(12):
        opt.step([np.random.default_rng(k).normal(size=7)])
        state = opt.state[0]
        weight = state["weight_sum"] - total
        total = state["weight_sum"]
        if total > 0:
            mean += weight / total * (state["z"] - mean)
    opt.eval()
    np.testing.assert_allclose(theta, mean, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, BFLOAT16, np.float16], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_there_and_back(name: str, dtype: Any) -> None:
    params = normal(2, SHAPES, dtype)
    opt = stepped(name, params)
    y, x = [p.copy() for p in params], averages(opt)
    states = bits(opt.state_dict()["state"])
    opt.eval()
    near = {2: 1e-2, 4: 2e-6, 8: 1e-14}[np.dtype(dtype).itemsize]
    for p, exact in zip(params, x, strict=True):
        np.testing.assert_allclose(p.astype(np.float64), exact, rtol=near, atol=near)
    opt.train()
    for p, before in zip(params, y, strict=True):
        np.testing.assert_allclose(p.astype(float), before.astype(float), rtol=2 * near, atol=2 * near)
    assert bits(opt.state_dict()["state"]) == states


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.float32, {}),
        (np.float32, {"ema_decay": 0.9}),
        (np.float64, {"state_dtype": "float32"}),
        (BFLOAT16, {"master": "split16"}),
        (BFLOAT16, {"master": "split8", "rounding": "stochastic"}),
        (BFLOAT16, {"rounding": "kahan", "state_dtype": "bfloat16"}),
        (np.float16, {"rounding": "stochastic"}),
        (np.float32, {"state_dtype": {"exp_avg_sq": "int8"}}),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", CLASSES)
def test_the_context_gives_back_every_bit(name: str, dtype: Any, options: dict[str, Any]) -> None:
    if name == "ScheduleFreeSGD" and "state_dtype" in options and dtype != np.float64:
        pytest.skip("keeps no squares, and z is never rounded")
    params = normal(3, SHAPES, dtype)
    opt = stepped(name, params, **options)
    before = everything(opt)
    with opt.averaged_weights():
        assert bits(params) != before[0]
        assert not opt.train_mode
    assert everything(opt) == before
    assert opt.train_mode
    opt.eval()
    at_rest = everything(opt)
    with opt.averaged_weights():  # they are averages already
        assert everything(opt) == at_rest
    assert everything(opt) == at_rest
    assert not opt.train_mode


@pytest.mark.parametrize("name", CLASSES)
def test_whole_numbers_move_with_a_master_and_a_shadow_follows(name: str) -> None:
    halves = [p.astype(BFLOAT16) for p in normal(4, SHAPES)]
    wide, shadows = [p.astype(np.float32) for p in halves], [np.zeros_like(p) for p in halves]
    opt, twin = stepped(name, halves, master="split16"), stepped(name, wide, shadow=shadows)
    for side in (opt, twin):
        side.eval()
    for i, p in enumerate(wide):
        np.testing.assert_array_equal(opt.state[i]["master"], p)
        np.testing.assert_array_equal(shadows[i].astype(float), p.astype(BFLOAT16).astype(float))
    for side in (opt, twin):
        side.train()
    assert bits([opt.state[i]["master"] for i in range(4)]) == bits(wide)


@pytest.mark.parametrize("name", CLASSES)
def test_levels_and_threads_exchange_to_the_same_bits(name: str) -> None:
    found = []
    for level in LEVELS:
        for count in (1, 3):
            with threads(count):
                params = normal(5, [300_000, 7])
                stepped(name, params, 3, level).eval()
                found.append(bits(params))
    assert all(one == found[0] for one in found)


# --- the mode ---


@pytest.mark.parametrize("name", CLASSES)
def test_a_second_call_does_nothing_and_no_step_is_taken_in_between(name: str) -> None:
    params = normal(6, SHAPES)
    opt = stepped(name, params)
    before = everything(opt)
    opt.train()
    assert everything(opt) == before
    opt.eval()
    at_rest = everything(opt)
    opt.eval()
    assert everything(opt) == at_rest
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"step\(\): .* since eval\(\); call train\(\) before"):
            opt.step(normal(7, SHAPES))
    assert everything(opt) == at_rest
    opt.train()
    opt.step(normal(7, SHAPES))


@pytest.mark.parametrize("name", CLASSES)
def test_before_the_first_step_both_are_the_parameters(name: str) -> None:
    params = normal(8, SHAPES)
    opt, before = make(name, params, **setting(name)), bits(params)
    opt.eval()
    with opt.averaged_weights():
        assert bits(params) == before
    opt.train()
    opt.step([None, *normal(9, SHAPES[1:])])
    first = bits(params[0])
    opt.eval()
    assert bits(params[0]) == first  # has had no gradient yet


def test_inside_of_contexts_the_mode_cannot_change() -> None:
    opt = stepped("ScheduleFreeSGD", normal(10, SHAPES), ema_decay=0.9)
    for context, word in ((opt.averaged_weights, "averaged_weights"), (opt.ema_weights, "ema_weights")):
        with context():
            before = everything(opt)
            for call in (opt.train, opt.eval, opt.averaged_weights().__enter__):
                with pytest.raises(RuntimeError, match=rf"inside `with optimizer\.{word}\(\)`"):
                    call()
            with pytest.raises(RuntimeError, match=rf"step\(\) inside `with optimizer\.{word}\(\)`"):
                opt.step(normal(7, SHAPES))
            assert everything(opt) == before


def test_while_one_call_runs_no_other_exchanges() -> None:
    opt = stepped("ScheduleFreeSGD", normal(11, SHAPES))
    before = everything(opt)
    with opt._plan.exclusive():
        for call in (opt.eval, opt.averaged_weights().__enter__):
            with pytest.raises(RuntimeError, match="in use"):
                call()
            errors: list[BaseException] = []

            def elsewhere(call: Any = call, errors: list[BaseException] = errors) -> None:
                try:
                    call()
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            assert "in use" in str(errors[0])
    assert everything(opt) == before


def test_a_parameter_that_was_resized_is_named() -> None:
    a, b = np.ones(3), np.ones(5)
    opt = make("ScheduleFreeSGD", [a, b])
    opt.step([np.ones(3), np.ones(5)])
    opt.step([np.ones(3), np.ones(5)])
    before = b.copy()
    a.resize(50_000, refcheck=False)
    with pytest.raises(ValueError, match=r"params\[0\]"):
        opt.eval()
    assert opt.train_mode
    assert bits(b) == bits(before)


@pytest.mark.parametrize("name", CLASSES)
def test_the_first_beta_is_no_0(name: str) -> None:
    for bad in (0.0, 1.0):
        values = {"momentum": bad} if name == "ScheduleFreeSGD" else {"betas": (bad, 0.9)}
        with pytest.raises(ValueError, match=r"expected a number in \(0, 1\), got"):
            make(name, [np.ones(3)], **values)


def test_weights_beyond_double_are_refused_before_the_step() -> None:
    theta = np.ones(3)
    opt = make("ScheduleFreeSGD", [theta], lr=1e200)
    with pytest.raises(ValueError, match="lr: expected a value of which the step is formed within"):
        opt.step([np.ones(3)])
    assert bits(theta) == bits(np.ones(3))
    assert opt.step_count == 0


# --- saved and loaded ---


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CLASSES)
def test_parameters_and_state_go_on_together(name: str, mode: str, tmp_path: Any) -> None:
    """Saved in any mode, loaded into an optimizer in any: the next steps are those of the saved one."""
    for other in ("train", "eval"):
        params = normal(12, SHAPES)
        opt = stepped(name, params)
        getattr(opt, mode)()
        fastopt.save(tmp_path / "both.npz", {"params": params, "opt": opt})
        fresh = [np.zeros_like(p) for p in params]
        twin = stepped(name, fresh, 2)
        getattr(twin, other)()
        fastopt.load(tmp_path / "both.npz", into={"params": fresh, "opt": twin})
        assert twin.train_mode == (mode == "train")
        assert everything(twin) == everything(opt)
        for side in (opt, twin):
            side.train()
            side.step(normal(13, SHAPES))
        assert everything(twin) == everything(opt)


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_saved_inside_of_the_context_says_that_it_is_averages(name: str) -> None:
    params = normal(12, SHAPES)
    opt = stepped(name, params)
    with opt.averaged_weights():
        copies, saved = [p.copy() for p in params], opt.state_dict()
    twin = stepped(name, copies, 0)
    twin.load_state_dict(saved)
    opt.eval()
    assert everything(twin) == everything(opt)


def test_the_mode_is_in_the_dict_and_needed() -> None:
    opt = stepped("ScheduleFreeAdamW", normal(14, SHAPES))
    assert opt.state_dict()["fastopt"]["train_mode"] is True
    opt.eval()
    saved = opt.state_dict()
    assert saved["fastopt"]["train_mode"] is False
    for bad in (None, 1, "missing"):
        own = {k: v for k, v in saved["fastopt"].items() if k != "train_mode"}
        own |= {} if bad == "missing" else {"train_mode": bad}
        before = everything(opt)
        with pytest.raises(ValueError, match="train_mode"):
            opt.load_state_dict({**saved, "fastopt": own})
        assert everything(opt) == before
    assert "train_mode" not in fastopt.AdamW([np.ones(2)]).state_dict()["fastopt"]
