"""Where line searches go wrong: scales, values that are not finite, gradients that lie, functions without
minimum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from mgh import problem

SEARCHING = ("cg", "l-bfgs")
BETAS = ("hager-zhang", "polak-ribiere", "hestenes-stiefel", "dai-yuan", "fletcher-reeves")
SCALES = (1e-50, 1e-20, 1.0, 1e20, 1e50)


@pytest.mark.parametrize("method", SEARCHING)
@pytest.mark.parametrize("of_x", SCALES)
@pytest.mark.parametrize("of_f", SCALES)
def test_scales(of_f: float, of_x: float, method: str) -> None:
    """Beale's function in other units of f and x."""
    p = problem(5)
    r = fastopt.minimize(
        lambda x: of_f * p.f(x / of_x),
        lambda x: of_f * (p.grad(x / of_x) / of_x),
        of_x * p.x0,
        method,
        gtol=1e-5 * of_f / of_x,
        ftol=0,
    )
    assert r.success, r.message
    assert np.abs(r.x / of_x - [3, 0.5]).max() < 1e-4
    assert r.nfev <= 90


@pytest.mark.parametrize("method", SEARCHING)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_wall_where_f_is_not_finite(bad: float, method: str) -> None:
    """-log x1 - log x2 + x'x has its minimum near a wall that the first long step would cross."""

    def f(x: Any) -> float:
        return float(x @ x - np.log(x).sum()) if (x > 0).all() else bad

    r = fastopt.minimize(f, lambda x: 2 * x - 1 / x, np.array([5.0, 1e-4]), method)
    assert r.success
    assert np.abs(r.x - math.sqrt(0.5)).max() < 1e-4


@pytest.mark.parametrize("method", SEARCHING)
def test_a_gradient_that_is_not_finite_is_walked_around(method: str) -> None:
    """e^x - 2x falls so evenly from afar that some searches step past its minimum, where f is still low."""
    bad = []

    def grad(x: Any) -> Any:
        if x[0] > 1:
            bad.append(x)
            return np.full(1, np.nan)
        return np.exp(x) - 2

    for start in np.linspace(-20, -5, 16):
        r = fastopt.minimize(lambda x: float(np.exp(x[0]) - 2 * x[0]), grad, np.full(1, start), method)
        assert r.success
        assert abs(r.x[0] - math.log(2)) < 1e-4
    assert bad, "the gradient was always finite"


