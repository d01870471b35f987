"""Gradient checks in all units and around all origins: no right gradient is wrong, no wrong one is right."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fastopt import check_grad

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the functions, far outside


def log(x):
    return np.log(x).sum()


def sine(x):
    return np.sin(x).sum()


@pytest.mark.parametrize(
    ("f", "grad", "x", "kind"),
    [
        (log, lambda x: 1 / x, np.array([1e-10]), "right"),
        (log, lambda x: 1 / x, np.array([1e-300]), "right"),
        (log, lambda x: 1 / x, np.array([1e-10, 1.0]), None),
        (log, lambda x: 1 / x, np.array([1e-5], np.float32), "round-off"),
        (sine, np.cos, np.array([1e6]), "right"),
        (sine, np.cos, np.array([1e9]), "round-off"),
        (sine, np.cos, np.array([1e11]), "round-off"),
        (sine, np.cos, np.array([1e3], np.float32), "round-off"),
    ],
)
def test_a_point_far_from_one(f, grad, x, kind):
    report = check_grad(f, grad, x)
    assert report.ok, str(report)
    assert kind in (None, report.kind)
    for factor in (1.01, 0.99, -1.0):
        wrong = check_grad(f, lambda x, factor=factor: grad(x) * x.dtype.type(factor), x)
        assert wrong.kind == "wrong" if kind else wrong.kind in ("wrong", "round-off")


@pytest.mark.parametrize("x", [1e13, 1e15, 1e16, 1e17, 1e300])
@pytest.mark.parametrize("factor", [1.0, 1.01, -1.0])
def test_where_no_digit_of_x_is_left_nothing_can_be_told(x, factor):
    assert check_grad(sine, lambda x: factor * np.cos(x), np.array([x])).kind == "round-off"


def test_where_no_digit_of_float32_is_left():
    for x in (1e5, 1e7, 1e9):
        at = np.array([x], np.float32)
        assert check_grad(sine, np.cos, at).kind == "round-off"
        assert check_grad(sine, lambda x: -np.cos(x), at).kind in ("round-off", "wrong")


@pytest.mark.parametrize("unit", [1e-30, 1e-10, 1e-3, 1.0, 1e3, 1e10, 1e30])
@pytest.mark.parametrize("z", [[0.0], [1.0], [0.0, 2.0]])
def test_the_unit_of_x_and_of_f(unit, z):
    x = np.array(z) * unit
    for size in (1e-30, 1.0, 1e30):

        def f(x, size=size):
            return size * np.sin(x / unit + 0.5).sum()

        def grad(x, size=size):
            return size * np.cos(x / unit + 0.5) / unit

        report = check_grad(f, grad, x)
        assert report.kind in ("right", "round-off"), str(report)
        assert report.digits >= 4
        for factor in (1.01, -1.0):
            assert check_grad(f, lambda x, factor=factor, grad=grad: factor * grad(x), x).kind == "wrong"


def draw(rng):
    n = int(rng.choice([1, 2, 4]))
    name = rng.choice(["cos", "exp", "quartic", "log", "tanh"])
    phi, slope = {
        "cos": (np.cos, lambda z: -np.sin(z)),
        "exp": (np.exp, np.exp),
        "quartic": (lambda z: z**4 / 4 + z, lambda z: z**3 + 1),
        "log": (lambda z: np.log1p(z * z), lambda z: 2 * z / (1 + z * z)),
        "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    }[name]
    dtype = rng.choice([np.float64, np.float64, np.float32])
    decades = 30 if dtype == np.float64 else 8
    unit, size = (dtype(10.0 ** rng.uniform(-decades, decades)) for _ in range(2))
    far = rng.choice([1.0, 1.0, 1e3, 1e6, 1e9] if dtype == np.float64 else [1.0, 1.0, 10.0, 1e3])
    a, c = rng.standard_normal((n + 2, n)).astype(dtype), rng.standard_normal(n)
    x = ((far * c + rng.standard_normal(n)) * unit).astype(dtype)
    if rng.random() < 0.15:
        x, far = 0 * x, 1.0
    origin = (far * c * unit).astype(dtype)
    return (
        lambda x: size * np.sum(phi(a @ ((x - origin) / unit))),
        lambda x: a.T @ slope(a @ ((x - origin) / unit)) * (size / unit),
        x,
    )


def wrong_ones(grad, place):
    """A factor 1.01, a sign, a neighbour's place, a missing term."""

    def scaled(factor):
        def wrong(x):
            g = grad(x)
            g[place] *= g.dtype.type(factor)
            return g

        return wrong

    return {
        "1 %": scaled(1.01),
        "sign": scaled(-1.0),
        "missing": scaled(0.0),
        "shifted": lambda x: np.roll(grad(x), 1) * x.dtype.type(1.05),
    }


def test_right_is_never_wrong_and_wrong_never_right():
    rng = np.random.default_rng(3)
    found = Counter()
    for _ in range(150):
        f, grad, x = draw(rng)
        g = grad(x)
        if not (np.isfinite(g).all() and np.isfinite(f(x)) and np.abs(g).max() > 1e-30):
            continue
        report = check_grad(f, grad, x)
        assert report.ok, str(report)
        for name, wrong in wrong_ones(grad, int(np.argmax(np.abs(g)))).items():
            kind = check_grad(f, wrong, x).kind
            assert kind != "right", f"{name}: {report}"
            found[kind] += 1
    assert found["wrong"] > 4 * found["round-off"]
