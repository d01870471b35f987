"""fastopt.minimize: what goes in, what comes out, and what ends a run."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import LEVELS, bits, on_level, rouse, threads
from fastopt import methods
from mgh import problem

SEARCHING = ("cg", "l-bfgs")  # methods with a line search
BETAS = ("hager-zhang", "polak-ribiere", "hestenes-stiefel", "dai-yuan", "fletcher-reeves")
A = np.diag([1.0, 10.0, 100.0])


def quadratic(x: Any) -> float:
    return float(0.5 * x @ A @ x)


def slope(x: Any) -> Any:
    return A @ x


class Counted:
    """Functions that know how often they were called, and where."""

    def __init__(self, f: Any = quadratic, g: Any = slope) -> None:
        self._f, self._g = f, g
        self.f_calls = self.g_calls = 0
        self.seen: list[tuple[float, Any]] = []

    def f(self, x: Any) -> Any:
        self.f_calls += 1
        value = self._f(x)
        self.seen.append((value, np.copy(x)))
        return value

    def g(self, x: Any) -> Any:
        self.g_calls += 1
        return self._g(x)


# --- the result ---


@pytest.mark.parametrize("method", methods.names())
def test_every_method_reports_truthfully(method: str) -> None:
    c = Counted()
    options: dict[str, Any] = {"maxiter": 30}
    if method in ("trust-region", "saddle-free-newton", "arc"):
        options["hessian"] = lambda x: A
    r = fastopt.minimize(c.f, c.g, np.ones(3), method, **options)
    assert (r.nfev, r.njev) == (c.f_calls, c.g_calls)
    assert r.fun == quadratic(r.x)
    assert np.array_equal(r.jac, slope(r.x))
    assert r.success == (r.status == 0) == ("successfully" in r.message)
    assert r.nit <= 30
    assert r.fun <= quadratic(np.ones(3))
    if r.success:
        assert np.abs(r.jac).max() <= 1e-5
    else:
        assert r.fun == min(value for value, _ in c.seen)


def test_a_result_is_a_dict_with_attributes_that_can_be_printed() -> None:
    r = fastopt.minimize(quadratic, slope, np.ones(3))
    assert r["fun"] is r.fun
    assert "message: 'Optimization terminated successfully.'" in str(r)
    assert set(r) >= {"x", "fun", "jac", "nit", "nfev", "njev", "nhev", "status", "success", "message"}
    with pytest.raises(AttributeError, match="hess_inv"):
        _ = r.hess_inv


@pytest.mark.parametrize("method", [*SEARCHING, "adam"])
@pytest.mark.parametrize(
    "x",
    [
        np.ones((2, 3)),
        np.asfortranarray(np.ones((2, 3))),
        np.array(3.0),
        [np.ones((2, 2)), np.full(3, 2.0)],
        (np.ones(2), np.full((1, 2), 2.0)),
        {"W": np.ones((2, 2)), "b": np.ones(2)},
        np.ones(4, np.float32),
        [np.ones(2, np.float32), np.ones(2)],
    ],
    ids=["matrix", "fortran", "0-d", "list", "tuple", "dict", "float32", "mixed"],
)
def test_the_structure_of_x_is_kept_and_x_untouched(x: Any, method: str) -> None:
    def parts(p: Any) -> list[Any]:
        return [p] if isinstance(p, np.ndarray) else list(p.values() if isinstance(p, dict) else p)

    def like(p: Any, made: list[Any]) -> Any:
        if isinstance(p, np.ndarray):
            return made[0]
        return dict(zip(p, made, strict=True)) if isinstance(p, dict) else type(p)(made)

    def f(p: Any) -> float:
        assert type(p) is type(x)
        for a, b in zip(parts(p), parts(x), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
        return float(sum(np.sum((np.asarray(a, float) - 0.5) ** 2) for a in parts(p)))

    before = [a.copy() for a in parts(x)]
    options: dict[str, Any] = {"lr": 0.05, "gtol": 1e-2} if method == "adam" else {}
    r = fastopt.minimize(
        f, lambda p: like(p, [2 * (a - a.dtype.type(0.5)) for a in parts(p)]), x, method, **options
    )
    assert r.success, r
    assert type(r.x) is type(x)
    assert type(r.jac) is type(x)
    for a, b, was, g in zip(parts(r.x), parts(x), before, parts(r.jac), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype) == (g.shape, g.dtype)
        assert not np.shares_memory(a, b)
        assert np.array_equal(b, was)
        assert np.abs(a - 0.5).max() < 1e-2


@pytest.mark.parametrize("method", [*SEARCHING, "sgd"])
def test_one_function_for_both(method: str) -> None:
    calls = []

    def both(x: Any) -> Any:
        calls.append(1)
        return quadratic(x), slope(x)

    options: dict[str, Any] = {"lr": 0.01, "maxiter": 20} if method == "sgd" else {}
    r = fastopt.minimize(both, True, np.ones(3), method, **options)
    apart = fastopt.minimize(quadratic, slope, np.ones(3), method, **options)
    assert r.nfev == r.njev == len(calls)
    assert np.array_equal(r.x, apart.x)
    assert r.nfev == apart.nfev


def test_functions_may_harm_what_they_get_and_reuse_what_they_return() -> None:
    buffer = np.empty(3)

    def f(x: Any) -> float:
        value = quadratic(x)
        x[:] = np.nan
        return value

    def g(x: Any) -> Any:
        buffer[:] = A @ x
        x[:] = np.nan
        return buffer

    for method in SEARCHING:
        r = fastopt.minimize(f, g, np.ones(3), method)
        assert np.array_equal(r.x, fastopt.minimize(quadratic, slope, np.ones(3), method).x)


# --- what ends a run ---


@pytest.mark.parametrize("method", [*SEARCHING, "rprop"])
@pytest.mark.parametrize("limit", range(1, 25))
def test_maxfev_is_met_exactly_and_the_best_point_returned(limit: int, method: str) -> None:
    p = problem(1)
    c = Counted(p.f, p.grad)
    r = fastopt.minimize(c.f, c.g, p.x0, method, maxfev=limit)
    assert r.nfev == c.f_calls == limit
    assert r.njev == c.g_calls <= limit
    assert (r.status, r.success) == (1, False)
    assert r.message == "Maximum number of function evaluations has been exceeded."
    assert r.fun == p.f(r.x) <= p.f(p.x0)
    assert np.array_equal(r.jac, p.grad(r.x))


def test_no_better_point_is_forgotten() -> None:
    """Of points whose gradient was asked for: the result has one."""
    p = problem(20, 6)
    for limit in range(2, 60):
        for method in SEARCHING:
            with_gradient: list[float] = []

            def g(x: Any, seen: list[float] = with_gradient) -> Any:
                seen.append(p.f(x))
                return p.grad(x)

            r = fastopt.minimize(p.f, g, p.x0, method, maxfev=limit)
            assert r.success or r.fun == min(with_gradient)


@pytest.mark.parametrize("method", [*SEARCHING, "adam"])
def test_maxiter(method: str) -> None:
    p = problem(1)
    for limit in (0, 1, 5):
        r = fastopt.minimize(p.f, p.grad, p.x0, method, maxiter=limit)
        assert (r.nit, r.status) == (limit, 1)
        assert r.message == "Maximum number of iterations has been exceeded."


@pytest.mark.parametrize("method", [*SEARCHING, "adam"])
def test_a_start_that_is_a_minimum_costs_one_evaluation(method: str) -> None:
    r = fastopt.minimize(quadratic, slope, np.zeros(3), method)
    assert (r.nit, r.nfev, r.njev, r.status) == (0, 1, 1, 0)


@pytest.mark.parametrize("method", SEARCHING)
def test_tolerances(method: str) -> None:
    p = problem(7)
    tight = fastopt.minimize(p.f, p.grad, p.x0, method, tol=1e-9, ftol=0)
    assert np.abs(tight.jac).max() <= 1e-9
    loose = fastopt.minimize(p.f, p.grad, p.x0, method, gtol=1e-1, ftol=0)
    assert 1e-9 < np.abs(loose.jac).max() <= 1e-1
    fell = fastopt.minimize(p.f, p.grad, p.x0, method, gtol=0, ftol=1e-3)
    assert (fell.success, "ftol" in fell.message) == (True, True)
    moved = fastopt.minimize(p.f, p.grad, p.x0, method, gtol=0, ftol=0, xtol=1e-3)
    assert (moved.success, "xtol" in moved.message) == (True, True)


@pytest.mark.parametrize("method", [*SEARCHING, "adam"])
def test_callbacks(method: str) -> None:
    points, results = [], []

    def by_name(intermediate_result: Any) -> None:
        results.append(intermediate_result)

    r = fastopt.minimize(quadratic, slope, np.ones(3), method, callback=by_name, maxiter=9)
    fastopt.minimize(quadratic, slope, np.ones(3), method, callback=points.append, maxiter=9)
    assert len(results) == len(points) == r.nit
    assert all(seen.fun == quadratic(seen.x) for seen in results)
    assert all(np.array_equal(a.x, b) for a, b in zip(results, points, strict=True))

    def halt(x: Any) -> None:
        x[:] = np.nan
        raise StopIteration

    r = fastopt.minimize(quadratic, slope, np.ones(3), method, callback=halt)
    assert (r.nit, r.status, r.success) == (1, 99, False)
    assert r.message == "`callback` raised `StopIteration`."
    assert r.fun == quadratic(r.x) < quadratic(np.ones(3))


# --- bad input ---


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"gtol": -1.0}, ValueError, "gtol: expected a finite number >= 0, got -1"),
        ({"tol": math.nan}, ValueError, "gtol: expected"),
        ({"ftol": -1e-9}, ValueError, "ftol: expected"),
        ({"xtol": "a"}, TypeError, "xtol: expected"),
        ({"tol": 1, "gtol": 1}, TypeError, "tol: expected only one"),
        ({"maxiter": -1}, ValueError, "maxiter: expected an integer >= 0"),
        ({"maxfev": 0}, ValueError, "maxfev: expected an integer >= 1"),
        ({"maxfev": 2.5}, TypeError, "maxfev: expected an integer"),
        ({"method": "newtonn"}, ValueError, "method: expected one of cg, l-bfgs"),
        ({"method": 3}, TypeError, "method: expected a string"),
        ({"callback": 3}, TypeError, "callback: expected a function or None"),
        ({"hessian": 3}, TypeError, "hessian: expected a function or None"),
        ({"history": 0}, ValueError, "history: expected an integer >= 1"),
        ({"c2": 1.0}, ValueError, "c2: expected a number in"),
        ({"c1": 0.95}, ValueError, "c1: expected a number in"),
        ({"memory": 3}, TypeError, "memory: no such option of method 'l-bfgs'; it has history, c1, c2"),
        ({"method": "cg", "beta": "x"}, ValueError, "beta: expected one of hager-zhang"),
        ({"method": "cg", "powell": 0}, ValueError, "powell: expected"),
        ({"method": "cg", "restart_every": 0}, ValueError, "restart_every: expected"),
        ({"f": 3}, TypeError, "f: expected a function of x"),
        ({"grad": None}, TypeError, "grad: expected a function of x, or True"),
        ({"x": [1.0, 2.0]}, TypeError, "x: expected a float32 or float64 array"),
        ({"x": np.array([1, 2, 3])}, TypeError, "x: expected float32 or float64, got int64"),
        ({"x": np.array([1.0, np.nan, 0])}, ValueError, r"x: expected finite numbers, got x\[1\] = nan"),
        ({"x": np.ones(0)}, ValueError, "x: expected at least one element"),
        (
            {"grad": lambda x: np.ones(2)},
            ValueError,
            r"grad: expected an array of shape \(3,\), got shape \(2,\)",
        ),
        ({"grad": lambda x: A @ x * 1j}, TypeError, "grad: expected floats"),
        ({"f": lambda x: x}, TypeError, "f: expected a real number"),
        ({"f": lambda x: x @ x, "grad": True}, TypeError, r"f: expected \(value, gradient\)"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {"f": quadratic, "grad": slope, "x": np.ones(3), **change}
    with pytest.raises(error, match=words):
        fastopt.minimize(**arguments)


def test_what_the_functions_raise_passes_through() -> None:
    class Mine(Exception):
        pass

    def f(x: Any) -> float:
        if x[0] < 0.5:
            raise Mine
        return quadratic(x)

    for method in SEARCHING:
        with pytest.raises(Mine):
            fastopt.minimize(f, slope, np.ones(3), method)


# --- with SciPy ---


def test_the_same_through_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    p = problem(18)
    for name in (*SEARCHING, "rprop"):
        ours = fastopt.minimize(p.f, p.grad, p.x0, name, maxiter=40)
        method = getattr(methods, name.replace("-", "_"))
        theirs = optimize.minimize(p.f, p.x0, jac=p.grad, method=method, options={"maxiter": 40})
        assert isinstance(theirs, optimize.OptimizeResult)
        assert np.array_equal(ours.x, theirs.x)
        assert (ours.nfev, ours.njev, ours.message) == (theirs.nfev, theirs.njev, theirs.message)


def test_what_scipy_hands_on() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    seen: list[Any] = []

    def f(x: Any, a: float, b: float) -> tuple[float, Any]:
        return a * float(x @ x) + b, 2 * a * x

    def by_name(intermediate_result: Any) -> None:
        seen.append(intermediate_result.fun)

    r = optimize.minimize(
        f, [3, 4], args=(2.0, 1.0), jac=True, method=methods.cg, tol=1e-3, callback=by_name,
        options={"beta": "dai-yuan"},
    )  # fmt: skip
    assert r.success
    assert np.abs(r.jac).max() <= 1e-3
    assert abs(r.fun - 1) < 1e-6
    assert len(seen) == r.nit
    with pytest.raises(TypeError, match="jac: expected a function, or True"):
        optimize.minimize(f, [3.0, 4.0], args=(2.0, 1.0), method=methods.cg)
    with pytest.raises(ValueError, match="bounds, constraints: method 'cg' minimises without any"):
        optimize.minimize(
            f, [3.0, 4.0], args=(2.0, 1.0), jac=True, method=methods.cg, bounds=[(0, 1), (0, 1)]
        )


def test_names() -> None:
    assert {"cg", "l-bfgs", "adam"} <= set(methods.names())
    assert "l_bfgs" in dir(methods)
    assert callable(methods.l_bfgs)
    with pytest.raises(AttributeError, match="bfgsb"):
        _ = methods.bfgsb
    x = fastopt.minimize(quadratic, slope, np.ones(3), "L_BFGS").x
    assert np.array_equal(x, fastopt.minimize(quadratic, slope, np.ones(3)).x)


def test_the_design_note_names_every_file() -> None:
    folder = Path(methods.__file__).parent
    note = Path(__file__).parents[1] / "docs" / "design" / "minimize.md"
    named = set(re.findall(r"`(_\w+)`", note.read_text(encoding="utf-8")))
    assert {path.stem for path in folder.glob("_[a-z]*.py")} <= named


# --- the same bits ---


@pytest.mark.parametrize("method", SEARCHING)
def test_the_same_bits_on_every_level_and_at_every_thread_count(method: str) -> None:
    n = 5 * 4096 + 3
    weights = np.linspace(1.0, 50.0, n)
    found = []
    for level in LEVELS:
        for count in (1, 2):
            with threads(count), on_level(level):
                if count > 1:
                    rouse(level)
                r = fastopt.minimize(
                    lambda x: math.fsum((weights * (x - 1) ** 2 + 0.1 * (x - 1) ** 4).tolist()),
                    lambda x: weights * 2 * (x - 1) + 0.4 * (x - 1) ** 3,
                    np.zeros(n), method, maxiter=12,
                )  # fmt: skip
                found.append(bits([r.x, r.fun, r.nfev]))
    assert len(found) >= 2
    assert all(other == found[0] for other in found)
