"""The methods that use curvature: the whole test set, saddles, ill-conditioning, and what can go wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastopt
from mgh import PROBLEMS, problem

SECOND_ORDER = ["trust-region", "arc", "saddle-free-newton"]
ALL = [*SECOND_ORDER, "perturbed-gd"]
GTOL = 1e-5

each = pytest.mark.parametrize("method", ALL)
each_newton = pytest.mark.parametrize("method", SECOND_ORDER)
each_way = pytest.mark.parametrize(
    ("method", "options"),
    [(m, {"subproblem": s}) for m in SECOND_ORDER for s in ("dense", "lanczos")] + [("perturbed-gd", {})],
)


class Counted:
    """A problem's functions with their calls."""

    def __init__(self, p):
        self.p = p
        self.calls = {"f": 0, "grad": 0, "hess": 0, "hvp": 0}

    def f(self, x):
        self.calls["f"] += 1
        return self.p.f(x)

    def grad(self, x):
        self.calls["grad"] += 1
        return self.p.grad(x)

    def hess(self, x):
        self.calls["hess"] += 1
        return self.p.hess(x)

    def hvp(self, x, v):
        self.calls["hvp"] += 1
        return self.p.hess(x) @ v


# The set of Moré, Garbow and Hillstrom ---------------------------------------------------------------------

#: Where double precision ends before gtol: eps |f''| |x| is larger (Meyer's gradient is 1e11 at the start).
BEYOND_PRECISION = {"Meyer"}
#: Ends in a local minimum that the paper does not list, as SciPy's methods do.
ELSEWHERE = {"Chebyquad, n = 10"}


def solve(p, method, *, products=False, **options):
    counted = Counted(p)
    given = {"hvp": counted.hvp} if products else {"hessian": counted.hess}
    result = fastopt.minimize(counted.f, counted.grad, p.x0, method, gtol=GTOL, **given, **options)
    assert result.nfev == counted.calls["f"]
    assert result.njev == counted.calls["grad"]
    assert result.nhev == counted.calls["hvp" if products else "hess"]
    return result


@each_newton
@pytest.mark.parametrize("products", [False, True], ids=["dense", "lanczos"])
@pytest.mark.parametrize("p", PROBLEMS, ids=lambda p: p.name)
def test_the_whole_set_is_solved(p, method, products):
    """To max|g| <= 1e-5, at a point without negative curvature; counts are true."""
    result = solve(p, method, products=products)
    gradient = p.grad(result.x)
    np.testing.assert_array_equal(result.jac, gradient)
    assert result.fun == p.f(result.x)
    if p.name in BEYOND_PRECISION:
        assert result.status == 2
        assert p.reached(result.fun)
        return
    assert result.success, result.message
    assert abs(gradient).max() <= GTOL
    w = np.linalg.eigvalsh(p.hess(result.x))
    assert w[0] >= -GTOL - 1e-12 * abs(w).max()
    # a gradient of gtol leaves f off by gtol times the distance, which is about 1 in the flat ones
    assert p.reached(result.fun, atol=GTOL) or p.name in ELSEWHERE, result.fun


def scipy_calls(p, method):
    """Calls of f, grad and hess, and whether it got there."""
    optimize = pytest.importorskip("scipy.optimize")
    counted = Counted(p)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = optimize.minimize(
            counted.f, p.x0, jac=counted.grad, hess=counted.hess, method=method,
            options={"gtol": GTOL, "maxiter": 200 * p.n},
        ).x  # fmt: skip
    return sum(counted.calls.values()), abs(p.grad(x)).max() <= GTOL


