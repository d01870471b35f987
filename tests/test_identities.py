"""Identities between optimizers and within one: what must hold whatever the rounding of a single formula.

Some hold to the last bit (a sign, a power of two, a tensor left alone); the others within a few units in the
last place of a thirty-step run, 1e-12 in the unit of ``battery.Meter``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from battery import Meter
from draws import GROUP, VARIANTS, draw
from pairs import CLASSES

SHAPES = ((), (7,), (5, 3), (1003,))
BOUND = 1e-12
Grads = list[list[Any]]


def numbers(
    dtype: Any = np.float64, seed: int = 0, steps: int = 30, low: float = 0.0
) -> tuple[list[Any], Grads]:
    """Parameters, and gradients of magnitude ``low`` or more."""
    rng = np.random.default_rng(seed)

    def one(shape: tuple[int, ...]) -> Any:
        x = rng.normal(size=shape)
        return np.asarray(x + np.copysign(low, x), dtype=dtype)

    return [one(s) for s in SHAPES], [[one(s) for s in SHAPES] for _ in range(steps)]


def times(factor: float, grads: Grads) -> Grads:
    """Every gradient scaled, the 0-d ones still arrays."""
    return [[np.asarray(factor * g, dtype=g.dtype) for g in row] for row in grads]


def run(
    make: Callable[..., Any], start: list[Any], grads: Grads, *args: Any, **options: Any
) -> list[list[Any]]:
    """The parameters after every step."""
    params = [p.copy() for p in start]
    opt = make(params, *args, **options)
    seen = []
    for g in grads:
        opt.step(g)
        seen.append([p.copy() for p in params])
    return seen


def assert_close(got: list[list[Any]], expected: list[list[Any]], start: list[Any]) -> None:
    meter = Meter(start)
    for a, b in zip(got, expected, strict=True):
        meter.seen(b)
        assert meter.error(a) <= BOUND


def assert_same_bits(got: list[list[Any]], expected: list[list[Any]]) -> None:
    for a, b in zip(got, expected, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x.tobytes() == y.tobytes()


def test_the_mean_form_under_inverse_root_decay_is_the_sum_form() -> None:
    start, grads = numbers(low=0.1)
    mean = run(fastopt.Adagrad, start, grads, lambda k: 0.3 / np.sqrt(k + 1), average=True, eps=0.0)
    assert_close(mean, run(fastopt.Adagrad, start, grads, 0.3, eps=0.0), start)


@pytest.mark.parametrize("more", [{}, {"nesterov": True}, {"dampening": 0.4}], ids=str)
def test_average_momentum_is_gradient_momentum_with_lr_scaled(more: dict[str, Any]) -> None:
    start, grads = numbers()

    def schedule(k: int) -> float:
        return 0.1 / (1 + k % 5)

    average = run(fastopt.SGD, start, grads, schedule, momentum=0.9, momentum_form="average", **more)
    gradient = run(fastopt.SGD, start, grads, lambda k: schedule(k) * (1 - 0.9), momentum=0.9, **more)
    assert_close(average, gradient, start)


@pytest.mark.parametrize("more", [{}, {"nesterov": True}, {"dampening": 0.4}], ids=str)
def test_step_momentum_is_gradient_momentum_until_lr_changes(more: dict[str, Any]) -> None:
    start, grads = numbers()

    def schedule(k: int) -> float:
        return 0.1 if k < 20 else 0.01

    step = run(fastopt.SGD, start, grads, schedule, momentum=0.9, momentum_form="step", **more)
    gradient = run(fastopt.SGD, start, grads, schedule, momentum=0.9, **more)
    assert_close(step[:20], gradient[:20], start)
    for a, b in zip(step[20], gradient[20], strict=True):
        assert np.max(np.abs(a - b)) > 1e-3


@pytest.mark.parametrize("form", ["gradient", "step", "average"])
def test_nesterov_is_the_true_look_ahead_in_shifted_variables(form: str) -> None:
    """With phi = theta - lr mu v, the gradient at the look-ahead point and PyTorch's form are one method."""
    matrix = np.diag(np.geomspace(0.1, 10.0, 7))
    lr, mu = 0.05, 0.9
    theta, phi = np.ones(7), np.ones(7)
    ahead = fastopt.SGD([theta], lr, momentum=mu, momentum_form=form)
    shifted = fastopt.SGD([phi], lr, momentum=mu, momentum_form=form, nesterov=True)
    meter = Meter([phi])
    for _ in range(30):
        with ahead.lookahead():
            point, gradient = theta.copy(), matrix @ theta
        meter.seen([phi])
        assert meter.error([point]) <= BOUND
        ahead.step([gradient])
        shifted.step([matrix @ phi])
    v = ahead.state_dict()["state"][0]["momentum_buffer"]
    meter.seen([phi])
    assert meter.error([theta - (1.0 if form == "step" else lr) * mu * v]) <= BOUND
    assert np.max(np.abs(theta - phi)) > 1e-3


