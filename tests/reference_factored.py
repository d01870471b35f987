"""Oracles of the rules that keep factors of a tensor's second moment: SOAP, Shampoo, Adafactor.

Written from the papers, in float64 NumPy, beside ``reference`` and with its notation. A basis of eigenvectors
is only given up to signs and, where eigenvalues are equal, up to rotations that do change what SOAP does:
``s["Q"]`` may therefore be set from outside, once it has been seen to be as good.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

Array = Any  # a float64 array
State = dict[str, Any]


def _average(s: State, name: str, beta: float, x: Array) -> Array:
    s[name] = beta * s.get(name, 0.0) + (1 - beta) * x
    return s[name]


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x * x))) if x.size else 0.0


# --- along the sides of a tensor ---


def unfolded(x: Array, side: int) -> Array:
    """The matrix whose rows are indexed by one side."""
    return np.moveaxis(x, side, 0).reshape(x.shape[side], x.size // max(x.shape[side], 1))


def along(x: Array, side: int, a: Array) -> Array:
    """x with ``sum_i x[i] a[i, j]`` along one side."""
    return np.moveaxis(np.tensordot(x, a, axes=(side, 0)), -1, side)


def _into(x: Array, bases: list[Array | None]) -> Array:
    for side, q in enumerate(bases):
        x = x if q is None else along(x, side, q)
    return x


def _out_of(x: Array, bases: list[Array | None]) -> Array:
    return _into(x, [None if q is None else q.T for q in bases])


# --- SOAP ---


def merged(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Neighbouring sides joined as long as their product is at most so much."""
    sides: list[int] = []
    now = 1
    for n in shape:
        if now * n <= most:
            now *= n
        elif now > 1:
            sides.append(now)
            now = n
        else:
            sides.append(n)
    return tuple(sides) if now == 1 and sides else (*sides, now)


def soap_sides(shape: tuple[int, ...], h: SimpleNamespace) -> list[int | None]:
    """The lengths of the sides of a tensor as SOAP sees it, None where one has no basis."""
    if 0 in shape:
        return [None] * len(shape)
    if len(shape) < 2:
        keep = h.precondition_1d and len(shape) == 1 and shape[0] <= h.max_precond_dim
        return [shape[0] if keep else None] if shape else []
    sides = merged(shape, h.max_precond_dim) if h.merge_dims else shape
    return [n if n <= h.max_precond_dim else None for n in sides]


def _flat(squares: list[Array | None]) -> Array:
    return np.concatenate([a.ravel() for a in squares if a is not None] or [np.zeros(0)])


def squares_in(flat: Array, sides: list[int | None]) -> list[Array | None]:
    """The matrices of a state that holds them one behind the other."""
    found: list[Array | None] = []
    at = 0
    for n in sides:
        found.append(None if n is None else flat[at : at + n * n].reshape(n, n))
        at += 0 if n is None else n * n
    return found


def _eigenbasis(a: Array) -> Array:
    """Columns by falling eigenvalues, the largest entry of each positive."""
    q = np.linalg.eigh(a)[1][:, ::-1]
    return q * np.where(q[np.argmax(np.abs(q), axis=0), np.arange(len(q))] < 0, -1.0, 1.0)