def test_no_more_evaluations_than_scipy_s_methods_and_no_fewer_problems():
    """All calls, over the problems that both solve, at the same gtol. SciPy 1.17: 46 and 47 of 49."""
    ours = {m: {p.name: solve(p, m) for p in PROBLEMS} for m in SECOND_ORDER}
    for method in ("trust-exact", "trust-ncg"):
        theirs = {p.name: scipy_calls(p, method) for p in PROBLEMS}
        solved = [name for name, (_, good) in theirs.items() if good]
        for name, results in ours.items():
            assert sum(r.success for r in results.values()) >= len(solved)
            both = [key for key in solved if results[key].success]
            calls = sum(results[key].nfev + results[key].njev + results[key].nhev for key in both)
            assert calls <= sum(theirs[key][0] for key in both), (name, method)


# Saddles ---------------------------------------------------------------------------------------------------


def quartic(d):
    """d'x^2 / 2 + sum x^4 / 4: a strict saddle at 0 if some d < 0, its minima 1 / 4 sum min(d, 0)^2 below."""
    return (lambda x: 0.5 * x @ (d * x) + 0.25 * (x**4).sum()), (lambda x: d * x + x**3)


@each_way
@pytest.mark.parametrize("n", [2, 3, 20])
def test_a_strict_saddle_is_left(method, options, n):
    d = np.where(np.arange(n) % 3 == 0, -1.0, 1.0) * (1 + np.arange(n))
    f, grad = quartic(d)
    result = fastopt.minimize(f, grad, np.zeros(n), method, **options)
    assert result.success
    assert result.fun == pytest.approx(-0.25 * (np.minimum(d, 0) ** 2).sum(), rel=1e-8)
    assert result.lowest_eigenvalue > 0


@each_way
def test_a_rotated_saddle_with_one_weak_direction_is_left(method, options):
    """lambda_min = -1e-3 |H|, not along any axis."""
    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    d = np.array([-0.01, 1, 2, 3, 4, 5, 6, 10.0])
    f, grad = quartic(d)
    result = fastopt.minimize(
        lambda x: f(q.T @ x), lambda x: q @ grad(q.T @ x), np.zeros(8), method, **options
    )
    assert result.success
    assert result.fun == pytest.approx(-0.25e-4, rel=1e-3)


@each_way
def test_the_saddle_of_the_lecture_notes_is_left(method, options):
    """(1 - w1 w2)^2 from the origin, and from (1, -1) whose gradient leads straight into it."""
    f, grad = (lambda w: (1 - w[0] * w[1]) ** 2), (lambda w: -2 * (1 - w[0] * w[1]) * w[::-1])
    for start in ([0.0, 0.0], [1.0, -1.0]):
        result = fastopt.minimize(f, grad, np.array(start), method, **options)
        assert result.success
        assert result.fun < 1e-9


@each_way
def test_a_degenerate_saddle_with_a_negative_eigenvalue_is_left(method, options):
    def f(x):
        return x[0] ** 4 / 4 - x[1] ** 2 / 2 + x[1] ** 4

    def grad(x):
        return np.array([x[0] ** 3, -x[1] + 4 * x[1] ** 3, 0.0])

    assert fastopt.minimize(f, grad, np.zeros(3), method, **options).fun == pytest.approx(-1 / 16)


@each_newton
def test_a_monkey_saddle_is_taken_for_a_minimum(method):
    """Gradient and Hessian are 0 there: nothing of second order can tell. Documented."""
    f = lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2  # noqa: E731
    grad = lambda x: np.array([3 * x[0] ** 2 - 3 * x[1] ** 2, -6 * x[0] * x[1]])  # noqa: E731
    result = fastopt.minimize(f, grad, np.zeros(2), method)
    assert result.success
    assert result.fun == 0
    assert result.lowest_eigenvalue == 0


@each
def test_without_the_second_order_test_a_small_gradient_is_enough(method):
    f, grad = quartic(np.array([-1.0, 1.0]))
    options = {"t_thres": 1} if method == "perturbed-gd" else {}
    result = fastopt.minimize(f, grad, np.zeros(2), method, second_order=False, **options)
    assert result.success
    assert abs(result.x).max() < 1e-4
    assert "lowest_eigenvalue" not in result


