"""`scipy.optimize.minimize` with our methods as its users call it, and our own door in the same words."""

from __future__ import annotations

import doctest
import inspect
import pydoc
import re
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import methods
from mgh import problem

optimize = pytest.importorskip("scipy.optimize")
NAMES = ("cg", "l-bfgs", "trust-region", "arc", "saddle-free-newton", "perturbed-gd")
each = pytest.mark.parametrize("name", NAMES)


def door(name: str) -> Any:
    return getattr(methods, name.replace("-", "_"))


def sphere(x: Any) -> float:
    return float(np.sum((np.asarray(x) - 1) ** 2))


def slope(x: Any) -> Any:
    return 2 * (np.asarray(x) - 1)


@each
@pytest.mark.parametrize(
    "x0", [3, 3.0, [3], (3.0,), np.array(3), np.array([3.0], np.float32), np.array([3.0], np.float16), [True]]
)
@pytest.mark.parametrize(
    "jac",
    [
        lambda x: 2 * (float(x[0]) - 1),
        lambda x: 2 * (x[0] - 1),
        lambda x: np.array(2 * (x[0] - 1)),
        lambda x: [2 * (x[0] - 1)],
        lambda x: 2 * (x - 1),
        lambda x: int(x[0] > 1) - int(x[0] < 1) if abs(x[0] - 1) > 1e-9 else 0,
    ],
    ids=["float", "np.float64", "0-d", "list", "array", "int"],
)
def test_one_variable(jac: Any, x0: Any, name: str) -> None:
    f = sphere if jac(np.array([5.0])) != 1 else lambda x: abs(float(x[0]) - 1)
    r = optimize.minimize(f, x0, jac=jac, method=door(name), options={"maxiter": 500})
    assert r.x.shape == r.jac.shape == (1,)
    assert r.x[0] == pytest.approx(1, abs=1e-3)


@each
def test_one_variable_at_our_own_door(name: str) -> None:
    for x in (np.array([3.0]), np.array(3.0), np.array([[3.0]])):
        r = fastopt.minimize(sphere, lambda x: 2 * (float(x.reshape(-1)[0]) - 1), x, name)
        assert r.success
        assert r.x.shape == x.shape == r.jac.shape
        r = fastopt.minimize(lambda x: (sphere(x), 2 * (float(x.reshape(-1)[0]) - 1)), True, x, name)
        assert r.success
    if name in NAMES[2:5]:
        r = fastopt.minimize(
            sphere, lambda x: 2 * (x[0] - 1), np.array([3.0]), name, hvp=lambda x, v: 2 * float(v[0])
        )
        assert r.success


OPEN = {
    "None": None,
    "pairs": [(None, None)] * 2,
    "infinite pairs": [(-np.inf, np.inf), (None, np.inf)],
    "array": np.array([[-np.inf, np.inf]] * 2),
    "Bounds": optimize.Bounds(-np.inf, np.inf),
    "Bounds()": optimize.Bounds(),
    "Bounds of arrays": optimize.Bounds([-np.inf] * 2, [np.inf, np.inf]),
}
UNCONSTRAINED = {
    "()": (),
    "[]": [],
    "None": None,
    "{}": {},
    "infinite": optimize.LinearConstraint(np.eye(2), -np.inf, np.inf),
    "list of infinite": [optimize.NonlinearConstraint(lambda x: x, -np.inf, [np.inf, np.inf])],
}


@each
def test_bounds_and_constraints_that_are_none(name: str) -> None:
    expected = fastopt.minimize(sphere, slope, np.zeros(2), name).x
    for key, bounds in OPEN.items():
        r = optimize.minimize(sphere, np.zeros(2), jac=slope, method=door(name), bounds=bounds)
        np.testing.assert_array_equal(r.x, expected, err_msg=key)
        np.testing.assert_array_equal(
            fastopt.minimize(sphere, slope, np.zeros(2), name, bounds=bounds).x, expected, err_msg=key
        )
    for key, constraints in UNCONSTRAINED.items():
        r = optimize.minimize(sphere, np.zeros(2), jac=slope, method=door(name), constraints=constraints)
        np.testing.assert_array_equal(r.x, expected, err_msg=key)
        np.testing.assert_array_equal(
            fastopt.minimize(sphere, slope, np.zeros(2), name, constraints=constraints).x, expected
        )


