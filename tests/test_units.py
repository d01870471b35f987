"""Second derivatives know neither the unit of x, nor its origin, nor the unit of the loss."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from fastopt import critical_point, escape, hessian, hvp

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of functions far outside, and of noise

ORIGINS = [0.0, 1.0, -1.0, 1e3, 1e6, 1e9, 1e12, -1e12]
UNITS = [1e-30, 1e-10, 1e-3, 1.0, 1e3, 1e10, 1e30]


@pytest.mark.parametrize("c", ORIGINS)
def test_the_origin_of_x(c):
    h = hessian(lambda x: np.sin(x - c), np.array([c]))
    # The last digit of x limits the step from below: sin(x - c) need not be exact in it.
    assert abs(h[0, 0] - 1.0) <= 2 * h.error < 1e-9 + 60 * np.spacing(abs(c)) ** (2 / 3)
    assert h.evaluations <= 50
    assert critical_point(lambda x: np.sin(x - c), np.array([c])).kind == "minimum"
    assert critical_point(lambda x: -np.sin(x - c), np.array([c])).kind == "maximum"


@pytest.mark.parametrize("c", [1e15, 1e16, 1e17, 1e20, -1e300])
def test_where_the_digits_of_x_do_not_resolve_the_function(c):
    h = hessian(lambda x: np.sin(x - c), np.array([c]))
    assert abs(h[0, 0] - 1.0) <= 2 * h.error
    assert critical_point(lambda x: np.sin(x - c), np.array([c])).kind in ("unresolved", "minimum")


def test_an_infinite_error_is_said():
    with pytest.warns(RuntimeWarning, match=r"grad: no slope is seen along x\[0\] at any step"):
        h = hessian(lambda x: np.sin(x - 1e17), np.array([1e17]))
    assert h.error == np.inf
    assert critical_point(None, None, hessian=h).kind == "unresolved"


def coupled(z):
    """The gradient of cos z0 - cos z1 + (1 - cos(z0 - z1)) / 10."""
    bond = 0.1 * np.sin(z[0] - z[1])
    return np.array([-np.sin(z[0]) + bond, np.sin(z[1]) - bond])


def coupled_hessian(z):
    bond = 0.1 * np.cos(z[0] - z[1])
    return np.array([[-np.cos(z[0]) + bond, -bond], [-bond, np.cos(z[1]) + bond]])


POINTS = {
    "saddle": [0.0, 0.0],
    "near a saddle": [1e-6, 1e-6],
    "minimum": [np.pi, 0.0],
    "maximum": [0.0, np.pi],
    "beside": [1e-2, 0.0],
    "slope": [0.5, 0.5],
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_x(unit, name):
    z = np.array(POINTS[name])
    loss = 1.0 / np.sqrt(unit)  # another unit for the loss too

    def grad(x):
        return coupled(x / unit) * (loss / unit)

    expected = {"near a saddle": "saddle", "beside": "not critical", "slope": "not critical"}
    point = critical_point(grad, z * unit)
    assert point.kind == expected.get(name, name)
    h = hessian(grad, z * unit)
    exact = coupled_hessian(z) * (loss / unit / unit)
    size = np.linalg.norm(exact, 2)
    assert np.linalg.norm(h / size - exact / size, 2) <= 2 * h.error / size + 1e-15 < 1e-8
    v = np.array([1.0, -2.0])
    product = hvp(grad, z * unit)
    off = np.linalg.norm((product(v) - exact @ v) / size)
    assert off <= 2 * product.error(v) / size + 1e-15 < 1e-7


@pytest.mark.parametrize("power", [-300, -101, -7, 12, 99, 250])
def test_powers_of_two_change_nothing_but_the_exponent(power):
    rng = np.random.default_rng(0)
    a, x = rng.standard_normal((7, 5)), rng.standard_normal(5)

    def scaled(unit):
        return hessian(lambda x: a.T @ np.sin(a @ (x / unit)), x * unit)

    one, other = scaled(1.0), scaled(2.0**power)
    assert np.array_equal(one, other * 2.0**power)
    assert one.error == other.error * 2.0**power
    assert one.evaluations == other.evaluations


@pytest.mark.parametrize("unit", UNITS)
def test_saddles_are_left(unit):
    def f(x):
        return np.cos(x[0] / unit) + 0.5 * (x[1] / unit) ** 2

    def grad(x):
        return np.array([-np.sin(x[0] / unit), x[1] / unit]) / unit

    for z in ([0.0, 0.0], [2 * np.pi, 0.0]):
        result = escape(f, grad, np.array(z) * unit)
        assert result.moved
        assert result.decrease > 0.1


def test_coordinates_of_very_different_lengths():
    lengths = np.array([1e-8, 1.0, 1e8, 1e-3])
    x = np.array([2.0, 0.3, -1.0, 1e5]) * lengths
    h = hessian(lambda x: np.sin(x / lengths) / lengths, x)
    exact = np.cos(x / lengths) / lengths**2
    np.testing.assert_allclose(np.diag(h), exact, rtol=1e-6)
    assert critical_point(lambda x: np.sin(x / lengths) / lengths, 0 * x).kind in ("minimum", "degenerate")


@pytest.mark.parametrize("x", [[1e-20, 1.0], [0.0, 1.0], [1e-300, -1e-9], [0.0, 0.0]])
def test_coordinates_that_are_almost_zero_have_the_function_s_scale(x):
    h = hessian(lambda x: np.array([np.sin(x[0] + 1.0), np.sin(x[1])]), np.array(x))
    exact = np.diag([np.cos(x[0] + 1.0), np.cos(x[1])])
    assert np.linalg.norm(h - exact, 2) <= 2 * h.error < 1e-8


@pytest.mark.parametrize("distance", [1e-10, 1e-6, 1e-3])
def test_the_edge_of_the_domain_is_near(distance):
    for x, shift in ((np.array([distance]), 0.0), (np.array([1.0 + distance]), 1.0)):
        h = hessian(lambda x, shift=shift: 1.0 - 1.0 / np.where(x > shift, x - shift, np.nan), x)
        exact = (x[0] - shift) ** -2
        assert abs(h[0, 0] - exact) <= 2 * h.error < 1e-2 * exact


@pytest.mark.parametrize("frequency", [1e4, 1e6, 1e9])
def test_oscillations_far_shorter_than_x(frequency):
    x = np.array([0.7, -1.3])
    h = hessian(lambda x: np.sin(frequency * x) / frequency, x)
    assert np.abs(np.asarray(h) - np.diag(np.cos(frequency * x))).max() <= 2 * h.error
    assert h.error < 1e-3


def test_flat_regions_and_dead_coordinates():
    calls = []

    def grad(x):
        calls.append(1)
        return np.concatenate([np.tanh(x[:5]), np.zeros(35)])

    h = hessian(grad, np.linspace(0.1, 1.0, 40))
    assert h.error < 1e-9
    assert len(calls) <= 8 * 40 + 2  # twice what columns cost that are not zero
    assert critical_point(lambda x: x * np.exp(-(x**2)), np.array([30.0])).kind == "degenerate"


def draw(rng):
    """A random function of random unit, origin and size, with its Hessian: gradient, x, H, clean."""
    n = int(rng.choice([1, 2, 3, 5, 12]))
    kind = rng.choice(["sin", "exp", "square", "tanh"])
    phi, slope = {
        "sin": (np.cos, lambda z: -np.sin(z)),
        "exp": (np.exp, np.exp),
        "square": (lambda z: z**2 + 3, lambda z: 2 * z),
        "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    }[kind]
    dtype = rng.choice([np.float64, np.float64, np.float32])
    decades = 30 if dtype == np.float64 else 8
    unit, size = (10.0 ** rng.uniform(-decades, decades) for _ in range(2))
    a = rng.standard_normal((n + 2, n)) / n**0.5
    c = rng.standard_normal(n) * 10.0 ** rng.choice([-3, 0, 2, 4]) if dtype == np.float64 else np.zeros(n)
    x = ((c + rng.standard_normal(n) * rng.choice([1e-3, 1.0])) * unit).astype(dtype)
    noise = rng.choice([0.0, 0.0, 1e-6, 1e-3])
    origin, cast = (c * unit).astype(dtype), a.astype(dtype)

    def grad(y):
        g = (cast.T @ phi(cast @ ((y - origin) / dtype(unit)))) * dtype(size / unit)
        return g if not noise else g * (1 + noise * rng.standard_normal(n)).astype(dtype)

    z = a @ ((x.astype(float) - origin.astype(float)) / unit)
    return grad, x, (a.T * slope(z)) @ a * (size / unit / unit), not noise


def test_error_bars_cover_the_truth():
    """400 functions: 100 % of the exact ones (but for luck: 99 %) and 97 % of the noisy ones."""
    rng = np.random.default_rng(7)
    covered: dict[bool, list[bool]] = {True: [], False: []}
    bars, costs = [], []
    for _ in range(400):
        grad, x, exact, clean = draw(rng)
        h = hessian(grad, x)
        size = np.linalg.norm(exact, 2)
        off, bar = np.linalg.norm(h / size - exact / size, 2), 2 * h.error / size
        covered[clean].append(off <= bar + 8 * np.finfo(x.dtype).eps)
        if clean:
            bars.append(bar / off)
            costs.append(h.evaluations / (4 * x.size + 2))
    assert np.mean(covered[True]) >= 0.99
    assert np.mean(covered[False]) >= 0.95
    assert np.median(bars) < 6
    assert np.quantile(bars, 0.9) < 100
    assert np.median(costs) < 2


def test_a_ripple_and_its_base_are_both_within_the_error():
    """Which of the two slopes is meant no number of values can tell."""
    h = hessian(lambda x: x + 1e-9 * np.sin(1e9 * x), np.ones(1))
    for truth in (1.0, 1.0 + np.cos(1e9)):
        assert abs(h[0, 0] - truth) <= 2 * h.error
    assert fastopt.critical_point(None, None, hessian=h).kind in ("minimum", "unresolved")


@pytest.mark.parametrize("digits", [3, 6])
def test_gradients_in_jumps_keep_the_slope_that_the_jumps_follow(digits):
    """They do not move at all over the first step."""
    h = hessian(lambda x: np.round(np.sin(x), digits), np.array([0.3]))
    assert abs(h[0, 0] - np.cos(0.3)) <= 2 * h.error < 0.5


def test_a_slope_that_falls_with_the_step_is_not_seen():
    h = hessian(lambda x: np.sign(x) * np.abs(x) ** 1.5, np.zeros(1))
    assert abs(h[0, 0]) <= 2 * h.error


BENDS = {
    "sin": (np.sin, np.cos),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "log1p": (np.log1p, lambda z: 1 / (1 + z)),
    "asinh": (np.arcsinh, lambda z: 1 / np.sqrt(1 + z * z)),
}


@pytest.mark.parametrize("power", range(-30, 31, 3))
@pytest.mark.parametrize("name", BENDS)
def test_a_component_that_is_small_beside_the_others(name, power):
    """Far below the first step it is nothing beside the cross term, which any step gets right."""
    bend, slope = BENDS[name]
    unit = 10.0**power
    for c in (1.0, 1e3, 1e6):
        for z in ([0.0, 0.0], [0.3, -0.2], [0.0, 0.5], [1e-8, 0.0]):

            def grad(x, c=c):
                y = x / unit
                return np.array([bend(y[0]) + c / 2 * y[1], c / 2 * y[0] + 2 * c * c * y[1]])

            h = hessian(grad, np.array(z) * unit)
            exact = np.array([[slope(z[0]), c / 2], [c / 2, 2 * c * c]])
            size = np.linalg.norm(exact, 2)
            assert np.linalg.norm(h * unit - exact, 2) <= 2 * h.error * unit + 1e-15 * size
            assert critical_point(None, None, hessian=h).kind == "minimum"
            assert h.evaluations <= 250
            product = hvp(grad, np.array(z) * unit)
            for v in ([1.0, 0.0], [1.0, -1.0], [0.0, 1.0], [1.0, 0.0]):
                off = np.linalg.norm(product(np.array(v)) * unit - exact @ v)
                assert off <= 2 * product.error(np.array(v)) * unit + 1e-12 * size


def test_two_components_of_different_lengths_in_one_matrix():
    for unit in (1e-30, 1e-15, 1e-9, 1.0, 1e9):

        def grad(x, u=unit):
            return np.array([np.sin(x[0] / u) + 0.3 * x[1] / u, 0.3 * x[0] / u + 2 * np.tanh(x[1] / u)])

        h = hessian(grad, np.zeros(2))
        np.testing.assert_allclose(h * unit, [[1.0, 0.3], [0.3, 2.0]], rtol=1e-7)
        assert critical_point(grad, np.zeros(2)).kind == "minimum"


@pytest.mark.parametrize("unit", [1e-250, 1e-100, 1e-30, 1e-9, 1e-5, 1.0, 1e20, 1e200])
@pytest.mark.parametrize("n", [1, 3, 20])
def test_a_function_that_is_zero_but_near_zero(n, unit):
    def grad(x):
        return x / unit * np.exp(-((x / unit) ** 2))

    h = hessian(grad, np.zeros(n))
    np.testing.assert_allclose(h * unit, np.eye(n), atol=1e-8)
    assert critical_point(grad, np.zeros(n)).kind == "minimum"
    np.testing.assert_allclose(hvp(grad, np.zeros(n))(np.ones(n)) * unit, np.ones(n), rtol=1e-8)


def test_dead_coordinates_at_zero_are_looked_at_together():
    a = np.random.default_rng(0).standard_normal((8, 4))
    for live in (0, 4):
        costs = []
        for n in (20, 60):

            def grad(x, n=n, live=live):
                return np.concatenate([(a.T @ np.tanh(a @ x[:4]))[:live], np.zeros(n - live)])

            h = hessian(grad, np.zeros(n))
            assert not h[live:].any()
            costs.append(h.evaluations)
        assert costs[1] - costs[0] <= 8 * 40  # no more than those of other dead columns