@each_newton
def test_the_lowest_eigenvalue_is_that_of_the_result(method):
    f, grad = quartic(np.array([-1.0, 1.0, -3.0]))
    result = fastopt.minimize(f, grad, np.zeros(3), method, maxiter=1)
    assert result.status == 1
    assert "lowest_eigenvalue" not in result
    assert fastopt.minimize(f, grad, np.zeros(3), method, maxiter=0).lowest_eigenvalue == pytest.approx(-3)


def test_noise_alone_leaves_a_saddle():
    """As in Jin et al.: no Hessian is asked for."""
    f, grad = quartic(np.array([-1.0, 1.0, 2.0]))
    result = fastopt.minimize(f, grad, np.zeros(3), "perturbed-gd", second_order=False)
    assert result.fun == pytest.approx(-0.25)
    assert result.nhev == 0


@each_way
def test_a_maximum_is_left(method, options):
    f, grad = (lambda x: float(np.cos(x).sum())), (lambda x: -np.sin(x))
    result = fastopt.minimize(f, grad, np.zeros(4), method, **options)
    assert result.success
    assert result.fun == pytest.approx(-4)


# Ill-conditioning, scales, precision -----------------------------------------------------------------------


@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
@pytest.mark.parametrize("condition", [1e3, 1e6, 1e9, 1e12])
@each_newton
def test_ill_conditioned_quadratics(method, condition, subproblem):
    n = 20
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    h = q @ np.diag(np.geomspace(1 / condition, 1, n)) @ q.T
    h = (h + h.T) / 2
    result = fastopt.minimize(
        lambda x: 0.5 * x @ h @ x, lambda x: h @ x, np.ones(n), method,
        hessian=lambda x: h, gtol=1e-4 / condition, subproblem=subproblem,
    )  # fmt: skip
    assert result.success
    assert result.nit <= 25
    # along the weakest direction x is known to gtol / lambda_min = 1e-4
    assert abs(result.x).max() <= 1e-3


@each_newton
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
def test_the_scale_of_f_does_not_matter(method, scale):
    p = problem(14)
    plain = fastopt.minimize(p.f, p.grad, p.x0, method, hessian=p.hess, gtol=1e-6)
    scaled = fastopt.minimize(
        lambda x: scale * p.f(x), lambda x: scale * p.grad(x), p.x0, method,
        hessian=lambda x: scale * p.hess(x), gtol=1e-6 * scale,
    )  # fmt: skip
    assert scaled.success
    assert abs(scaled.nit - plain.nit) <= 3
    np.testing.assert_allclose(scaled.x, 1, atol=1e-4)


@each_newton
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_the_scale_of_x_does_not_matter(method, scale):
    p = problem(5)
    result = fastopt.minimize(
        lambda x: p.f(x / scale), lambda x: p.grad(x / scale) / scale, p.x0 * scale, method,
        hessian=lambda x: p.hess(x / scale) / scale**2, gtol=1e-7 / scale,
    )  # fmt: skip
    assert result.success
    np.testing.assert_allclose(result.x / scale, [3, 0.5], rtol=1e-5)


@each_newton
def test_an_impossible_tolerance_ends_in_lost_precision_at_the_minimum(method):
    p = problem(16)
    result = fastopt.minimize(p.f, p.grad, p.x0, method, hessian=p.hess, gtol=0.0)
    assert result.status == 2
    assert "precision" in result.message
    assert p.reached(result.fun, rtol=1e-6)
    assert result.nit < 30


@each_newton
def test_where_f_shows_only_rounding_the_gradient_leads_on(method):
    """An offset of 1e10 hides the last 1e-6 of f; the gradient is not hidden."""
    h = np.diag([1.0, 3.0, 10.0])
    result = fastopt.minimize(
        lambda x: 1e10 + 0.5 * x @ h @ x + 0.25 * (x**4).sum(), lambda x: h @ x + x**3, np.ones(3), method,
        hessian=lambda x: h + np.diag(3 * x**2), gtol=1e-9,
    )  # fmt: skip
    assert result.success, result.message
    assert abs(result.x).max() <= 1e-9


