"""spectral_density: right weights, a band that means what it says, and the pieces it is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastopt.curvature import SpectralDensity, spectral_density
from fastopt.curvature._density import student_quantile
from fastopt.linalg._krylov import krylov_space, quadrature
from fastopt.linalg._operator import as_operator

DTYPES = [np.float64, np.float32]


def spectrum(n=1000, seed=0):
    g = np.random.default_rng(seed)
    return np.concatenate([[10.0, 7.0, 5.0], g.uniform(-1, 2, n - 3)])


def integral(y, x):
    """By trapezoids: NumPy 1 has `trapz` for it, NumPy 2 `trapezoid`."""
    return float(np.diff(x) @ (y[1:] + y[:-1])) / 2


def diagonal_operator(d, dtype=np.float64):
    return lambda v: (d * v).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_quadrature_is_exact_for_polynomials(dtype):
    """k nodes integrate degree 2 k - 1 against the spectral measure of the start vector: v' H^m v."""
    d, steps = np.linspace(-1, 1.5, 300), 8
    v = np.random.default_rng(0).standard_normal(300)
    v /= np.linalg.norm(v)
    op = as_operator(diagonal_operator(d, dtype), 300)
    nodes, weights, _ = quadrature(krylov_space(op.matvec, v, steps))
    assert len(nodes) == op.products == steps
    assert weights.sum() == pytest.approx(1)
    for degree in range(2 * steps):
        moment = weights @ nodes**degree
        assert moment == pytest.approx((v**2) @ d**degree, rel=float(200 * np.finfo(dtype).eps))
    assert abs(weights @ nodes ** (2 * steps) - (v**2) @ d ** (2 * steps)) > 1e-7


def test_the_tridiagonal_matrix_is_the_projection():
    g = np.random.default_rng(0)
    a = g.standard_normal((40, 40))
    a += a.T
    v = np.eye(40)[0]
    space = krylov_space(as_operator(a).matvec, v, 40)
    assert space.beside[-1] < 1e-12
    t = space.tridiagonal()
    np.testing.assert_allclose(np.linalg.eigvalsh(t), np.linalg.eigvalsh(a), atol=1e-12)
    assert space.diagonal[0] == pytest.approx(a[0, 0])


def test_residuals_hold_an_eigenvalue():
    d = np.linspace(0, 1, 500) ** 3
    v = np.full(500, 1 / math.sqrt(500))
    nodes, _, residuals = quadrature(krylov_space(diagonal_operator(d), v, 12))
    assert (np.abs(d - nodes[:, None]).min(axis=1) <= residuals + 1e-15).all()
    assert (residuals > 0).all()


