"""A loss in float32 beside a penalty in float64: f is far coarser than the float64 that it returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

METHODS = ("cg", "l-bfgs", "trust-region", "arc", "saddle-free-newton")


def regression(seed: int) -> tuple[Any, Any, Any]:
    """f with logistic losses in float32, its gradient in float64, and a start."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((30, 4)).astype(np.float32)
    y = np.sign(x @ np.array([1, -2, 0.5, 0], np.float32) + 0.5 * rng.standard_normal(30).astype(np.float32))
    wide, signs = x.astype(float), y.astype(float)

    def f(w: Any) -> float:
        with np.errstate(over="ignore"):
            losses = np.logaddexp(np.float32(0), -y * (x @ w.astype(np.float32)))
        return float(losses.mean()) + 0.05 * float(w @ w)

    def grad(w: Any) -> Any:
        with np.errstate(over="ignore"):
            return wide.T @ (-signs / (1 + np.exp(signs * (wide @ w)))) / 30 + 0.1 * w

    return f, grad, 3 * rng.standard_normal(4)


@pytest.mark.parametrize("method", METHODS)
def test_rounding_inside_f_accuses_no_gradient_and_ends(method: Any) -> None:
    for seed in range(12):
        f, grad, x0 = regression(seed)
        r = fastopt.minimize(f, grad, x0, method, gtol=1e-7)
        assert "disagree" not in r.message
        assert r.success or "precision" in r.message, r.message
        assert r.nit < 100
        assert np.abs(grad(r.x)).max() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_gradient_is_named_all_the_same(method: Any) -> None:
    named = 0
    for seed in range(12):
        f, grad, x0 = regression(seed)
        for wrong in (lambda w, grad=grad: -grad(w), lambda w, grad=grad: grad(w) * [1, 1, -1, 1]):
            named += "disagree" in fastopt.minimize(f, wrong, x0, method, gtol=1e-7).message
    assert named >= 20


@pytest.mark.parametrize("method", METHODS)
def test_one_wrong_sign_beside_a_float32_loss_is_named(method: Any) -> None:
    named = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a, b, x0 = rng.standard_normal((20, 4)), rng.standard_normal(20), 3 * rng.standard_normal(4)
        single, of = a.astype(np.float32), b.astype(np.float32)

        def f(x: Any, single: Any = single, of: Any = of) -> float:
            return float(((single @ x.astype(np.float32) - of) ** 2).sum())

        def wrong(x: Any, a: Any = a, b: Any = b) -> Any:
            return 2 * a.T @ (a @ x - b) * [1, 1, -1, 1]

        named += "disagree" in fastopt.minimize(f, wrong, x0, method).message
    assert named >= 18


def test_noise_is_measured_once() -> None:
    """Also where f is 0 on all of the line, which says nothing."""

    def f(x: Any) -> float:
        return float(np.float16(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)))

    def grad(x: Any) -> Any:
        g = np.zeros_like(x)
        g[1:] += 200 * (x[1:] - x[:-1] ** 2)
        g[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        return g

    for method in ("trust-region", "arc", "saddle-free-newton"):
        r = fastopt.minimize(f, grad, np.random.default_rng(0).standard_normal(4), method)
        assert r.nfev < 100
