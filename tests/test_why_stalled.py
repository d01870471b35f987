"""`why_stalled` on losses built so that exactly one cause is the right one."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastopt
from fastopt.curvature import why_stalled


def bowl(*curvatures, floor=0.0):
    d = np.array(curvatures, float)
    return (lambda w: floor + float(d @ (w * w)) / 2), (lambda w: d * w)


def test_oscillating():
    f, grad = bowl(100.0, 1.0)
    report = why_stalled(f, grad, np.array([1.0, 1.0]), lr=0.0201)
    assert report.cause == "oscillating"
    assert report.sharpness == pytest.approx(100)
    assert report.lr_limit == pytest.approx(0.02)
    assert report.measured < 0
    assert report.predicted == pytest.approx(report.measured, rel=1e-6)
    assert "after a step the gradient there is -1.01 of what it was" in str(report)
    assert "0.02" in report.cure


def test_an_unstable_direction_without_gradient_does_not_oscillate():
    f, grad = bowl(100.0, 1.0, floor=1.0)
    assert why_stalled(f, grad, np.array([1e-9, 1.0]), lr=0.0201).cause == "not stalled"


def test_momentum_raises_the_limit():
    f, grad = bowl(100.0, 1.0)
    x = np.array([1.0, 1.0])
    assert why_stalled(f, grad, x, lr=0.03, momentum=0.9).cause == "not stalled"
    report = why_stalled(f, grad, x, lr=0.039, momentum=0.9)
    assert report.lr_limit == pytest.approx(0.038)
    assert report.cause == "oscillating"
    # The limit is where heavy-ball iterations stop to converge.
    for lr, converges in ((0.0379, True), (0.0381, False)):
        w, v = x.copy(), np.zeros(2)
        for _ in range(3000):
            v = 0.9 * v + grad(w)
            w = w - lr * v
        assert (abs(w[0]) < 1) == converges


def test_step_too_small():
    f, grad = bowl(100.0, 1.0, floor=1.0)
    report = why_stalled(f, grad, np.array([0.1, 3.0]), lr=1e-9)
    assert report.cause == "step too small"
    assert report.predicted == pytest.approx(1e-9 * report.gradient_norm**2, rel=1e-6)
    assert "lr near 0.01" in report.cure


def test_narrow_valley():
    f, grad = bowl(1e8, 1e-3, floor=1.0)
    report = why_stalled(f, grad, np.array([0.0, 10.0]), lr=1e-8)
    assert report.cause == "narrow valley"
    assert report.lr_limit == pytest.approx(2e-8)


def test_plateau():
    def f(w):  # a saturated unit: at w = -9 its slope is 1e-4
        return (1 - 1 / (1 + np.exp(-w[0]))) ** 2

    def grad(w):
        s = 1 / (1 + np.exp(-w))
        return -2 * (1 - s) * s * (1 - s)

    report = why_stalled(f, grad, np.array([-9.0]), lr=0.1)
    assert report.cause == "plateau"
    assert why_stalled(f, grad, np.array([0.0]), lr=0.1).cause == "not stalled"


@pytest.mark.parametrize(
    ("diagonal", "kind", "cure"),
    [([1, 2], "minimum", "nothing"), ([-1, 2], "saddle", "escape"), ([0, 1], "degenerate", "flat")],
)
def test_critical_points_come_with_their_verdict(diagonal, kind, cure):
    f, grad = bowl(*diagonal, floor=1.0)
    report = why_stalled(f, grad, np.zeros(2), lr=0.1)
    assert report.cause == "critical point"
    assert report.point.kind == kind
    assert cure in report.cure
    assert str(report).startswith(f"critical point: {kind}")


def test_a_critical_point_nearby_with_much_to_gain_is_not_the_cause():
    # 0.1 away from the minimum at |x| = 100, and the loss is 50 above it: the step size is at fault.
    c = np.array([100.0, 0.0])
    f, grad = bowl(1e4, 1.0)
    report = why_stalled(lambda w: f(w - c), lambda w: grad(w - c), c + np.array([0.1, 0.0]), lr=2e-4)
    assert report.point.kind == "minimum"
    assert report.cause == "oscillating"


def test_gradient_noise():
    rng = np.random.default_rng(0)
    f, grad = bowl(1.0, 2.0, floor=1.0)
    x = np.array([0.02, 0.01])

    def noisy(w):
        return grad(w) + 0.5 * rng.standard_normal(2)

    report = why_stalled(f, grad, x, lr=0.1, stochastic_grad=noisy, draws=200)
    assert report.cause == "gradient noise"
    assert report.noise_ratio == pytest.approx(0.5 * 2**0.5 / np.linalg.norm(grad(x)), rel=0.15)
    # Half lr^2 E[xi' H xi] = half 0.01 * 0.25 * trace H
    assert "loses 0.003" in next(x.evidence for x in report.findings if x.cause == "gradient noise")
    assert why_stalled(f, grad, x, lr=1e-4, stochastic_grad=noisy).cause != "gradient noise"
    assert why_stalled(f, grad, x, lr=0.1).noise_ratio is None


def test_it_reads_as_a_report():
    f, grad = bowl(100.0, 1.0)
    report = why_stalled(f, grad, np.array([1.0, 1.0]), lr=0.0201)
    text = str(report)
    for cause in ("critical point", "oscillating", "plateau", "step too small", "narrow valley"):
        assert cause in text
    assert "yes  oscillating" in text
    assert "cure:" in text
    assert fastopt.why_stalled is why_stalled


def test_structure_precision_and_steps_out_of_the_domain():
    x = [np.full((2, 1), 0.5, np.float32), np.array([0.1], np.float32)]

    def f(p):
        total = float((p[0] ** 2).sum() + p[1][0] ** 2)
        return total if total < 10 else math.nan

    report = why_stalled(f, lambda p: [2 * p[0], 2 * p[1]], x, lr=100.0)
    assert report.cause == "oscillating"
    assert math.isnan(report.measured)
    assert (x[0] == 0.5).all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"lr": 0.0}, ValueError, "lr: expected a finite number > 0"),
        ({"lr": "fast"}, TypeError, "lr: expected"),
        ({"momentum": 1.0}, ValueError, "momentum"),
        ({"draws": 1}, ValueError, "draws"),
        ({"f": None}, TypeError, "f: expected a function"),
        ({"grad": None}, TypeError, "grad: expected a function"),
        ({"x": np.zeros(0)}, ValueError, "x: expected at least one element"),
        ({"stochastic_grad": lambda w: np.full(2, np.nan)}, ValueError, "stochastic_grad: expected finite"),
        ({"f": lambda w: math.inf}, ValueError, "f: expected a finite number"),
    ],
)
def test_bad_input(change, error, match):
    f, grad = bowl(1.0, 2.0)
    arguments = {"f": f, "grad": grad, "x": np.ones(2), "lr": 0.1} | change
    with pytest.raises(error, match=match):
        why_stalled(**arguments)
