"""Oracle of Kron (PSGD), with the library's random numbers: what it draws is part of what it promises.

Written from the papers (Li 2018, Pooladzandi & Li 2024), in float64 NumPy, with the notation of `reference`.
Tensors are told apart by ``h.number``, their position.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from reference_factored import along, unfolded

Array = Any  # a float64 array
State = dict[str, Any]

# --- random numbers: a hash of seed, step, tensor, role and element, and half of Box and Muller's method ---

_GOLDEN = 0x9E3779B97F4A7C15
_PROBE, _BALANCE = 64, 65


def _scrambled(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mixed(h: Any, x: Any) -> Any:
    with np.errstate(over="ignore"):
        return _scrambled(np.uint64(h) + np.uint64(_GOLDEN) * (np.asarray(x, np.uint64) + np.uint64(1)))


def _key(seed: int, t: int, number: int, role: int) -> Any:
    return _mixed(_mixed(_mixed(np.uint64(seed), t), number), role)


def probe(seed: int, t: int, number: int, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers for the elements of a tensor in C order."""
    bits = _mixed(_key(seed, t, number, _PROBE), np.arange(math.prod(shape)))
    u = ((bits >> np.uint64(32)).astype(float) + 0.5) * 2.0**-32
    w = ((bits >> np.uint64(1) & np.uint64(0x7FFFFFFF)).astype(float) + 0.5) * 2.0**-31
    sign = np.where(bits & np.uint64(1), -1.0, 1.0)
    return (sign * np.sqrt(-2 * np.log(u)) * np.cos(np.pi / 2 * w)).reshape(shape)


def balances(seed: int, t: int, number: int, probability: float) -> bool:
    return float(_mixed(_key(seed, t, number, _BALANCE), 0) >> np.uint64(11)) * 2.0**-53 < probability


# --- factors ---


def triangular(shape: tuple[int, ...], h: SimpleNamespace) -> list[bool]:
    """Which sides have a triangular factor; a tensor without axes counts as one of one element."""
    sides = shape or (1,)
    longest = [i for i, n in enumerate(sides) if n == max(sides)]
    diagonal = {None: [], "one_diag": longest[-1:], "all_diag": range(len(sides))}
    diagonal["smart_one_diag"] = longest if len(longest) == 1 and len(sides) > 1 else []
    return [
        n > 1 and n <= h.max_size_triangular and len(shape) >= h.min_ndim_triangular
        and i not in diagonal[h.memory_save_mode]
        for i, n in enumerate(sides)
    ]  # fmt: skip


def factors_in(flat: Array, shape: tuple[int, ...], h: SimpleNamespace) -> list[Array]:
    """The factors of a state that holds them one behind the other: squares and diagonals."""
    found, at = [], 0
    for n, square in zip(shape or (1,), triangular(shape, h), strict=True):
        size = n * n if square else n
        found.append(flat[at : at + size].reshape((n, n) if square else (n,)))
        at += size
    return found


def _across(q: Array, x: Array, side: int) -> Array:
    """A diagonal factor in the shape in which it multiplies x."""
    return q.reshape([-1 if i == side else 1 for i in range(x.ndim)])


def times(x: Array, factors: list[Array], *, transposed: bool = False) -> Array:
    """x with ``sum_j q[i, j] x[j]``, or of ``q[j, i]``, along every side."""
    for side, q in enumerate(factors):
        x = x * _across(q, x, side) if q.ndim == 1 else along(x, side, q if transposed else q.T)
    return x


def over(x: Array, factors: list[Array]) -> Array:
    """y with ``sum_i y[i] q[i, j] = x[j]`` along every side."""
    for side, q in enumerate(factors):
        if q.ndim == 1:
            x = x / _across(q, x, side)
        else:
            solved = np.linalg.solve(q.T, unfolded(x, side))
            x = np.moveaxis(solved.reshape(np.moveaxis(x, side, 0).shape), 0, side)
    return x


def lower_bound(a: Array) -> float:
    """Of the 2-norm of a symmetric matrix: a step of the power method from its largest row."""
    row = a[np.argmax(np.sum(a * a, axis=1))]
    x = a @ row
    return float(np.linalg.norm(a @ (x / np.linalg.norm(x))))


def updated(factors: list[Array], g: Array, v: Array, rate: float) -> list[Array]:
    a, b = times(g, factors), over(v, factors)
    new = []
    for side, q in enumerate(factors):
        of_a, of_b = unfolded(a, side), unfolded(b, side)
        if q.ndim == 1:
            first, second = np.sum(of_a**2, axis=1), np.sum(of_b**2, axis=1)
            new.append(q - rate * (first - second) / np.max(first + second) * q)
        else:
            first, second = of_a @ of_a.T, of_b @ of_b.T
            new.append(q - rate / lower_bound(first + second) * np.triu(first - second) @ q)
    return new


def balanced(factors: list[Array]) -> list[Array]:
    largest = [np.max(np.abs(q)) for q in factors]
    mean = math.prod(largest) ** (1 / len(factors))
    return [q * (mean / most) for q, most in zip(factors, largest, strict=True)]


# --- the rule ---


def _updates(s: State, t: int, h: SimpleNamespace) -> bool:
    p = h.preconditioner_update_probability
    if p is None:
        p = min(1.0, max(0.03, math.exp(-0.001 * (t - 1 - 500))))
    counter = s.get("update_counter", 0.0) + 1
    now = p > 0 and counter >= 1 / p
    s["update_counter"] = 0.0 if now else counter
    return now


def kron(theta: Array, g: Array, s: State, t: int, h: SimpleNamespace) -> Array:
    """As kron_torch: the average is corrected, Q learns of it, P = Q'Q takes it to the step."""
    seed, learns, m = getattr(h, "seed", 0), _updates(s, t, h), g
    if h.momentum:
        s["momentum_buffer"] = h.momentum * s.get("momentum_buffer", 0.0) + (1 - h.momentum) * g
        m = s["momentum_buffer"] / (1 - h.momentum**t)
    if g.size == 0:
        return theta
    x = m.reshape(g.shape or (1,))
    if "Q" not in s:
        scale = h.precond_init_scale ** (1 / max(g.ndim, 1))
        s["Q"] = np.concatenate(
            [
                (scale * (np.eye(n) if square else np.ones(n))).ravel()
                for n, square in zip(x.shape, triangular(g.shape, h), strict=True)
            ]
        ).astype(g.dtype)
    factors = factors_in(s["Q"], g.shape, h)
    if learns:
        if g.ndim > 1 and balances(seed, t, h.number, h.balance_prob):
            factors = balanced(factors)
        source = x if h.momentum_into_precond_update else g.reshape(x.shape)
        v = probe(seed, t, h.number, x.shape).astype(g.dtype)
        factors = updated(factors, source, v, h.precond_lr)
        s["Q"] = np.concatenate([q.ravel() for q in factors])
    move = times(times(x, factors), factors, transposed=True)
    move = move * min(1.0, 1.1 / (np.sqrt(np.mean(move * move)) + 1e-6))
    return theta - h.lr * move.reshape(g.shape)
