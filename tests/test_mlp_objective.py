"""The perceptron's exact second derivatives, against differences of its gradient, for all its parts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastopt.train import MLP, Objective
from fastopt.train.activations import ACTIVATIONS
from fastopt.train.outputs import OUTPUTS

# Central differences of order 6: they err by h^6 |g'''''''| / 140, far below the round-off eps |g| / h.
STEP = 1e-3
WEIGHTS = {-3: -1 / 60, -2: 3 / 20, -1: -3 / 4, 1: 3 / 4, 2: -3 / 20, 3: 1 / 60}

SIZES = [5, 6, 6, 3]
ROWS = 11
NORMS = ("none", "batch", "kept")
EVERYTHING = list(itertools.product(OUTPUTS, ACTIVATIONS, NORMS, (False, True)))


def objective(
    output: str = "softmax",
    activation: str = "tanh",
    norm: str = "none",
    residual: bool = False,
    **options: Any,
) -> Objective:
    rng = np.random.default_rng(5)
    model = MLP(
        SIZES,
        rng=rng,
        output=output,
        activation=activation,
        batch_norm=norm != "none",
        residual=residual,
        dropout=0.3,
        init="scaled",
        dtype=np.float64,
    )
    for a in (*model.parameters, *model.statistics.values()):
        a += 0.3 * np.abs(rng.standard_normal(a.shape))
    x = rng.standard_normal((ROWS, SIZES[0]))
    classes = np.eye(SIZES[-1])[rng.integers(0, SIZES[-1], ROWS)]
    t = rng.standard_normal((ROWS, SIZES[-1])) if output == "linear" else classes
    return Objective(model, x, t, batch_statistics=norm != "kept", **options)


def signs(loss: Objective, theta: np.ndarray) -> list[bytes]:
    """On which side of its kink each relu is."""
    loss.gradient(theta)
    return [layer._a.astype(bool).tobytes() for layer in loss.model.layers if hasattr(layer, "_a")]


@pytest.mark.parametrize(("output", "activation", "norm", "residual"), EVERYTHING)
def test_products_are_the_differences_of_the_gradient(
    output: str, activation: str, norm: str, residual: bool
) -> None:
    loss = objective(output, activation, norm, residual, l2=0.01)
    v = np.random.default_rng(1).standard_normal(loss.n)
    v /= np.abs(v).max()
    points = {i: loss.theta + i * STEP * v for i in WEIGHTS}
    if activation == "relu":  # no difference may reach over a kink
        assert all(signs(loss, point) == signs(loss, loss.theta) for point in points.values())
    difference = sum(w * loss.gradient(points[i]) for i, w in WEIGHTS.items()) / STEP
    product = loss.hvp(loss.theta, v)
    # 1e-8 of each element, as far as the round-off of the gradient's sums lets the differences tell.
    round_off = 64 * np.finfo(np.float64).eps * np.abs(loss.gradient(loss.theta)).max() / STEP
    np.testing.assert_allclose(product, difference, rtol=1e-8, atol=round_off)


@pytest.mark.parametrize(("output", "activation", "norm", "residual"), EVERYTHING)
def test_the_hessian_is_symmetric(output: str, activation: str, norm: str, residual: bool) -> None:
    loss = objective(output, activation, norm, residual)
    v, w = np.random.default_rng(2).standard_normal((2, loss.n))
    hv, hw = loss.hvp(loss.theta, np.stack([v, w]))
    scale = np.linalg.norm(v) * np.linalg.norm(hw)
    assert abs(w @ hv - v @ hw) <= loss.n * np.finfo(np.float64).eps * scale


@pytest.mark.parametrize("norm", NORMS)
def test_one_direction_many_and_the_matrix_agree(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = objective(norm=norm, l2=0.3)
    v = np.random.default_rng(3).standard_normal((7, loss.n))
    h = loss.hessian(loss.theta)
    np.testing.assert_array_equal(h, h.T)
    assert loss.products == loss.n
    singly = np.stack([loss.hvp(loss.theta, row) for row in v])
    np.testing.assert_allclose(v @ h, singly, rtol=1e-10, atol=1e-12)
    monkeypatch.setattr(
        "fastopt.train.objective.BLOCK_NUMBERS", 3 * ROWS * max(SIZES)
    )  # 3 at a time: 3 + 3 + 1
    np.testing.assert_allclose(loss.hvp(loss.theta, v), singly, rtol=1e-10, atol=1e-12)
    seen: list[tuple[int, int]] = []
    loss.hessian(loss.theta, lambda done, n: seen.append((done, n)))
    assert seen == [(min(i + 3, loss.n), loss.n) for i in range(0, loss.n, 3)]


def test_a_linear_model_has_the_textbook_hessian() -> None:
    """Squared error of x W + b: the Hessian is the mean of (x, 1)(x, 1)' for every output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    loss = Objective(MLP([3, 2], rng=rng, output="linear"), x, rng.standard_normal((20, 2)), l2=0.5)
    h = loss.hessian(loss.theta)
    inputs = np.hstack([x, np.ones((20, 1))])
    expected = np.kron(inputs.T @ inputs / 20, np.eye(2)) + np.diag([0.5] * 6 + [0.0] * 2)
    np.testing.assert_allclose(h, expected, rtol=1e-13, atol=1e-14)


