"""The oracle: every update rule in a few lines of float64 NumPy, written from its paper or definition.

It is kept independent of ``cpp/rules``: each rule exists twice, written apart, and the batteries compare the
two. Notation: ``theta`` parameters, ``g`` the gradient as the rule receives it (after unscaling, clipping,
the sign of ``maximize``, coupled decay and L1), ``s`` the tensor's state, ``t`` its own step counted from 1,
``h`` the group's hyper-parameters. A rule returns the new theta. State names are PyTorch's where PyTorch has
the class. ``oracle.Oracle`` puts the common steps of every optimizer around these rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = Any  # a float64 array; 0-d results are NumPy scalars, which no array type covers
State = dict[str, Any]
Rule = Callable[[Array, Array, State, int, SimpleNamespace], Array]


def _average(s: State, name: str, beta: float, x: Array) -> Array:
    """Exponentially weighted moving average that starts at 0."""
    s[name] = beta * s.get(name, 0.0) + (1 - beta) * x
    return s[name]


def _peak(s: State, name: str, x: Array) -> Array:
    """The largest value seen so far, element by element."""
    s[name] = np.maximum(s.get(name, 0.0), x)
    return s[name]


def _start(value: float | str, g: Array) -> Array:
    """Where a sum or average of squares begins: at a number, or at the square of the first gradient."""
    return g * g if value == "gradient" else np.full_like(g, value)


def _each_row(g: Array) -> Array:
    """A 1 for each row; rows without elements are not stepped."""
    return np.full(len(g) if np.ndim(g) else 1, np.size(g) > 0, dtype=g.dtype)


def _root(x: Array, h: SimpleNamespace) -> Array:
    return np.sqrt(x + h.eps) if h.eps_inside_root else np.sqrt(x) + h.eps


def sgd(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Polyak 1964; Nesterov in shifted variables (Sutskever et al. 2013); no dampening on the first step."""
    if h.momentum == 0:
        return theta - h.lr * g
    inside = {"gradient": 1.0, "step": h.lr, "average": 1 - h.momentum}[h.momentum_form]
    x = inside * g
    b = s["momentum_buffer"] = h.momentum * s["momentum_buffer"] + (1 - h.dampening) * x if s else x
    move = x + h.momentum * b if h.nesterov else b
    return theta - (1.0 if h.momentum_form == "step" else h.lr) * move


