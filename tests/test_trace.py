"""trace, diagonal, gauss_newton and blocks: right on average, with errors that are the errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastopt.curvature import block, blocks, diagonal, gauss_newton, trace
from fastopt.curvature._sketch import Sketch, seeds_of
from fastopt.linalg._operator import as_operator

DTYPES = [np.float64, np.float32]
METHODS = ["xtrace", "hutch++"]
N = 200

SPECTRA = {
    "decaying": lambda n: 1 / np.arange(1, n + 1) ** 1.5,
    "both signs": lambda n: np.cos(np.arange(n)) / np.arange(1, n + 1),
    "flat": lambda n: 1 + 0.3 * np.sin(np.arange(n)),
}


def matrix(values, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    a = (q * values) @ q.T
    return (a + a.T) / 2


def function(a, dtype=np.float64):
    return lambda v: (a @ v).astype(dtype)


def direct_xtrace(a, omegas):
    """The definition: each test vector estimates what the projector on the others' products leaves."""
    n, m = omegas.shape
    estimates = []
    for i in range(m):
        q = np.linalg.qr(a @ np.delete(omegas, i, axis=1))[0]
        rest = omegas[:, i] - q @ (q.T @ omegas[:, i])
        rest *= math.sqrt((n - m + 1) / (rest @ rest))
        estimates.append(np.trace(q.T @ a @ q) + rest @ a @ rest)
    return np.mean(estimates), np.std(estimates, ddof=1) / math.sqrt(m)


def direct_xdiag(a, omegas):
    estimates = []
    for i in range(omegas.shape[1]):
        q = np.linalg.qr(a @ np.delete(omegas, i, axis=1))[0]
        p = q @ q.T
        estimates.append(np.diag(p @ a) + omegas[:, i] * (a @ omegas[:, i] - p @ a @ omegas[:, i]))
    return np.mean(estimates, axis=0), np.std(estimates, axis=0, ddof=1) / math.sqrt(omegas.shape[1])


def test_vectors(signs, m, seed):
    sketch = Sketch.__new__(Sketch)
    sketch.op, sketch.seeds, sketch.signs = (
        as_operator(np.eye(N)),
        seeds_of(seed, m),
        signs,
    )
    return np.column_stack([sketch.test_vector(i) for i in range(m)])


test_vectors.__test__ = False


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_xtrace_is_its_definition(spectrum):
    a = matrix(SPECTRA[spectrum](N))
    estimate, error = direct_xtrace(a, test_vectors(False, 10, 3))
    result = trace(function(a), N, products=20, seed=3)
    assert result.estimate == pytest.approx(estimate, rel=1e-10)
    assert result.error == pytest.approx(error, rel=1e-8)
    assert result.products == 20


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_xdiag_is_its_definition(spectrum):
    a = matrix(SPECTRA[spectrum](N))
    estimate, error = direct_xdiag(a, test_vectors(True, 10, 3))
    result = diagonal(function(a), N, products=20, seed=3)
    np.testing.assert_allclose(result.estimate, estimate, atol=1e-12)
    np.testing.assert_allclose(result.error, error, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_unbiased_with_the_right_error(spectrum, method):
    values = SPECTRA[spectrum](N)
    a = matrix(values)
    results = [trace(function(a), N, products=30, method=method, seed=s) for s in range(60)]
    misses = np.array([r.estimate for r in results]) - values.sum()
    errors = np.array([r.error for r in results])
    assert abs(misses.mean()) < 4 * misses.std() / math.sqrt(60), "biased"
    # of 60 draws a standard deviation is known to a tenth; XTrace's is known to be up to a quarter too small
    assert 0.65 < math.sqrt((errors**2).mean() / (misses**2).mean()) < 1.4


def test_the_diagonal_has_the_right_error():
    a = matrix(SPECTRA["decaying"](N))
    misses, errors = [], []
    for seed in range(20):
        r = diagonal(function(a), N, products=40, seed=seed)
        misses.append(r.estimate - np.diag(a))
        errors.append(r.error)
    assert 0.75 < math.sqrt(np.square(errors).mean() / np.square(misses).mean()) < 1.3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [0, 1, 5])
def test_low_rank_is_exact(rank, dtype):
    u = np.random.default_rng(0).standard_normal((N, rank)).astype(dtype)
    a = u @ u.T
    eps = float(np.finfo(dtype).eps)
    for method in METHODS:
        r = trace(function(a, dtype), N, method=method)
        assert r.estimate == pytest.approx(float(np.trace(a.astype(float))), rel=100 * eps, abs=0)
        assert r.error <= 10 * eps * r.estimate
        assert r.products <= 2 * (rank + 2) + 1, "one or two beyond the rank show that there is no more"
    r = diagonal(function(a, dtype), N)
    np.testing.assert_allclose(r.estimate, np.diag(a), atol=200 * eps * max(1, rank))
    assert r.estimate.dtype == r.error.dtype == dtype
    assert (r.error <= 10 * eps * max(1, rank)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 60])