def test_value_and_gradient_are_the_model_s_own_without_dropout() -> None:
    rng = np.random.default_rng(4)
    model = MLP([4, 8, 3], rng=rng, dropout=0.5, dtype=np.float64)
    x, t = rng.standard_normal((10, 4)), np.eye(3)[rng.integers(0, 3, 10)]
    before = [p.copy() for p in model.parameters]
    loss = Objective(model, x, t, l2=0.2)
    penalty = 0.1 * sum(float((p**2).sum()) for p in model.parameters if p.ndim == 2)
    assert loss.value(loss.theta) == pytest.approx(model.loss(x, t) + penalty, rel=1e-14)
    loss.gradient(loss.theta + 1)
    loss.hvp(loss.theta + 1, loss.theta)
    for p, kept in zip(model.parameters, before, strict=True):
        np.testing.assert_array_equal(p, kept)


def test_kept_statistics_are_constants_and_batch_statistics_are_not() -> None:
    rng = np.random.default_rng(4)
    model = MLP([4, 8, 3], rng=rng, batch_norm=True, dtype=np.float64)
    x, t = rng.standard_normal((10, 4)), np.eye(3)[rng.integers(0, 3, 10)]
    statistics = {name: a.copy() for name, a in model.statistics.items()}
    kept = Objective(model, x, t, batch_statistics=False)
    assert kept.value(kept.theta) == pytest.approx(model.loss(x, t), rel=1e-13)
    with model.exact_statistics(x):
        exact = model.loss(x, t)
    moving = Objective(model, x, t)
    assert moving.value(moving.theta) == pytest.approx(exact, rel=1e-13)
    for name, a in model.statistics.items():
        np.testing.assert_array_equal(a, statistics[name])


def test_float32_products_follow_the_float64_ones() -> None:
    exact, single = (
        objective("softmax", "relu", "batch"),
        objective("softmax", "relu", "batch", dtype=np.float32),
    )
    v = np.random.default_rng(6).standard_normal(exact.n)
    hv32, hv64 = single.hvp(single.theta, v), exact.hvp(exact.theta, v)
    assert hv32.dtype == np.float32
    np.testing.assert_allclose(hv32, hv64, rtol=0, atol=1e3 * np.finfo(np.float32).eps * np.abs(hv64).max())


def test_wrong_shapes_are_refused() -> None:
    loss = objective()
    model, x, t = loss.model, loss.x, loss.t
    with pytest.raises(ValueError, match=r"x: expected shape \(rows, 5\), got \(11, 4\)"):
        Objective(model, x[:, :4], t)
    with pytest.raises(ValueError, match="t: expected 11 rows as in x, got 10"):
        Objective(model, x, t[:10])
    with pytest.raises(ValueError, match="l2: expected a finite number"):
        Objective(model, x, t, l2=-1.0)
    with pytest.raises(ValueError, match=r"theta: expected shape \(\d+,\), got \(3,\)"):
        loss.gradient(np.zeros(3))
    with pytest.raises(ValueError, match=r"v: expected shape \(\d+,\) or \(k, \d+\), got \(3,\)"):
        loss.hvp(loss.theta, np.zeros(3))


def test_residual_connections_are_added_where_widths_agree() -> None:
    rng = np.random.default_rng(0)
    model = MLP([4, 4, 6, 6, 4, 4], rng=rng, residual=True, dtype=np.float64)
    assert [block.residual for block in model.blocks] == [True, False, True, False, False]
    x = rng.standard_normal((3, 4))
    first = model.blocks[0]
    w, b = first.layers[0].parameters["weight"], first.layers[0].parameters["bias"]
    np.testing.assert_allclose(first.forward(x, False, None), x + np.maximum(x @ w + b, 0), rtol=1e-14)
