"""fastopt.linalg.eigsh: pairs, their multiplicities, residuals that are true, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt.linalg import EigshNoConvergence, EigshResult, eigsh
from fastopt.linalg._random import generator
from fastopt.linalg._wanted import WHICH, bounds, nothing_missed, wanted

DTYPES = [np.float64, np.float32]


def rotation(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def with_values(values, seed=0):
    q = rotation(len(values), seed)
    a = (q * values) @ q.T
    return (a + a.T) / 2


def counted(a):
    """The matrix (or its diagonal) as a function, which counts its calls."""

    def f(v):
        f.calls += 1
        return (a @ v if a.ndim == 2 else a * v).astype(a.dtype)

    f.calls = 0
    return f


def expected(values, k, which):
    values = np.sort(values)
    return values[wanted(values, k, which)]


def check(a, result, values, tolerance=None):
    """Against the values, and against the definition."""
    w, v, residuals, _ = result
    eps = np.finfo(w.dtype).eps
    scale = np.linalg.norm(a.astype(float), 2)
    bound = 20 * eps * scale * max(1, np.sqrt(len(a))) if tolerance is None else tolerance
    assert (np.diff(w) >= 0).all()
    np.testing.assert_allclose(w, values, rtol=0, atol=bound)
    np.testing.assert_allclose(v.T @ v, np.eye(len(w)), rtol=0, atol=200 * eps)
    true = np.linalg.norm(a.astype(float) @ v - v.astype(float) * w, axis=0)
    assert (true <= bound).all(), true / bound
    np.testing.assert_allclose(residuals, true, rtol=1e-3, atol=20 * eps * scale * max(1, np.sqrt(len(a))))


#: What curvature looks like: a few large values, a bulk around zero, some negative ones; and harder things.
SPECTRA = {
    "network": lambda n, g: np.concatenate(
        [10 * 0.7 ** np.arange(n // 10), 0.05 * g.standard_normal(n - n // 10)]
    ),
    "uniform": lambda n, g: g.uniform(-1, 1, n),
    "mixed signs": lambda n, g: g.standard_normal(n) * 10.0 ** g.integers(-3, 3, n),
    "clustered ends": lambda n, g: np.cos(np.pi * (np.arange(n) + 0.5) / n),
    "low rank": lambda n, g: np.concatenate([g.standard_normal(n // 5) ** 2, np.zeros(n - n // 5)]),
    "two values": lambda n, g: np.where(np.arange(n) % 3 == 0, -1.0, 2.0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_wanted_pairs(spectrum, which, dtype):
    n = 200
    values = SPECTRA[spectrum](n, np.random.default_rng(3))
    a = with_values(values).astype(dtype)
    truth = np.linalg.eigvalsh(a.astype(float))
    for k in (1, 5, 12):
        f = counted(a)
        result = eigsh(f, k, n=n, which=which)
        assert isinstance(result, EigshResult)
        assert result.products == f.calls
        assert result.eigenvalues.dtype == result.eigenvectors.dtype == result.residuals.dtype == dtype
        assert result.eigenvectors.shape == (n, k)
        values = expected(truth, k, which)
        if spectrum == "clustered ends" and which == "LM":  # of w and -w either may come
            values = np.copysign(values, result.eigenvalues)
        check(a, result, values)


@pytest.mark.parametrize("n", [1, 2, 5, 50, 65, 100, 500, 600])
@pytest.mark.parametrize("dtype", DTYPES)
def test_orders_and_counts(n, dtype):
    a = with_values(np.random.default_rng(n).standard_normal(n)).astype(dtype)
    truth = np.linalg.eigvalsh(a.astype(float))
    for k in {1, min(n, 6), min(n, n // 2 + 1), n - 1 or 1, n}:
        for op in (a, counted(a)):
            result = eigsh(op, k, n=n, which="BE")
            check(a, result, expected(truth, k, "BE"))
    assert eigsh(a, min(n, 3)).products == (0 if n <= 512 else pytest.approx(n, abs=n))
    assert eigsh(counted(a), 1, n=n).products == n or n > 64


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("copies", [2, 5])
@pytest.mark.parametrize("which", WHICH)
def test_multiplicities(copies, which, dtype):
    """A Krylov space has one vector of each eigenspace: the others are found by searching its complement."""
    n, k = 300, 8
    values = np.concatenate([[-3.0] * copies, [3.5] * copies, np.linspace(-1, 1, n - 2 * copies)])
    a = np.diag(values).astype(dtype)
    for seed in range(5):
        check(a, eigsh(counted(a), k, n=n, which=which, seed=seed), expected(values, k, which))


@pytest.mark.parametrize("tol", [0, 1e-4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_that_rounding_does_not_show(dtype, tol):
    """Few steps are enough for three distinct values: only the search can find what else there is."""
    n = 300
    values = np.concatenate([[-3.0] * 3, [-2.0] * 2, np.linspace(-0.1, 0.1, n - 8), [2.0] * 2, [3.0]])
    for which in WHICH:
        for seed in range(5):
            w = eigsh(
                lambda v: (values * v).astype(dtype), 4, n=n, which=which, tol=tol, seed=seed
            ).eigenvalues
            truth = expected(values, 4, which)
            np.testing.assert_allclose(w, truth, atol=1e-5 if dtype == np.float32 else max(tol, 1e-13))


def test_multiplicities_inside_and_in_pairs():
    n = 400
    values = np.repeat(np.linspace(0, 1, n // 2) ** 2, 2)
    a = np.diag(values)
    for which in ("LA", "LM"):
        check(a, eigsh(counted(a), 7, n=n, which=which), expected(values, 7, which))


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_with_low_rank(dtype):
    n = 400
    u = rotation(n)[:, :3]
    a = (np.eye(n) + (u * [1, 5, -3]) @ u.T).astype(dtype)
    for which, values in (
        ("SA", [-2, 1, 1, 1, 1]),
        ("LA", [1, 1, 1, 2, 6]),
        ("LM", [-2, 1, 1, 2, 6]),
        ("BE", [-2, 1, 1, 2, 6]),
    ):
        f = counted(a)
        check(a, eigsh(f, 5, n=n, which=which), np.array(values, float))
        assert f.calls < 15, "the space is invariant after four products, each copy costs one"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [0.0, 1.0, -2.5])
def test_multiples_of_the_identity(factor, dtype):
    n = 200
    result = eigsh(lambda v: (factor * v).astype(dtype), 4, n=n, which="LM")
    check(factor * np.eye(n, dtype=dtype), result, np.full(4, factor))
    assert result.products <= 6


def test_ends_of_the_spectrum_that_the_start_vector_lacks():
    """Were the start vector an eigenvector, only the search could find the rest."""
    n = 300
    start = generator(0).standard_normal(n)
    start /= np.linalg.norm(start)
    a = np.eye(n) - 0.5 * np.outer(start, start)
    a[np.arange(4), np.arange(4)] += 1.0
    p = np.eye(n) - np.outer(start, start)
    a = p @ a @ p + 5 * np.outer(start, start)
    truth = np.linalg.eigvalsh(a)
    check(a, eigsh(counted(a), 3, n=n, which="LA", seed=0), truth[-3:])
    check(a, eigsh(counted(a), 3, n=n, which="SA", seed=0), truth[:3])


def test_odd_counts_from_both_ends():
    n = 300
    values = np.sort(np.random.default_rng(0).standard_normal(n))
    w = eigsh(lambda v: values * v, 5, n=n, which="BE").eigenvalues
    np.testing.assert_allclose(w, values[[0, 1, -3, -2, -1]], atol=1e-13)


def test_seeds():
    d = np.random.default_rng(0).standard_normal(500)
    one, again, other = (eigsh(lambda v: d * v, n=500, seed=s) for s in (0, generator(0), 1))
    for a, b in zip(one, again, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.eigenvectors, other.eigenvectors)
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, atol=1e-13)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_tolerances_are_relative_and_save_products(tol):
    n = 1000
    values = SPECTRA["network"](n, np.random.default_rng(0))
    exact = counted(values)
    eigsh(exact, 10, n=n, which="LM")
    loose = counted(values)
    result = eigsh(loose, 10, n=n, which="LM", tol=tol)
    assert (result.residuals <= 1.01 * tol * np.abs(result.eigenvalues)).all()
    assert loose.calls < exact.calls
    truth = expected(values, 10, "LM")
    np.testing.assert_allclose(result.eigenvalues, truth, rtol=10 * tol)


@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1e150, 1e300])
def test_scales(factor):
    values = np.linspace(-1, 1, 200)
    w, _, residuals, _ = eigsh(lambda v: factor * (values * v), 3, n=200)
    np.testing.assert_allclose(w / factor, values[:3], rtol=1e-12)
    assert (residuals / factor < 1e-12).all()
    w = eigsh(lambda v: (1e30 * (values * v)).astype(np.float32), 3, n=200).eigenvalues
    np.testing.assert_allclose(w.astype(float) / 1e30, values[:3], rtol=1e-5)


def test_threads_agree_to_the_bit():
    n = 30_000
    d = np.random.default_rng(0).standard_normal(n)
    d[:3] = [7, 8, 9]
    before = fastopt.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            fastopt.set_num_threads(threads)
            results.append(eigsh(lambda v: d * v, 3, n=n, which="LA", tol=1e-8))
    finally:
        fastopt.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            assert np.array_equal(a, b)


def test_restarts():
    """More products than the basis has columns, many times over."""
    n = 2500
    values = 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))

    def f(v):  # the second difference
        w = 2 * v
        w[1:] -= v[:-1]
        w[:-1] -= v[1:]
        return w

    result = eigsh(f, 4, n=n, which="LA", tol=1e-6)
    np.testing.assert_allclose(result.eigenvalues, values[-4:], rtol=1e-9)
    for i in range(4):
        true = np.linalg.norm(
            f(result.eigenvectors[:, i]) - result.eigenvalues[i] * result.eigenvectors[:, i]
        )
        assert true == pytest.approx(result.residuals[i], rel=1e-2, abs=1e-13)
    assert result.products > 400


def test_a_hard_spectrum_falls_back_to_the_matrix():
    """Squares crowd at zero: an iteration takes thousands of products, the matrix n."""
    n = 300
    values = np.linspace(0, 1, n) ** 6
    f = counted(values)
    result = eigsh(f, 4, n=n)
    check(np.diag(values), result, values[:4])
    assert result.products == f.calls <= 2 * n


def test_too_few_products():
    n = 2000
    d = np.linspace(0, 1, n)
    with pytest.raises(EigshNoConvergence, match="of 4 eigenpairs converged in 30 products") as caught:
        eigsh(lambda v: d * v, 4, n=n, max_steps=30)
    error = caught.value
    assert isinstance(error, np.linalg.LinAlgError)
    assert isinstance(error, RuntimeError)
    assert error.products == 30
    assert error.eigenvectors.shape == (n, 4)
    true = np.linalg.norm(d[:, None] * error.eigenvectors - error.eigenvectors * error.eigenvalues, axis=0)
    np.testing.assert_allclose(error.residuals, true, rtol=1e-6)
    with pytest.raises(EigshNoConvergence) as caught:
        eigsh(lambda v: d * v, 4, n=n, max_steps=1)
    assert caught.value.eigenvalues.shape == (1,)
    assert caught.value.eigenvectors.shape == (n, 1)
    with pytest.raises(EigshNoConvergence):
        eigsh(lambda v: d[:40] * v, 4, n=40, max_steps=10)


@pytest.mark.parametrize("n", [30, 600])
@pytest.mark.parametrize("as_matrix", [False, True])
def test_operators_that_are_not_symmetric(n, as_matrix):
    a = with_values(np.random.default_rng(0).standard_normal(n))
    for wrong in (np.triu(a), a + 0.1 * np.random.default_rng(1).standard_normal((n, n))):
        with pytest.raises(ValueError, match="op: expected a symmetric operator"):
            eigsh(wrong if as_matrix else counted(wrong), 2, n=n)


@pytest.mark.parametrize("n", [30, 600])
def test_noise_is_let_through_and_shows_in_the_residuals(n):
    a = with_values(np.random.default_rng(0).standard_normal(n))
    noise = 1e-8 * np.random.default_rng(1).standard_normal((n, n))
    w, v, residuals, _ = eigsh(counted(a + noise), 3, n=n)
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a)[:3], atol=1e-6)
    true = np.linalg.norm((a + noise) @ v - v * w, axis=0)
    assert (true > 1e-9).all()
    np.testing.assert_allclose(residuals, true, rtol=1e-3)


@pytest.mark.parametrize("n", [5, 100, 600])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite(n, bad):
    a = np.eye(n)
    a[n - 1, n - 1] = bad
    with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
        eigsh(a, 1)
    with pytest.raises(np.linalg.LinAlgError, match="NaN or infinity"):
        eigsh(lambda v: np.append(v[:-1], bad), 1, n=n)


def test_errors_of_the_function_pass_through():
    calls = []

    def f(v):
        calls.append(v)
        if len(calls) == 20:
            raise ZeroDivisionError("mine")
        return np.linspace(0, 1, 500) * v

    with pytest.raises(ZeroDivisionError, match="mine"):
        eigsh(f, 3, n=500)


def test_the_function_may_change_its_argument():
    d = np.random.default_rng(0).standard_normal(300)

    def f(v):
        v *= d
        return v

    np.testing.assert_allclose(eigsh(f, 3, n=300).eigenvalues, np.sort(d)[:3], atol=1e-13)


def test_scipy_operators():
    sparse = pytest.importorskip("scipy.sparse")
    linalg = pytest.importorskip("scipy.sparse.linalg")
    n = 700
    d = np.sort(np.random.default_rng(0).standard_normal(n))
    a = sparse.dia_array((d[None], [0]), shape=(n, n)).tocsr()
    for op in (a, linalg.aslinearoperator(a)):
        w = eigsh(op, 4, which="BE").eigenvalues
        np.testing.assert_allclose(w, d[[0, 1, -2, -1]], atol=1e-13)
        np.testing.assert_allclose(w, linalg.eigsh(a, 4, which="BE", return_eigenvectors=False), atol=1e-12)


@pytest.mark.parametrize("which", ["LA", "LM"])
def test_fewer_products_than_arpack(which):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    n = 2000
    for name in ("network", "uniform"):
        d = SPECTRA[name](n, np.random.default_rng(0))
        ours, theirs = counted(d), counted(d)
        eigsh(ours, 10, n=n, which=which)
        start = np.random.default_rng(0).standard_normal(n)
        linalg.eigsh(linalg.LinearOperator((n, n), matvec=theirs, dtype=float), 10, which=which, v0=start)
        assert ours.calls < 1.2 * theirs.calls, name


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "k: expected an integer >= 1"),
        ({"k": 101}, ValueError, "k: expected an integer >= 1 and <= 100"),
        ({"k": 2.0}, TypeError, "k: expected an integer"),
        ({"which": "SM"}, ValueError, "which: expected one of 'SA', 'LA', 'LM', 'BE', got 'SM'"),
        ({"tol": -1}, ValueError, "tol: expected"),
        ({"tol": np.nan}, ValueError, "tol: expected"),
        ({"tol": "a"}, TypeError, "tol: expected"),
        ({"max_steps": 0}, ValueError, "max_steps: expected an integer >= 1"),
        ({"n": 99}, ValueError, "n: expected 100"),
        ({"seed": -1}, ValueError, "non-negative"),
    ],
)
def test_arguments_that_are_refused(arguments, error, message):
    op = fastopt.linalg._operator.as_operator(lambda v: v, 100)
    with pytest.raises(error, match=message):
        eigsh(op, **arguments)


def test_the_start_is_not_what_the_user_draws_from_the_same_seed():
    ours, theirs = generator(0).standard_normal(1000), np.random.default_rng(0).standard_normal(1000)
    assert abs(ours @ theirs) < 150, "five standard deviations"


def test_top_level():
    assert fastopt.eigsh is eigsh


def test_the_statement_about_what_is_missed():
    """Kuczynski and Wozniakowski's bound, at a place worked out by hand: n = 100, e = 1/4, 2 q - 1 = 20."""
    inner = np.array([0.25, 1.0])
    outer, limits = (-5.0, 1.0), (0.0, np.inf)
    # 1.65 * 10 * exp(-(2 q - 1) / 2) <= 1e-3  <=>  q >= 10.2
    assert not nothing_missed(inner, 10, 100, outer, limits)
    assert nothing_missed(inner, 11, 100, outer, limits)
    assert not nothing_missed(np.array([-0.1, 1.0]), 1000, 100, outer, limits)
    assert bounds(np.array([-3.0, 1.0, 2.0]), 3, "LM") == (-1.0, 1.0)
    assert bounds(np.array([-3.0, 1.0, 2.0]), 3, "BE") == (-3.0, 1.0)
    assert bounds(np.array([2.0]), 1, "BE") == (-np.inf, 2.0)


def test_without_the_search_for_copies_there_are_fewer_products():
    d = np.concatenate([[5.0, 5.0, 4.0], np.linspace(0, 1, 497)])
    with_copies = eigsh(lambda v: d * v, 2, n=500, which="LA", tol=1e-3)
    without = eigsh(lambda v: d * v, 2, n=500, which="LA", tol=1e-3, copies=False)
    assert with_copies.eigenvalues == pytest.approx([5, 5])
    assert without.eigenvalues == pytest.approx([4, 5])  # one Krylov space sees one of the two
    assert without.products < with_copies.products