REAL = [
    ({"bounds": [(0, 1), (None, None)]}, r"got bounds\[0\] = \(0, 1\)"),
    ({"bounds": [(None, None), (None, 2)]}, r"got bounds\[1\] = \(-inf, 2\)"),
    ({"bounds": np.array([[-np.inf, np.inf], [0, np.inf]])}, r"got bounds\[1\] = \(0, inf\)"),
    ({"bounds": optimize.Bounds(0, np.inf)}, r"got bounds\[0\] = \(0, inf\)"),
    ({"bounds": optimize.Bounds([-np.inf, -1], np.inf)}, r"got bounds\[1\] = \(-1, inf\)"),
    ({"constraints": {"type": "eq", "fun": lambda x: x[0]}}, r"got constraints\[0\] = "),
    ({"constraints": [{"type": "ineq", "fun": lambda x: x[0]}]}, r"got constraints\[0\] = "),
    ({"constraints": optimize.LinearConstraint(np.eye(2), 0, np.inf)}, r"got constraints\[0\] = "),
]


@each
@pytest.mark.parametrize("case", range(len(REAL)))
def test_real_bounds_and_constraints_are_refused_by_name(case: int, name: str) -> None:
    given, words = REAL[case]
    words = f"bounds, constraints: method '{name}' minimises without any, {words}"
    with pytest.raises(ValueError, match=words):
        optimize.minimize(sphere, np.zeros(2), jac=slope, method=door(name), **given)
    with pytest.raises(ValueError, match=words):
        fastopt.minimize(sphere, slope, np.zeros(2), name, **given)


@each
def test_bounds_that_cannot_be_read_are_named(name: str) -> None:
    for bounds in (3, [1, 2], [(0,)], "no", [("a", "b")], [(None, None, None)]):
        with pytest.raises(TypeError, match="bounds: expected None or pairs"):
            fastopt.minimize(sphere, slope, np.zeros(2), name, bounds=bounds)


@each
def test_disp_prints_what_scipy_prints(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    p = problem(5)
    r = optimize.minimize(p.f, p.x0, jac=p.grad, method=door(name), options={"disp": True, "maxiter": 900})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == r.message
    assert lines[1].startswith("         Current function value: ")
    assert lines[2:] == [
        f"         Iterations: {r.nit}",
        f"         Function evaluations: {r.nfev}",
        f"         Gradient evaluations: {r.njev}",
    ]
    theirs = optimize.minimize(p.f, p.x0, jac=p.grad, method="BFGS", options={"disp": True})
    assert theirs.success
    assert [s.split(":")[0] for s in capsys.readouterr().out.splitlines()][1:] == [
        s.split(":")[0] for s in lines[1:]
    ]
    for off in (False, 0, None):
        optimize.minimize(p.f, p.x0, jac=p.grad, method=door(name), options={"disp": off, "maxiter": 3})
        fastopt.minimize(p.f, p.grad, p.x0, name, maxiter=3, disp=bool(off))
    assert capsys.readouterr().out == ""
    fastopt.minimize(p.f, p.grad, p.x0, name, maxiter=3, disp=1)
    assert "Maximum number of iterations" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*NAMES, "adam"])
