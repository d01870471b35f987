"""Products with the Hessian without the matrix."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt.linalg._operator import as_operator

ROWS = 30


def wide(n, dtype=np.float64):
    """A gradient that couples all coordinates, its Hessian's product, and a point."""
    rng = np.random.default_rng(n)
    data = (rng.standard_normal((ROWS, n)) / n**0.5).astype(dtype)
    exact = data.astype(np.float64)
    return (
        lambda x: data.T @ np.sinh(data @ x),
        lambda x, v: exact.T @ (np.cosh(exact @ x) * (exact @ v)),
        rng.standard_normal(n).astype(dtype),
    )


def directions(n):
    rng = np.random.default_rng(0)
    return {
        "random": rng.standard_normal(n),
        "a coordinate": np.eye(1, n, 2)[0],
        "long": np.full(n, 1e5),
        "tiny": np.full(n, 1e-200),
        "huge": np.full(n, 1e300),
    }


@pytest.mark.parametrize("n", [10, 1000, 20000])
@pytest.mark.parametrize("name", directions(3))
def test_products_and_their_error(n, name):
    grad, exact, x = wide(n)
    v = directions(n)[name]
    scale = np.max(np.abs(v))
    product = fastopt.hvp(grad, x)
    true = exact(x, v / scale)
    error = np.linalg.norm(product(v) / scale - true)
    # The move is eps^(1/3) long beside x or a coordinate of it; seen: 2e-9 for one coordinate of 20,000
    assert error <= 1e-8 * np.linalg.norm(true)
    assert 0.4 < product.error(v) / scale / error < 4


@pytest.mark.parametrize("name", ["random", "a coordinate", "long"])
def test_float32(name):
    grad, exact, x = wide(1000, np.float32)
    v = directions(1000)[name].astype(np.float32)
    product = fastopt.hvp(grad, x)
    true = exact(x.astype(np.float64), v.astype(np.float64))
    result = product(v)
    assert product.dtype == result.dtype == np.float32
    assert np.linalg.norm(result - true) <= 5e-3 * np.linalg.norm(true)


def test_structures():
    x = [np.ones((2, 2)), np.full(3, 2.0)]
    product = fastopt.hvp(lambda p: [p[0] ** 3, p[1] ** 2], x)
    assert product.shape == (7, 7)
    flat = product(np.ones(7))
    assert flat.shape == (7,)
    np.testing.assert_allclose(flat, [3, 3, 3, 3, 4, 4, 4], rtol=1e-8)
    back = product([np.ones((2, 2)), np.ones(3)])
    assert [a.shape for a in back] == [(2, 2), (3,)]
    np.testing.assert_allclose(back[1], 4.0, rtol=1e-8)
    square = fastopt.hvp(lambda p: p**2, np.ones((2, 3)))
    assert square(np.ones((2, 3))).shape == (2, 3)
    assert square(np.ones(6)).shape == (6,)


def test_it_is_an_operator_for_fastopt_and_scipy():
    product = fastopt.hvp(lambda x: x**2, np.arange(1.0, 9.0))
    operator = as_operator(product)
    assert (operator.n, operator.dtype) == (8, np.float64)
    linalg = pytest.importorskip("scipy.sparse.linalg", reason="no SciPy to be a second consumer")
    values = linalg.eigsh(linalg.aslinearoperator(product), k=2, which="LA", return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(values), [14, 16], rtol=1e-7)


def test_exact_products_pass_through():
    x = np.arange(1.0, 4.0)
    for exact in (lambda v: 2 * x * v, lambda x, v: 2 * x * v):
        product = fastopt.hvp(None, x, hvp=exact)
        assert product(np.ones(3)).tolist() == [2, 4, 6]
        assert product.error(np.ones(3)) == 0.0
        again = fastopt.hvp(None, x, hvp=product)
        assert again.matvec(np.ones(3)).tolist() == [2, 4, 6]


def test_zero_and_evaluations():
    product = fastopt.hvp(lambda x: x**2, np.ones(3))
    assert product(np.zeros(3)).tolist() == [0, 0, 0]
    assert product.evaluations == 1
    product(np.ones(3))
    assert product.evaluations == 5  # the step is looked at
    product(np.ones(3))
    assert product.evaluations == 7


def test_the_point_is_a_copy():
    x = np.ones(3)
    product = fastopt.hvp(lambda x: x**2, x)
    x[:] = 100
    np.testing.assert_allclose(product(np.ones(3)), 2.0, rtol=1e-8)


@pytest.mark.parametrize(
    ("v", "words"),
    [
        (np.ones(4), r"v: expected an array of shape \(3,\), got shape \(4,\)"),
        (np.array([1, np.nan, 1]), r"v: expected finite values, got nan for x\[1\]"),
    ],
)
def test_bad_vectors(v, words):
    product = fastopt.hvp(lambda x: x**2, np.ones(3))
    with pytest.raises(ValueError, match=words):
        product(v)
    with pytest.raises(ValueError, match="v: expected"):
        product.matvec(v)


def test_bad_functions():
    with pytest.raises(ValueError, match="grad at x: expected finite values"):
        fastopt.hvp(lambda x: x * np.nan, np.ones(3))
    with pytest.raises(ValueError, match=r"grad near x .* expected finite values, got nan"):
        fastopt.hvp(lambda x: np.where(x > 1, np.nan, x), np.ones(3))(np.ones(3))
    with pytest.raises(TypeError, match="grad: expected a function of x"):
        fastopt.hvp(None, np.ones(3))
    with pytest.raises(ValueError, match="step: expected None beside exact products"):
        fastopt.hvp(None, np.ones(3), hvp=lambda v: v, step=1.0)
    with pytest.raises(TypeError, match="hvp: expected a function of v"):
        fastopt.hvp(None, np.ones(3), hvp=np.eye(3))
