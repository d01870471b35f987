"""Functions that gradient checks trip over: scales, offsets, third derivatives, kinks, noise.

Each case is a function, its gradient and a point, in float64; `single` makes a float32 case of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any


class Case(NamedTuple):
    f: Callable[[Array], Any]
    grad: Callable[[Array], Array]
    x: Array


RNG = np.random.default_rng(11)
A = RNG.standard_normal((6, 6))
S = A @ A.T / 6
DATA = RNG.standard_normal((20, 6))
LABELS = np.where(RNG.random(20) < 0.5, -1.0, 1.0)
X6 = RNG.standard_normal(6)
X3 = np.array([0.3, -1.2, 2.1])
FIRST = np.array([1.0, 0.0, 0.0])


def one(f: Callable[[Any], Any], slope: Callable[[Any], Any], at: float) -> Case:
    """A function of one number."""
    return Case(lambda x: f(x[0]), lambda x: np.array([slope(x[0])]), np.array([at]))


def rosenbrock_gradient(x: Array) -> Array:
    g = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    g[:-1] = -400 * x[:-1] * inner - 2 * (1 - x[:-1])
    g[1:] += 200 * inner
    return g


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max())
    return e / e.sum()


def network(x: Array) -> tuple[float, Array]:
    """A perceptron 6-4-1 with tanh and squared error, by hand."""
    w, v = x[:24].reshape(6, 4), x[24:]
    data, labels = DATA.astype(x.dtype), LABELS.astype(x.dtype)
    hidden = np.tanh(data @ w)
    error = hidden @ v - labels
    back = np.outer(error, v) * (1 - hidden**2)
    return error @ error / 40, np.concatenate([(data.T @ back).ravel(), hidden.T @ error]) / 20


SMOOTH = {
    "constant": Case(lambda x: x.dtype.type(3), lambda x: 0 * x, X3),
    "linear": Case(lambda x: x @ X3.astype(x.dtype), lambda x: X3.astype(x.dtype), X3),
    "quadratic": Case(lambda x: x @ S.astype(x.dtype) @ x / 2, lambda x: S.astype(x.dtype) @ x, X6),
    "minimum of a quadratic": Case(lambda x: x @ x, lambda x: 2 * x, np.zeros(3)),
    "cubic": Case(lambda x: np.sum(x**3), lambda x: 3 * x**2, X3),
    "quintic at 0": Case(lambda x: np.sum(x + 1e3 * x**5), lambda x: 1 + 5e3 * x**4, np.zeros(3)),
    "degree 12": Case(lambda x: np.sum(x**12), lambda x: 12 * x**11, X3),
    "Rosenbrock": Case(
        lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), rosenbrock_gradient, X6
    ),
    "Rosenbrock at its minimum": Case(
        lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
        rosenbrock_gradient,
        np.ones(4),
    ),
    "exp": Case(lambda x: np.sum(np.exp(x)), np.exp, X3),
    "exp, steep": Case(lambda x: np.sum(np.exp(10 * x)), lambda x: 10 * np.exp(10 * x), X3),
    "log": Case(lambda x: np.sum(np.log(x)), lambda x: 1 / x, np.abs(X3)),
    "log at 1e-4": one(np.log, lambda t: 1 / t, 1e-4),
    "log at 1e6": one(np.log, lambda t: 1 / t, 1e6),
    "reciprocal at 1e-3": one(lambda t: 1 / t, lambda t: -1 / t**2, 1e-3),
    "square root": Case(lambda x: np.sum(np.sqrt(x)), lambda x: 0.5 / np.sqrt(x), np.abs(X3)),
    "sin 300 x": Case(lambda x: np.sum(np.sin(300 * x)), lambda x: 300 * np.cos(300 * x), X3),
    "sin 3000 x": one(lambda t: np.sin(3000 * t), lambda t: 3000 * np.cos(3000 * t), 0.7),
    "exp sin 3 x": Case(
        lambda x: np.sum(np.exp(np.sin(3 * x))), lambda x: 3 * np.cos(3 * x) * np.exp(np.sin(3 * x)), X3
    ),
    "exp sin 30 x": Case(
        lambda x: np.sum(np.exp(np.sin(30 * x))), lambda x: 30 * np.cos(30 * x) * np.exp(np.sin(30 * x)), X3
    ),
    "slow plus fast": one(lambda t: t + 1e-4 * np.sin(1e4 * t), lambda t: 1 + np.cos(1e4 * t), 0.1),
    "tanh 1000 x": one(lambda t: np.tanh(1000 * t), lambda t: 1000 / np.cosh(1000 * t) ** 2, 1e-3),
    "logistic loss": Case(
        lambda x: np.mean(np.logaddexp(0, -(LABELS * (DATA @ x)).astype(x.dtype))),
        lambda x: (-(LABELS / (1 + np.exp(LABELS * (DATA @ x)))) @ DATA / 20).astype(x.dtype),
        X6,
    ),
    "cross entropy": Case(
        lambda x: np.log(np.sum(np.exp(x))) - x[0],
        lambda x: softmax(x) - np.eye(1, x.size, dtype=x.dtype)[0],
        X6,
    ),
    "saturated cross entropy": Case(
        lambda x: np.log(np.sum(np.exp(x - x[0]))),
        lambda x: softmax(x) - np.eye(1, x.size, dtype=x.dtype)[0],
        np.array([12.0, 0.0, -3.0]),
    ),
    "network": Case(lambda x: network(x)[0], lambda x: network(x)[1], 0.5 * np.resize(X6, 28)),
    "norm": Case(lambda x: np.sqrt(x @ x), lambda x: x / np.sqrt(x @ x), X6),
    "smoothed |x|": Case(
        lambda x: np.sum(np.sqrt(x**2 + x.dtype.type(1e-4))),
        lambda x: x / np.sqrt(x**2 + x.dtype.type(1e-4)),
        np.array([0.02, -1.0, 0.0]),
    ),
    "x |x|": Case(lambda x: np.sum(x * np.abs(x)), lambda x: 2 * np.abs(x), np.array([0.0, 1.0])),
    "|x| ** 1.5": Case(
        lambda x: np.sum(np.abs(x) ** 1.5),
        lambda x: 1.5 * np.sign(x) * np.abs(x) ** 0.5,
        np.array([0.0, 1.0]),
    ),
    "large point": Case(lambda x: np.sum(np.sin(x)), np.cos, np.array([100.0, -3000.0])),
    "large values": Case(lambda x: 1e12 * np.sum(np.cos(x)), lambda x: -1e12 * np.sin(x), X3),
    "small values": Case(lambda x: 1e-12 * np.sum(np.cos(x)), lambda x: -1e-12 * np.sin(x), X3),
    "components of many sizes": Case(
        lambda x: x[0] + 1e-3 * np.sin(x[1]) + 1e-6 * x[2] ** 3,
        lambda x: np.array([1.0, 1e-3 * np.cos(x[1]), 3e-6 * x[2] ** 2]).astype(x.dtype),
        X3,
    ),
}

#: Smooth, but hidden: large numbers that cancel, values that lost their digits on the way.
HIDDEN = {
    "offset 1e4": Case(lambda x: np.sum(np.cos(x)) + 1e4, lambda x: -np.sin(x), X3),
    "offset 1e8": Case(lambda x: np.sum(np.cos(x)) + 1e8, lambda x: -np.sin(x), X3),
    "offset 1e8, quadratic": Case(lambda x: x @ S @ x / 2 + 1e8, lambda x: S @ x, X6),
    "offset 1e8, sin 300 x": one(lambda t: np.sin(300 * t) + 1e8, lambda t: 300 * np.cos(300 * t), 0.7),
    "offset 1e8 taken off again": Case(lambda x: (np.sum(np.cos(x)) + 1e8) - 1e8, lambda x: -np.sin(x), X3),
    "offset 1e12 taken off again": Case(
        lambda x: (np.sum(np.cos(x)) + 1e12) - 1e12, lambda x: -np.sin(x), X3
    ),
    "through float32": Case(lambda x: float(np.sum(np.cos(x.astype(np.float32)))), lambda x: -np.sin(x), X3),
    "values rounded to float32": Case(lambda x: np.float32(np.sum(np.cos(x))), lambda x: -np.sin(x), X3),
    "values rounded to 1e-6": Case(lambda x: np.round(np.sum(np.cos(x)), 6), lambda x: -np.sin(x), X3),
    "a ripple of 1e-9": Case(
        lambda x: np.sum(np.cos(x)) + 1e-9 * np.sin(1e13 * x[0]), lambda x: -np.sin(x), X3
    ),
    "the gradient in float32": Case(
        lambda x: np.sum(np.cos(x)), lambda x: (-np.sin(x)).astype(np.float32), X3
    ),
}


def kinked(distance: float, smooth: bool) -> Case:
    """relu at `distance` on its flat side, alone or on a smooth function."""
    extra = 1.0 if smooth else 0.0

    def f(x: Array) -> Any:
        return np.maximum(x[0] - x.dtype.type(1 + distance), 0) + x.dtype.type(extra) * np.sum(np.cos(x))

    def grad(x: Array) -> Array:
        return (x[0] > x.dtype.type(1 + distance)) * FIRST.astype(x.dtype) - x.dtype.type(extra) * np.sin(x)

    return Case(f, grad, np.array([1.0, -1.2, 2.1]))


def relus(seed: int, width: int, dtype: Any) -> Case:
    """A network of relus: each step crosses many kinks, each of them small."""
    rng = np.random.default_rng(seed)
    inputs, targets = (rng.standard_normal(shape).astype(dtype) for shape in ((30, 5), (30, 3)))
    weights = [rng.standard_normal(shape) / shape[0] ** 0.5 for shape in ((5, width), (width, 3))]

    def parts(x: Array) -> tuple[Array, Array, Array, Array]:
        w, v = x[: 5 * width].reshape(5, width), x[5 * width :].reshape(width, 3)
        hidden = inputs @ w
        return v, hidden, np.maximum(hidden, 0), np.maximum(hidden, 0) @ v - targets

    def grad(x: Array) -> Array:
        v, hidden, active, error = parts(x)
        back = (2 * error / error.size) @ v.T * (hidden > 0)
        return np.concatenate([(inputs.T @ back).ravel(), (active.T @ (2 * error / error.size)).ravel()])

    point = np.concatenate([w.ravel() for w in weights]).astype(dtype)
    return Case(lambda x: np.mean(parts(x)[3] ** 2), grad, point)


DISTANCES = [10.0**-k for k in range(1, 9)]
KINKS = {
    f"relu at {distance:.0e}{' on a cosine' if smooth else ''}": kinked(distance, smooth)
    for distance in DISTANCES
    for smooth in (False, True)
}
AT_KINK = {
    "relu at 0": Case(lambda x: np.sum(np.maximum(x, 0)), lambda x: (x > 0) * 1.0, np.zeros(2)),
    "|x| at 0": Case(lambda x: np.sum(np.abs(x)), np.sign, np.zeros(2)),
    "|x| at 0 beside others": Case(
        lambda x: np.abs(x[0]) + np.sum(np.exp(x)),
        lambda x: np.sign(x) * FIRST[:2] + np.exp(x),
        np.array([0.0, 1.0]),
    ),
    "max at a tie": Case(
        np.max, lambda x: (np.arange(x.size) == np.argmax(x)) * 1.0, np.array([1.0, 1.0, 0.5])
    ),
    "hinge at its corner": Case(
        lambda x: np.maximum(1 - x @ X3, 0.0), lambda x: -X3 * (x @ X3 < 1), X3 / (X3 @ X3)
    ),
    "|x| at 1e-9 beside others": Case(lambda x: np.sum(np.abs(x)), np.sign, np.array([1e-9, 1.0])),
}


def single(case: Case) -> Case:
    return Case(case.f, lambda x: np.asarray(case.grad(x), np.float32), case.x.astype(np.float32))