def test_the_look_ahead_takes_the_coming_steps_lr_and_gives_every_bit_back() -> None:
    start, grads = numbers(np.float32)
    params = [p.copy() for p in start]
    opt = fastopt.SGD(params, lambda k: 0.5 if k == 0 else 0.125, momentum=0.5)
    opt.step(grads[0])
    before = [p.copy() for p in params]

    def interrupted() -> None:
        with opt.lookahead():
            for p, b, g in zip(params, before, grads[0], strict=True):
                np.testing.assert_allclose(p, b - 0.125 * 0.5 * g, rtol=1e-6, atol=1e-6)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert_same_bits([params], [before])


def test_the_look_ahead_refuses_what_it_cannot_mean() -> None:
    theta = np.ones(3)
    opt = fastopt.SGD([theta], 0.1, momentum=0.9)
    with opt.lookahead():
        with pytest.raises(RuntimeError):
            opt.step([np.ones(3)])
        with pytest.raises(RuntimeError), opt.lookahead():
            pass
    opt.step([np.ones(3)])
    with (
        pytest.raises(TypeError, match="nesterov"),
        fastopt.SGD([theta], 0.1, momentum=0.9, nesterov=True).lookahead(),
    ):
        pass


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CLASSES)
def test_maximize_is_minimizing_the_negative(name: str, dtype: Any) -> None:
    start, grads = numbers(dtype)
    options = draw({**VARIANTS[name][0], **GROUP}, np.random.default_rng(0))
    up = run(CLASSES[name], start, grads, **{**options, "maximize": True})
    down = run(CLASSES[name], start, times(-1, grads), **{**options, "maximize": False})
    assert_same_bits(up, down)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "Adagrad", "RMSprop", "Adamax"])
def test_without_epsilon_the_gradients_scale_is_nothing(name: str, dtype: Any) -> None:
    """Powers of two pass averages, squares, roots and quotients without rounding: the bits are equal."""
    start, grads = numbers(dtype, low=0.1)
    plain = run(CLASSES[name], start, grads, 0.01, eps=0.0)
    assert_same_bits(run(CLASSES[name], start, times(1024, grads), 0.01, eps=0.0), plain)


@pytest.mark.parametrize("name", CLASSES)
def test_grad_scale_undoes_a_power_of_two(name: str) -> None:
    start, grads = numbers(np.float32)
    plain = run(CLASSES[name], start, grads)
    params = [p.copy() for p in start]
    opt = CLASSES[name](params)
    for row in times(65536, grads):
        opt.step(row, grad_scale=65536.0)
    assert_same_bits([params], plain[-1:])


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
def test_decoupled_decay_is_shrinking_by_hand(name: str) -> None:
    start, grads = numbers()
    decayed = run(CLASSES[name], start, grads, 0.05, weight_decay=0.1)
    params = [p.copy() for p in start]
    opt = CLASSES[name](params, 0.05, weight_decay=0.0)
    for row, expected in zip(grads, decayed, strict=True):
        for p in params:
            p -= (0.05 * 0.1) * p
        opt.step(row)
        assert_same_bits([expected], [params])


@pytest.mark.parametrize("name", CLASSES)
def test_none_leaves_every_bit(name: str) -> None:
    """A tensor without a gradient keeps its bits, its states and its count, however often the others step."""
    start, grads = numbers(np.float32)
    options = draw({**VARIANTS[name][0], **GROUP}, np.random.default_rng(0))
    params = [p.copy() for p in start]
    opt = CLASSES[name](params, **options)
    for row in grads[:3]:
        opt.step(row)
    theta, state = params[3].copy(), {k: np.array(v) for k, v in opt.state_dict()["state"][3].items()}
    for row in grads[3:9]:
        opt.step([*row[:3], None])
    now = opt.state_dict()["state"][3]
    assert params[3].tobytes() == theta.tobytes()
    if opt.rule.norms == "all":  # numbers of the sums over all tensors go on, and with them its later steps
        arrays = [key for key, value in state.items() if value.ndim > 0]
        assert all(now[key].tobytes() == state[key].tobytes() for key in arrays)
        assert now["step"] == state["step"]
        return
    assert {k: np.array(v).tobytes() for k, v in now.items()} == {k: v.tobytes() for k, v in state.items()}
    for row in grads[9:]:
        opt.step(row)
    if name == "Kron":  # what it draws depends on the parameter's position
        start, grads = start[:4], [[None, None, None, row[3]] for row in grads]
    else:
        start, grads = start[3:], [[row[3]] for row in grads]
    without = run(CLASSES[name], start, grads[:3] + grads[9:], **options)
    assert params[3].tobytes() == without[-1][-1].tobytes()


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"ASGD"}))
def test_a_zero_gradient_from_the_start_moves_nothing(name: str) -> None:
    """(ASGD is left out: its ``lambd`` shrinks the parameters whatever the gradient.)"""
    start, _ = numbers(np.float32)
    zeros = [[np.zeros_like(p) for p in start]] * 10
    decays = dict.fromkeys(CLASSES[name]._hypers.keys() & {"weight_decay_1d"}, 0.0)
    assert_same_bits(run(CLASSES[name], start, zeros, weight_decay=0.0, **decays)[-1:], [start])


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_centered_rmsprop_stays_finite_on_a_constant_gradient(dtype: Any, inside: bool) -> None:
    """Mean of squares minus squared mean goes below 0 by rounding (PyTorch 2.13 with 1.7: NaN at step 1284).

    Which constants do so, and when, depends on the order of operations: here a third of them in float32,
    between steps 1,100 and 1,300, and a quarter in float64, between 3,100 and 3,300.
    """
    constants = np.concatenate([[1.7], np.random.default_rng(0).uniform(0.1, 3.0, size=63)])
    theta, gradient = np.zeros(64, dtype), constants.astype(dtype)
    opt = fastopt.RMSprop([theta], 1e-6, centered=True, eps_inside_root=inside)
    for _ in range(5000):
        opt.step([gradient])
    assert np.isfinite(theta).all()
    assert (theta < 0).all()


