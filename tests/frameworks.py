"""The optimizers of other frameworks in float64 NumPy, with their keywords and defaults.

A function for each gives its step: ``step(w, g, s, t, lr)`` returns the new weights, ``s`` is its state and
``t`` counts from 1. `tests/hosts/test_compat.py` holds our classes to the frameworks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

Array = Any
Step = Callable[[Array, Array, dict[str, Any], int, float], Array]


def _keras(weight_decay: float | None, step: Step) -> Step:
    """Keras decays every optimizer's weights before its step."""
    return lambda w, g, s, t, lr: step(w - w * (weight_decay or 0.0) * lr, g, s, t, lr)


def _mean(s: dict[str, Any], key: str, beta: float, x: Array) -> Array:
    s[key] = s.get(key, 0.0) + (x - s.get(key, 0.0)) * (1 - beta)
    return s[key]


def keras_sgd(momentum: float = 0.0, nesterov: bool = False, weight_decay: float | None = None) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        if momentum == 0:
            return w - g * lr
        m = s["m"] = s.get("m", 0.0) * momentum - g * lr
        return w + (m * momentum - g * lr if nesterov else m)

    return _keras(weight_decay, step)


def tf1_momentum(momentum: float = 0.0, use_nesterov: bool = False) -> Step:
    """`GradientDescentOptimizer` and `MomentumOptimizer`; optax's sgd is the same."""

    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        a = s["a"] = s.get("a", 0.0) * momentum + g
        return w - lr * (g + momentum * a if use_nesterov else a)

    return step


def optax_sgd(momentum: float = 0.0, nesterov: bool = False) -> Step:
    return tf1_momentum(momentum, nesterov)


def keras_adagrad(
    initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, weight_decay: float | None = None
) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        s["a"] = s.get("a", initial_accumulator_value) + g * g
        return w - lr * g / np.sqrt(s["a"] + epsilon)

    return _keras(weight_decay, step)


def tf1_adagrad(initial_accumulator_value: float = 0.1) -> Step:
    return keras_adagrad(initial_accumulator_value, 0.0)