@each_newton
def test_an_eigenvalue_within_the_error_of_differences_is_no_saddle(method):
    """lambda_min = 0, and a gradient with noise of 1e-9: differences turn that into eigenvalues near 1e-4."""

    def grad(x):
        return np.array([2 * x[0], 0.0, 0.0]) + 1e-9 * np.cos(1e9 * x + 1e8 * x.sum())

    lowest = []
    for k in range(8):
        result = fastopt.minimize(lambda x: x[0] ** 2, grad, np.array([1.0, k / 7, 0.3]), method, gtol=1e-7)
        assert result.success, result.message
        lowest.append(result.lowest_eigenvalue)
    assert min(lowest) < -1e-5


# Where derivatives come from -------------------------------------------------------------------------------


@each_newton
@pytest.mark.parametrize("subproblem", ["dense", "lanczos"])
def test_differences_of_the_gradient_are_counted_as_gradients(method, subproblem):
    counted = Counted(problem(5))
    result = fastopt.minimize(counted.f, counted.grad, counted.p.x0, method, subproblem=subproblem)
    assert result.success
    np.testing.assert_allclose(result.x, [3, 0.5], rtol=1e-4)
    assert (result.nfev, result.njev, result.nhev) == (counted.calls["f"], counted.calls["grad"], 0)
    assert result.njev > result.nfev


@each_newton
def test_a_function_that_returns_both_is_enough(method):
    p = problem(1)
    result = fastopt.minimize(lambda x: (p.f(x), p.grad(x)), True, p.x0, method)
    assert result.success
    np.testing.assert_allclose(result.x, 1, rtol=1e-4)


@each_newton
def test_a_dense_hessian_is_formed_from_products_if_asked(method):
    p = problem(14)
    result = fastopt.minimize(p.f, p.grad, p.x0, method, hvp=lambda x, v: p.hess(x) @ v, subproblem="dense")
    assert result.success
    assert result.nhev == 4 * (result.nit + 1)


@each_newton
def test_few_products_suffice_for_many_variables(method):
    """n = 2000: a Krylov space, never a matrix. Neighbours repel, each is drawn to 1 or -1: a saddle at 0."""
    n = 2000

    def f(x):
        return float((0.25 * x**4 - 0.5 * x**2).sum() + 0.05 * (x[1:] * x[:-1]).sum())

    def grad(x):
        g = x**3 - x
        g[1:] += 0.05 * x[:-1]
        g[:-1] += 0.05 * x[1:]
        return g

    def hvp(x, v):
        h = (3 * x**2 - 1) * v
        h[1:] += 0.05 * v[:-1]
        h[:-1] += 0.05 * v[1:]
        return h

    result = fastopt.minimize(f, grad, np.zeros(n), method, hvp=hvp)
    assert result.success
    assert result.lowest_eigenvalue > 0
    assert abs(result.jac).max() <= 1e-5
    assert result.nhev < 600


@each
def test_a_list_of_arrays_keeps_its_structure(method):
    rng = np.random.default_rng(0)
    target = [rng.standard_normal((3, 2)), rng.standard_normal(4)]

    def f(x):
        return sum(
            float(((a - t) ** 2).sum() + 0.1 * ((a - t) ** 4).sum()) for a, t in zip(x, target, strict=True)
        )

    def grad(x):
        return [2 * (a - t) + 0.4 * (a - t) ** 3 for a, t in zip(x, target, strict=True)]

    x = [np.zeros((3, 2)), np.zeros(4)]
    result = fastopt.minimize(f, grad, x, method)
    assert result.success
    assert [a.shape for a in result.x] == [(3, 2), (4,)]
    assert all((a == 0).all() for a in x)
    for a, t in zip(result.x, target, strict=True):
        np.testing.assert_allclose(a, t, atol=1e-5)


