"""Variables of many magnitudes in one sum: steps that suit one are too long for another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fastopt import check_grad

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the functions

Array = Any


def others(x: Array) -> Array:
    """The product of all elements but each one."""
    return np.array([np.prod(np.delete(x, i)) for i in range(x.size)], x.dtype)


#: f and its gradient, for x > 0. Some end there, some have a pole or a singular slope, some neither.
FAMILY = {
    "sqrt": (lambda x: np.sqrt(x).sum(), lambda x: x.dtype.type(0.5) / np.sqrt(x)),
    "log": (lambda x: np.log(x).sum(), lambda x: 1 / x),
    "x log x": (lambda x: (x * np.log(x)).sum(), lambda x: np.log(x) + 1),
    "x - log x": (lambda x: (x - np.log(x)).sum(), lambda x: 1 - 1 / x),
    "1 / x": (lambda x: (1 / x).sum(), lambda x: -1 / x**2),
    "x ** 1.5": (lambda x: (x**1.5).sum(), lambda x: x.dtype.type(1.5) * np.sqrt(x)),
    "x ** 1.2": (lambda x: (x**1.2).sum(), lambda x: x.dtype.type(1.2) * x**0.2),
    "x ** 3": (lambda x: (x**3).sum(), lambda x: 3 * x**2),
    "exp": (lambda x: np.exp(x).sum(), np.exp),
    "exp -x": (lambda x: np.exp(-x).sum(), lambda x: -np.exp(-x)),
    "product": (np.prod, others),
    "sqrt of a product": (
        lambda x: np.sqrt(np.prod(x)),
        lambda x: x.dtype.type(0.5) * np.sqrt(np.prod(x)) / x,
    ),
    "log of a sum": (lambda x: np.log(x.sum()), lambda x: np.ones_like(x) / x.sum()),
    "sqrt |x|": (lambda x: np.sqrt(np.abs(x)).sum(), lambda x: x.dtype.type(0.5) / np.sqrt(np.abs(x))),
    "x log |x|": (lambda x: (x * np.log(np.abs(x))).sum(), lambda x: np.log(np.abs(x)) + 1),
    "log |x|": (lambda x: np.log(np.abs(x)).sum(), lambda x: 1 / x),
    "cbrt": (lambda x: np.cbrt(x).sum(), lambda x: 1 / (3 * np.cbrt(x) ** 2)),
    "norm": (lambda x: np.sqrt((x * x).sum()), lambda x: x / np.sqrt((x * x).sum())),
}

SINGLE = np.float32


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("sqrt", np.array([1e-12, 1.0])),
        ("sqrt", np.array([1e-40, 1.0])),
        ("sqrt", np.array([1e-7, 1.0], SINGLE)),
        ("x log x", np.logspace(-12, 3, 30)),
        ("x log x", np.array([1e-30, 1.0])),
        ("x ** 1.5", np.array([1e-14, 1.0])),
        ("1 / x", np.array([1e-20, 1.0])),
        ("x - log x", np.array([1.0, 1e12])),
        ("x - log x", np.array([1.0, 1e16])),
        ("sqrt |x|", np.array([1e-34, 1.0])),
        ("x log |x|", np.array([1e-30, 1.0])),
        ("cbrt", np.array([4e-14, 9e3], SINGLE)),
    ],
)
def test_a_right_gradient_beside_larger_variables(name, x):
    f, grad = FAMILY[name]
    report = check_grad(f, grad, x)
    assert report.kind in ("right", "round-off"), str(report)


def planted(grad, place, factor):
    def wrong(x):
        g = grad(x).copy()
        g[place] *= x.dtype.type(factor)
        return g

    return wrong


@pytest.mark.parametrize("factor", [2.0, -1.0, 1.001])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", ["sqrt", "log", "x log x", "1 / x", "x ** 1.5", "cbrt", "sqrt |x|"])
def test_a_wrong_component_beside_larger_variables_is_found(name, place, factor):
    f, grad = FAMILY[name]
    x = np.array([1e-6, 1.0]) if name == "1 / x" else np.array([1e-8, 1.0])
    report = check_grad(f, planted(grad, place, factor), x)
    told = {finding.index: finding.kind for finding in report.findings}[(place,)]
    # 1e6 has no digits left for a thousandth of the 1 beside it; nor 1e-12 beside 1 for x ** 1.5
    assert told == "wrong" or (abs(factor - 1) < 0.1 and name in ("1 / x", "x ** 1.5")), str(report)


def draws(count, seed):
    rng = np.random.default_rng(seed)
    names = list(FAMILY)
    for _ in range(count):
        name = names[rng.integers(len(names))]
        dtype = rng.choice([np.float64, np.float64, np.float32])
        low, high = rng.choice([-20, -12, -6, -2]), rng.choice([0, 3, 6, 12])
        x = (10.0 ** rng.uniform(low, high, rng.choice([1, 2, 3, 6]))).astype(dtype)
        f, grad = FAMILY[name]
        g = grad(x)
        if np.isfinite(f(x)) and np.isfinite(g).all() and np.abs(g).max() > 1e-30:
            yield name, f, grad, x


def test_right_is_never_wrong_and_wrong_seldom_hidden():
    found = Counter()
    for name, f, grad, x in draws(220, 5):
        report = check_grad(f, grad, x)
        assert report.ok, f"{name} at {x!r}: {report}"
        place = int(np.argmax(np.abs(grad(x))))
        for factor in (2.0, -1.0):
            report = check_grad(f, planted(grad, place, factor), x)
            kind = {finding.index: finding.kind for finding in report.findings}[(place,)]
            assert kind != "right", f"{name} at {x!r}: {report}"
            found[kind] += 1
    assert found["wrong"] > 8 * found["round-off"], found


def test_directions_that_move_variables_of_many_magnitudes():
    for name, f, grad, x in draws(100, 7):
        if "|" not in name:  # where no step sees the slope, nor is stopped, some tell more than they know
            report = check_grad(f, grad, x, directions=6)
            assert report.ok, f"{name} at {x!r}: {report}"


@pytest.mark.parametrize(
    ("name", "curvature"),
    [
        ("sqrt", lambda x: -0.25 * x**-1.5),
        ("x log x", lambda x: 1 / x),
        ("x ** 1.5", lambda x: 0.75 * x**-0.5),
        ("1 / x", lambda x: 2 * x**-3.0),
    ],
)
@pytest.mark.parametrize("x", [[1e-12, 1.0], [1e-20, 1.0, 1e6], [1e-5, 1e12]])
def test_the_same_for_products_with_a_hessian(name, curvature, x):
    f, grad = FAMILY[name]
    x = np.array(x)
    report = check_grad(f, grad, x, hvp=lambda x, v: curvature(x) * v)
    assert report.ok, str(report)