def adagrad(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Duchi, Hazan & Singer 2011; the mean form divides the sum by the number of gradients."""
    s["sum"] = s.get("sum", _start(h.initial_accumulator_value, g)) + g * g
    q = s["sum"] / t if h.average else s["sum"]
    return theta - h.lr / (1 + (t - 1) * h.lr_decay) * g / _root(q, h)


def adadelta(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Zeiler 2012, Algorithm 1, with PyTorch's learning rate in front."""
    square = _average(s, "square_avg", h.rho, g * g)
    move = np.sqrt(s.get("acc_delta", 0.0) + h.eps) / np.sqrt(square + h.eps) * g
    _average(s, "acc_delta", h.rho, move * move)
    return theta - h.lr * move


def rmsprop(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Tieleman & Hinton 2012; centered as in Graves 2013, the variance never below 0 by rounding."""
    s.setdefault("square_avg", _start(h.initial_accumulator_value, g))
    q = _average(s, "square_avg", h.alpha, g * g)
    if h.centered:
        q = np.maximum(q - _average(s, "grad_avg", h.alpha, g) ** 2, 0.0)
    move = g / _root(q, h)
    if h.momentum > 0:
        move = s["momentum_buffer"] = h.momentum * s.get("momentum_buffer", 0.0) + move
    return theta - h.lr * move


def rprop(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Riedmiller & Braun 1993, without weight backtracking: after a change of sign, wait a step."""
    agree = np.sign(g) * np.sign(s.get("prev", np.zeros_like(g)))
    factor = np.where(agree > 0, h.etas[1], np.where(agree < 0, h.etas[0], 1.0))
    s["step_size"] = np.clip(s.get("step_size", np.full_like(g, h.lr)) * factor, *h.step_sizes)
    s["prev"] = np.where(agree < 0, 0.0, g)
    return theta - np.sign(s["prev"]) * s["step_size"]


def asgd(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Polyak & Juditsky 1992 with Bottou's rate; rate and weight are those the step before left."""
    eta, mu = s.get("eta", h.lr), s.get("mu", 1.0)
    theta = theta * (1 - h.lambd * eta) - eta * g
    ax = s.get("ax", np.zeros_like(g))
    s["ax"] = ax + mu * (theta - ax)
    s["eta"] = h.lr / (1 + h.lambd * h.lr * t) ** h.alpha
    s["mu"] = 1 / max(1.0, t - h.t0)
    return theta


def adam(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Kingma & Ba 2015, Algorithm 1; AMSGrad (Reddi et al. 2018) keeps the peak of the raw second moment."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    v = _average(s, "exp_avg_sq", h.betas[1], g * g)
    if h.amsgrad:
        v = _peak(s, "max_exp_avg_sq", v)
    if getattr(h, "row_steps", False):
        s["row_steps"] = s.get("row_steps", 0.0) + _each_row(g)
    return theta - h.lr * m / _root(v / (1 - h.betas[1] ** t), h)


def adamax(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Kingma & Ba 2015, Algorithm 2; epsilon joins |g| inside the maximum, as in PyTorch."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    s["exp_inf"] = np.maximum(h.betas[1] * s.get("exp_inf", 0.0), np.abs(g) + h.eps)
    return theta - h.lr * m / s["exp_inf"]


def nadam(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Dozat 2016 with its momentum schedule mu_t (psi is ``momentum_decay``)."""
    mu, mu_next = (h.betas[0] * (1 - 0.5 * 0.96 ** (k * h.momentum_decay)) for k in (t, t + 1))
    product = s["mu_product"] = s.get("mu_product", 1.0) * mu
    m = _average(s, "exp_avg", h.betas[0], g)
    v = _average(s, "exp_avg_sq", h.betas[1], g * g) / (1 - h.betas[1] ** t)
    look = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * m
    return theta - h.lr * look / _root(v, h)


def radam(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Liu et al. 2020, Algorithm 2; epsilon, as in PyTorch, joins before the bias correction."""
    beta1, beta2 = h.betas
    m = _average(s, "exp_avg", beta1, g) / (1 - beta1**t)
    v = _average(s, "exp_avg_sq", beta2, g * g)
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= h.rectify_threshold:
        return theta - h.lr * m
    rectify = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    return theta - h.lr * rectify * m * np.sqrt(1 - beta2**t) / _root(v, h)


def lion(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Chen et al. 2023, Algorithm 2."""
    m = s.get("exp_avg", np.zeros_like(g))
    s["exp_avg"] = h.betas[1] * m + (1 - h.betas[1]) * g
    return theta - h.lr * np.sign(h.betas[0] * m + (1 - h.betas[0]) * g)


def signsgd(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Bernstein et al. 2018: Algorithm 1 (signSGD), with momentum Algorithm 2 (Signum)."""
    return theta - h.lr * np.sign(_average(s, "momentum_buffer", h.momentum, g) if h.momentum else g)


def adabelief(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Zhuang et al. 2020, Algorithm 2: epsilon inside the recurrence and outside the root."""
    m = _average(s, "exp_avg", h.betas[0], g)
    v = s["exp_avg_var"] = _average(s, "exp_avg_var", h.betas[1], (g - m) ** 2) + h.eps
    if h.amsgrad:
        v = _peak(s, "max_exp_avg_var", v)
    return theta - h.lr * m / (1 - h.betas[0] ** t) / (np.sqrt(v / (1 - h.betas[1] ** t)) + h.eps)


def adan(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Xie et al. 2022, Algorithm 1 (our betas are 1 - the paper's).

    The moments start at 0 and are bias-corrected, as in the authors' code; the paper starts at g and g * g.
    """
    change = g - s.get("prev_grad", g)
    s["prev_grad"] = g
    m, v, n = (
        _average(s, name, beta, x) / (1 - beta**t)
        for name, beta, x in zip(
            ("exp_avg", "exp_avg_diff", "exp_avg_sq"),
            h.betas,
            (g, change, (g + h.betas[1] * change) ** 2),
            strict=True,
        )
    )
    theta = theta - h.lr * (m + h.betas[1] * v) / (np.sqrt(n) + h.eps)
    return theta / (1 + h.lr * h.weight_decay)


def lars(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """You, Gitman & Ginsburg 2017, Algorithm 1; the local rate is 1 where a norm is 0."""
    size, slope = np.linalg.norm(theta), np.linalg.norm(g)
    local = (
        h.trust_coefficient * size / (slope + h.weight_decay * size + h.eps)
        if size > 0 and slope > 0
        else 1.0
    )
    v = h.momentum * s.get("momentum_buffer", 0.0) + h.lr * local * (g + h.weight_decay * theta)
    s["momentum_buffer"] = v
    return theta - v


def lamb(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """You et al. 2020, Algorithm 2 with phi the identity; the trust ratio is 1 where a norm is 0."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    v = _average(s, "exp_avg_sq", h.betas[1], g * g) / (1 - h.betas[1] ** t)
    move = m / (np.sqrt(v) + h.eps) + h.weight_decay * theta
    size, length = np.linalg.norm(theta), np.linalg.norm(move)
    return theta - h.lr * (size / length if size > 0 and length > 0 else 1.0) * move


def ftrl(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """McMahan et al. 2013, Algorithm 1, from lr z and, before the first gradient, from theta."""
    n = s.get("sum", np.zeros_like(g))
    before = s.get("linear", np.zeros_like(g))
    z = np.where((n > 0) | (before != 0), before, -h.beta * theta)
    s["sum"] = n + g * g
    s["linear"] = z + h.lr * g - (np.sqrt(s["sum"]) - np.sqrt(n)) * theta
    weight = h.beta + np.sqrt(s["sum"]) + h.lr * h.weight_decay
    free = -np.sign(s["linear"]) * np.maximum(np.abs(s["linear"]) - h.lr * h.lambda1, 0.0)
    return np.where(weight > 0, free / np.where(weight > 0, weight, 1.0), theta)


def _mean_square(g: Array) -> Array:
    """Of each row, that is index of the first axis."""
    rows = len(g) if np.ndim(g) else 1
    width = np.size(g) // max(rows, 1)
    return np.sum(np.square(g).reshape(rows, width), axis=1) / max(width, 1)


def _to_rows(x: Array, g: Array) -> Array:
    """A number for each row beside the row's elements."""
    return np.reshape(x, (*np.shape(x), *(1,) * (np.ndim(g) - 1))) if np.ndim(g) else x[0]


def rowwise_adagrad(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Mudigere et al. 2022: one accumulator for a row, of the mean of its squared gradients."""
    s["sum"] = s.get("sum", h.initial_accumulator_value * _each_row(g)) + _mean_square(g)
    return theta - h.lr / (1 + (t - 1) * h.lr_decay) * g / (np.sqrt(_to_rows(s["sum"], g)) + h.eps)


def rowwise_adam(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Adam whose second moment is that of the row: the average of the mean of its squared gradients."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    v = _average(s, "exp_avg_sq", h.betas[1], _mean_square(g)) / (1 - h.betas[1] ** t)
    if h.row_steps:
        s["row_steps"] = s.get("row_steps", 0.0) + _each_row(g)
    return theta - h.lr * m / (np.sqrt(_to_rows(v, g)) + h.eps)


def _newton_schulz(m: Array, h: SimpleNamespace) -> Array:
    """Jordan et al. 2024: X <- a X + b (X X') X + c (X X')^2 X, from X of norm 1; on the wide side."""
    x = m / max(np.linalg.norm(m), h.eps)
    for k in range(h.ns_steps):
        a, b, c = {"original": (3.4445, -4.7750, 2.0315), "polar-express": POLAR_EXPRESS[min(k, 7)]}.get(
            h.ns_coefficients, h.ns_coefficients
        )
        gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
        p = a * np.eye(len(gram)) + b * gram + c * gram @ gram
        x = p @ x if len(x) <= x.shape[1] else x @ p
    return np.asarray(x, dtype=m.dtype)


#: Of Amsel et al. 2025 (arXiv:2505.16932) with a margin of 2 %: a, b, c of each step.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.0429299351667245, -2.808917465908704, 0.5000178451051299),
    (3.8916678022926563, -2.7724841532176825, 0.5060648178503389),
    (3.285753657755658, -2.3681294933425394, 0.46449024233003117),
    (2.3005307116270983, -1.6111665557258408, 0.3833374427545273),
    (1.8631210546382593, -1.2042160621002727, 0.3421879560523383),
    (1.8382572152247512, -1.1779263289537742, 0.3396513038637379),
    (1.8749999923301852, -1.2499999836060613, 0.374999991275876),
)


def _polar(m: Array) -> Array:
    """The orthogonal factor of the polar decomposition, U V' of the singular values that are not 0."""
    u, s, vh = np.linalg.svd(m, full_matrices=False)
    return np.asarray(u[:, s > 1e-6 * s[0]] @ vh[s > 1e-6 * s[0]], dtype=m.dtype)


def muon(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Jordan et al. 2024 of matrices; NorMuon: Li et al. 2025, Algorithm 1, with the norm kept as in their
    code; of what is no matrix AdamW.
    """
    batch = int(theta.ndim == 3) if h.batch_axes is None else h.batch_axes
    if h.use_muon is False or theta.ndim < batch + 2:
        decay = h.weight_decay if h.adamw_weight_decay is None else h.adamw_weight_decay
        h.lr, h.betas, h.eps = (
            h.lr * h.adamw_lr_ratio,
            h.adamw_betas,
            h.adamw_eps,
        )  # the lr of all that follows
        h.amsgrad = h.eps_inside_root = False
        return adam(theta * (1 - h.lr * decay), g, s, t, h)
    m = _average(s, "momentum_buffer", h.momentum, g)
    m = h.momentum * m + (1 - h.momentum) * g if h.nesterov else m
    shape = theta.shape[: batch + 1]
    stack = m.reshape(-1, *shape[batch:], theta.size // max(1, int(np.prod(shape)))) if theta.size else []
    moves = np.zeros_like(m)
    if h.normalize:
        seconds = s.setdefault("second_momentum", np.zeros(shape, theta.dtype)).reshape(-1, *shape[batch:])
    for i, matrix in enumerate(stack):
        x = _polar(matrix) if h.method == "exact" else _newton_schulz(matrix, h)
        if h.normalize:
            before = np.linalg.norm(x)
            seconds[i] = h.beta2 * seconds[i] + (1 - h.beta2) * np.mean(x * x, axis=1)
            x = x / (np.sqrt(seconds[i]) + 1e-10)[:, None]
            x = x * (before / (np.linalg.norm(x) + 1e-10))
        long, wide = x.shape
        tall = np.sqrt(max(1, long / wide))
        scaled = x * (0.2 * np.sqrt(max(long, wide)) if h.adjust_lr_fn == "match_rms_adamw" else tall)
        moves.reshape(stack.shape)[i] = scaled
    return theta * (1 - h.lr * h.weight_decay) - h.lr * moves


@dataclass(frozen=True)
class Spec:
    """A rule, its public defaults, and where weight decay acts: "gradient", "theta" or inside the "rule"."""

    rule: Rule
    defaults: dict[str, Any] = field(default_factory=dict)
    decay: str = "gradient"


_MOMENTS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
_ROOT = {"eps_inside_root": False}
_DECOUPLE = {"decoupled_weight_decay": False}
_START = {"initial_accumulator_value": 0.0}
_ADAM = {**_MOMENTS, **_ROOT, "amsgrad": False, "row_steps": False}

ORACLES: dict[str, Spec] = {
    "SGD": Spec(
        sgd,
        {
            "lr": 1e-3,
            "momentum": 0.0,
            "dampening": 0.0,
            "nesterov": False,
            "momentum_form": "gradient",
            **_DECOUPLE,
        },
    ),
    "Adagrad": Spec(
        adagrad, {"lr": 1e-2, "lr_decay": 0.0, "eps": 1e-10, "average": False, **_START, **_ROOT}
    ),
    "Adadelta": Spec(adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "RMSprop": Spec(
        rmsprop,
        {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False, **_START, **_ROOT},
    ),
    "Rprop": Spec(rprop, {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)}),
    "ASGD": Spec(asgd, {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6}),
    "Adam": Spec(adam, {**_ADAM, **_DECOUPLE}),
    "AdamW": Spec(adam, {**_ADAM, "weight_decay": 1e-2}, decay="theta"),
    "Adamax": Spec(adamax, {**_MOMENTS, "lr": 2e-3}),
    "NAdam": Spec(nadam, {**_MOMENTS, **_ROOT, **_DECOUPLE, "lr": 2e-3, "momentum_decay": 4e-3}),
    "RAdam": Spec(radam, {**_MOMENTS, **_ROOT, **_DECOUPLE, "rectify_threshold": 5.0}),
    "Lion": Spec(lion, {"lr": 1e-4, "betas": (0.9, 0.99)}, decay="theta"),
    "SignSGD": Spec(signsgd, {"lr": 1e-3, "momentum": 0.0, **_DECOUPLE}),
    "AdaBelief": Spec(
        adabelief, {**_MOMENTS, "eps": 1e-16, "amsgrad": False, "decoupled_weight_decay": True}
    ),
    "Adan": Spec(adan, {**_MOMENTS, "betas": (0.98, 0.92, 0.99)}, decay="rule"),
    "LARS": Spec(
        lars,
        {"lr": 0.1, "momentum": 0.9, "trust_coefficient": 1e-3, "eps": 0.0, "weight_decay": 5e-4},
        decay="rule",
    ),
    "FTRL": Spec(ftrl, {"lr": 0.1, "beta": 1.0, "lambda1": 0.0}, decay="rule"),
    "RowWiseAdagrad": Spec(rowwise_adagrad, {"lr": 1e-2, "lr_decay": 0.0, "eps": 1e-10, **_START}),
    "RowWiseAdam": Spec(rowwise_adam, {**_MOMENTS, "row_steps": False}, decay="theta"),
    "Muon": Spec(
        muon,
        {
            "lr": 1e-3,
            "weight_decay": 0.1,
            "momentum": 0.95,
            "nesterov": True,
            "ns_coefficients": "original",
            "ns_steps": 5,
            "eps": 1e-7,
            "adjust_lr_fn": "original",
            "method": "newton-schulz",
            "normalize": False,
            "beta2": 0.95,
            "batch_axes": None,
            "use_muon": None,
            "exclude": ("*embed*", "wte", "wpe", "lm_head", "head"),
            "adamw_lr_ratio": 1.0,
            "adamw_betas": (0.9, 0.95),
            "adamw_eps": 1e-10,
            "adamw_weight_decay": None,
        },
        decay="rule",
    ),
    "LAMB": Spec(lamb, {**_MOMENTS, "eps": 1e-6, "weight_decay": 1e-2}, decay="rule"),
}
COMMON: dict[str, Any] = {"weight_decay": 0.0, "l1": 0.0, "l1_proximal": 0.0, "maximize": False}
