"""Results in other units: x measured in u and f in s times what they were, and factors far out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from mgh import Problem, problem

NEWTON = ("trust-region", "arc", "saddle-free-newton")
SEARCHING = ("cg", "l-bfgs")
ALL = (*NEWTON, *SEARCHING, "perturbed-gd")
DERIVATIVES = ("hess", "hvp", "differences")
#: Powers of two round nothing, so every number of a run is the same but for its exponent.
UNITS = ((2.0**-100, 1.0), (2.0**-20, 2.0**60), (0.125, 1.0), (2.0**30, 2.0**-60), (2.0**100, 2.0**100))


def run(p: Problem, method: str, derivatives: str, x0: Any, u: float, s: float) -> Any:
    options: dict[str, Any] = {"ftol": 0} if method == "l-bfgs" else {}
    if derivatives == "hess":
        options["hessian"] = lambda x: p.hess(x / u) * (s / u / u)
    if derivatives == "hvp":
        options |= {"hvp": lambda x, v: (p.hess(x / u) @ v) * (s / u / u), "subproblem": "dense"}
    return fastopt.minimize(
        lambda x: s * p.f(x / u), lambda x: p.grad(x / u) * (s / u), u * x0, method,
        gtol=1e-5 * s / u, maxiter=100, **options,
    )  # fmt: skip


@pytest.mark.parametrize("number", [1, 5, 7, 14, 16])
@pytest.mark.parametrize(
    ("method", "derivatives"),
    [(m, d) for m in NEWTON for d in DERIVATIVES] + [(m, "") for m in (*SEARCHING, "perturbed-gd")],
)
def test_the_same_iterates_in_any_unit(method: str, derivatives: str, number: int) -> None:
    p = problem(number)
    plain = run(p, method, derivatives, p.x0, 1.0, 1.0)
    for u, s in UNITS:
        other = run(p, method, derivatives, p.x0, u, s)
        assert (other.nit, other.nfev, other.njev) == (plain.nit, plain.nfev, plain.njev), (u, s)
        np.testing.assert_allclose(other.x / u, plain.x, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("method", NEWTON)
def test_a_saddle_is_left_in_any_unit(method: str) -> None:
    """A small |H| is no reason to take a saddle for a minimum: gtol is no curvature."""

    def f(w: Any) -> float:
        return float((1 - w[0] * w[1]) ** 2)

    def grad(w: Any) -> Any:
        return -2 * (1 - w[0] * w[1]) * w[::-1]

    for start in ([0.0, 0.0], [1.0, -1.0]):
        for u in (2.0**-60, 2.0**-10, 1.0, 2.0**10, 2.0**60):
            r = fastopt.minimize(
                lambda x, u=u: f(x / u), lambda x, u=u: grad(x / u) / u, u * np.array(start), method,
                gtol=1e-6 / u,
                hessian=lambda x, u=u: np.array([[2 * x[1] ** 2 / u**2, 4 * x[0] * x[1] / u**2 - 2],
                                              [4 * x[0] * x[1] / u**2 - 2, 2 * x[0] ** 2 / u**2]]) / u**2,
            )  # fmt: skip
            assert r.success
            assert r.fun < 1e-9, u


@pytest.mark.parametrize("method", NEWTON)
@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
@pytest.mark.parametrize("far", [0.0, 1e3, 1e6, -1e9])
def test_a_point_far_from_0_is_judged_by_the_function_s_own_scale(
    far: float, subproblem: str, method: str
) -> None:
    """-cos(x - c) has its natural unit 1 at c = 1e6 too, where cbrt(eps) c = 6 is a period."""
    at = far + np.arange(3.0) * 64 * np.pi
    for sign, low in ((1.0, 1.0), (-1.0, -1.0)):
        r = fastopt.minimize(
            lambda x, s=sign: -s * float(np.cos(x - at).sum()), lambda x, s=sign: s * np.sin(x - at), at,
            method, gtol=1e-3, maxiter=0, subproblem=subproblem,
        )  # fmt: skip
        assert r.lowest_eigenvalue == pytest.approx(low, rel=0.02)
    r = fastopt.minimize(
        lambda x: -float(np.cos(x - at).sum()), lambda x: np.sin(x - at), at + 0.7, method,
        gtol=1e-6, subproblem=subproblem,
    )  # fmt: skip
    assert r.success or abs(r.jac).max() <= 4e-16 * abs(at).max()
    assert r.fun == pytest.approx(-3, abs=1e-9)


# Hessians that are wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", NEWTON)
@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
@pytest.mark.parametrize("factor", [1e-300, 1e-100, 1e-10, 0.003, 0.1, 3.0, 300.0])
def test_a_hessian_too_large_or_too_small_only_costs_steps(
    factor: float, subproblem: str, method: str
) -> None:
    r = fastopt.minimize(
        lambda x: 0.5 * float(x @ x), lambda x: x.copy(), np.array([1.0, 2.0]), method,
        hessian=lambda x: factor * np.eye(2), maxiter=20000, subproblem=subproblem,
    )  # fmt: skip
    assert r.success, r.message
    assert abs(r.x).max() <= 1e-5


@pytest.mark.parametrize("method", NEWTON)
@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
@pytest.mark.parametrize("power", [-300, -150, 20, 150, 300])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_hessian_is_so_wrong_that_a_factor_leaves_its_range(
    sign: int, power: int, subproblem: str, method: str
) -> None:
    for x0 in ([1.0, 2.0], [0.0, 3.0], [1e-7, 0.0]):
        r = fastopt.minimize(
            lambda x: 0.5 * float(x @ x), lambda x: x.copy(), np.array(x0), method,
            hessian=lambda x: sign * 10.0**power * np.eye(2), maxiter=50, subproblem=subproblem,
        )  # fmt: skip
        assert 0.0 <= r.fun <= 0.5 * float(np.dot(x0, x0))
        assert r.fun == 0.5 * float(r.x @ r.x)


# Values at the ends of the range ----------------------------------------------------------------------------

EXTREME = {
    "constant": (lambda x: 1.0, lambda x: 0 * x),
    "constant, with a slope": (lambda x: 1.0, lambda x: 1 + 0 * x),
    "linear, denormal": (lambda x: 1e-310 * float(x.sum()), lambda x: 1e-310 + 0 * x),
    "linear, small": (lambda x: 1e-200 * float(x.sum()), lambda x: 1e-200 + 0 * x),
    "linear, large": (lambda x: 1e200 * float(x.sum()), lambda x: 1e200 + 0 * x),
    "square, denormal": (lambda x: 1e-310 * float(x @ x), lambda x: 2e-310 * x),
    "square, small": (lambda x: 1e-200 * float(x @ x), lambda x: 2e-200 * x),
    "square, large": (lambda x: 1e300 * float(x @ x), lambda x: 2e300 * x),
    "concave": (lambda x: -float(x @ x), lambda x: -2 * x),
    "pole": (lambda x: float(np.log(np.abs(x)).sum()), lambda x: 1 / x),
    "gradient 0": (lambda x: float(x @ x), lambda x: 0 * x),
    "gradient denormal": (lambda x: float(x @ x), lambda x: 1e-320 * x),
    "gradient huge": (lambda x: float(x @ x), lambda x: 1e300 * x),
    "infinite": (lambda x: np.inf, lambda x: x),
    "minus infinite": (lambda x: -np.inf, lambda x: x),
    "not a number": (lambda x: np.nan, lambda x: x),
}


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("gtol", [0.0, 1e-5])
@pytest.mark.parametrize("name", EXTREME)
def test_numbers_of_any_size_end_a_run_in_words(name: str, gtol: float, method: str) -> None:
    f, grad = EXTREME[name]
    starts = ([1.0, 2.0], [1e-320, 0.0], [1e-160, 1e160], [1e300, 1e300], [0.0, 0.0], [1.0])
    ways = ("dense", "lanczos") if method in NEWTON else ("",)
    for x0, way in ((np.array(x0), way) for x0 in starts for way in ways):
        with np.errstate(all="ignore"):
            options = {"subproblem": way} if way else {}
            r = fastopt.minimize(f, grad, x0, method, gtol=gtol, maxiter=200, **options)
            assert r.status in (0, 1, 2, 3, 4)
            assert np.isfinite(r.x).all()
            if np.isfinite(r.fun):
                assert r.fun == f(r.x)
                assert r.fun <= f(x0) or r.success


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
def test_kinks_let_no_step_leave_its_range(subproblem: str, method: str) -> None:
    """A gradient of two values agrees with itself at every step that is long enough.

    No minimum is promised without a continuous gradient (a line search ends in the first valley, x2 = 0).
    """
    options = {"subproblem": subproblem} if method in NEWTON else {}
    for grad in (np.sign, lambda x: np.where(x > 0, 1.0, -3.0)):
        r = fastopt.minimize(
            lambda x, g=grad: float(g(x) @ x), grad, np.array([1.3, 0.7]), method, maxiter=300, **options
        )
        assert r.status in (1, 2)
        assert r.fun < 2.0 - 1.3
        assert r.fun == float(grad(r.x) @ r.x)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("near", [1e-3, 1e-8, 1e-15, 5e-324])
def test_a_start_that_is_nearly_the_minimum(near: float, method: str) -> None:
    for gtol in (1e-5, 0.0):
        r = fastopt.minimize(
            lambda x: float(((x - 1) ** 2).sum()), lambda x: 2 * (x - 1), np.array([1 + near, 1 - near]),
            method, gtol=gtol,
        )  # fmt: skip
        assert r.success or r.status == 2
        assert abs(r.x - 1).max() <= max(1e-5 if gtol else 1e-7, 0)