def test_return_all(name: str) -> None:
    p, seen = problem(5), []
    r = optimize.minimize(
        p.f, p.x0, jac=p.grad, method=door(name), callback=lambda x: seen.append(np.copy(x)),
        options={"return_all": True, "maxiter": 12},
    )  # fmt: skip
    assert len(r.allvecs) == r.nit + 1
    np.testing.assert_array_equal(r.allvecs[0], p.x0)
    np.testing.assert_array_equal(r.allvecs[1:], seen)
    assert "allvecs" not in fastopt.minimize(p.f, p.grad, p.x0, name, maxiter=3)
    parts = fastopt.minimize(
        lambda x: p.f(np.concatenate(x)), lambda x: np.split(p.grad(np.concatenate(x)), [1]),
        [p.x0[:1], p.x0[1:]], name, maxiter=3, return_all=True,
    ).allvecs  # fmt: skip
    assert all(isinstance(x, list) and [a.shape for a in x] == [(1,), (1,)] for x in parts)


@each
def test_all_that_scipy_hands_on(name: str) -> None:
    seen: list[Any] = []

    def by_name(intermediate_result: Any) -> None:
        seen.append(intermediate_result.fun)

    for jac, f in (
        (lambda x, a, b: 2 * a * (x - b), lambda x, a, b: a * float(((x - b) ** 2).sum())),
        (True, lambda x, a, b: (a * float(((x - b) ** 2).sum()), 2 * a * (x - b))),
    ):
        for extra in (
            {},
            {"hessp": lambda x, p, a, b: 2 * a * p},
            {"hess": lambda x, a, b: 2 * a * np.eye(len(x))},
        ):
            r = optimize.minimize(
                f, [4, 3], args=(2.0, 1.0), jac=jac, method=door(name), tol=1e-8, callback=by_name,
                options={"maxiter": 500}, bounds=None, constraints=(), **extra,
            )  # fmt: skip
            assert isinstance(r, optimize.OptimizeResult)
            np.testing.assert_allclose(r.x, 1, atol=1e-5)
    assert seen
    r = optimize.minimize(
        lambda x, a: a * sphere(x), [4.0], args=3.0, jac=lambda x, a: a * slope(x), method=door(name)
    )
    assert r.success


@each
def test_options_of_other_names_are_refused_with_ours(name: str) -> None:
    for key, ours in (("maxfun", "maxfev"), ("args", "a function of x alone"), ("maxcor", "history")):
        with pytest.raises(TypeError, match=f"{key}: no such option of method '{name}'.*; here it is {ours}"):
            fastopt.minimize(sphere, slope, np.zeros(2), name, **{key: 3})
    for key, ours in (("x0", "x"), ("fun", "f"), ("jac", "grad"), ("hess", "hessian"), ("hessp", "hvp")):
        with pytest.raises(TypeError, match=rf"{key}: here it is called {ours}, as in minimize\(f, grad, x"):
            fastopt.minimize(sphere, slope, np.zeros(2), name, **{key: 3})
    with pytest.raises(
        TypeError, match=r"norm: no such option .* it has .*gtol, ftol, xtol, maxiter, maxfev, disp"
    ):
        optimize.minimize(sphere, np.zeros(2), jac=slope, method=door(name), options={"norm": 2})
    with pytest.raises(TypeError, match="jac: expected a function, or True"):
        optimize.minimize(sphere, np.zeros(2), method=door(name))
    for key in ("disp", "return_all"):
        with pytest.raises(TypeError, match=f"{key}: expected"):
            fastopt.minimize(sphere, slope, np.zeros(2), name, **{key: "yes"})


# --- SciPy's names of methods ---

THEIRS = [
    *("Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP"),
    *("trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"),
]
OURS = {"CG": "cg", "L-BFGS-B": "l-bfgs", "trust-exact": "trust-region", "trust-krylov": "trust-region"}


def spellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "")]


def test_every_method_of_scipy_is_known() -> None:
    known = getattr(optimize._minimize, "MINIMIZE_METHODS", None)
    if known is None:
        pytest.skip("SciPy has no such list any more")
    assert {name.lower() for name in known} <= {name.lower() for name in THEIRS}