def soap(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Vyas et al. 2024, Algorithms 3 and 4; the first gradient fills the statistics and nothing moves."""
    many = h.merge_dims and theta.ndim > 1
    x = g.reshape(merged(theta.shape, h.max_precond_dim)) if many else g
    sides = soap_sides(theta.shape, h)
    beta = h.betas[1] if h.shampoo_beta < 0 else h.shampoo_beta
    grams = [None if n is None else unfolded(x, i) @ unfolded(x, i).T for i, n in enumerate(sides)]
    if any(n is not None for n in sides):
        _average(s, "GG", beta, _flat(grams))
    after = squares_in(s.get("GG"), sides)
    if t == 1:
        if "GG" in s:
            s["Q"] = _flat([None if a is None else _eigenbasis(a) for a in after])
        s["exp_avg"] = s["exp_avg_sq"] = np.zeros_like(g)
        return theta
    bases, k = squares_in(s.get("Q"), sides), t - 1
    s["exp_avg"], s["exp_avg_sq"] = (s[name].reshape(x.shape) for name in ("exp_avg", "exp_avg_sq"))
    projected = _into(x, bases)
    m = _average(s, "exp_avg", h.betas[0], projected)
    v = _average(s, "exp_avg_sq", h.betas[1], projected**2)
    move = _out_of(m / (np.sqrt(v) + h.eps), bases).reshape(theta.shape)
    if h.normalize_grads:
        move = move / (1e-30 + _rms(move))
    rate = np.sqrt(1 - h.betas[1] ** k) / (1 - h.betas[0] ** k) if h.correct_bias else 1.0
    theta = theta - h.lr * rate * move
    theta = theta - h.lr * h.weight_decay * theta
    if k % h.precondition_frequency == 0 and "Q" in s:
        kept = _out_of(m, bases)
        for i, (a, q) in enumerate(zip(after, bases, strict=True)):
            if a is not None:
                bases[i], order = _refreshed(a, q)
                s["exp_avg_sq"] = np.take(s["exp_avg_sq"], order, axis=i)
        s["exp_avg"], s["Q"] = _into(kept, bases), _flat(bases)
    s["exp_avg"], s["exp_avg_sq"] = (s[name].reshape(g.shape) for name in ("exp_avg", "exp_avg_sq"))
    return theta


def _refreshed(a: Array, q: Array) -> tuple[Array, Array]:
    """One power iteration and QR, columns sorted by falling estimates; R's diagonal is positive."""
    order = np.argsort(-np.sum(q * (a @ q), axis=0), kind="stable")
    new, r = np.linalg.qr(a @ q[:, order])
    return new * np.where(np.diag(r) < 0, -1.0, 1.0), order


# --- Shampoo ---


def shampoo(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Gupta, Koren & Singer 2018, Algorithm 2: exponent -1 / (2 k) for k sides; blocks along large ones."""
    m = _average(s, "exp_avg", h.momentum, g) if h.momentum else g
    if g.size == 0:
        return theta
    if h.block_size == 1:
        return theta - h.lr * _grafted(_scaled_by_numbers(m, g, s, t, h), m, g, s, t, h)
    keep, take = (1.0, 1.0) if h.beta2 == 1 else (h.beta2, 1 - h.beta2)
    parts = [
        (side, slice(first, min(first + h.block_size, n)))
        for side, n in enumerate(g.shape)
        for first in range(0, n, h.block_size)
    ]
    lengths: list[int | None] = [part.stop - part.start for _, part in parts]
    grams = [unfolded(g, side)[part] @ unfolded(g, side)[part].T for side, part in parts]
    if parts:
        start = _flat([h.epsilon * np.eye(n) for n in lengths])
        s["statistics"] = keep * s.get("statistics", start) + take * _flat(grams)
    if parts and (t - 1) % h.update_freq == 0:
        stats = squares_in(s["statistics"], lengths)
        s["roots"] = _flat([_inverse_root(a, 2 * g.ndim, h.epsilon) for a in stats])
    move = m
    for side in range(g.ndim):
        of_side = [
            along(move[(slice(None),) * side + (part,)], side, root)
            for (of, part), root in zip(parts, squares_in(s["roots"], lengths), strict=True)
            if of == side
        ]
        move = np.concatenate(of_side, axis=side)
    return theta - h.lr * _grafted(move, m, g, s, t, h)


def _grafted(move: Array, m: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """The move, as long as SGD's or Adam's would be."""
    if h.grafting != "none":
        like = m
        if h.grafting == "adam":
            v = _average(s, "exp_avg_sq", h.graft_beta2, g * g)
            like = m / (np.sqrt(v / (1 - h.graft_beta2**t)) + h.graft_eps)
        length = np.linalg.norm(move)
        move = move * (np.linalg.norm(like) / length if length > 0 else 0.0)
    return move


def _scaled_by_numbers(m: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Blocks of one index each: a number for every index of every side."""
    keep, take = (1.0, 1.0) if h.beta2 == 1 else (h.beta2, 1 - h.beta2)
    sums = [np.sum(unfolded(g, side) ** 2, axis=1) for side in range(g.ndim)]
    if not sums:
        return m
    flat = np.concatenate(sums)
    s["statistics"] = keep * s.get("statistics", np.full_like(flat, h.epsilon)) + take * flat
    if (t - 1) % h.update_freq == 0:
        s["roots"] = np.maximum(s["statistics"], h.epsilon) ** (-0.5 / g.ndim)
    ends = np.cumsum(g.shape)[:-1]
    for side, root in enumerate(np.split(s["roots"], ends)):
        m = m * root.reshape([-1 if i == side else 1 for i in range(g.ndim)])
    return m


def _inverse_root(a: Array, p: float, least: float) -> Array:
    """a^(-1/p); eigenvalues that are rounding alone count as what rounding can be."""
    w, q = np.linalg.eigh(a)
    floor = max(least, w.max(initial=0.0) * len(a) * np.finfo(a.dtype).eps)
    return (q * np.maximum(w, floor) ** (-1 / p)) @ q.T


# --- Adafactor ---


def adafactor(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """Shazeer & Stern 2018, Algorithms 4 and 5, with means for sums; epsilon as PyTorch or as the paper."""
    eps1, eps2 = h.eps
    eps1 = np.finfo(g.dtype).eps if eps1 is None else eps1
    if theta.size == 0:
        return theta
    beta, added = 1 - t**h.beta2_decay, h.eps_form == "added"
    square = g * g + (eps1 if added else 0.0)
    if theta.ndim > 1:
        rows = _average(s, "row_var", beta, square.mean(-1, keepdims=True))
        columns = _average(s, "col_var", beta, square.mean(-2, keepdims=True))
        mean = rows.mean(-2, keepdims=True)
        v = rows * columns / (mean if added else np.maximum(mean, eps1))
    else:
        v = _average(s, "variance", beta, square)
    u = g / np.sqrt(v if added else np.maximum(v, eps1 * eps1))
    u = u / max(1.0, _rms(u) / h.d)
    rate = h.lr
    if h.relative_step:
        rate = min(1e-6 * t if h.warmup_init else h.lr, t**-0.5)
    if h.scale_parameter:
        rate = rate * max(eps2, _rms(theta))
    u = rate * u
    if h.beta1:
        u = _average(s, "exp_avg", h.beta1, u)
    return theta - (rate if h.scaled_decay else h.lr) * h.weight_decay * theta - u
