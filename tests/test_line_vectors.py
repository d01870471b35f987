"""The vector work of line-search methods against NumPy: every pass, every length, the same bits
everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import LEVELS, bits, rouse, threads
from fastopt import _dispatch

SIZES = [1, 2, 15, 16, 17, 100, 4095, 4096, 4097, 3 * 4096 + 5]


def close(got: float, terms: Any, rtol: float = 1e-14) -> bool:
    """A sum of products is as good as its terms allow."""
    return abs(got - np.sum(terms)) <= rtol * max(1, len(terms)) ** 0.5 * np.sum(np.abs(terms))


def make(n: int, pairs: int, level: str = LEVELS[-1], seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(2, n))
    return _dispatch.load(level).LineVectors(x, g, pairs), rng


def two_loops(g: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """H g as Nocedal & Wright 2006, algorithm 7.4, has it."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    s, y = pairs[-1]
    q = q * ((s @ y) / (y @ y))
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - (y @ q) / (s @ y)) * s
    return q


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", SIZES)
def test_passes(n: int, level: str) -> None:
    v, rng = make(n, 0, level)
    x, g = v.x.copy(), v.g.copy()
    slope, square = v.steepest(0.5)
    assert np.array_equal(v.d, -0.5 * g)
    assert close(slope, v.d * g)
    assert close(square, v.d * v.d)
    assert v.step(0.3) is v.trial
    assert np.array_equal(v.trial, x + 0.3 * v.d)
    t = rng.normal(size=n)
    slope, largest = v.take(t)
    assert np.array_equal(v.trial_g, t)
    assert not np.shares_memory(v.trial_g, t)
    assert close(slope, t * v.d)
    assert largest == np.abs(t).max()
    y, d = t - g, v.d.copy()
    for got, a, b in zip(v.products(), (t, t, y, y, y, g, d), (t, g, y, t, d, g, d), strict=True):
        assert close(got, a * b)
    trial = v.trial.copy()
    v.accept()
    assert np.array_equal(v.x, trial)
    assert np.array_equal(v.g, t)
    slope, square = v.conjugate(0.7)
    assert np.array_equal(v.d, 0.7 * d - t)
    assert close(slope, v.d * t)
    assert close(square, v.d * v.d)


def test_keep_puts_a_point_aside() -> None:
    v, _ = make(5, 0)
    v.steepest(1.0)
    first = v.step(0.5).copy()
    v.take(np.ones(5))
    v.keep()
    v.step(0.25)
    v.take(np.zeros(5))
    v.keep()
    assert np.array_equal(v.trial, first)
    assert np.array_equal(v.trial_g, np.ones(5))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [3, 17, 4097, 2 * 4096 + 3])
@pytest.mark.parametrize("pairs", [1, 4, 10])
def test_the_compact_form_is_the_two_loops(n: int, pairs: int, level: str) -> None:
    v, rng = make(n, pairs, level)
    bend = np.exp(rng.normal(size=n))
    v.steepest(0.1)
    history: list[tuple[Any, Any]] = []
    for k in range(2 * pairs + 3):
        x, g = v.x.copy(), v.g.copy()
        trial = v.step(0.5 + 0.1 * k).copy()
        v.take(g + bend * (trial - x))
        history = [*history, (v.trial - x, v.trial_g - g)][-pairs:]
        slope, square = v.quasi_newton()
        expected = -two_loops(v.g, history)
        scale = np.abs(expected).max()
        assert np.abs(v.d - expected).max() <= 1e-9 * scale
        assert close(slope, v.d * v.g)
        assert close(square, v.d * v.d)


def test_a_pair_without_curvature_is_refused_and_costs_no_other() -> None:
    v, _ = make(4, 2)
    history = []
    v.steepest(1.0)
    for bend in (2.0, 3.0, -1.0, 0.0):
        x, g = v.x.copy(), v.g.copy()
        v.step(0.25)
        v.take(g + bend * (v.trial - x) + (bend > 0) * 0.1 * np.arange(4.0) * (v.trial - x))
        if bend > 0:
            history.append((v.trial - x, v.trial_g - g))
        v.quasi_newton()
        expected = -two_loops(v.g, history)
        assert np.allclose(v.d, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_without_any_pair_there_is_no_direction() -> None:
    v, _ = make(4, 3)
    v.steepest(1.0)
    v.step(1.0)
    v.take(v.g)
    assert v.quasi_newton() is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_shows_in_the_slope(bad: float) -> None:
    v, _ = make(9000, 0)
    v.steepest(1.0)
    g = np.ones(9000)
    g[5000] = bad
    assert not np.isfinite(v.take(g)[0])


@pytest.mark.parametrize(
    "wrong",
    [np.ones(4, np.float32), np.ones(5), np.ones((4, 1)), np.ones(8)[::2], [1.0] * 4, np.ones(4, ">f8")],
    ids=["float32", "longer", "2-d", "strided", "list", "other byte order"],
)
def test_nothing_is_converted(wrong: Any) -> None:
    v, _ = make(4, 0)
    v.steepest(1.0)
    with pytest.raises(ValueError, match=r"gradient: expected contiguous float64 of shape \(4,\)"):
        v.take(wrong)


def run(level: str, n: int) -> Any:
    seen = []
    v, rng = make(n, 3, level)
    v.steepest(0.01)
    for _ in range(6):
        v.step(0.5)
        v.take(v.g + np.abs(rng.normal(size=n)) * (v.trial - v.x))
        seen.append((v.quasi_newton(), v.d.copy(), v.x.copy()))
    w, rng = make(n, 0, level)
    w.steepest(0.01)
    for _ in range(3):
        w.step(0.5)
        taken = w.take(rng.normal(size=n))
        products = w.products()
        w.accept()
        seen.append((taken, products, w.conjugate(0.3), w.d.copy()))
    return bits(seen)


@pytest.mark.parametrize("n", [100, 12 * 4096 + 77])
def test_the_same_bits_on_every_level_and_at_every_thread_count(n: int) -> None:
    results = []
    for level in LEVELS:
        for count in (1, 2, 3):
            with threads(count):
                if count > 1:
                    rouse(level)
                results.append(run(level, n))
    assert len(results) >= 3
    assert all(result == results[0] for result in results)
