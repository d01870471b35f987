"""Losses against plain float64 formulas, initial variances, batch normalisation's statistics, dropout."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.train import MLP, initialise
from fastopt.train.activations import sigmoid
from fastopt.train.batchnorm import BatchNorm
from fastopt.train.layers import Dropout
from fastopt.train.outputs import OUTPUTS, softmax

RNG = np.random.default_rng(11)
Z = RNG.standard_normal((20, 4)) * 3
ONE_HOT = np.eye(4)[RNG.integers(0, 4, 20)]


def probabilities(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


REFERENCES = {
    "softmax": lambda z, t: -(t * np.log(probabilities(z))).sum(axis=1),
    "sigmoid": lambda z, t: (
        -(t * np.log(1 / (1 + np.exp(-z))) + (1 - t) * np.log(1 / (1 + np.exp(z)))).sum(axis=1)
    ),
    "sigmoid-mse": lambda z, t: (((1 / (1 + np.exp(-z))) - t) ** 2).sum(axis=1) / 2,
    "linear": lambda z, t: ((z - t) ** 2).sum(axis=1) / 2,
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_losses_are_the_textbook_formulas(name: str) -> None:
    losses, _ = OUTPUTS[name].losses(Z, ONE_HOT)
    np.testing.assert_allclose(losses, REFERENCES[name](Z, ONE_HOT), rtol=1e-13)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_losses_and_gradients_stay_finite_where_the_formulas_overflow(name: str, scale: float) -> None:
    z = (Z * scale).astype(np.float32) if scale < 1e10 or name != "linear" else Z.astype(np.float32)
    losses, gradient = OUTPUTS[name].losses(z, ONE_HOT.astype(np.float32))
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


def test_sigmoid_keeps_its_relative_precision_in_the_lower_tail() -> None:
    z = np.array([-80.0, -20.0, -1.0], np.float32)
    np.testing.assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z.astype(np.float64))), rtol=4e-7)


def test_sigmoid_with_squared_error_saturates_as_the_lecture_notes_say() -> None:
    z, t = np.array([[-8.0]]), np.array([[1.0]])
    assert abs(OUTPUTS["sigmoid-mse"].losses(z, t)[1].item()) == pytest.approx(3.35e-4, rel=1e-2)
    assert abs(OUTPUTS["sigmoid"].losses(z, t)[1].item()) == pytest.approx(1.0, rel=1e-3)


def test_softmax_rows_sum_to_one() -> None:
    np.testing.assert_allclose(softmax(Z * 100).sum(axis=1), 1.0, rtol=1e-14)


INPUTS, OUTPUTS_ = 300, 200
VARIANCES = [
    ("xavier", {}, 2 / (INPUTS + OUTPUTS_)),
    ("he", {}, 2 / INPUTS),
    ("randn", {}, 0.02**2),
    ("randn", {"std": 0.5}, 0.25),
    ("scaled", {}, 1 / INPUTS),
    ("scaled", {"s": 0.1}, 0.01 / INPUTS),
    ("uniform", {}, 1 / INPUTS / 3),
    ("uniform", {"bound": 0.3}, 0.09 / 3),
]


@pytest.mark.parametrize(("name", "options", "variance"), VARIANCES)
def test_initial_weights_have_the_variance_of_their_scheme(
    name: str, options: dict[str, float], variance: float
) -> None:
    w = initialise.weights(name, np.random.default_rng(5), INPUTS, OUTPUTS_, options)
    # The variance of n normal numbers has the relative standard deviation sqrt(2 / n), here 0.6 %.
    assert w.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / w.size))
    assert abs(w.mean()) < 5 * np.sqrt(variance / w.size)
    if name in ("xavier", "uniform"):
        assert np.abs(w).max() <= np.sqrt(3 * variance)


def test_unknown_scheme_or_option_is_an_error_that_names_it() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"init: expected one of xavier, .* got 'glorot'"):
        initialise.weights("glorot", rng, 2, 2)
    with pytest.raises(ValueError, match="unknown option 'std'"):
        initialise.weights("he", rng, 2, 2, {"std": 1.0})
    with pytest.raises(ValueError, match="std: expected a finite number"):
        initialise.weights("randn", rng, 2, 2, {"std": float("nan")})


def test_batch_normalisation_standardises_the_batch_then_scales_and_shifts() -> None:
    layer = BatchNorm(3, np.float64)
    x = RNG.standard_normal((50, 3)) * [1, 10, 0.1] + [0, 5, -3]
    y = layer.forward(x, True, None)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=0), x.var(axis=0) / (x.var(axis=0) + layer.eps), rtol=1e-12)
    layer.scale[:], layer.shift[:] = [2, 3, 4], [1, 0, -1]
    np.testing.assert_allclose(
        layer.forward(x, True, None), y * [2, 3, 4] + [1, 0, -1], rtol=1e-12, atol=1e-12
    )


def test_running_statistics_are_moving_averages_with_unbiased_variance() -> None:
    layer = BatchNorm(2, np.float64, momentum=0.25)
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(5):
        x = RNG.standard_normal((8, 2)) + 3
        layer.forward(x, True, None)
        mean = 0.75 * mean + 0.25 * x.mean(axis=0)
        variance = 0.75 * variance + 0.25 * x.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(layer.variance, variance, rtol=1e-13)
    x = RNG.standard_normal((4, 2))
    np.testing.assert_allclose(
        layer.forward(x, False, None), (x - mean) / np.sqrt(variance + layer.eps), rtol=1e-12
    )


def test_testing_leaves_the_statistics_alone() -> None:
    model = MLP([3, 4, 2], rng=np.random.default_rng(0), batch_norm=True)
    before = {name: a.copy() for name, a in model.statistics.items()}
    model.values(RNG.standard_normal((10, 3)).astype(np.float32))
    for name, a in model.statistics.items():
        np.testing.assert_array_equal(a, before[name])


def test_exact_statistics_are_those_of_the_whole_set_in_every_layer() -> None:
    model = MLP([3, 6, 5, 2], rng=np.random.default_rng(1), batch_norm=True, dtype=np.float64)
    x = RNG.standard_normal((40, 3))
    model.loss_and_gradients(x[:8], np.eye(2)[[0, 1] * 4])
    kept = {name: a.copy() for name, a in model.statistics.items()}
    with model.exact_statistics(x):
        exact = model.values(x)
        # The whole set as one training batch is normalised by exactly these statistics.
        np.testing.assert_allclose(exact, model.forward(x, training=True), rtol=1e-10, atol=1e-12)
    for name, a in model.statistics.items():
        np.testing.assert_array_equal(a, kept[name])
    assert not np.allclose(model.values(x), exact)


def test_batch_normalisation_refuses_a_single_row() -> None:
    with pytest.raises(ValueError, match="at least 2 rows in a training batch, got 1"):
        BatchNorm(2, np.float32).forward(np.ones((1, 2), np.float32), True, None)


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    layer = Dropout(0.3)
    x = np.ones((400, 500), np.float32)
    y = layer.forward(x, True, np.random.default_rng(0))
    dropped = (y == 0).mean()
    assert dropped == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / x.size))
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(layer.backward(x), y)  # the mask of the forward pass
    assert layer.forward(x, False, None) is x


def test_wrong_names_and_sizes_are_refused() -> None:
    rng = np.random.default_rng(0)
    for wrong in ({"activation": "swish"}, {"output": "hinge"}, {"dropout": 1.0}, {"init": "best"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MLP([2, 3, 2], rng=rng, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sizes: expected"):
        MLP([2, 0, 1], rng=rng)
