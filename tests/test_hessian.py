"""Hessians by central differences and from exact products, with their error estimates."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import fastopt
from fastopt.curvature import Hessian

N = 60
A = np.random.default_rng(1).standard_normal((N, N))
X = np.random.default_rng(2).standard_normal(N)


def waves(scale):
    """Gradient and Hessian of sum_k sin(scale a_k.x) / scale**2, whose derivatives grow with scale."""

    def grad(x):
        a = A.astype(x.dtype)
        return a.T @ (np.cos(scale * (a @ x)) / x.dtype.type(scale))

    return grad, lambda x: -(A.T * np.sin(scale * (A @ x))) @ A


def exact_norm(a):
    return np.linalg.norm(np.asarray(a), 2)


@pytest.mark.parametrize("step", [None, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
@pytest.mark.parametrize("scale", [0.1, 1, 3])
def test_the_error_is_the_error(scale, step):
    """Seen over these cases: 0.84 to 1.78 times the true error."""
    grad, exact = waves(scale)
    h = fastopt.hessian(grad, X, step=step)
    assert type(h) is Hessian
    assert np.array_equal(h, h.T)
    assert 0.7 < h.error / exact_norm(h - exact(X)) < 2


@pytest.mark.parametrize("frequency", [1, 30, 300])
def test_the_error_sees_what_symmetry_cannot(frequency):
    """A sum of functions of one variable each has a diagonal Hessian, symmetric at every step."""
    for step in (None, 1e-4, 1e-8, 1e-10):  # truncation, then noise
        h = fastopt.hessian(lambda x: frequency * np.cos(frequency * x), X, step=step)
        true = exact_norm(h - np.diag(-(frequency**2) * np.sin(frequency * X)))
        assert 0.7 < h.error / true < 3.5


@pytest.mark.parametrize("scale", [0.1, 1, 3])
def test_float32_functions_get_their_step(scale):
    grad, exact = waves(scale)
    x = X.astype(np.float32)
    h = fastopt.hessian(grad, x)
    assert h.dtype == np.float32
    true = exact_norm(h - exact(x.astype(np.float64)))
    assert true < 1e-3 * exact_norm(exact(X))
    assert 0.5 < h.error / true < 2


def test_a_float32_gradient_at_a_float64_point_is_noticed():
    grad, exact = waves(1)
    h = fastopt.hessian(lambda x: grad(x.astype(np.float32)), X)
    assert h.dtype == np.float32
    assert exact_norm(h - exact(X)) < 1e-3 * exact_norm(exact(X))


def test_few_columns_estimate_the_error():
    grad, exact = waves(1)
    h = fastopt.hessian(grad, X, error_columns=8)
    assert h.evaluations == 2 + 2 * (N + 8)
    assert 0.3 < h.error / exact_norm(h - exact(X)) < 2


def test_collections_follow_their_flat_order():
    x = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5], np.float32)}

    def grad(x):  # of sum(W) ** 2 b / 2
        s = x["W"].sum()
        return {"W": np.full((2, 2), s * x["b"][0]), "b": np.array([s**2 / 2])}

    h = fastopt.hessian(grad, x)
    expected = np.full((5, 5), 0.5)
    expected[4, :] = expected[:, 4] = 10.0
    expected[4, 4] = 0.0
    np.testing.assert_allclose(np.asarray(h), expected, atol=1e-3)
    assert exact_norm(h - expected) <= 2 * h.error


def test_exact_products_need_no_gradient():
    _, exact = waves(1)
    m = exact(X)
    for product in (lambda v: m @ v, lambda x, v: exact(x) @ v, fastopt.hvp(None, X, hvp=lambda v: m @ v)):
        h = fastopt.hessian(None, X, hvp=product)
        np.testing.assert_allclose(np.asarray(h), m, rtol=0, atol=1e-13)
        assert h.error < 1e-13
        assert h.evaluations == N


def test_products_that_are_not_symmetric():
    m = np.eye(3)
    m[0, 2] = 0.1
    with pytest.raises(
        ValueError, match=r"hvp: expected a symmetric operator, got .* for \(x\[0\], x\[2\]\)"
    ):
        fastopt.hessian(None, np.ones(3), hvp=lambda v: m @ v)


def test_it_goes_on_as_an_array():
    h = fastopt.hessian(lambda x: 2 * x, np.ones(3))
    assert h.error is not None
    for view in (h[:2, :2], h.copy(), h.T, np.asarray(h).view(Hessian)):
        assert view.error is None
    assert {type(a) for a in (h + 1, h @ h, h @ np.ones(3), np.abs(h))} == {np.ndarray}
    w, v = fastopt.eigh(h)
    assert type(w) is np.ndarray
    assert type(v) is np.ndarray
    np.testing.assert_allclose(w, 2.0, rtol=1e-9)
    assert isinstance(h.sum(), float)


def test_workers_give_the_same_matrix():
    grad, _ = waves(1)
    used = set()

    def noted(x):
        used.add(threading.get_ident())
        return grad(x)

    one, four = fastopt.hessian(grad, X), fastopt.hessian(noted, X, workers=4)
    assert np.array_equal(one, four)
    assert one.error == four.error
    assert len(used) > 1


@pytest.mark.parametrize("workers", [1, 3])
def test_exceptions_pass_through(workers):
    calls = []

    def grad(x):
        calls.append(1)
        if len(calls) > 5:
            raise ZeroDivisionError("mine")
        return x

    with pytest.raises(ZeroDivisionError, match="mine"):
        fastopt.hessian(grad, X, workers=workers)
    assert len(calls) < 20


def test_progress(capsys):
    seen = []
    fastopt.hessian(lambda x: x, np.ones(3), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    fastopt.hessian(lambda x: x, np.ones(3), progress=True)
    assert capsys.readouterr() == ("", "")  # done within a second
    with pytest.raises(TypeError, match="progress: expected a function"):
        fastopt.hessian(lambda x: x, np.ones(3), progress=3)


def test_x_stays_and_is_never_seen_by_the_function():
    x = X.copy()

    def grad(y):
        assert not np.shares_memory(x, y)
        y *= 0.5
        return y

    fastopt.hessian(grad, x)
    assert np.array_equal(x, X)


def test_noise_is_said_and_counted():
    rng = np.random.default_rng(3)
    with pytest.warns(RuntimeWarning, match="grad: not deterministic") as caught:
        h = fastopt.hessian(lambda x: 2 * x + 1e-9 * rng.standard_normal(x.shape), X)
    assert caught[0].filename == __file__
    assert 0.5 < h.error / exact_norm(h - 2 * np.eye(N)) < 2


def test_rounding_that_changes_from_call_to_call_is_no_noise():
    rng = np.random.default_rng(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastopt.hessian(lambda x: 2 * x * (1 + 2e-16 * rng.standard_normal(x.shape)), X)


def test_no_function_has_this_gradient():
    with pytest.warns(RuntimeWarning, match="grad: not the gradient of a function"):
        h = fastopt.hessian(lambda x: np.array([x[1], -x[0]]), np.ones(2))
    assert h.error == pytest.approx(1.0)


def test_a_linear_function_has_no_curvature():
    h = fastopt.hessian(lambda x: A @ np.ones(N) + 1e-15 * np.sin(1e6 * x), X)
    assert exact_norm(h) <= 2 * h.error < 1e-8


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((lambda x: x, np.arange(3)), TypeError, "x: expected float32 or float64, got int64"),
        ((lambda x: x, np.ones(0)), ValueError, "x: expected at least one element"),
        ((None, np.ones(3)), TypeError, "grad: expected a function of x, got None"),
        ((lambda x: x[:2], np.ones(3)), ValueError, r"grad: expected an array of shape \(3,\), got shape"),
        (
            (lambda x: x / 0 * 0, np.ones(3)),
            ValueError,
            r"grad at x: expected finite values, got nan for x\[0\]",
        ),
        (
            (lambda x: np.where(x > 1, np.nan, x), np.ones(3)),
            ValueError,
            r"grad at x\[0\] -\+ 6.1e-06: expected finite values, got nan for x\[0\]",
        ),
    ],
)
def test_bad_functions_and_points(arguments, error, words):
    with np.errstate(all="ignore"), pytest.raises(error, match=words):
        fastopt.hessian(*arguments)


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"step": 0.0}, ValueError, "step: expected a finite number > 0"),
        ({"step": 1e-300}, ValueError, "step: expected a step that changes x"),
        ({"workers": 0}, ValueError, "workers: expected an integer >= 1"),
        ({"error_columns": 0}, ValueError, "error_columns: expected an integer >= 1"),
        ({"hvp": lambda v: v, "step": 1e-3}, ValueError, "step, error_columns: expected None beside hvp"),
        ({"hvp": 3}, TypeError, "hvp: expected a function of v"),
        ({"hvp": fastopt.hvp(lambda x: x, np.ones(2))}, ValueError, r"hvp: expected shape \(3, 3\)"),
        ({"hvp": lambda v: v * np.nan}, ValueError, "hvp of a unit vector: expected finite values"),
    ],
)
def test_bad_arguments(keywords, error, words):
    with pytest.raises(error, match=words):
        fastopt.hessian(lambda x: x, np.ones(3), **keywords)
