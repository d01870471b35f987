"""The test set of Moré, Garbow and Hillstrom, ACM TOMS 7(1), 1981, 17-41: f = sum r_i(x)^2.

Formulas, data and starting points are the paper's, numbered as there, with its known misprint in (11)
corrected: the exponent holds |y_i - x2|, which gives the minimum the paper states. Residuals are written
once; Jacobians and Hessians are exact, from `jets`. Minima are the paper's f (six digits), local ones
included; where it says that f tends to a value at infinity, that is in `at_infinity`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jets import Jet, concatenate, variables

Array = NDArray[Any]
Residual = Callable[[Any], Any]


@dataclass(frozen=True)
class Problem:
    """One function with its start. `minimisers` are exact, or good to about six digits."""

    number: int
    name: str
    x0: Array
    formula: Residual
    minima: tuple[float, ...]
    minimisers: tuple[Array, ...] = ()
    at_infinity: tuple[float, ...] = field(default=())

    @property
    def n(self) -> int:
        return len(self.x0)

    def residual(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.formula(np.asarray(x, dtype=float)))

    def jacobian(self, x: Array) -> Array:
        return self._jet(x, 1).d1

    def f(self, x: Array) -> float:
        with np.errstate(all="ignore"):
            r = self.residual(x)
            return float(r @ r)

    def grad(self, x: Array) -> Array:
        r = self._jet(x, 1)
        with np.errstate(all="ignore"):
            return 2.0 * (r.value @ r.d1)

    def hess(self, x: Array) -> Array:
        r = self._jet(x, 2)
        with np.errstate(all="ignore"):
            h = r.d1.T @ r.d1
            if r.d2 is not None:
                h = h + np.tensordot(r.value, r.d2, 1)
            return 2.0 * h

    def reached(self, f: float, rtol: float = 1e-4, atol: float = 1e-8) -> bool:
        """Whether f is one of the known minima (to the paper's digits), or the value at infinity."""
        return any(abs(f - m) <= atol + rtol * abs(m) for m in (*self.minima, *self.at_infinity))

    def _jet(self, x: Array, order: int) -> Jet:
        with np.errstate(all="ignore"):
            jet = self.formula(variables(np.asarray(x, dtype=float), order))
        assert isinstance(jet, Jet)
        return jet


def _table(text: str) -> Array:
    return np.array(text.split(), dtype=float)


def _steps(m: int) -> Array:
    """1, 2, ..., m as floats: the paper's index i."""
    return np.arange(1.0, m + 1)


# 1-7: two and three variables ------------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    return concatenate([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def freudenstein_roth(x: Any) -> Any:
    a, b = x[0], x[1]
    return concatenate([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x: Any) -> Any:
    return concatenate([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x: Any) -> Any:
    return concatenate([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x: Any) -> Any:
    return concatenate([y - x[0] * (1 - x[1] ** i) for i, y in ((1, 1.5), (2, 2.25), (3, 2.625))])


def jennrich_sampson(x: Any) -> Any:
    i = _steps(10)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x: Any) -> Any:
    turned = (x[0].value if isinstance(x, Jet) else x[0]) < 0
    theta = np.arctan(x[1] / x[0]) / (2 * np.pi) + 0.5 * turned
    radius = np.sqrt(x[0] ** 2 + x[1] ** 2)
    return concatenate([10 * (x[2] - 10 * theta), 10 * (radius - 1), x[2]])


# 8-19: data fitting ----------------------------------------------------------------------------------------

_BARD = _table("0.14 0.18 0.22 0.25 0.29 0.32 0.35 0.39 0.37 0.58 0.73 0.96 1.34 2.10 4.39")
_GAUSS = _table("0.0009 0.0044 0.0175 0.0540 0.1295 0.2420 0.3521 0.3989")
_MEYER = _table("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
_KOWALIK_Y = _table("0.1957 0.1947 0.1735 0.1600 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246")
_KOWALIK_U = _table("4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625")
_OSBORNE1 = _table(
    """0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 0.580
    0.558 0.538 0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 0.406"""
)
_OSBORNE2 = _table(
    """1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602
    0.626 0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375
    0.372 0.391 0.396 0.405 0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591
    0.559 0.597 0.625 0.739 0.710 0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054"""
)


def bard(x: Any) -> Any:
    u = _steps(15)
    v = 16 - u
    return _BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def gaussian(x: Any) -> Any:
    t = (8 - _steps(15)) / 2
    y = np.concatenate([_GAUSS, _GAUSS[-2::-1]])
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def meyer(x: Any) -> Any:
    return x[0] * np.exp(x[1] / (45 + 5 * _steps(16) + x[2])) - _MEYER


def gulf(x: Any) -> Any:
    # m = 99: at m = 100 the last datum puts a power 1.5 of zero, without a Hessian, at the minimum.
    t = _steps(99) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    distance = np.absolute(y - x[1])
    power = np.exp(x[2] * np.log(distance))
    return np.exp(-power / x[0]) - t


def box(x: Any) -> Any:
    t = 0.1 * _steps(10)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x: Any) -> Any:
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x: Any) -> Any:
    a, b, c, d = x[0], x[1], x[2], x[3]
    first = [10 * (b - a**2), 1 - a, 90**0.5 * (d - c**2), 1 - c]
    return concatenate([*first, 10**0.5 * (b + d - 2), (b - d) / 10**0.5])


def kowalik_osborne(x: Any) -> Any:
    u = _KOWALIK_U
    return _KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x: Any) -> Any:
    t = _steps(20) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def osborne1(x: Any) -> Any:
    t = 10 * (_steps(33) - 1)
    return _OSBORNE1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def biggs_exp6(x: Any) -> Any:
    t = 0.1 * _steps(13)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


def osborne2(x: Any) -> Any:
    t = (_steps(65) - 1) / 10
    peaks = [x[i] * np.exp(-((t - x[i + 7]) ** 2) * x[i + 4]) for i in (1, 2, 3)]
    return _OSBORNE2 - (x[0] * np.exp(-t * x[4]) + peaks[0] + peaks[1] + peaks[2])


# 20-35: any number of variables ----------------------------------------------------------------------------


def watson(x: Any) -> Any:
    t = _steps(29) / 29
    powers = t[:, None] ** np.arange(len(x))
    slopes = np.zeros_like(powers)
    slopes[:, 1:] = powers[:, :-1] * np.arange(1, len(x))
    return concatenate([slopes @ x - (powers @ x) ** 2 - 1, x[0], x[1] - x[0] ** 2 - 1])


def extended_rosenbrock(x: Any) -> Any:
    return concatenate([10 * (x[1::2] - x[0::2] ** 2), 1 - x[0::2]])


def penalty1(x: Any) -> Any:
    return concatenate([1e-5**0.5 * (x - 1.0), (x**2).sum() - 0.25])


def penalty2(x: Any) -> Any:
    n, e = len(x), np.exp(x / 10)
    y = np.exp(_steps(n) / 10) + np.exp((_steps(n) - 1) / 10)
    small = [1e-5**0.5 * (e[1:] + e[:-1] - y[1:]), 1e-5**0.5 * (e[1:] - np.exp(-0.1))]
    return concatenate([x[0] - 0.2, *small, ((n + 1 - _steps(n)) * x**2).sum() - 1])


def variably_dimensioned(x: Any) -> Any:
    total = (_steps(len(x)) * (x - 1.0)).sum()
    return concatenate([x - 1.0, total, total**2])


def trigonometric(x: Any) -> Any:
    n, c = len(x), np.cos(x)
    return n - c.sum() + _steps(n) * (1 - c) - np.sin(x)


def brown_almost_linear(x: Any) -> Any:
    n = len(x)
    return concatenate([x[:-1] + x.sum() - (n + 1.0), reduce(mul, [x[i] for i in range(n)]) - 1])


def discrete_boundary_value(x: Any) -> Any:
    n = len(x)
    h = 1 / (n + 1)
    second = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return second @ x + h**2 / 2 * (x + (_steps(n) * h + 1)) ** 3


def discrete_integral(x: Any) -> Any:
    n = len(x)
    h = 1 / (n + 1)
    t = _steps(n) * h
    green = np.where(t[None] <= t[:, None], (1 - t[:, None]) * t[None], t[:, None] * (1 - t[None]))
    return x + (h / 2 * green) @ (x + (t + 1)) ** 3


def broyden_tridiagonal(x: Any) -> Any:
    n = len(x)
    return (3 - 2 * x) * x - (np.eye(n, k=-1) + 2 * np.eye(n, k=1)) @ x + 1


def broyden_banded(x: Any) -> Any:
    n = len(x)
    band = np.tril(np.triu(np.ones((n, n)), -5), 1) - np.eye(n)
    return x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x))