@each
def test_float32_variables(method):
    """What is returned is what f was evaluated at: float32, and as good as float32 allows."""
    f = lambda x: float(((x - 1) ** 4).sum() + (x**2).sum())  # noqa: E731
    result = fastopt.minimize(
        f, lambda x: 4 * (x - 1) ** 3 + 2 * x, np.zeros(4, np.float32), method, gtol=1e-4
    )
    assert result.success, result.message
    assert result.x.dtype == np.float32
    assert result.fun == f(result.x)
    np.testing.assert_allclose(result.x, 0.410245, atol=1e-4)


# What can go wrong -----------------------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize(
    ("f", "grad"),
    [
        pytest.param(lambda x: -x @ x, lambda x: -2 * x, id="concave"),
        pytest.param(lambda x: x.sum(), np.ones_like, id="linear"),
        pytest.param(
            lambda x: x[0] ** 3 + x[1] ** 2 + x[2] ** 2, lambda x: np.r_[3 * x[0] ** 2, 2 * x[1:]], id="cubic"
        ),
        pytest.param(
            lambda x: -float(np.exp(x.sum())), lambda x: -np.exp(x.sum()) * np.ones(3), id="exponential"
        ),
    ],
)
def test_an_unbounded_function_is_named_so(f, grad, method, options):
    with np.errstate(over="ignore"):
        result = fastopt.minimize(f, grad, -np.ones(3), method, **options)
    assert result.status == 4
    assert not result.success
    assert "unbounded" in result.message
    assert result.fun == f(result.x) < -1e3
    assert result.nfev < 300


@each_way
def test_a_region_where_f_is_nan_is_kept_out_of(method, options):
    """x - log x, NaN for x <= 0: full Newton steps from 50 would leave the domain."""
    f = lambda x: float(x[0] - np.log(x[0])) if x[0] > 0 else np.nan  # noqa: E731
    grad = lambda x: np.array([1 - 1 / x[0]]) if x[0] > 0 else np.array([np.nan])  # noqa: E731
    result = fastopt.minimize(f, grad, np.array([50.0]), method, **options)
    assert result.success
    assert result.x[0] == pytest.approx(1, abs=1e-4)


@each_way
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_f_that_is_finite_at_the_start_alone(method, options, bad):
    f = lambda x: 1.0 if (x == 1).all() else bad  # noqa: E731
    result = fastopt.minimize(f, lambda x: x, np.ones(2), method, **options)
    assert result.status == 3
    np.testing.assert_array_equal(result.x, 1)
    assert result.nfev < 100


@each_way
def test_a_gradient_that_is_not_finite_behind_a_wall(method, options):
    grad = lambda x: 2 * (x - 3) if (x < 2).all() else np.full(2, np.nan)  # noqa: E731
    result = fastopt.minimize(lambda x: float(((x - 3) ** 2).sum()), grad, np.ones(2), method, **options)
    assert not result.success
    assert np.isfinite(result.jac).all()
    assert result.nfev < 300


@each_newton
def test_a_hessian_that_is_not_finite(method):
    result = fastopt.minimize(
        lambda x: x @ x, lambda x: 2 * x, np.ones(2), method, hessian=lambda x: np.full((2, 2), np.nan)
    )
    assert result.status == 3
    assert "hessian" in result.message


@each_way
def test_a_gradient_of_the_wrong_sign_is_suspected(method, options):
    p = problem(1)
    result = fastopt.minimize(p.f, lambda x: -p.grad(x), p.x0, method, **options)
    assert result.status == 2
    assert "check_grad" in result.message
    assert result.nfev < 100
    np.testing.assert_array_equal(result.x, p.x0)


