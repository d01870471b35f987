"""`escape`: a real decrease or none, above the noise, both sides, no attempt twice."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt.curvature import escape


def quartic(w):
    """A saddle at 0: two minima at w0 = +-1, value -1/4."""
    return -(w[0] ** 2) / 2 + w[0] ** 4 / 4 + w[1] ** 2


def quartic_grad(w):
    return np.array([-w[0] + w[0] ** 3, 2 * w[1]])


def steps(result):
    return [a.step for a in result.attempts]


def test_it_leaves_the_saddle_and_finds_most_of_the_decrease():
    x = np.zeros(2)
    result = escape(quartic, quartic_grad, x)
    assert result.moved
    assert quartic(result.x) == result.value == pytest.approx(-result.decrease)
    assert result.decrease > 0.1  # of 0.25: the step doubles while f falls
    assert result.step > 0
    np.testing.assert_allclose(result.direction, [1, 0], atol=1e-9)
    assert len(set(steps(result))) == len(steps(result))
    assert (x == 0).all()
    assert "moved by" in str(result)


@pytest.mark.parametrize("side", [-1, 1])
def test_downhill_is_tried_first(side):
    x = np.array([side * 1e-3, 0.0])
    result = escape(quartic, quartic_grad, x)
    assert result.direction[0] * side > 0.99
    assert result.attempts[0].step > 0
    assert result.x[0] * side > 0.3


def test_the_other_side_is_tried_where_the_first_is_a_wall():
    def f(w):  # falls on the left only: on the right a wall stands closer than any step
        return quartic(w) if w[0] <= 0 else 1.0 + w[0]

    result = escape(f, None, np.zeros(2), hessian=np.diag([-1.0, 2.0]))
    assert result.moved
    assert result.step < 0
    assert result.x[0] < -0.3
    assert steps(result)[1] == -steps(result)[0]


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_the_first_step_stands_out_of_the_noise(offset):
    def f(w):
        return offset + 1e-3 * quartic(w)

    result = escape(f, lambda w: 1e-3 * quartic_grad(w), np.zeros(2))
    noise = np.finfo(float).eps * offset
    assert result.noise >= noise
    assert abs(result.attempts[0].step) == pytest.approx(np.sqrt(20 * result.noise / 1e-3), rel=1e-4)
    assert result.moved
    assert result.decrease > 2 * noise


def test_a_decrease_within_the_noise_is_not_believed():
    rng = np.random.default_rng(0)
    result = escape(
        lambda w: 1e-9 * quartic(w) + 1e-3 * rng.random(), None, np.zeros(2), hessian=np.diag([-1e-9, 1])
    )
    assert not result.moved
    assert result.decrease == 0.0
    assert (result.x == 0).all()
    assert len(set(steps(result))) == len(steps(result))
    assert "not moved" in result.message


def test_a_hessian_of_another_function_is_said():
    result = escape(lambda w: w @ w, None, np.zeros(2), hessian=np.diag([-1.0, 1.0]))
    assert not result.moved
    assert "may not belong together" in result.message
    assert all(a.value > 0 for a in result.attempts)


def test_no_negative_curvature():
    result = escape(lambda w: w @ w, lambda w: 2 * w, np.array([1.0, 2.0]))
    assert not result.moved
    assert result.attempts == ()
    assert result.direction is None
    assert "no negative curvature" in str(result)
    flat = escape(lambda w: w[0] ** 2, lambda w: np.array([2 * w[0], 0]), np.zeros(2))
    assert not flat.moved


def test_a_loss_without_a_floor_is_bounded_by_max_attempts():
    result = escape(lambda w: -w @ w, lambda w: -2 * w, np.ones(3), max_attempts=20)
    assert result.moved
    assert len(result.attempts) == 20
    assert "still falling" in result.message


def test_the_end_of_the_domain_is_no_error():
    def f(w):
        return np.nan if abs(w[0]) > 0.5 else quartic(w)

    result = escape(f, quartic_grad, np.zeros(2))
    assert result.moved
    assert abs(result.x[0]) <= 0.5


def test_structure_and_dtype_are_those_of_x():
    x = {"w": np.zeros((1, 2), np.float32), "b": np.zeros(1, np.float32)}

    def f(p):
        return np.float32(quartic(p["w"][0])) + p["b"][0] ** 2

    def grad(p):
        return {"w": quartic_grad(p["w"][0])[None].astype(np.float32), "b": 2 * p["b"]}

    result = escape(f, grad, x)
    assert result.moved
    assert result.x["w"].shape == (1, 2)
    assert result.x["w"].dtype == np.float32
    assert result.decrease > 0.1
    assert abs(result.attempts[0].step) >= np.sqrt(np.finfo(np.float32).eps)
    assert (x["w"] == 0).all()


def test_the_escape_ends_training_at_the_saddle():
    """From the saddle of (1 - w0 w1)^2 to its valley, by escape and a few steps of descent."""

    def f(w):
        return (1 - w[0] * w[1]) ** 2

    def grad(w):
        return -2 * (1 - w[0] * w[1]) * w[::-1]

    x = escape(f, grad, np.zeros(2)).x
    for _ in range(200):
        x = x - 0.1 * grad(x)
    assert fastopt.critical_point(grad, x).kind == "degenerate"
    assert f(x) < 1e-20


def test_bad_input():
    with pytest.raises(TypeError, match="f: expected a function of x, got None"):
        escape(None, quartic_grad, np.zeros(2))
    with pytest.raises(ValueError, match="f: expected a finite number at x, got nan"):
        escape(lambda w: np.nan, quartic_grad, np.zeros(2))
    with pytest.raises(ValueError, match="max_attempts"):
        escape(quartic, quartic_grad, np.zeros(2), max_attempts=0)
    with pytest.raises(TypeError, match="x: expected"):
        escape(quartic, quartic_grad, np.array([0, 0]))
    with pytest.raises(ZeroDivisionError):
        escape(lambda w: 1 / 0, quartic_grad, np.zeros(2))


@pytest.mark.parametrize("start", [[0.0, 0.0], [1.0 / 1024, 0.0]])
def test_the_same_point_in_any_unit(start):
    def leave(unit):
        def f(x):
            y = x / unit
            return float(y[0] ** 2 - y[1] ** 2 + 0.25 * y[1] ** 4)

        def grad(x):
            y = x / unit
            return np.array([2 * y[0], -2 * y[1] + y[1] ** 3]) / unit

        return escape(f, grad, unit * np.array(start))

    plain = leave(1024.0)
    assert plain.decrease > 0.5
    for power in (-200, -100, -50, -10, 0, 27, 50, 100, 333):
        unit = 2.0**power * (1.0 if start[0] else 1.234)  # powers of two keep the noise that f seems to have
        other = leave(unit)
        np.testing.assert_allclose(np.abs(other.x) / unit, np.abs(plain.x) / 1024.0, rtol=1e-2, atol=1e-9)
        assert "rose again" in other.message
        assert len(other.attempts) <= 50


@pytest.mark.parametrize("unit", [1.0, 1e8, 1e15, 1e100])
def test_a_function_far_wider_than_x(unit):
    """x is not 0, and yet says nothing of the length of f."""

    def f(x):
        return float(np.cos(x[0] / unit) + 0.5 * (x[1] / unit) ** 2)

    def grad(x):
        return np.array([-np.sin(x[0] / unit), x[1] / unit]) / unit

    result = escape(f, grad, np.array([1e-9, 0.0]))
    assert result.decrease > 0.1