@pytest.mark.parametrize("theirs", OURS)
def test_a_method_of_scipy_leads_to_ours(theirs: str) -> None:
    p = problem(7)
    subproblems = {"trust-exact": "dense", "trust-krylov": "lanczos"}
    options = {"subproblem": subproblems[theirs]} if theirs in subproblems else {}
    expected = fastopt.minimize(p.f, p.grad, p.x0, OURS[theirs], hessian=p.hess, **options)
    for name in spellings(theirs):
        r = fastopt.minimize(p.f, p.grad, p.x0, name, hessian=p.hess, bounds=[(None, np.inf)] * p.n)
        np.testing.assert_array_equal(r.x, expected.x)
        assert (r.nfev, r.njev, r.nhev) == (expected.nfev, expected.njev, expected.nhev)
    by_scipy = optimize.minimize(
        p.f, p.x0, jac=p.grad, hess=p.hess, method=door(spellings(theirs)[3]), options={}
    )
    np.testing.assert_array_equal(by_scipy.x, expected.x)
    with pytest.raises(ValueError, match="bounds, constraints: method"):
        fastopt.minimize(p.f, p.grad, p.x0, theirs, bounds=[(0, 1)] * p.n)


def test_what_a_name_presets_can_be_given() -> None:
    p = problem(7)
    given = fastopt.minimize(p.f, p.grad, p.x0, "trust-krylov", hessian=p.hess, subproblem="dense")
    exact = fastopt.minimize(p.f, p.grad, p.x0, "trust-exact", hessian=p.hess)
    np.testing.assert_array_equal(given.x, exact.x)


@pytest.mark.parametrize("theirs", [name for name in THEIRS if name not in OURS])
def test_a_method_of_scipy_that_is_not_here_says_what_to_use(theirs: str) -> None:
    for name in spellings(theirs):
        with pytest.raises(
            ValueError, match=f"^method: '{theirs}' is a method of SciPy; here .*'(l-bfgs|trust-region)'"
        ):
            fastopt.minimize(sphere, slope, np.zeros(2), name)
    with pytest.raises(AttributeError, match=f"'{theirs}' is a method of SciPy; here"):
        door(spellings(theirs)[3])


# --- help ---


@pytest.mark.parametrize("name", methods.names())
def test_help_on_a_method_shows_its_options(name: str) -> None:
    function = door(name)
    parameters = inspect.signature(function).parameters
    own = inspect.signature(function).parameters.keys() - inspect.signature(door("l-bfgs")).parameters.keys()
    own |= {"history", "c1", "c2"} if name == "l-bfgs" else set()
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert text.splitlines()[2].startswith(f"{function.__name__}(fun")
    for key in (*own, "gtol", "maxiter", "hess", "jac"):
        assert re.search(rf"^ +.*\b{key}\b.*$", text.partition("Parameters")[2], re.M), key
    assert [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][:2] == [
        parameters["fun"], parameters["x0"]
    ]  # fmt: skip
    if name in NAMES:
        assert {"Examples", "Source"} <= set(re.findall(r"Examples|Source", text))
        found = doctest.DocTestFinder().find(function, name, globs={})
        assert found[0].examples
        assert doctest.DocTestRunner(verbose=False).run(found[0]).failed == 0


# --- the order of arguments ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones(2), sphere, slope), "f: expected a function of x, got array.* the order is minimize"),
        ((np.ones(2), sphere), "f: expected a function of x, got array.* the order is minimize"),
        (
            (sphere, np.ones(2)),
            r"grad: expected .*, got array.* the order is minimize\(f, grad, x",
        ),
        ((sphere, np.ones(2), slope), "grad: expected a function of x.* the order is minimize"),
        ((sphere, [1.0, 2.0]), "grad: expected a function of x.* the order is minimize"),
        ((sphere, slope, slope), "x: expected the point.* the order is minimize"),
        ((slope, sphere, np.ones(2)), r"f: expected a real number.* the order is minimize\(f, grad, x\)"),
    ],
)
def test_a_call_in_the_wrong_order_is_recognised(arguments: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        fastopt.minimize(*arguments)