@each
def test_limits_are_kept(method):
    counted = Counted(problem(1))
    result = fastopt.minimize(counted.f, counted.grad, counted.p.x0, method, maxfev=7)
    assert result.status == 1
    assert counted.calls["f"] == result.nfev == 7
    result = fastopt.minimize(counted.f, counted.grad, counted.p.x0, method, maxiter=3)
    assert (result.status, result.nit) == (1, 3)
    f, grad = quartic(np.array([-1.0, 1.0]))
    assert fastopt.minimize(f, grad, np.zeros(2), method, maxiter=0).nit == 0


@each
def test_a_callback_sees_every_iteration_and_may_stop_it(method):
    p = problem(1)
    seen = []
    result = fastopt.minimize(p.f, p.grad, p.x0, method, callback=lambda x: seen.append(x))
    assert len(seen) == result.nit

    def stop(intermediate_result):
        raise StopIteration

    assert fastopt.minimize(p.f, p.grad, p.x0, method, callback=stop).status == 99


@each
def test_what_the_functions_raise_passes_through(method):
    def fail(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fastopt.minimize(fail, lambda x: x, np.ones(2), method)
    with pytest.raises(KeyError, match="mine"):
        fastopt.minimize(lambda x: x @ x, fail, np.ones(2), method)
    if method != "perturbed-gd":
        with pytest.raises(KeyError, match="mine"):
            fastopt.minimize(lambda x: x @ x, lambda x: 2 * x, np.ones(2), method, hessian=fail)


@each_newton
def test_bad_options_are_named(method):
    p = problem(1)

    def run(**options):
        fastopt.minimize(p.f, p.grad, p.x0, method, **options)

    with pytest.raises(ValueError, match="subproblem: expected 'auto', 'dense' or 'lanczos', got 'sparse'"):
        run(subproblem="sparse")
    with pytest.raises(ValueError, match="krylov_size: expected an integer >= 1, got 0"):
        run(krylov_size=0)
    with pytest.raises(TypeError, match="second_order: expected True or False"):
        run(second_order=1)
    with pytest.raises(ValueError, match=r"hessian: expected shape \(2, 2\), got \(3, 3\)"):
        run(hessian=lambda x: np.eye(3))
    first = "initial_sigma" if method == "arc" else "initial_radius"
    with pytest.raises(ValueError, match=f"{first}: expected a finite number > 0"):
        run(**{first: 0.0})


def test_bad_options_of_perturbed_descent_are_named():
    p = problem(1)
    for name in ("initial_step", "rho", "radius", "f_thres"):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number > 0"):
            fastopt.minimize(p.f, p.grad, p.x0, "perturbed-gd", **{name: 0.0})
    with pytest.raises(ValueError, match="t_thres: expected an integer >= 1"):
        fastopt.minimize(p.f, p.grad, p.x0, "perturbed-gd", t_thres=0)


@each
def test_a_seed_makes_runs_repeatable(method):
    f, grad = quartic(np.array([-1.0, 1.0, -1.0, 2.0]))
    options = {} if method == "perturbed-gd" else {"subproblem": "lanczos"}
    first, again = (fastopt.minimize(f, grad, np.zeros(4), method, seed=7, **options) for _ in range(2))
    # the last bits of BLAS depend on where arrays lie; half of the coordinates are 0 but for rounding
    np.testing.assert_allclose(first.x, again.x, rtol=1e-9, atol=1e-12)
    assert first.nfev == again.nfev
    other = fastopt.minimize(f, grad, np.zeros(4), method, seed=8, **options)
    assert abs(other.x - first.x).max() > 1e-12


@each_newton
def test_as_a_method_of_scipy(method):
    optimize = pytest.importorskip("scipy.optimize")
    p = problem(14)
    function = getattr(fastopt.methods, method.replace("-", "_"))
    result = optimize.minimize(p.f, p.x0, jac=p.grad, hess=p.hess, method=function, options={"gtol": 1e-6})
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-4)
