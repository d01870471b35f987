"""The perceptron's gradients against central differences in float64, for every combination of its parts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastopt.train.activations import ACTIVATIONS
from fastopt.train.model import MLP
from fastopt.train.outputs import OUTPUTS

# Central differences of a function of size 1 err by h^2 |f'''| / 6 + eps / h, least near h = cbrt(eps),
# where both are about 1e-10; sums of a few hundred terms leave this margin.
H = 6e-6
TOLERANCE = 1e-7

SIZES = [5, 6, 6, 3]
ROWS = 9


def targets(output: str, rng: np.random.Generator) -> np.ndarray:
    if output == "linear":
        return rng.standard_normal((ROWS, SIZES[-1]))
    return np.eye(SIZES[-1])[rng.integers(0, SIZES[-1], ROWS)]


def model_and_batch(
    output: str, activation: str, batch_norm: bool, dropout: float, residual: bool = False
) -> tuple[MLP, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    model = MLP(
        SIZES,
        rng=rng,
        output=output,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        residual=residual,
        init="scaled",
        dtype=np.float64,
    )
    # Away from the start, where biases are 0 and scales 1, so that no wrong factor hides.
    for parameter in model.parameters:
        parameter += 0.3 * rng.standard_normal(parameter.shape)
    return model, rng.standard_normal((ROWS, SIZES[0])), targets(output, rng)


def training_loss(model: MLP, x: np.ndarray, t: np.ndarray) -> float:
    z = model.forward(x, training=True, rng=np.random.default_rng(7))  # the same dropout masks every time
    return float(model.output.losses(z, t)[0].mean())


@pytest.mark.parametrize(
    ("output", "activation", "batch_norm", "dropout", "residual"),
    list(itertools.product(OUTPUTS, ACTIVATIONS, (False, True), (0.0, 0.4), (False, True))),
)
def test_gradients_are_the_central_differences(
    output: str, activation: str, batch_norm: bool, dropout: float, residual: bool
) -> None:
    model, x, t = model_and_batch(output, activation, batch_norm, dropout, residual)
    loss, gradients = model.loss_and_gradients(x, t, np.random.default_rng(7))
    assert loss == training_loss(model, x, t)
    for name, parameter, gradient in zip(model.names, model.parameters, gradients, strict=True):
        difference = np.empty_like(gradient)
        for i in np.ndindex(parameter.shape):
            value = parameter[i]
            parameter[i] = value + H
            above = training_loss(model, x, t)
            parameter[i] = value - H
            below = training_loss(model, x, t)
            parameter[i] = value
            difference[i] = (above - below) / (2 * H)
        np.testing.assert_allclose(gradient, difference, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def test_gradients_are_written_into_the_same_buffers() -> None:
    model, x, t = model_and_batch("softmax", "relu", True, 0.0)
    buffers = list(model.gradients)
    _, gradients = model.loss_and_gradients(x, t)
    assert all(a is b for a, b in zip(gradients, buffers, strict=True))
    assert all(
        g.shape == p.shape and g.dtype == p.dtype for g, p in zip(gradients, model.parameters, strict=True)
    )


def test_a_bias_before_batch_normalisation_would_have_no_gradient_and_is_left_out() -> None:
    model, _, _ = model_and_batch("softmax", "relu", True, 0.0)
    assert [name for name in model.names if name.endswith("bias")] == ["layer3.bias"]


def test_float32_gradients_follow_the_float64_ones() -> None:
    exact, x, t = model_and_batch("softmax", "tanh", True, 0.0)
    single = MLP(SIZES, rng=np.random.default_rng(0), activation="tanh", batch_norm=True)
    for p, q in zip(single.parameters, exact.parameters, strict=True):
        p[...] = q
    _, g64 = exact.loss_and_gradients(x, t)
    _, g32 = single.loss_and_gradients(x.astype(np.float32), t.astype(np.float32))
    for a, b in zip(g32, g64, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(
            a, b, rtol=0, atol=64 * np.finfo(np.float32).eps
        )  # sums of at most 9 x 7 terms
