"""The oracle: every update rule in a few lines of float64 NumPy, written from its paper or definition.

It is kept independent of ``cpp/rules``: each rule exists twice, written apart, and the batteries compare the
two. Notation: ``theta`` parameters, ``g`` the gradient as the rule receives it (after unscaling, clipping,
the sign of ``maximize``, coupled decay and L1), ``s`` the tensor's state, ``t`` its own step counted from 1,
``h`` the group's hyper-parameters. A rule returns the new theta. State names are PyTorch's where PyTorch has
the class. ``oracle.Oracle`` puts the common steps of every optimizer around these rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from reference_factored import adafactor, shampoo, soap
from reference_kron import kron

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
    inside = h.momentum > 0 and h.momentum_form == "step"
    move = (h.lr if inside else 1.0) * g / _root(q, h)
    if h.momentum > 0:
        move = s["momentum_buffer"] = h.momentum * s.get("momentum_buffer", 0.0) + move
    return theta - (1.0 if inside else h.lr) * move


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
    if h.eps_hat:
        return theta - h.lr * np.sqrt(1 - h.betas[1] ** t) * m / _root(v, h)
    return theta - h.lr * m / _root(v / (1 - h.betas[1] ** t), h)


def adamax(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Kingma & Ba 2015, Algorithm 2; epsilon joins |g| inside the maximum, as in PyTorch, or the maximum."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    within, after = (0.0, h.eps) if h.eps_after_max else (h.eps, 0.0)
    s["exp_inf"] = np.maximum(h.betas[1] * s.get("exp_inf", 0.0), np.abs(g) + within)
    return theta - h.lr * m / (s["exp_inf"] + after)


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
    if not h.eps_hat:
        return theta - h.lr * rectify * m / _root(v / (1 - beta2**t), h)
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


def ademamix(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Pagliardini et al. 2024, Algorithm 1; beta3 warms up in its half-life."""
    beta1, beta2, beta3 = h.betas
    share = min(1.0, t / h.alpha_warmup) if h.alpha_warmup else 1.0
    if h.beta3_warmup and t < h.beta3_warmup:
        first, last = (np.log(0.5) / np.log(beta) for beta in (beta1, beta3))
        half_life = first + (last - first) * t / h.beta3_warmup
        beta3 = 0.5 ** (1 / half_life)
    fast = _average(s, "exp_avg_fast", beta1, g) / (1 - beta1**t)
    slow = _average(s, "exp_avg_slow", beta3, g)
    v = _average(s, "exp_avg_sq", beta2, g * g) / (1 - beta2**t)
    return theta - h.lr * (fast + share * h.alpha * slow) / (np.sqrt(v) + h.eps)