def test_an_invariant_space_ends_it():
    d = np.repeat([1.0, 2.0, 5.0], 20)
    v = np.full(60, 1 / math.sqrt(60))
    for scale in (1e-200, 1.0, 1e250):
        nodes, weights, residuals = quadrature(krylov_space(diagonal_operator(scale * d), v, 30))
        np.testing.assert_allclose(nodes, scale * np.array([1, 2, 5]), rtol=1e-13)
        np.testing.assert_allclose(weights, 1 / 3, rtol=1e-12)
        assert not residuals.any()
    # Below the normal numbers there are few digits, but they are what the operator has.
    nodes, weights, residuals = quadrature(krylov_space(diagonal_operator(1e-318 * d), v, 30))
    np.testing.assert_allclose(nodes, 1e-318 * np.array([1, 2, 5]), rtol=1e-5)
    assert not residuals.any()
    space = krylov_space(diagonal_operator(0 * d), v, 30)
    assert space.invariant
    assert (space.diagonal, space.beside) == ([0.0], [0.0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_density_against_the_eigenvalues(dtype):
    d = spectrum()
    result = spectral_density(diagonal_operator(d, dtype), len(d), sigma=0.2, seed=1)
    assert result.products == 800
    exact = np.exp(-0.5 * ((result.grid[:, None] - d) / 0.2) ** 2).mean(axis=1) / (
        0.2 * math.sqrt(2 * math.pi)
    )
    # nine standard errors (t with 9 degrees: 1e-5); how often the band covers is the next test's
    assert (np.abs(result.density - exact) <= 4 * (result.high - result.density) + 1e-9).all()
    # the variance of a sum of squares v_i^2 K_i is 2 / n times the mean of K^2, which is density / (2 sigma
    # sqrt(pi))
    deviation = np.sqrt(2 * exact.max() / (2 * 0.2 * math.sqrt(math.pi)) / len(d) / 10)
    np.testing.assert_allclose(result.density, exact, rtol=0, atol=4.5 * deviation)
    assert integral(result.density, result.grid) == pytest.approx(1, abs=1e-3)
    assert (result.low <= result.density).all()
    assert (result.density <= result.high).all()
    assert result.extremes == pytest.approx((d.min(), d.max()), abs=1e-2)


def test_the_band_covers_as_often_as_it_says():
    d = spectrum(400)
    at = np.array([-0.5, 0.5, 1.5, 5.0])
    exact = np.exp(-0.5 * ((at[:, None] - d) / 0.3) ** 2).mean(axis=1) / (0.3 * math.sqrt(2 * math.pi))
    hits = []
    for seed in range(100):
        r = spectral_density(
            diagonal_operator(d), 400, probes=5, steps=30, sigma=0.3, grid=at, confidence=0.9, seed=seed
        )
        hits.append((r.low <= exact) & (exact <= r.high))
    # 400 trials of chance 0.9, four and four of them dependent: three standard deviations of 100 are 0.09
    assert np.mean(hits) == pytest.approx(0.9, abs=0.09)


def test_shares():
    d = np.concatenate([np.full(200, -1.0), np.full(800, 2.0)])
    result = spectral_density(diagonal_operator(d), 1000, probes=20)
    share, error = result.share(-np.inf, 0)
    assert 0 < error < 0.01
    assert abs(share - 0.2) < 4 * error
    assert result.share(-np.inf, np.inf) == (pytest.approx(1), pytest.approx(0, abs=1e-14))
    assert result.share(-1.0, 1.0)[0] == pytest.approx(share / 2), "at an end, half"
    bulk = np.random.default_rng(0).standard_normal(5000)
    share, error = spectral_density(diagonal_operator(bulk), 5000).share(-np.inf, 0.5)
    assert abs(share - (bulk < 0.5).mean()) < 4 * error < 0.02


def test_sigma_follows_the_resolution():
    d = np.linspace(0, 1, 2000)
    coarse = spectral_density(diagonal_operator(d), 2000, steps=20, probes=2)
    fine = spectral_density(diagonal_operator(d), 2000, steps=80, probes=2)
    assert coarse.sigma == pytest.approx(4 * fine.sigma, rel=0.2)
    # Legendre nodes on [0, 1] are pi / k sqrt(x (1 - x)) apart, which is pi / 8 on average
    assert fine.sigma == pytest.approx(np.pi**2 / 8 / 80, rel=0.1)
    # a few large values do not blur the bulk
    d[:3] = [50, 30, 20]
    assert spectral_density(diagonal_operator(d), 2000, probes=2).sigma < 0.06


@pytest.mark.parametrize("n", [1, 2, 5, 50])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_small_and_degenerate_operators(n, value):
    result = spectral_density(diagonal_operator(np.full(n, value)), n, probes=3)
    assert result.extremes == pytest.approx((value, value), rel=1e-14)
    assert result.products == 3, "one step shows that the space is invariant"
    assert integral(result.density, result.grid) == pytest.approx(1, abs=1e-3)
    assert result.sigma > 0
    # nodes differ by eps / (1e-6 sigmas), times the slope of 4 at the grid's ends, times Student's 4.3
    np.testing.assert_allclose(result.low, result.high, rtol=1e-8)


def test_all_steps_give_all_eigenvalues():
    a = np.random.default_rng(0).standard_normal((30, 30))
    a += a.T
    result = spectral_density(a, probes=2, steps=1000)
    for nodes in result.nodes:
        np.testing.assert_allclose(nodes, np.linalg.eigvalsh(a), atol=1e-12)


def test_seeds_grid_and_progress():
    d = spectrum(200)
    calls = []
    grid = np.array([0.0, 1.0])
    one, two, other = (
        spectral_density(
            diagonal_operator(d),
            200,
            probes=3,
            steps=10,
            seed=s,
            grid=grid,
            progress=lambda *a: calls.append(a),
        )
        for s in (0, 0, 1)
    )
    assert np.array_equal(one.density, two.density)
    assert not np.array_equal(one.density, other.density)
    assert np.array_equal(one.grid, grid)
    assert calls[0] == (1, 30)
    assert calls[-1] == (30, 30)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls[: len(calls) // 3]) * 3


def test_text():
    d = np.concatenate([np.full(200, -1.0), np.full(800, 2.0)])
    text = str(spectral_density(diagonal_operator(d), 1000))
    assert "order 1000, from 20 products (10 probes)" in text
    assert "Ritz values from -1 to 2" in text
    assert "below -0.009: 2" in text or "below -0.009: 1" in text
    assert "between: 0.00 % (+- 0.00); 95 % confidence" in text


def test_picture():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = spectral_density(diagonal_operator(spectrum()), 1000)
    for log in (True, False):
        ax = result.plot(log=log)
        assert ax.get_xlabel() == "eigenvalue"
        assert ax.get_yscale() == ("log" if log else "linear")
        given = plt.subplots()[1]
        assert result.plot(given, log=log) is given
        plt.close("all")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30])
def test_student_quantiles(freedom):
    """By the share beyond, an incomplete beta function: SciPy 1.11's quantiles have nine right digits."""
    special = pytest.importorskip("scipy.special")
    for confidence in (0.5, 0.9, 0.95, 0.999):
        q = student_quantile(confidence, freedom)
        beyond = special.betainc(freedom / 2, 0.5, freedom / (freedom + q * q))
        assert beyond == pytest.approx(1 - confidence, rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"probes": 1}, ValueError, "probes: expected an integer >= 2"),
        ({"steps": 0}, ValueError, "steps: expected an integer >= 1"),
        ({"sigma": 0.0}, ValueError, "sigma: expected a finite number > 0"),
        ({"confidence": 1.0}, ValueError, "confidence: expected a number"),
        ({"grid": [1.0, 0.0]}, ValueError, "grid: expected finite ascending numbers"),
        ({"grid": [[1.0]]}, ValueError, "grid: expected finite ascending numbers"),
        ({"grid": [np.nan]}, ValueError, "grid: expected finite ascending numbers"),
        ({"n": None}, ValueError, "n: expected the order"),
        ({"progress": 3}, TypeError, "progress: expected"),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        spectral_density(lambda v: v, **{"n": 10, **arguments})


def test_numbers_that_are_not_finite_and_errors_of_the_function():
    with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
        spectral_density(lambda v: v * np.nan, 10)
    with pytest.raises(ZeroDivisionError):
        spectral_density(lambda v: 1 // 0, 10)


def test_names():
    import fastopt

    assert fastopt.curvature.spectral_density is spectral_density
    assert fastopt.curvature.SpectralDensity is SpectralDensity
