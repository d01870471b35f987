"""The oracle against numbers worked out on paper, where PyTorch has no class or no such keyword."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from oracle import Oracle

Vectors = list[list[float]]

CASES: dict[str, tuple[str, dict[str, Any], list[float], Vectors, Vectors]] = {
    # name: rule, keywords, theta at the start, gradients, theta after each
    "gradient form": (
        "SGD",
        {"lr": lambda k: (1.0, 0.1)[k], "momentum": 0.5},
        [0.0],
        [[1], [1]],
        [[-1], [-1.15]],
    ),
    "step form": (
        "SGD",
        {"lr": lambda k: (1.0, 0.1)[k], "momentum": 0.5, "momentum_form": "step"},
        [0.0],
        [[1], [1]],
        [[-1], [-1.6]],  # v = 1, then 0.5 + 0.1
    ),
    "average form": (
        "SGD",
        {"lr": lambda k: (1.0, 0.1)[k], "momentum": 0.5, "momentum_form": "average"},
        [0.0],
        [[1], [1]],
        [[-0.5], [-0.575]],  # v = 1/2, then 3/4
    ),
    "step form, Nesterov": (
        "SGD",
        {"lr": lambda k: (1.0, 0.1)[k], "momentum": 0.5, "momentum_form": "step", "nesterov": True},
        [0.0],
        [[1], [1]],
        [[-1.5], [-1.9]],  # 1 + 0.5 * 1, then 0.1 + 0.5 * 0.6
    ),
    "step form, dampening": (
        "SGD",
        {"lr": 1.0, "momentum": 0.5, "momentum_form": "step", "dampening": 0.5},
        [0.0],
        [[1], [1]],
        [[-1], [-2]],  # the first gradient enters whole
    ),
    "FTRL, an L1 penalty of the sum of losses": (
        "FTRL",
        {"lr": 0.5, "beta": 1.0, "lambda1": 1.0},
        [0.0],
        [[3], [-4]],
        # lr z = 1.5, then 1.5 - 2 + (5 - 3) / 4; lr lambda1 is 1/2, and the root 5
        [[-1 / 4], [0.0]],
    ),
    "FTRL, no gradients: the penalty is that of the sum and acts once": (
        "FTRL",
        {"lr": 0.5, "beta": 1.0, "lambda1": 0.1},
        [1.0],
        [[0], [0], [0]],
        [[0.95], [0.95], [0.95]],
    ),
    "root mean square of all gradients": (
        "Adagrad",
        {"lr": 1.0, "eps": 0.0, "average": True},
        [0.0],
        [[3], [4]],
        [[-1], [-1 - 4 / sqrt(12.5)]],
    ),
    "sum from the first gradient's square": (
        "Adagrad",
        {"lr": 1.0, "eps": 7.0, "eps_inside_root": True, "initial_accumulator_value": "gradient"},
        [0.0],
        [[3]],
        [[-3 / 5]],  # 9 + 9 + 7
    ),
    "average from the first gradient's square": (
        "RMSprop",
        {"lr": 1.0, "eps": 7.0, "eps_inside_root": True, "initial_accumulator_value": "gradient"},
        [0.0],
        [[3]],
        [[-3 / 4]],
    ),
    "epsilon inside the root": (
        "Adam",
        {"lr": 1.0, "eps": 7.0, "eps_inside_root": True},
        [0.0],
        [[3]],
        [[-3 / 4]],
    ),
    "Lion decays, then moves by a sign": (
        "Lion",
        {"lr": 0.1, "weight_decay": 0.5},
        [1.0, 1.0],
        [[2, 0], [-0.3, 0]],
        [[0.85, 0.95], [0.95 * 0.85 + 0.1, 0.95**2]],  # 0.9 * 0.02 - 0.1 * 0.3 < 0; the sign of 0 is 0
    ),
    "sign descent": ("SignSGD", {"lr": 0.1}, [1.0, 1.0, 1.0], [[-7, 0, 1e-9]], [[1.1, 1.0, 0.9]]),
    "Signum": (
        "SignSGD",
        {"lr": 0.1, "momentum": 0.75},
        [1.0],
        [[4], [-2]],
        [[0.9], [0.8]],
    ),  # m = 1, then 1/4
    "AdaBelief": (
        "AdaBelief",
        {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.25},
        [0.0],
        [[2]],
        [[-2 / (sqrt(1.5) + 0.25)]],  # m = 1, s = 0.5 (2 - 1)^2 + 0.25
    ),
    "Adan": (
        "Adan",
        {"lr": 0.5, "betas": (0.5, 0.5, 0.5), "eps": 0.0, "weight_decay": 2.0},
        [1.0],
        [[2], [4]],
        [[0.25], [(0.25 - 0.5 * 4 / sqrt(18)) / 2]],  # m = 10/3, v = 4/3, n = 13.5 / 0.75 after correction
    ),
    "LARS": (
        "LARS",
        {"lr": 10.0, "momentum": 0.5, "trust_coefficient": 0.1, "weight_decay": 0.1},
        [3.0, 4.0],
        [[0, 2]],
        [[3 - 2 * 0.3, 4 - 2 * 2.4]],  # local rate 0.1 * 5 / (2 + 0.5)
    ),
    "LARS at the origin": ("LARS", {"lr": 0.5, "weight_decay": 0.1}, [0.0, 0.0], [[3, 4]], [[-1.5, -2]]),
    "LAMB": (
        "LAMB",
        {"lr": 0.1, "eps": 0.0, "weight_decay": 0.1},
        [3.0, 4.0],
        [[7, -9]],
        [[3 - 0.5 * 1.3 / sqrt(2.05), 4 + 0.5 * 0.6 / sqrt(2.05)]],  # (1, -1), Adam's first step, + 0.1 theta
    ),
    "AdEMAMix: what is slow is not corrected": (
        "AdEMAMix",
        {"lr": 0.5, "betas": (0.5, 0.0, 0.75), "alpha": 2.0, "eps": 1.0},
        [0.0],
        [[2], [-4]],
        [[-0.5], [-0.5 - 0.5 * (-2 + 2 * (0.75 * 0.5 - 1)) / 5]],  # fast (0.5 - 2) / 0.75, slow 0.5, -0.625
    ),
    "AdEMAMix, warming up": (
        "AdEMAMix",
        {
            "lr": 1.0,
            "betas": (0.5, 0.0, 0.5 ** (1 / 3)),
            "eps": 0.0,
            "alpha": 4.0,
            "alpha_warmup": 2,
            "beta3_warmup": 2,
        },
        [0.0],
        [[1]],
        [[-1 - 2 * (1 - sqrt(0.5))]],  # half of alpha, a half-life of 2 between 1 and 3
    ),
    "ADOPT: first nothing, then clipped at 1, then at sqrt(2)": (
        "ADOPT",
        {
            "lr": 1.0,
            "betas": (0.5, 0.5),
            "clip_exp": 0.5,
            "weight_decay": 0.5,
            "decoupled_weight_decay": True,
        },
        [4.0],
        [[3], [-6], [-9]],
        [[4.0], [2.5], [1.5 + sqrt(2) / 2]],  # v = 9, 22.5
    ),
    "LaProp": (
        "LaProp",
        {"lr": lambda k: (1.0, 0.5)[k], "betas": (0.5, 0.0), "eps": 1.0, "weight_decay": 0.5},
        [2.0],
        [[1], [-3]],
        [[0.75], [0.5 * (0.75 - (0.125 - 0.1875))]],  # m = 1/4, -1/16; the rates' average 1/2, 1/2
    ),
    "Grams: the sign is the gradient's": (
        "Grams",
        {"lr": 1.0, "betas": (0.5, 0.75), "eps": 1.0, "weight_decay": 0.5},
        [1.0, 1.0],
        [[2, 2], [-0.5, 0]],
        [
            [0.5 - 1 / 2, 0.5 - 1 / 2],  # m = 1, v = 1, corrected by 1/2 and 3/4
            [0.25 / 0.75 * sqrt(1 - 0.75**2) / (sqrt(0.75 + 0.0625) + 1), 0.0],
        ],
    ),
    "MARS: corrected, clipped to 1, the first change from 0": (
        "MARS",
        {"lr": 1.0, "betas": (0.5, 0.0), "eps": 0.0, "gamma": 0.5, "optimize_1d": True},
        [0.0, 0.0],
        [[0.4, 0.2], [3.2 / 1.5, -3.9 / 1.5]],
        [[-1, -1], [-2, -1 + 13 / 24]],  # c = (0.6, 0.3), then (3, -4) / 5; m = (0.45, -0.325) / 0.75
    ),
    "MARS, a vector": (
        "MARS",
        {"lr": 0.5, "betas_1d": (0.5, 0.0), "eps": 0.0, "lr_1d_factor": 0.5, "weight_decay": 3.0},
        [2.0],
        [[6]],
        [[2 * (1 - 0.25 * 0.1) - 0.25]],
    ),
    "StableAdamW: clipped to a mean square of 1, decay too": (
        "StableAdamW",
        {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.5},
        [2.0, 2.0],
        [[1, 2], [2, 4]],
        [
            [0.0, 0.0],  # the first averages are the gradient and its square
            [-(5 / 3) / sqrt(3) / sqrt(4 / 3), -(5 / 3) / sqrt(3) / sqrt(4 / 3)],
        ],
    ),
    "LAMB at the origin": ("LAMB", {"lr": 0.1, "eps": 0.0, "weight_decay": 0.3}, [0.0], [[7]], [[-0.1]]),
}


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case: str) -> None:
    rule, keywords, start, grads, expected = CASES[case]
    oracle = Oracle(rule, [np.array(start)], **keywords)
    for grad, theta in zip(grads, expected, strict=True):
        oracle.step([np.array(grad)])
        np.testing.assert_allclose(oracle.params[0], theta, rtol=1e-14)


def test_the_order_within_a_step() -> None:
    """-40 is unscaled to -10, clipped to -5, then by norm to -1, negated, then decay and L1."""
    common = {"maximize": True, "weight_decay": 0.25, "l1": 0.5, "l1_proximal": 0.125}
    oracle = Oracle("SGD", [np.array([2.0])], 0.5, clip_value=5.0, clip_norm=1.0, ema_decay=0.5, **common)
    oracle.step([np.array([-40.0])], grad_scale=4.0)
    clipped = 5.0 / (5.0 + 1e-6)
    theta = 2.0 - 0.5 * (clipped + 0.25 * 2.0 + 0.5) - 0.5 * 0.125
    np.testing.assert_allclose(oracle.params[0], [theta], rtol=1e-15)
    np.testing.assert_allclose(oracle.ema[0], [theta], rtol=1e-15)
    oracle.step([None])
    np.testing.assert_array_equal(oracle.ema[0], oracle.params[0])
    assert (oracle.steps, oracle.step_count) == ([1], 2)


def test_the_average_of_the_weights_copies_first() -> None:
    oracle = Oracle("SGD", [np.array([8.0])], 1.0, ema_decay=0.75)
    for expected in (7.0, 6.75):  # 7, then 0.75 * 7 + 0.25 * 6
        oracle.step([np.array([1.0])])
        assert oracle.ema[0] == [expected]


def test_decoupled_decay_comes_before_the_rule() -> None:
    oracle = Oracle("AdamW", [np.array([2.0])], 0.5, weight_decay=0.5, eps=0.0)
    oracle.step([np.array([3.0])])
    np.testing.assert_allclose(oracle.params[0], [2.0 * 0.75 - 0.5], rtol=1e-15)


def test_a_skipped_step_changes_nothing() -> None:
    oracle = Oracle("Adam", [np.array([2.0]), np.array([1.0])], nonfinite="skip", ema_decay=0.5)
    oracle.step([np.array([1.0]), np.array([np.inf])])
    assert (oracle.params[0], oracle.state, oracle.steps) == ([2.0], [{}, {}], [0, 0])
    assert (oracle.step_count, oracle.skipped) == (0, 1)
