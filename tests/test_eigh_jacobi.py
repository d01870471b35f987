"""method="jacobi": the eigenvalues of graded definite matrices to their own last digits, proved exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from eigen_matrices import matrices, ratios
from fastopt.linalg import eigh, eigvalsh

DTYPES = (np.float64, np.float32)
LIMIT = 10  # n ulp


def exactly_below(a, x):
    """Eigenvalues of `a` below x by Sylvester's law: negative pivots of a - x, in rational arithmetic."""
    m = [[Fraction(float(e)) for e in row] for row in a]
    n, negative = len(m), 0
    for i in range(n):
        m[i][i] -= x
    for k in range(n):
        assert m[k][k] != 0
        negative += m[k][k] < 0
        for i in range(k + 1, n):
            factor = m[i][k] / m[k][k]
            for j in range(k + 1, n):
                m[i][j] -= factor * m[k][j]
    return negative


def graded(n, decades, dtype, seed):
    """D B D, B of unit diagonal and well conditioned, D falling by `decades` a row, rows in random order."""
    rng = np.random.default_rng(seed)
    b = rng.uniform(-0.5, 0.5, (n, n)) / n
    b = np.eye(n) + (b + b.T) * (1 - np.eye(n))
    d = 10.0 ** (-decades * rng.permutation(n) / 2)
    return (d[:, None] * b * d).astype(dtype), float(np.linalg.cond(b))


@pytest.mark.parametrize(
    ("dtype", "decades"), [(np.float64, 5), (np.float64, 30), (np.float32, 3), (np.float32, 4)]
)
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_graded_definite_matrices_to_full_relative_accuracy(n, dtype, decades):
    for seed in range(4):
        a, condition = graded(n, decades, dtype, seed)
        tolerance = Fraction(LIMIT * n * condition * float(np.finfo(dtype).eps))
        for values in (eigvalsh(a, method="jacobi"), eigh(a, method="jacobi").eigenvalues):
            for i, value in enumerate(values):
                exact = Fraction(float(value))
                assert exactly_below(a, exact * (1 - tolerance)) <= i
                assert exactly_below(a, exact * (1 + tolerance)) > i


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 10), 16, 33, 60])
def test_ratios(n, dtype):
    for name, a in matrices(n, dtype):
        before = a.copy()
        with_vectors, values = (lambda a, f=f: f(a, method="jacobi") for f in (eigh, eigvalsh))
        for what, ratio in ratios(a, with_vectors, values).items():
            assert ratio < LIMIT, f"{name}: {what} {ratio:.3g} n ulp"
        assert (a == before).all()
        assert (np.diff(eigvalsh(a, method="jacobi")) >= 0).all()


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("uplo", ["L", "U"])
def test_stacks_and_triangles(n, uplo):
    a = np.random.default_rng(n).standard_normal((2, 7, n, n))
    a = a @ a.swapaxes(-1, -2)
    half = np.tril(a) if uplo == "L" else np.triu(a)
    w, v = eigh(half, uplo, method="jacobi")
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), atol=1e-13 * n * n)
    np.testing.assert_allclose(a @ v, w[..., None, :] * v, atol=1e-13 * n * n)
    assert np.array_equal(w[1, 3], eigvalsh(half[1, 3], uplo, method="jacobi"))


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_empty_and_not_finite(n):
    assert eigvalsh(np.zeros((0, n, n)), method="jacobi").shape == (0, n)
    assert eigh(np.eye(n), method="jacobi").eigenvectors.shape == (n, n)
    if n == 0:
        return
    a = np.stack([np.eye(n)] * 3)
    a[2, n - 1, 0] = np.nan
    for f in (eigh, eigvalsh):
        with pytest.raises(np.linalg.LinAlgError, match=r"NaN or infinity \(matrix 2 of the stack\)"):
            f(a, method="jacobi")


@pytest.mark.parametrize("method", ["", "Jacobi", "qr", None])
def test_other_methods(method):
    for f in (eigh, eigvalsh):
        with pytest.raises(ValueError, match="method: expected 'auto' or 'jacobi', got"):
            f(np.eye(2), method=method)