def adopt(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Taniguchi et al. 2024, Algorithm 2, clipped: the first gradient makes the second moment only."""
    if t == 1:
        s["exp_avg"], s["exp_avg_sq"] = np.zeros_like(g), g * g
        return theta
    scaled = g / np.maximum(np.sqrt(s["exp_avg_sq"]), h.eps)
    if h.clip_exp is not None:
        scaled = np.clip(scaled, -((t - 1) ** h.clip_exp), (t - 1) ** h.clip_exp)
    _average(s, "exp_avg_sq", h.betas[1], g * g)
    return theta - h.lr * _average(s, "exp_avg", h.betas[0], scaled)


def laprop(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Ziyin et al. 2020, Algorithm 1, with the authors' average of the rates; decay comes last."""
    v = _average(s, "exp_avg_sq", h.betas[1], g * g)
    if h.amsgrad:
        v = _peak(s, "max_exp_avg_sq", v)
    scaled = g / (np.sqrt(v / (1 - h.betas[1] ** t)) + h.eps)
    m = _average(s, "exp_avg", h.betas[0], h.lr * scaled)
    rate = _average(s, "exp_avg_lr_1", h.betas[0], h.lr)
    theta = theta - (m * (h.lr / rate) if rate > 0 else 0.0)
    return theta - h.weight_decay * (1.0 if h.fixed_decay else h.lr) * theta


def grams(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Cao et al. 2024, Algorithm 1; epsilon beside the uncorrected root, unless asked."""
    m = _average(s, "exp_avg", h.betas[0], g) / (1 - h.betas[0] ** t)
    v = _average(s, "exp_avg_sq", h.betas[1], g * g)
    correct = np.sqrt(1 - h.betas[1] ** t)
    root = (np.sqrt(v) + h.eps) / correct if h.eps_hat else np.sqrt(v) / correct + h.eps
    return theta - h.lr * np.sign(g) * np.abs(m) / root


def stableadamw(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Wortsman et al. 2023, Algorithm 2: the betas hold the correction; one rate for each tensor."""
    beta1, beta2 = (beta * (1 - beta ** (t - 1)) / (1 - beta**t) for beta in h.betas)
    m, v = _average(s, "exp_avg", beta1, g), _average(s, "exp_avg_sq", beta2, g * g)
    rms = np.sqrt(np.mean(g * g / np.maximum(v, h.eps**2))) if g.size else 0.0
    return theta - h.lr / max(1.0, rms) * (m / (np.sqrt(v) + h.eps) + h.weight_decay * theta)


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
        h.amsgrad = h.eps_inside_root = h.eps_hat = False
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


def mars(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Yuan et al. 2024, Algorithms 2 to 4, with the gradient of the step before, which at first is 0; AdamW
    of what has fewer than two axes.
    """
    of_rule = theta.ndim >= 2 or h.optimize_1d
    if not of_rule:
        h.lr = h.lr * h.lr_1d_factor  # of all that follows
    theta = theta * (1 - h.lr * (h.weight_decay if of_rule else h.weight_decay_1d))
    beta1, beta2 = h.betas if of_rule else h.betas_1d
    c = g
    if of_rule:
        c = g + h.gamma * beta1 / (1 - beta1) * (g - s.get("last_grad", 0.0))
        c = c / max(1.0, np.linalg.norm(c))
        s["last_grad"] = g
    m = _average(s, "exp_avg", beta1, c)
    if of_rule and h.mars_type == "mars-lion":
        return theta - h.lr * np.sign(m)
    v = _average(s, "exp_avg_sq", beta2, c * c)
    if h.amsgrad:
        v = _peak(s, "max_exp_avg_sq", v)
    return theta - h.lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + h.eps)


def _schedule_free(y: Array, d: Array, s: State, t: int, h: SimpleNamespace, lr: float, beta: float) -> Array:
    """Defazio et al. 2024, Algorithm 1, in its own variables: x is formed of y and z, the new y of both."""
    z = s.get("z", y)
    x = (y - (1 - beta) * z) / beta
    s["lr_max"] = max(lr, s.get("lr_max", 0.0))
    weight = t**h.r * s["lr_max"] ** h.weight_lr_power
    s["weight_sum"] = s.get("weight_sum", 0.0) + weight
    c = weight / s["weight_sum"] if s["weight_sum"] > 0 else 0.0
    z = s["z"] = z - lr * d
    return (1 - beta) * z + beta * ((1 - c) * x + c * z)


def schedule_free_sgd(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Defazio et al. 2024, Algorithm 1, with the warm-up and the weights of the authors' package."""
    return _schedule_free(theta, g, s, t, h, h.lr * min(1.0, t / max(h.warmup_steps, 1)), h.momentum)


def schedule_free_adamw(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """The same with Adam's second moment; decay is of y, beside the normalised gradient."""
    v = _average(s, "exp_avg_sq", h.betas[1], g * g) / (1 - h.betas[1] ** t)
    d = g / (np.sqrt(v) + h.eps) + h.weight_decay * theta
    return _schedule_free(theta, d, s, t, h, h.lr * min(1.0, t / max(h.warmup_steps, 1)), h.betas[0])


def schedule_free_radam(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """The same, warmed up by the rectification of Liu et al. 2020 (threshold 4)."""
    beta2 = h.betas[1]
    v = _average(s, "exp_avg_sq", beta2, g * g) / (1 - beta2**t)
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * t * beta2**t / (1 - beta2**t)
    lr, d = (0.0 if h.silent_sgd_phase else h.lr), g
    if rho > 4:
        lr = h.lr * np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        d = g / (np.sqrt(v) + h.eps)
    return _schedule_free(theta, d + h.weight_decay * theta, s, t, h, lr, h.betas[0])


def prodigy_estimate(tensors: Sequence[tuple[Array, Array, State, SimpleNamespace]], common: State) -> None:
    """Mishchenko & Defazio 2023, Algorithm 4, up to the step: moments, two sums over all tensors, d.

    As in the authors' package: numerator and s weighted with d / d0, epsilon with the new d. Groups whose
    rate is 0 rest. Numbers are Python's, which leave arrays in float32 there with every version of NumPy.
    """
    top, bottom = 0.0, 0.0
    h = next((h for *_, h in tensors if h.lr > 0), tensors[0][3])
    d = common.setdefault("d", h.d0)
    common.setdefault("d_max", h.d0)
    common.setdefault("d_numerator", 0.0)
    t = common.setdefault("k", 0) + 1
    beta3 = math.sqrt(h.betas[1]) if h.beta3 is None else h.beta3
    common["rate"] = d * h.lr
    if h.use_bias_correction:
        common["rate"] *= math.sqrt(1 - h.betas[1] ** t) / (1 - h.betas[0] ** t)
    for theta, g, s, own in tensors:
        p0 = s.setdefault("p0", theta)
        gain = 1.0 if own.lr > 0 else 0.0
        for name, beta, x in (("exp_avg", h.betas[0], d * g), ("exp_avg_sq", h.betas[1], d * d * g * g)):
            old = s.get(name, np.zeros_like(g))
            s[name] = old + gain * (1 - beta) * (x - old)
        old = s.get("s", np.zeros_like(g))
        s["s"] = old + gain * (
            (beta3 - 1) * old + d / h.d0 * (d if h.safeguard_warmup else common["rate"]) * g
        )
        top += gain * float(np.sum(g * (p0 - theta), dtype=np.float64))
        bottom += gain * float(np.sum(np.abs(s["s"]), dtype=np.float64))
    if bottom == 0:
        common["rate"] = 0.0
        return
    common["d_numerator"] = beta3 * common["d_numerator"] + d / h.d0 * common["rate"] * top
    found = h.d_coef * common["d_numerator"] / bottom
    d = max(d, found) if d == h.d0 else d
    common["d_max"] = max(common["d_max"], found)
    common["d"] = min(common["d_max"], d * h.growth_rate)
    common["k"] = t


def prodigy(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """The step of Algorithm 4, with decoupled decay."""
    rate = h.common["rate"] if h.lr > 0 else 0.0
    theta = theta - rate * (h.weight_decay if h.decouple else 0.0) * theta
    return theta - rate * s["exp_avg"] / (np.sqrt(s["exp_avg_sq"]) + h.common["d"] * h.eps)


@dataclass(frozen=True)
class Spec:
    """A rule, its public defaults, and where weight decay acts: "gradient", "theta" or inside the "rule".

    `fills_first`: the first step of a tensor is none, so that decay of theta waits as well. `together` comes
    before the rules of the tensors, for what is formed of all of them: it has all that have a gradient, and a
    dict that is kept from step to step, which the rule finds as ``h.common``. `numbers` are the keys of that
    which every tensor shows among its states.
    """

    rule: Rule
    defaults: dict[str, Any] = field(default_factory=dict)
    decay: str = "gradient"
    fills_first: bool = False
    together: Callable[[Any, State], None] | None = None
    numbers: tuple[str, ...] = ()


_MOMENTS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
_ROOT = {"eps_inside_root": False}
_DECOUPLE = {"decoupled_weight_decay": False}
_HAT = {"eps_hat": False}
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
        adagrad,
        {"lr": 1e-2, "lr_decay": 0.0, "eps": 1e-10, "average": False, **_START, **_ROOT, **_DECOUPLE},
    ),
    "Adadelta": Spec(adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6, **_DECOUPLE}),
    "RMSprop": Spec(
        rmsprop,
        {
            "lr": 1e-2,
            "alpha": 0.99,
            "eps": 1e-8,
            "momentum": 0.0,
            "momentum_form": "gradient",
            "centered": False,
            **_START,
            **_ROOT,
            **_DECOUPLE,
        },
    ),
    "Rprop": Spec(rprop, {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)}),
    "ASGD": Spec(asgd, {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6}),
    "Adam": Spec(adam, {**_ADAM, **_HAT, **_DECOUPLE}),
    "AdamW": Spec(adam, {**_ADAM, **_HAT, "weight_decay": 1e-2}, decay="theta"),
    "Adamax": Spec(adamax, {**_MOMENTS, **_DECOUPLE, "eps_after_max": False, "lr": 2e-3}),
    "NAdam": Spec(nadam, {**_MOMENTS, **_ROOT, **_DECOUPLE, "lr": 2e-3, "momentum_decay": 4e-3}),
    "RAdam": Spec(radam, {**_MOMENTS, **_ROOT, **_DECOUPLE, "eps_hat": True, "rectify_threshold": 5.0}),
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
    "AdEMAMix": Spec(
        ademamix,
        {
            **_MOMENTS,
            "betas": (0.9, 0.999, 0.9999),
            "alpha": 5.0,
            "alpha_warmup": None,
            "beta3_warmup": None,
        },
        decay="theta",
    ),
    "ADOPT": Spec(
        adopt,
        {**_MOMENTS, **_DECOUPLE, "betas": (0.9, 0.9999), "eps": 1e-6, "clip_exp": 0.25},
        fills_first=True,
    ),
    "LaProp": Spec(
        laprop, {**_MOMENTS, "lr": 4e-4, "eps": 1e-15, "fixed_decay": True, "amsgrad": False}, decay="rule"
    ),
    "Grams": Spec(grams, {**_MOMENTS, "eps": 1e-6, "eps_hat": True}, decay="theta"),
    "Signum": Spec(signsgd, {"lr": 1e-3, "momentum": 0.9, **_DECOUPLE}),
    "MARS": Spec(
        mars,
        {
            **_MOMENTS,
            "lr": 3e-3,
            "betas": (0.95, 0.99),
            "gamma": 0.025,
            "mars_type": "mars-adamw",
            "amsgrad": False,
            "optimize_1d": False,
            "lr_1d_factor": 1.0,
            "betas_1d": (0.9, 0.95),
            "weight_decay_1d": 0.1,
        },
        decay="rule",
    ),
    "StableAdamW": Spec(
        stableadamw, {**_MOMENTS, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 1e-2}, decay="rule"
    ),
    "ScheduleFreeSGD": Spec(
        schedule_free_sgd, {"lr": 1.0, "momentum": 0.9, "warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0}
    ),
    "ScheduleFreeAdamW": Spec(
        schedule_free_adamw,
        {**_MOMENTS, "lr": 2.5e-3, "warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0},
        decay="rule",
    ),
    "ScheduleFreeRAdam": Spec(
        schedule_free_radam,
        {**_MOMENTS, "lr": 2.5e-3, "r": 0.0, "weight_lr_power": 2.0, "silent_sgd_phase": True},
        decay="rule",
    ),
    "Prodigy": Spec(
        prodigy,
        {
            **_MOMENTS,
            "lr": 1.0,
            "beta3": None,
            "decouple": True,
            "use_bias_correction": False,
            "safeguard_warmup": False,
            "d0": 1e-6,
            "d_coef": 1.0,
            "growth_rate": np.inf,
        },
        decay="rule",
        together=prodigy_estimate,
        numbers=("d", "d_max", "d_numerator", "k"),
    ),
    "SOAP": Spec(
        soap,
        {
            "lr": 3e-3,
            "betas": (0.95, 0.95),
            "shampoo_beta": -1.0,
            "eps": 1e-8,
            "weight_decay": 1e-2,
            "precondition_frequency": 10,
            "max_precond_dim": 10000,
            "merge_dims": False,
            "precondition_1d": False,
            "normalize_grads": False,
            "correct_bias": True,
        },
        decay="rule",
        fills_first=True,
    ),
    "Shampoo": Spec(
        shampoo,
        {
            "lr": 1e-1,
            "momentum": 0.0,
            "epsilon": 1e-4,
            "beta2": 1.0,
            "update_freq": 1,
            "block_size": 128,
            "grafting": "none",
            "graft_beta2": 0.999,
            "graft_eps": 1e-8,
        },
    ),
    "Kron": Spec(
        kron,
        {
            "lr": 1e-3,
            "momentum": 0.9,
            "preconditioner_update_probability": None,
            "max_size_triangular": 8192,
            "min_ndim_triangular": 2,
            "memory_save_mode": None,
            "momentum_into_precond_update": True,
            "precond_lr": 0.1,
            "precond_init_scale": 1.0,
            "balance_prob": 0.01,
            "decoupled_weight_decay": True,
        },
    ),
    "Adafactor": Spec(
        adafactor,
        {
            "lr": 1e-2,
            "beta2_decay": -0.8,
            "eps": (None, 1e-3),
            "d": 1.0,
            "beta1": 0.0,
            "relative_step": True,
            "scale_parameter": True,
            "warmup_init": False,
            "eps_form": "floor",
            "scaled_decay": False,
        },
        decay="rule",
    ),
}
_FLAGS = {"cautious": False, "cautious_weight_decay": False, "centralize": False}
COMMON: dict[str, Any] = {"weight_decay": 0.0, "l1": 0.0, "l1_proximal": 0.0, "maximize": False, **_FLAGS}