@pytest.mark.parametrize("method", [*SEARCHING, "adam"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_start_that_is_not_finite(bad: float, method: str) -> None:
    r = fastopt.minimize(lambda x: bad, lambda x: x, np.ones(2), method)
    assert (r.status, r.success, r.nfev) == (3, False, 1)
    assert r.message == f"NaN result encountered. f is {bad} at the start."
    assert np.array_equal(r.x, np.ones(2))
    r = fastopt.minimize(lambda x: 1.0, lambda x: [np.array([1.0, bad])], [np.ones(2)], method)
    assert r.status == 3
    assert f"grad[0][1] is {bad} at the start" in r.message


@pytest.mark.parametrize("method", SEARCHING)
@pytest.mark.parametrize("wrong", [lambda g: -g, lambda g: np.add(g, [0, 1e3])], ids=["sign", "shifted"])
def test_a_gradient_that_disagrees_with_f(wrong: Any, method: str) -> None:
    p = problem(1)
    r = fastopt.minimize(p.f, lambda x: wrong(p.grad(x)), p.x0, method)
    assert (r.status, r.success) == (2, False)
    assert "fastopt.check_grad(f, grad, x)" in r.message
    assert r.fun <= p.f(p.x0)
    assert r.nfev < 30


@pytest.mark.parametrize("method", SEARCHING)
def test_precision_loss_is_no_reason_to_suspect_the_gradient(method: str) -> None:
    for number in (1, 2, 5, 15, 16):
        p = problem(number)
        values: list[float] = []

        def grad(x: Any, p: Any = p, values: list[float] = values) -> Any:
            values.append(p.f(x))
            return p.grad(x)

        r = fastopt.minimize(p.f, grad, p.x0, method, gtol=0, ftol=0)
        assert r.success or r.fun == min(values)
        assert r.status == 2 or r.success
        assert r.message == "Desired error not necessarily achieved due to precision loss." or r.success
        assert p.reached(r.fun)
        assert r.nfev < 500


@pytest.mark.parametrize("method", SEARCHING)
@pytest.mark.parametrize(
    ("f", "grad"),
    [
        (lambda x: float(x.sum()), np.ones_like),
        (lambda x: -float(x @ x), lambda x: -2 * x),
        (lambda x: float(np.sum((x - 2) ** 3)), lambda x: 3 * (x - 2) ** 2),
        (
            lambda x: float(x[0] - np.exp(np.minimum(x[1], 700))),
            lambda x: np.array([1.0, -np.exp(min(x[1], 700))]),
        ),
    ],
    ids=["linear", "concave", "cubic", "exponential"],
)
def test_no_minimum(f: Any, grad: Any, method: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        r = fastopt.minimize(f, grad, np.ones(2), method)
        assert (r.status, r.success) == (4, False)
        assert r.message == "The function seems to be unbounded below."
        assert -math.inf < r.fun < f(np.ones(2))
        assert r.fun == f(r.x)
        assert np.isfinite(r.x).all()
        assert r.nfev < 120


@pytest.mark.parametrize("method", SEARCHING)
@pytest.mark.parametrize("number", [1, 7, 14])
def test_71_starting_points(number: int, method: str) -> None:
    p = problem(number)
    steps = np.linspace(-3, 3, 71)
    evaluations = 0
    for k, step in enumerate(steps):
        start = p.x0 + step * np.cos(np.arange(p.n) + k)
        r = fastopt.minimize(p.f, p.grad, start, method, gtol=1e-6, ftol=0)
        assert r.success, (k, r.message)
        assert p.reached(r.fun) or np.abs(r.jac).max() <= 1e-6
        evaluations += r.nfev
    assert evaluations / 71 < 300


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(
    "restart", [{}, {"powell": 0.2}, {"restart_every": 10}], ids=["", "powell", "n steps"]
)
def test_every_beta(beta: str, restart: dict[str, Any]) -> None:
    for p in (problem(21, 10), problem(30, 30), problem(5)):
        r = fastopt.minimize(p.f, p.grad, p.x0, "cg", beta=beta, maxiter=5000, **restart)
        assert r.success
        assert p.reached(r.fun)


@pytest.mark.parametrize("beta", BETAS)
def test_a_quadratic_takes_n_steps(beta: str) -> None:
    """With near exact searches all are the linear method (Nocedal & Wright 2006, section 5.2)."""
    n = 6
    a = np.diag(np.linspace(1.0, 9.0, n))
    r = fastopt.minimize(
        lambda x: float(0.5 * x @ a @ x),
        lambda x: a @ x,
        np.ones(n),
        "cg",
        beta=beta,
        c2=1e-9,
        c1=1e-10,
        gtol=1e-8,
    )
    assert r.success
    assert r.nit <= n + 1


def test_an_ill_conditioned_quadratic_in_many_variables() -> None:
    n = 200
    d = np.logspace(0, 4, n)
    for method in SEARCHING:
        r = fastopt.minimize(
            lambda x: float(0.5 * x @ (d * x)), lambda x: d * x, np.ones(n) / d**0.5, method,
            gtol=1e-4, ftol=0,
        )  # fmt: skip
        assert r.success
        assert r.nfev + r.njev < 4500


@pytest.mark.parametrize("method", SEARCHING)
def test_float32(method: str) -> None:
    p = problem(1)
    r = fastopt.minimize(
        lambda x: np.float32(p.f(x)),
        lambda x: p.grad(x).astype(np.float32),
        p.x0.astype(np.float32),
        method,
        gtol=1e-2,
    )
    assert r.x.dtype == np.float32
    assert r.nfev < 300
    assert r.fun < 1e-3