def test_small_orders_are_exact(n, dtype):
    a = matrix(np.arange(1.0, n + 1)).astype(dtype)
    for method in METHODS:
        r = trace(function(a, dtype), n, method=method)
        assert r.estimate == pytest.approx(float(np.trace(a.astype(float))), rel=1e-12)
        assert (r.error, r.products) == (0, n)
    assert np.array_equal(diagonal(function(a, dtype), n).estimate, np.diag(a))
    assert trace(a) == (pytest.approx(float(np.trace(a.astype(float)))), 0, 0)
    assert np.array_equal(diagonal(a).estimate, np.diag(a))


def test_float32():
    a = matrix(SPECTRA["decaying"](N)).astype(np.float32)
    r = trace(function(a, np.float32), N)
    assert abs(r.estimate - np.trace(a.astype(float))) < 4 * r.error < 0.05


@pytest.mark.parametrize("factor", [1e-250, 1e200])
def test_scales(factor):
    a = matrix(SPECTRA["decaying"](N))
    reference, scaled = trace(function(a), N), trace(lambda v: factor * (a @ v), N)
    assert scaled.estimate / factor == pytest.approx(reference.estimate, rel=1e-9)


def test_seeds_and_progress():
    a = matrix(SPECTRA["flat"](N))
    for method in METHODS:
        calls = []
        one = trace(function(a), N, products=31, method=method, progress=lambda *c, to=calls: to.append(c))
        assert one == trace(function(a), N, products=31, method=method)
        assert one != trace(function(a), N, products=31, method=method, seed=1)
        assert calls[-1][0] == calls[-1][1]
        assert one.products <= 31


def test_text():
    assert str(trace(np.eye(3))) == "trace 3 +- 0 from 0 products"
    text = str(diagonal(function(matrix(SPECTRA["decaying"](N))), N))
    assert text.startswith("diagonal of 200 entries from 0.0")
    assert text.endswith("from 60 products")


def test_gauss_newton():
    g = np.random.default_rng(0)
    j, weights = g.standard_normal((7, 4)), g.uniform(1, 2, 7)
    h = g.standard_normal((7, 7))
    v = g.standard_normal(4)
    for output, middle in ((None, np.eye(7)), (weights, np.diag(weights)), (lambda u: h @ u, h)):
        op = gauss_newton(lambda v: j @ v, lambda u: j.T @ u, 4, output)
        np.testing.assert_allclose(op.matvec(v), j.T @ middle @ j @ v, atol=1e-13)
        assert op.products == 1
        assert op.shape == (4, 4)
    with pytest.raises(TypeError, match="vjp: expected a function"):
        gauss_newton(lambda v: v, None, 3)


def test_blocks():
    a = matrix(np.arange(12.0))
    x = {"w": np.zeros((2, 3)), "b": np.zeros(4), "c": np.zeros(2)}
    found = blocks(function(a), x)
    assert list(found) == ["x['w']", "x['b']", "x['c']"]
    for op, (low, high) in zip(found.values(), [(0, 6), (6, 10), (10, 12)], strict=True):
        assert trace(op).estimate == pytest.approx(np.trace(a[low:high, low:high]))
        np.testing.assert_allclose(
            op.matvec(np.ones(high - low)), a[low:high, low:high].sum(axis=1), atol=1e-13
        )
        np.testing.assert_array_equal(block(a, slice(low, high)).matrix, a[low:high, low:high])
    for where, error in ((3, TypeError), (slice(0, 4, 2), ValueError), (slice(5, 5), ValueError)):
        with pytest.raises(error, match="where: expected a slice"):
            block(a, where)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"products": 3}, ValueError, "products: expected an integer >= 4"),
        ({"products": 5, "method": "hutch++"}, ValueError, "products: expected an integer >= 6"),
        ({"method": "hutchinson"}, ValueError, r"method: expected one of 'xtrace', 'hutch\+\+'"),
        ({"n": None}, ValueError, "n: expected the order"),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        trace(lambda v: v, **{"n": 100, **arguments})
    if "method" not in arguments:
        with pytest.raises(error, match=message):
            diagonal(lambda v: v, **{"n": 100, **arguments})


def test_numbers_that_are_not_finite_and_errors_of_the_function():
    for f in (trace, diagonal):
        with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
            f(lambda v: v * np.nan, 100)
        with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
            f(np.full((3, 3), np.nan))
        with pytest.raises(ZeroDivisionError):
            f(lambda v: 1 // 0, 100)


@pytest.mark.parametrize("scale", [1e-318, 1e-300, 1.0, 1e290])
@pytest.mark.parametrize("method", ["xtrace", "hutch++"])
def test_no_scale_is_taken_for_zero(scale, method):
    """Below the normal numbers too: 1 / scale is out of range there."""
    d = np.linspace(1.0, 5.0, 60)
    result = trace(lambda v: scale * d * v, 60, products=24, method=method)
    assert abs(result.estimate / scale - d.sum()) < 6 * max(result.error / scale, 1e-3)