def test_lion_without_memory_is_sign_descent() -> None:
    start, grads = numbers(np.float32)
    assert_same_bits(
        run(fastopt.Lion, start, grads, 0.01, betas=(0.0, 0.9)), run(fastopt.SignSGD, start, grads, 0.01)
    )


def test_adam_without_memory_is_sign_descent() -> None:
    start, grads = numbers(low=0.1)
    adam = run(fastopt.Adam, start, grads, 0.01, betas=(0.0, 0.0), eps=0.0)
    assert_close(adam, run(fastopt.SignSGD, start, grads, 0.01), start)


def test_amsgrad_is_adam_while_the_gradient_grows() -> None:
    start, grads = numbers(low=0.5)
    growing = [times(4.0**k, grads)[0] for k in range(30)]
    adam = run(fastopt.Adam, start, growing, 0.01)
    assert_same_bits(run(fastopt.Adam, start, growing, 0.01, amsgrad=True), adam)


def ellipse(lr: Any) -> Any:
    """Losses of mean-form Adagrad on the ellipse with eigenvalues 1 and 100, its axes turned by 0.05 rad."""
    turn = np.array([[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]])
    matrix = turn @ np.diag([1.0, 100.0]) @ turn.T
    theta = np.ones(2)
    opt = fastopt.Adagrad([theta], lr, average=True)
    losses = []
    for _ in range(1500):
        losses.append(0.5 * theta @ matrix @ theta)
        opt.step([matrix @ theta])
    return np.array(losses)


def test_the_mean_form_bursts_along_a_valley_and_decay_cures_it() -> None:
    """The root mean square forgets the steep direction, so its rate rises until the iterate is thrown out;
    the burst refills the mean and damps itself. With lr / sqrt(k + 1) the rate can only fall, and nothing
    bursts."""
    constant = ellipse(0.2)
    burst = 200 + int(np.argmax(constant[200:]))
    assert constant[200:burst].min() < 1e-12
    assert constant[burst] > 30
    assert constant[-1] < 1e-3
    decayed = ellipse(lambda k: 0.2 / np.sqrt(k + 1))
    assert decayed[200:].max() < 0.1
    assert decayed[-1] < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_before_its_start_the_average_of_asgd_is_theta_to_the_last_bit(dtype: Any) -> None:
    """Not the sum ax + (theta - ax), which loses digits where the parameters were set to smaller ones."""
    rng = np.random.default_rng(3)
    theta = np.zeros(200, dtype)
    opt = fastopt.ASGD([theta], lr=0.1, t0=1e6)
    lost = False
    for size in (1e6, 1e-3, 1e8, 1e-6):
        before = opt._states[0]["ax"].copy() if opt.step_count else theta
        theta[...] = rng.normal(size=200) * size
        opt.step([(rng.normal(size=200) * size).astype(dtype)])
        np.testing.assert_array_equal(opt._states[0]["ax"], theta)
        lost |= bool((before + (theta - before) != theta).any())
    assert lost, "the sum would pass as well"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ftrl_stays_while_nothing_is_known(dtype: Any) -> None:
    """No gradient but zeros, no beta and no L2: the minimum of nothing is anywhere."""
    theta = np.array([1.0, -2.0], dtype)
    fastopt.FTRL([theta], lr=0.1, beta=0.0).step([np.zeros(2, dtype)])
    assert theta.tolist() == [1.0, -2.0]
