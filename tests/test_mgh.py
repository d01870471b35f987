"""The test set itself: derivatives against differences, f and g at the minimisers that the paper prints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jets import variables
from mgh import PROBLEMS, Problem, problem

each = pytest.mark.parametrize("p", PROBLEMS, ids=lambda p: p.name)


def near_start(p: Problem) -> NDArray[Any]:
    """A point where nothing vanishes by symmetry: off the start, by less than the formulas can bear."""
    return p.x0 + 0.01 * (1 + abs(p.x0)) * np.random.default_rng(p.number).uniform(0.2, 1, p.n)


def central(function: Any, x: NDArray[Any]) -> NDArray[Any]:
    """Columns d function / d x_j, by central differences extrapolated once: error about 1e-10 relative."""
    columns = []
    for j in range(len(x)):
        h = 1e-3 * max(1e-2, abs(x[j]))
        e = np.eye(len(x))[j]
        d = [(function(x + k * h * e) - function(x - k * h * e)) / (2 * k * h) for k in (1, 0.5)]
        columns.append((4 * d[1] - d[0]) / 3)
    return np.stack(columns, -1)


def test_the_set_is_whole():
    assert {p.number for p in PROBLEMS} == set(range(1, 36))
    assert len({p.name for p in PROBLEMS}) == len(PROBLEMS) == 49


@each
def test_derivatives_agree_with_differences(p):
    x = near_start(p)
    jacobian = p.jacobian(x)
    scale = abs(jacobian).max() + abs(p.residual(x)).max() / max(1, abs(x).max())
    np.testing.assert_allclose(jacobian, central(p.residual, x), rtol=1e-6, atol=1e-7 * scale)
    np.testing.assert_allclose(
        p.grad(x), 2 * jacobian.T @ p.residual(x), rtol=1e-12, atol=1e-12 * abs(p.grad(x)).max()
    )
    hessian = p.hess(x)
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(hessian, central(p.grad, x), rtol=1e-5, atol=1e-7 * abs(hessian).max())


@each
def test_a_formula_gives_the_same_values_with_and_without_derivatives(p):
    x = near_start(p)
    for order in (1, 2):
        np.testing.assert_allclose(
            p.formula(variables(x, order)).value, p.residual(x), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("p", [p for p in PROBLEMS if p.minimisers], ids=lambda p: p.name)
def test_the_paper_s_minima_are_reached_at_its_minimisers(p):
    """Six digits of x are worth twelve of f, in units of the curvature."""
    for x in p.minimisers:
        hessian = p.hess(x)
        slack = abs(x) @ abs(hessian) @ abs(x) * 1e-12
        assert p.reached(p.f(x), atol=1e-10 + slack), (p.f(x), p.minima)
        bound = 1e-6 * abs(hessian) @ abs(x) + 1e-12 * abs(hessian).max()
        assert (abs(p.grad(x)) <= bound + 1e-12 * abs(p.jacobian(x)).sum(0)).all()


def damped_newton(p: Problem) -> float:
    """f after Gauss-Newton with damping (Levenberg and Marquardt), then Newton's method with |H|."""
    x, f, damping = p.x0, p.f(p.x0), 1e-3
    for k in range(600):
        jacobian = p.jacobian(x)
        if k < 300:
            scale = np.sqrt((jacobian**2).sum(0)) + 1e-300
            rows = np.vstack([jacobian / scale, np.sqrt(damping) * np.eye(p.n)])
            step = np.linalg.lstsq(rows, np.r_[-p.residual(x), np.zeros(p.n)], rcond=None)[0] / scale
        else:
            w, v = np.linalg.eigh(p.hess(x))
            step = -(v / np.maximum(abs(w), 1e-14 * abs(w).max())) @ (v.T @ p.grad(x)) / (1 + damping)
        new = p.f(x + step)
        if new < f:
            x, f, damping = x + step, new, damping / 5
        else:
            damping = max(damping, 1e-3) * 3
        if damping > 1e20:
            break
    return f


@pytest.mark.parametrize("p", [p for p in PROBLEMS if not p.minimisers], ids=lambda p: p.name)
def test_a_plain_method_reaches_the_paper_s_minima_where_it_prints_no_minimiser(p):
    f = damped_newton(p)
    assert p.reached(f, rtol=1e-5, atol=1e-12), (f, p.minima)


def test_families_come_in_any_size():
    assert problem(21, 200).f(np.ones(200)) == 0
    assert problem(32, 4).minima == ()


def test_values_by_hand():
    assert problem(1).f(np.array([-1.2, 1.0])) == pytest.approx(24.2)
    assert problem(13).f(problem(13).x0) == pytest.approx(215)
    assert problem(14).f(problem(14).x0) == pytest.approx(19192)
    assert problem(20, 6).f(np.zeros(6)) == pytest.approx(30)
    np.testing.assert_allclose(problem(1).hess(np.array([1.0, 1.0])), [[802, -400], [-400, 200]])
