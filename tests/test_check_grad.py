"""Gradient checks: no wrong verdict over functions, planted bugs, kinks, offsets and dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt import check_grad
from gradient_cases import AT_KINK, DISTANCES, HIDDEN, KINKS, SMOOTH, X3, A, Case, kinked, one, relus, single

pytestmark = pytest.mark.filterwarnings(
    "ignore::RuntimeWarning"
)  # of the functions, outside of their domains

BUGS = [sign * 10.0**-k for k in range(1, 7) for sign in (1, -1)]
#: In float32 these return one value at all steps: no digit of the function is left to be tested.
LOST = {"offset 1e8 taken off again", "offset 1e12 taken off again", "offset 1e8, sin 300 x"}
CASES = {
    **{name: case for table in (SMOOTH, HIDDEN) for name, case in table.items()},
    **{
        f"{name}, float32": single(case)
        for table in (SMOOTH, HIDDEN)
        for name, case in table.items()
        if name not in LOST
    },
}


def with_bug(case: Case, bug: float) -> tuple[Case, int]:
    """The case with one component of its gradient off by a factor 1 + bug: the largest."""
    place = int(np.argmax(np.abs(case.grad(case.x.copy()))))

    def grad(x):
        g = np.array(case.grad(x))
        g[place] *= g.dtype.type(1 + bug)
        return g

    return case._replace(grad=grad), place


@pytest.mark.parametrize("name", CASES)
def test_right_gradients_are_never_called_wrong(name):
    case = CASES[name]
    report = check_grad(*case)
    assert report.ok
    assert {finding.kind for finding in report.findings} <= {"right", "round-off"}, str(report)
    assert all((f.kind == "right") <= (f.digits >= 7) for f in report.findings)


@pytest.mark.parametrize("name", [name for name in CASES if np.any(CASES[name].grad(CASES[name].x.copy()))])
def test_wrong_gradients_are_found_or_the_digits_say_why_not(name):
    for bug in BUGS:
        case, place = with_bug(CASES[name], bug)
        report = check_grad(*case)
        finding = report.findings[place]
        size = abs(bug) / max(1.0, 1.0 + bug)  # beside the larger of both
        if finding.kind == "wrong":
            assert abs(finding.relative_error - size) <= 10.0**-finding.digits
            assert not report.ok
            assert report.worst == ("x", (place,))
        else:
            assert finding.kind == "round-off", f"{bug:g}: {report}"
            assert size <= 10.0**-finding.digits


#: Where nothing hides, all planted bugs are seen.
CLEAR = [
    "linear", "quadratic", "cubic", "Rosenbrock", "exp", "log", "log at 1e-4", "log at 1e6", "square root",
    "sin 300 x", "sin 3000 x", "exp sin 3 x", "exp sin 30 x", "slow plus fast", "tanh 1000 x",
    "logistic loss", "cross entropy", "network", "norm", "large point", "large values", "small values",
]  # fmt: skip


@pytest.mark.parametrize("name", CLEAR)
def test_nothing_down_to_a_millionth_escapes(name):
    assert check_grad(*SMOOTH[name]).kind == "right"
    for bug in (1e-6, -1e-6):
        report = check_grad(*with_bug(SMOOTH[name], bug)[0])
        assert report.kind == "wrong"
        assert report.relative_error == pytest.approx(1e-6, rel=0.2)


@pytest.mark.parametrize(("offset", "digits"), [(1e4, 6), (1e8, 3), (1e12, 0)])
def test_offsets_cost_the_digits_that_the_report_names(offset, digits):
    report = check_grad(lambda x: np.sum(np.cos(x)) + offset, lambda x: -np.sin(x), X3)
    assert (report.kind, report.digits) == ("round-off", digits)
    assert f"{digits} digits testable" in str(report)


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kinks_are_not_called_wrong(name, dtype):
    case = KINKS[name] if dtype == np.float64 else single(KINKS[name])
    report = check_grad(*case)
    assert report.ok, str(report)
    assert {f.kind for f in report.findings[1:]} <= {"right", "round-off"}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("width", [4, 60])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_of_relus(seed, width, dtype):
    case = relus(seed, width, dtype)
    assert check_grad(*case).ok
    assert not check_grad(case.f, lambda x: case.grad(x) * dtype(1.05), case.x).ok


@pytest.mark.parametrize("distance", [d for d in DISTANCES if d <= 1e-3])
@pytest.mark.parametrize("smooth", [False, True])
def test_kinks_are_named_with_their_distance(distance, smooth):
    finding = check_grad(*kinked(distance, smooth)).findings[0]
    assert finding.kind == "kink"
    assert finding.kink == 0.0 or distance <= finding.kink <= 11 * distance


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("bug", [1e-1, -1e-1, 1e-2, -1e-2, 1e-3, -1e-3])
def test_wrong_gradients_beside_a_kink(distance, bug):
    """Slope 1 to the left, 2 to the right: a claim in between is no excuse where the slope is known."""
    case = Case(
        lambda x: x[0] + np.maximum(x[0] - (1 + distance), 0) + np.cos(x[1]),
        lambda x: np.array([1.0 + bug, -np.sin(x[1])]),
        np.array([1.0, 0.5]),
    )
    finding = check_grad(*case).findings[0]
    assert finding.kind == "wrong"
    assert finding.relative_error == pytest.approx(abs(bug) / max(1, 1 + bug), rel=0.01)


@pytest.mark.parametrize("name", AT_KINK)
def test_at_a_kink_any_slope_in_between_will_do(name):
    case = AT_KINK[name]
    report = check_grad(*case)
    assert (report.kind, report.ok) == ("kink", True)
    low, high = report.findings[0].slopes
    for share, kind in ((0.5, "kink"), (1.5, "wrong"), (-0.5, "wrong")):
        inside = low + share * (high - low)

        def grad(x, inside=inside):
            g = np.array(case.grad(x), np.float64)
            g[0] = inside
            return g

        if high > low:
            assert check_grad(case.f, grad, case.x).findings[0].kind == kind


def test_a_kink_says_so():
    text = str(check_grad(lambda x: np.abs(x[0]), lambda x: np.zeros(1), np.zeros(1)))
    assert "right, at a kink" in text
    assert "x[0]: 0 is within the slopes of a kink, -1 to 1" in text
    text = str(check_grad(lambda x: np.abs(x[0]), lambda x: np.full(1, 1.5), np.zeros(1)))
    assert "x[0]: 1.5 is outside the slopes of a kink, -1 to 1" in text


def edge(shift):
    """sqrt(x)**3, which is not finite below 0, near enough to it for steps to cross."""
    return one(lambda t: np.sqrt(t) ** 3 + np.exp(t), lambda t: 1.5 * np.sqrt(t) + np.exp(t), shift)


@pytest.mark.parametrize("shift", [1e-2, 1e-4, 1e-6])
def test_steps_leave_the_domain(shift):
    case = edge(shift)
    assert check_grad(*case).ok
    report = check_grad(*with_bug(case, 1e-2)[0])
    assert report.kind == "wrong"
    assert report.relative_error == pytest.approx(1e-2, rel=0.05)


def test_the_edge_of_the_domain_itself():
    case = one(lambda t: np.where(t < 1, np.nan, np.exp(t)), np.exp, 1.0)
    report = check_grad(*case)
    assert report.ok
    assert report.findings[0].one_sided
    assert "to one side only" in str(report)
    assert check_grad(*with_bug(case, 1e-5)[0]).kind == "wrong"


def test_nothing_finite_around():
    case = one(lambda t: np.where(t == 1, 2.0, np.nan), lambda t: t, 1.0)
    report = check_grad(*case)
    assert (report.kind, report.digits) == ("round-off", 0)
    assert "cannot be tested" in str(report)


def test_parameters_are_named():
    x = {"W": np.arange(6.0).reshape(2, 3), "b": np.ones(2)}

    def grad(x):
        w = 2 * x["W"]
        w[1, 2] *= 1.1
        return {"W": w, "b": 3 * x["b"] ** 2}

    report = check_grad(lambda x: np.sum(x["W"] ** 2) + np.sum(x["b"] ** 3), grad, x)
    assert not report
    assert report.worst == ("x['W']", (1, 2))
    assert report.relative_error == pytest.approx(0.1 / 1.1)
    assert "x['W'][1, 2]: off by 0.091 of its size, 11 where differences give 10" in str(report)


def large(bug_in_v=0.0):
    rng = np.random.default_rng(5)
    x = [rng.standard_normal((30, 20)), rng.standard_normal(100)]

    def f(x):
        return np.sum(np.sin(x[0])) + np.sum(np.exp(0.1 * x[1])) * x[0][0, 0]

    def grad(x):
        w = np.cos(x[0])
        w[0, 0] += np.sum(np.exp(0.1 * x[1]))
        return [w, (0.1 + bug_in_v) * np.exp(0.1 * x[1]) * x[0][0, 0]]

    return f, grad, x


def test_many_variables_are_checked_along_directions():
    f, grad, x = large()
    report = check_grad(f, grad, x)
    assert report.kind == "right"
    assert sum(finding.index is None for finding in report.findings) >= 10
    assert sum(finding.index is not None for finding in report.findings) == 10
    assert report.evaluations["f"] < 800
    assert "10 coordinates, 10 directions" in str(report)


@pytest.mark.parametrize("bug", [1e-2, 1e-6])
def test_directions_through_one_array_tell_where_the_bug_is(bug):
    report = check_grad(*large(bug_in_v=0.1 * bug))
    assert report.kind == "wrong"
    assert report.worst == ("x[1]", None)
    assert report.relative_error == pytest.approx(bug, rel=0.1)


def test_points_around_x():
    def grad(x):  # right for x < 1 only
        return np.where(x < 1, 2 * x, 2.2 * x)

    x = np.full(5, 0.99)
    assert check_grad(lambda x: x @ x, grad, x).ok
    report = check_grad(lambda x: x @ x, grad, x, points=4)
    assert (report.kind, report.points) == ("wrong", 4)
    assert "of point" in str(report)


def test_the_same_seed_gives_the_same_report():
    f, grad, x = large()
    one, two, other = (check_grad(f, grad, x, seed=seed) for seed in (1, 1, 2))
    assert one.findings == two.findings
    assert one.findings != other.findings


def quadratic(asymmetry=0.0, factor=1.0):
    s = A + A.T
    m = factor * s
    m[0, 3] += asymmetry
    return lambda x: x @ s @ x / 2 + np.sum(x**4), lambda x: s @ x + 4 * x**3, m, np.arange(1.0, 7.0)


def test_hessian_vector_products():
    f, grad, m, x = quadratic()
    for hvp in (lambda v: m @ v + 12 * x**2 * v, lambda x, v: m @ v + 12 * x**2 * v):
        report = check_grad(f, grad, x, hvp=hvp)
        assert report.ok
        assert report.digits >= 5
        assert {finding.what for finding in report.findings} == {"grad", "hvp", "symmetry"}
        assert "Hessian-vector product: right" in str(report)
    assert check_grad(f, grad, x, hessian=m + np.diag(12 * x**2)).ok
    assert check_grad(f, grad, x, hessian=lambda x: m + np.diag(12 * x**2), points=2).ok
    assert check_grad(f, grad, x, hvp=fastopt.hvp(grad, x)).ok


@pytest.mark.parametrize("bug", [1e-1, 1e-2, 1e-4, 1e-6])
def test_wrong_products(bug):
    f, grad, m, x = quadratic(factor=1 + bug)
    report = check_grad(f, grad, x, hessian=m + np.diag(12 * x**2))
    wrong = {finding.what for finding in report.findings if finding.kind == "wrong"}
    assert wrong == {"hvp"}
    assert report.worst.index is not None


@pytest.mark.parametrize("bug", [1.0, 1e-1, 1e-3])
def test_products_that_are_not_symmetric(bug):
    f, grad, m, x = quadratic(asymmetry=bug)
    report = check_grad(f, grad, x, hessian=m + np.diag(12 * x**2))
    assert {finding.what for finding in report.findings if finding.kind == "wrong"} == {"hvp", "symmetry"}
    assert "symmetry of the Hessian: WRONG" in str(report)


def test_products_in_float32():
    f, _, m, x = quadratic()
    x, s = x.astype(np.float32), m.astype(np.float32)

    def grad32(x):
        return s @ x + np.float32(4) * x**3

    def hvp(v):
        return s @ v + np.float32(12) * x**2 * v

    assert check_grad(f, grad32, x, hvp=hvp).ok
    report = check_grad(f, grad32, x, hvp=lambda v: np.float32(1.05) * hvp(v))
    assert {f.what for f in report.findings if f.kind == "wrong"} == {"hvp"}


def test_the_complex_step_sees_through_an_offset():
    def f(x):
        return np.sum(np.cos(x)) + 1e8

    def grad(x):
        return -np.sin(x) * (1 + 1e-6)

    assert check_grad(f, grad, X3).kind == "round-off"
    assert check_grad(f, grad, X3, complex_step=True).kind == "wrong"
    report = check_grad(f, lambda x: -np.sin(x), X3, complex_step=True)
    assert (report.kind, report.digits >= 13) == ("right", True)


def test_the_complex_step_needs_an_analytic_function():
    with pytest.raises(ValueError, match="complex_step: expected an analytic f"):
        check_grad(lambda x: np.sum(x * np.conj(x)), lambda x: 2 * x, X3, complex_step=True)
    with pytest.raises(TypeError, match="f: expected a complex number for complex x"):
        check_grad(lambda x: float(np.sum(x.real)), lambda x: x**0, X3, complex_step=True)


def test_chance_in_the_functions_is_said():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="f: expected the same value at every call, got"):
        check_grad(lambda x: x @ x + 1e-6 * rng.standard_normal(), lambda x: 2 * x, X3)
    with pytest.raises(ValueError, match=r"grad: expected the same values at every call, .* for x\[\d\]"):
        check_grad(lambda x: x @ x, lambda x: 2 * x + 1e-6 * rng.standard_normal(3), X3)
    noisy = check_grad(lambda x: (x @ x) * (1 + 1e-15 * rng.standard_normal()), lambda x: 2 * x, X3)
    assert noisy.ok


@pytest.mark.parametrize(
    ("f", "grad", "x", "error", "words"),
    [
        (lambda x: np.nan, lambda x: x, X3, ValueError, "f at x: expected a finite value, got nan"),
        (lambda x: np.inf, lambda x: x, X3, ValueError, "f at x: expected a finite value, got inf"),
        (lambda x: 1.0, lambda x: x * np.nan, X3, ValueError, r"grad at x: .* got nan for x\[0\]"),
        (lambda x: x, lambda x: x, X3, TypeError, "f: expected a real number, got an array of shape"),
        (lambda x: 1.0, lambda x: x[:2], X3, ValueError, r"grad: expected an array of shape \(3,\)"),
        (lambda x: 1.0, lambda x: x, np.arange(3), TypeError, "x: expected float32 or float64, got int64"),
        (lambda x: 1.0, lambda x: x, np.ones(0), ValueError, "x: expected at least one element"),
        (None, lambda x: x, X3, TypeError, "f: expected a function of x, got None"),
    ],
)
def test_bad_functions_and_points(f, grad, x, error, words):
    with pytest.raises(error, match=words):
        check_grad(f, grad, x)


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"points": 0}, ValueError, "points: expected an integer >= 1"),
        ({"directions": 0}, ValueError, "directions: expected an integer >= 1"),
        ({"tol": 0}, ValueError, "tol: expected a finite number > 0"),
        ({"seed": -1}, ValueError, "seed: expected an integer >= 0"),
        ({"complex_step": 1}, TypeError, "complex_step: expected True or False"),
        ({"hvp": lambda v: v, "points": 2}, ValueError, r"hvp: expected a function of \(x, v\)"),
        ({"hessian": np.eye(3), "points": 2}, ValueError, "hessian: expected a function of x"),
        ({"hessian": np.eye(2)}, ValueError, r"hessian: expected shape \(3, 3\), got \(2, 2\)"),
        ({"hvp": 7}, TypeError, "hvp: expected a function of v"),
        ({"progress": 7}, TypeError, "progress: expected a function"),
    ],
)
def test_bad_arguments(keywords, error, words):
    with pytest.raises(error, match=words):
        check_grad(lambda x: x @ x, lambda x: 2 * x, X3, **keywords)


def test_exceptions_pass_through_and_x_stays():
    x = X3.copy()
    calls = []

    def f(y):
        calls.append(1)
        y *= 2
        if len(calls) == 30:
            raise ZeroDivisionError("mine")
        return float(y @ y)

    with pytest.raises(ZeroDivisionError, match="mine"):
        check_grad(f, lambda x: 8 * x, x)
    assert np.array_equal(x, X3)


def test_progress():
    seen = []
    check_grad(lambda x: x @ x, lambda x: 2 * x, X3, points=2, progress=lambda *at: seen.append(at))
    assert seen == [(i, 6) for i in range(1, 7)]