def optax_adagrad(initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> Step:
    return keras_adagrad(initial_accumulator_value, eps)


def keras_adadelta(rho: float = 0.95, epsilon: float = 1e-7, weight_decay: float | None = None) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        a = _mean(s, "a", rho, g * g)
        d = np.sqrt(s.get("d", 0.0) + epsilon) * g / np.sqrt(a + epsilon)
        _mean(s, "d", rho, d * d)
        return w - lr * d

    return _keras(weight_decay, step)


def tf1_adadelta(rho: float = 0.95, epsilon: float = 1e-8) -> Step:
    return keras_adadelta(rho, epsilon)


def optax_adadelta(rho: float = 0.9, eps: float = 1e-6) -> Step:
    return keras_adadelta(rho, eps)


def keras_rmsprop(
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: float | None = None,
    start: float = 0.0,
) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        s.setdefault("v", start)
        v = _mean(s, "v", rho, g * g)
        v = v - _mean(s, "m", rho, g) ** 2 if centered else v
        b = s["b"] = s.get("b", 0.0) * momentum + lr * g / np.sqrt(v + epsilon)
        return w - b

    return _keras(weight_decay, step)


def tf1_rmsprop(
    decay: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-10, centered: bool = False
) -> Step:
    return keras_rmsprop(decay, momentum, epsilon, centered, start=1.0)


def optax_rmsprop(
    decay: float = 0.9, momentum: float = 0.0, eps: float = 1e-8, centered: bool = False
) -> Step:
    return keras_rmsprop(decay, momentum, eps, centered)


def keras_adam(
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float | None = None,
) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        m, v = _mean(s, "m", beta_1, g), _mean(s, "v", beta_2, g * g)
        if amsgrad:
            v = s["top"] = np.maximum(s.get("top", 0.0), v)
        return w - alpha * m / (np.sqrt(v) + epsilon)

    return _keras(weight_decay, step)


def keras_adamw(weight_decay: float = 4e-3, amsgrad: bool = False) -> Step:
    return keras_adam(amsgrad=amsgrad, weight_decay=weight_decay)


def tf1_adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Step:
    return keras_adam(beta1, beta2, epsilon)


def optax_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        m = _mean(s, "m", b1, g) / (1 - b1**t)
        v = _mean(s, "v", b2, g * g) / (1 - b2**t)
        return w - lr * (m / (np.sqrt(v) + eps) + weight_decay * w)

    return step


def optax_adamw(weight_decay: float = 1e-4) -> Step:
    return optax_adam(weight_decay=weight_decay)


def keras_adamax(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, weight_decay: float | None = None
) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        u = s["u"] = np.maximum(beta_2 * s.get("u", 0.0), np.abs(g))
        return w - lr * _mean(s, "m", beta_1, g) / ((1 - beta_1**t) * (u + epsilon))

    return _keras(weight_decay, step)


def optax_adamax(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        u = s["u"] = np.maximum(b2 * s.get("u", 0.0), np.abs(g) + eps)
        return w - lr * _mean(s, "m", b1, g) / (1 - b1**t) / u

    return step


def keras_nadam(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, weight_decay: float | None = None
) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        now, after = (beta_1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product = s["product"] = s.get("product", 1.0) * now
        m, v = _mean(s, "m", beta_1, g), _mean(s, "v", beta_2, g * g) / (1 - beta_2**t)
        look = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
        return w - lr * look / (np.sqrt(v) + epsilon)

    return _keras(weight_decay, step)


def optax_nadam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        m, v = _mean(s, "m", b1, g) / (1 - b1 ** (t + 1)), _mean(s, "v", b2, g * g) / (1 - b2**t)
        return w - lr * (b1 * m + (1 - b1) * g / (1 - b1**t)) / (np.sqrt(v) + eps)

    return step


def optax_radam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, threshold: float = 5.0) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        m, v = _mean(s, "m", b1, g) / (1 - b1**t), _mean(s, "v", b2, g * g) / (1 - b2**t)
        top = 2 / (1 - b2) - 1
        rho = top - 2 * t * b2**t / (1 - b2**t)
        if rho < threshold:
            return w - lr * m
        r = np.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
        return w - lr * r * m / (np.sqrt(v) + eps)

    return step


def keras_lion(beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: float | None = None) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        m = s.get("m", 0.0)
        s["m"] = m * beta_2 + g * (1 - beta_2)
        return w - lr * np.sign(m * beta_1 + g * (1 - beta_1))

    return _keras(weight_decay, step)


def optax_lion(b1: float = 0.9, b2: float = 0.99, weight_decay: float = 1e-3) -> Step:
    return keras_lion(b1, b2, weight_decay)  # what is taken of w is of the w before the step in both


def keras_lamb(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> Step:
    return optax_lamb(beta_1, beta_2, epsilon)


def optax_lamb(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6, weight_decay: float = 0.0) -> Step:
    def step(w: Array, g: Array, s: dict[str, Any], t: int, lr: float) -> Array:
        m, v = _mean(s, "m", b1, g) / (1 - b1**t), _mean(s, "v", b2, g * g) / (1 - b2**t)
        u = m / (np.sqrt(v) + eps) + weight_decay * w
        size, length = np.linalg.norm(w), np.linalg.norm(u)
        return w - lr * (size / length if size > 0 and length > 0 else 1.0) * u

    return step


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    """The same optimizer here and there; what is not said is the framework's default in both."""

    framework: str
    name: str
    theirs: Mapping[str, Any] = _NOTHING
    ours: Mapping[str, Any] = _NOTHING
    default_lr: float | None = None  # None: the framework wants one to be given

    def __str__(self) -> str:
        return "-".join([self.framework, self.name, *self.theirs])


_MOMENTUM = {"momentum": 0.8}
_DECAY = {"weight_decay": 0.1}


def _decaying(case: Case) -> Case:
    return case._replace(theirs={**case.theirs, **_DECAY}, ours={**case.ours, **_DECAY})


_KERAS = [
    Case("keras", "SGD", default_lr=1e-2),
    Case("keras", "SGD", _MOMENTUM, _MOMENTUM, 1e-2),
    Case("keras", "SGD", {**_MOMENTUM, "nesterov": True}, {**_MOMENTUM, "nesterov": True}, 1e-2),
    Case("keras", "Adagrad", default_lr=1e-3),
    Case("keras", "Adadelta", default_lr=1e-3),
    Case("keras", "RMSprop", default_lr=1e-3),
    Case("keras", "RMSprop", _MOMENTUM, _MOMENTUM, 1e-3),
    Case("keras", "RMSprop", {**_MOMENTUM, "centered": True}, {**_MOMENTUM, "centered": True}, 1e-3),
    Case("keras", "Adam", default_lr=1e-3),
    Case("keras", "Adam", {"amsgrad": True}, {"amsgrad": True}, 1e-3),
    Case("keras", "Adam", {"epsilon": 0.3, "beta_2": 0.95}, {"eps": 0.3, "betas": (0.9, 0.95)}, 1e-3),
    Case("keras", "AdamW", default_lr=1e-3),
    Case("keras", "Adamax", default_lr=1e-3),
    Case("keras", "Adamax", {"epsilon": 0.3}, {"eps": 0.3}, 1e-3),
    Case("keras", "NAdam", default_lr=1e-3),
    Case("keras", "Lion", default_lr=1e-3),
    Case("keras", "LAMB", default_lr=1e-3),
]
_TF1 = [
    Case("tf1", "SGD"),
    Case("tf1", "SGD", {**_MOMENTUM, "use_nesterov": True}, {**_MOMENTUM, "nesterov": True}),
    Case("tf1", "Adagrad"),
    Case("tf1", "Adadelta", default_lr=1e-3),
    Case("tf1", "RMSprop"),
    Case("tf1", "RMSprop", _MOMENTUM, _MOMENTUM),
    Case("tf1", "RMSprop", {**_MOMENTUM, "centered": True}, {**_MOMENTUM, "centered": True}),
    Case("tf1", "Adam", default_lr=1e-3),
    Case("tf1", "Adam", {"epsilon": 0.3}, {"eps": 0.3}, 1e-3),
]
_OPTAX = [
    Case("optax", "SGD"),
    Case("optax", "SGD", _MOMENTUM, _MOMENTUM),
    Case("optax", "SGD", {**_MOMENTUM, "nesterov": True}, {**_MOMENTUM, "nesterov": True}),
    Case("optax", "Adagrad"),
    Case("optax", "Adadelta"),
    Case("optax", "RMSprop"),
    Case("optax", "RMSprop", {**_MOMENTUM, "centered": True}, {**_MOMENTUM, "centered": True}),
    Case("optax", "Adam"),
    Case("optax", "Adam", {"eps": 0.3}, {"eps": 0.3}),
    Case("optax", "AdamW"),
    Case("optax", "AdamW", _DECAY, _DECAY),
    Case("optax", "Adamax"),
    Case("optax", "NAdam"),
    Case("optax", "RAdam"),
    Case("optax", "RAdam", {"eps": 0.3, "b2": 0.95}, {"eps": 0.3, "betas": (0.9, 0.95)}),
    Case("optax", "Lion"),
    Case("optax", "LAMB"),
    Case("optax", "LAMB", _DECAY, _DECAY),
]
#: LAMB's decay is refused with Keras: it would be outside of the norm.
CASES = [*_KERAS, *(_decaying(c) for c in _KERAS if c.name != "LAMB"), *_TF1, *_OPTAX]

STEPS = 30


def rate(k: int) -> float:
    """Falls half-way, where forms of momentum part."""
    return 0.05 if k < 11 else 0.02


def start() -> tuple[list[Array], list[list[Array]]]:
    """Parameters, and gradients whose size varies, in float64."""
    rng = np.random.default_rng(5)
    shapes = [(6, 5), (40,), (3, 2, 4)]
    grads = [[10 ** rng.uniform(-1, 1) * rng.normal(size=n) for n in shapes] for _ in range(STEPS)]
    return [rng.normal(size=n) for n in shapes], grads


def error(got: list[Array], exact: list[Array]) -> float:
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(got, exact, strict=True))