def linear_full_rank(x: Any) -> Any:
    n = len(x)
    m = 2 * n
    return (np.eye(m, n) - 2 / m) @ x - 1


def linear_rank1(x: Any) -> Any:
    n = len(x)
    return np.outer(_steps(2 * n), _steps(n)) @ x - 1


def linear_rank1_zeros(x: Any) -> Any:
    n = len(x)
    j = np.where((_steps(n) == 1) | (_steps(n) == n), 0, _steps(n))
    i = np.where(_steps(2 * n) == 2 * n, 0, _steps(2 * n) - 1)
    return np.outer(i, j) @ x - 1


def chebyquad(x: Any) -> Any:
    n = len(x)
    y = 2 * x - 1
    before, now, means = 1 + 0 * y, y, []
    for i in range(1, n + 1):
        means.append(now.sum() / n + (1 / (i * i - 1) if i % 2 == 0 else 0))
        before, now = now, 2 * y * now - before
    return concatenate(means)


# The set ---------------------------------------------------------------------------------------------------


def _at(*values: float) -> Array:
    return np.array(values, dtype=float)


def _fixed() -> list[Problem]:
    p = Problem
    zero = (0.0,)
    return [
        p(1, "Rosenbrock", _at(-1.2, 1), rosenbrock, zero, (_at(1, 1),)),
        p(
            2,
            "Freudenstein and Roth",
            _at(0.5, -2),
            freudenstein_roth,
            (0.0, 48.9842),
            (_at(5, 4), _at(11.41278, -0.896805)),
        ),
        p(3, "Powell badly scaled", _at(0, 1), powell_badly_scaled, zero, (_at(1.0981593e-5, 9.106147),)),
        p(4, "Brown badly scaled", _at(1, 1), brown_badly_scaled, zero, (_at(1e6, 2e-6),)),
        p(5, "Beale", _at(1, 1), beale, zero, (_at(3, 0.5),)),
        p(
            6,
            "Jennrich and Sampson",
            _at(0.3, 0.4),
            jennrich_sampson,
            (124.362,),
            (_at(0.2578252, 0.2578252),),
        ),
        p(7, "Helical valley", _at(-1, 0, 0), helical_valley, zero, (_at(1, 0, 0),)),
        p(8, "Bard", _at(1, 1, 1), bard, (8.21487e-3,), (_at(0.08241056, 1.133036, 2.343695),), (17.4286,)),
        p(9, "Gaussian", _at(0.4, 1, 0), gaussian, (1.12793e-8,), (_at(0.3989561, 1.0000191, 0),)),
        p(
            10,
            "Meyer",
            _at(0.02, 4000, 250),
            meyer,
            (87.9458,),
            (_at(5.6096364710e-3, 6181.3463463, 345.22363462),),
        ),
        p(11, "Gulf research and development", _at(5, 2.5, 0.15), gulf, zero, (_at(50, 25, 1.5),)),
        p(
            12,
            "Box three-dimensional",
            _at(0, 10, 20),
            box,
            zero,
            (_at(1, 10, 1), _at(10, 1, -1), _at(3, 3, 0)),
        ),
        p(13, "Powell singular", _at(3, -1, 0, 1), powell_singular, zero, (np.zeros(4),)),
        p(14, "Wood", _at(-3, -1, -3, -1), wood, zero, (np.ones(4),)),
        p(
            15,
            "Kowalik and Osborne",
            _at(0.25, 0.39, 0.415, 0.39),
            kowalik_osborne,
            (3.07505e-4,),
            (_at(0.1928069, 0.1912823, 0.1230565, 0.1360623),),
            (1.02734e-3,),
        ),
        p(
            16,
            "Brown and Dennis",
            _at(25, 5, -5, -1),
            brown_dennis,
            (85822.2,),
            (_at(-11.59444, 13.20363, -0.4034395, 0.2367788),),
        ),
        p(17, "Osborne 1", _at(0.5, 1.5, -1, 0.01, 0.02), osborne1, (5.46489e-5,)),
        p(
            18,
            "Biggs EXP6",
            _at(1, 2, 1, 1, 1, 1),
            biggs_exp6,
            (0.0, 5.65565e-3),
            (_at(1, 10, 1, 5, 4, 3), _at(4, 10, 3, 5, 1, 1)),
        ),
        p(19, "Osborne 2", _at(1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5), osborne2, (4.01377e-2,)),
    ]


def _chebyquad_start(n: int) -> Array:
    return _steps(n) / (n + 1)


def _boundary_start(n: int) -> Array:
    t = _steps(n) / (n + 1)
    return t * (t - 1)


#: number, name, formula, start of n, {n: minima}, a minimiser of n where it is known exactly.
_FAMILIES: list[tuple[int, str, Residual, Callable[[int], Array], dict[int, tuple[float, ...]], Any]] = [
    (20, "Watson", watson, np.zeros, {6: (2.28767e-3,), 9: (1.39976e-6,), 12: (4.72238e-10,)}, None),
    (
        21,
        "Extended Rosenbrock",
        extended_rosenbrock,
        lambda n: np.tile([-1.2, 1.0], n // 2),
        {10: (0.0,), 40: (0.0,)},
        np.ones,
    ),
    (
        22,
        "Extended Powell singular",
        powell_singular,
        lambda n: np.tile([3.0, -1, 0, 1], n // 4),
        {12: (0.0,), 40: (0.0,)},
        np.zeros,
    ),
    (23, "Penalty I", penalty1, _steps, {4: (2.24997e-5,), 10: (7.08765e-5,)}, None),
    (24, "Penalty II", penalty2, lambda n: np.full(n, 0.5), {4: (9.37629e-6,), 10: (2.93660e-4,)}, None),
    (
        25,
        "Variably dimensioned",
        variably_dimensioned,
        lambda n: 1 - _steps(n) / n,
        {10: (0.0,), 30: (0.0,)},
        np.ones,
    ),
    (26, "Trigonometric", trigonometric, lambda n: np.full(n, 1 / n), {10: (0.0, 2.79506e-5)}, np.zeros),
    (27, "Brown almost-linear", brown_almost_linear, lambda n: np.full(n, 0.5), {10: (0.0, 1.0)}, np.ones),
    (28, "Discrete boundary value", discrete_boundary_value, _boundary_start, {10: (0.0,), 30: (0.0,)}, None),
    (29, "Discrete integral equation", discrete_integral, _boundary_start, {10: (0.0,), 30: (0.0,)}, None),
    (30, "Broyden tridiagonal", broyden_tridiagonal, lambda n: -np.ones(n), {10: (0.0,), 30: (0.0,)}, None),
    (31, "Broyden banded", broyden_banded, lambda n: -np.ones(n), {10: (0.0,), 30: (0.0,)}, None),
    (32, "Linear, full rank", linear_full_rank, np.ones, {10: (10.0,)}, lambda n: -np.ones(n)),
    (
        33,
        "Linear, rank 1",
        linear_rank1,
        np.ones,
        {10: (20 * 19 / 82,)},
        lambda n: np.eye(n)[0] * 3 / (4 * n + 1),
    ),
    (
        34,
        "Linear, rank 1 with zeros",
        linear_rank1_zeros,
        np.ones,
        {10: (454 / 74,)},
        lambda n: np.eye(n)[1] * 1.5 / (4 * n - 3),
    ),
    (
        35,
        "Chebyquad",
        chebyquad,
        _chebyquad_start,
        {6: (0.0,), 8: (3.51687e-3,), 9: (0.0,), 10: (6.50395e-3,)},
        None,
    ),
]


def _families() -> list[Problem]:
    return [
        Problem(number, f"{name}, n = {n}", start(n), formula, minima, (at(n),) if at else ())
        for number, name, formula, start, sizes, at in _FAMILIES
        for n, minima in sizes.items()
    ]


PROBLEMS: list[Problem] = [*_fixed(), *_families()]


def problem(number: int, n: int | None = None) -> Problem:
    """The problem of that number in the paper, the smallest one of its family or the one with n variables.

    A family may be asked for any n; what f comes to there is known where it is 0 for every n.
    """
    found = next((p for p in PROBLEMS if p.number == number and n in (None, p.n)), None)
    if found:
        return found
    assert n is not None
    _, name, formula, start, sizes, at = next(row for row in _FAMILIES if row[0] == number)
    zero = all(0.0 in minima for minima in sizes.values())
    return Problem(
        number, f"{name}, n = {n}", start(n), formula, (0.0,) if zero else (), (at(n),) if at else ()
    )
