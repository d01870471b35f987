"""Gradient descent that shakes itself off saddles by noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, integer, real
from fastopt.methods._gradient_step import GradientStep
from fastopt.methods._hessians import Hessians
from fastopt.methods._problem import Point, Problem
from fastopt.methods._result import Stop
from fastopt.methods._second_order import SecondOrder
from fastopt.methods._secular import norm

__all__ = ["perturbed_gd"]

Array = NDArray[Any]

#: Steps after a perturbation at most by default: the test at the end finds what they miss.
EPISODE = 200


class _PerturbedDescent:
    def __init__(
        self,
        problem: Problem,
        step: float | None,
        rho: float,
        radius: float | None,
        t_thres: int | None,
        f_thres: float | None,
        second_order: bool,
        seed: Any,
    ) -> None:
        self.problem = problem
        self.rho = real("rho", rho, minimum=0.0, open_low=True)
        self.step = None if step is None else real("initial_step", step, minimum=0.0, open_low=True)
        self.radius = None if radius is None else real("radius", radius, minimum=0.0, open_low=True)
        self.t_thres = None if t_thres is None else integer("t_thres", t_thres, minimum=1)
        self.f_thres = None if f_thres is None else real("f_thres", f_thres, minimum=0.0, open_low=True)
        self.second_order = flag("second_order", second_order)
        self.hessians = Hessians(problem)
        self.test = SecondOrder(problem, self.hessians, seed, least=self._gtol())
        self.rng = np.random.default_rng(seed)

    def run(self) -> None:
        small = self._stopped_by_gradient(self.problem.begin)
        assert self.problem.current is not None
        at = self.problem.current
        self._step = GradientStep(self.problem, at, self.step)
        while True:
            if small:
                at = self._leave(at)
                small = self._is_small(at)
            else:
                at, small = self._advance(at)

    def _stopped_by_gradient(self, function: Any, *args: Any) -> bool:
        try:
            function(*args)
        except Stop as stop:
            if stop.reason != "gtol":
                raise
            return True
        return False

    def _is_small(self, at: Point) -> bool:
        return float(np.abs(at.jac).max()) <= self.problem.limits.gtol

    def _advance(self, at: Point) -> tuple[Point, bool]:
        """One step, reported; whether the gradient is small there."""
        at = self._step(at)
        self.test.forget()
        return at, self._stopped_by_gradient(self.problem.iterate, *at)

    def _leave(self, at: Point) -> Point:
        """A point where f is lower by f_thres, by way of noise; the run ends at `at` if there is none."""
        if self.problem.nit >= self.problem.maxiter:
            raise Stop("maxiter")
        found = self._episode(at, self._noise(at))
        if found is not None:
            return found
        direction = self.test.search(self.hessians.product(at)) if self.second_order else None
        if direction is None:
            self.problem.current = at
            raise Stop("gtol")
        away = -math.copysign(math.sqrt(self._gtol() / self.rho), float(direction @ at.jac))
        found = self._episode(at, away * direction)
        if found is None:
            raise Stop("precision", "The Hessian has a negative eigenvalue, but f does not fall along it.")
        return found

    def _episode(self, at: Point, noise: Array) -> Point | None:
        """Descent from `at` + noise until f has fallen by f_thres; None after t_thres steps without."""
        x = self.problem.representable(at.x + noise)
        point = Point(x, *self.problem.both(x))
        enough = at.fun - self._f_thres(at)
        for _ in range(self._t_thres(noise)):
            if not (math.isfinite(point.fun) and np.isfinite(point.jac).all()):
                return None
            if point.fun <= enough:
                return point
            try:
                point, _ = self._advance(point)
            except Stop as stop:
                if stop.reason not in ("precision", "wrong gradient"):
                    raise
                return None  # back where f shows nothing but rounding
            if self.problem.nit >= self.problem.maxiter:
                self.problem.current = at
                raise Stop("maxiter")
        return point if point.fun <= enough else None

    def _noise(self, at: Point) -> Array:
        """Uniform in the ball of the radius, by default as far as a step with |g| = gtol goes.

        It is a few times longer than the rounding of x, or it would be nothing.
        """
        n = self.problem.n
        direction = self.rng.standard_normal(n)
        radius = self.radius or self._gtol() * self._step.length
        radius = max(radius, 10 * self.problem.eps * norm(at.x))
        noise: Array = radius * self.rng.random() ** (1 / n) / norm(direction) * direction
        return noise

    def _t_thres(self, noise: Array) -> int:
        """Steps that growth by 1 + length sqrt(rho gtol) needs from a share 1 / sqrt(n) of the noise."""
        if self.t_thres is not None:
            return self.t_thres
        share = norm(noise) / math.sqrt(self.problem.n)
        growth = math.log1p(self._step.length * math.sqrt(self.rho) * math.sqrt(self._gtol()))
        needed = math.log(min(max(2.0, math.sqrt(self._gtol() / self.rho) / (share or 1.0)), 1e300))
        return math.ceil(needed / growth) if EPISODE * growth > needed else EPISODE

    def _f_thres(self, at: Point) -> float:
        """A hundredth of what a saddle with lambda = -sqrt(rho gtol) gives, and never only rounding."""
        given = self.f_thres or 0.01 * self._gtol() * math.sqrt(self._gtol() / self.rho)
        return max(given, 10 * self.problem.eps * abs(at.fun))

    def _gtol(self) -> float:
        """The epsilon of the formulas."""
        return self.problem.limits.gtol or 1e-5


def perturbed_gd(
    problem: Problem,
    *,
    initial_step: float | None = None,
    rho: float = 1.0,
    radius: float | None = None,
    t_thres: int | None = None,
    f_thres: float | None = None,
    second_order: bool = True,
    seed: Any = 0,
) -> None:
    r"""Minimise by gradient descent that leaves strict saddles by noise.

    :math:`x \leftarrow x - \eta g`, with :math:`\eta` halved until f falls by :math:`\eta \|g\|^2 / 2`, as it
    does for :math:`\eta \le 1 / \ell`, the Lipschitz constant of the gradient, and raised by a quarter after
    a step that did so at once. Where :math:`\max|g_i| \le` gtol, x is moved by noise that is uniform in a
    ball; unless f then falls by `f_thres` within `t_thres` steps, x before the noise is the result. So there
    is at most one perturbation in `t_thres` steps. At a saddle with :math:`\lambda_{min} = -\gamma` the part
    of the noise along the escape grows by :math:`1 + \eta\gamma` per step.

    Source: Jin, Ge, Netrapalli, Kakade and Jordan, ICML 2017, algorithm 2. Its constants hold for the worst
    case; the defaults here are the same powers of gtol, rho and :math:`\ell = 1 / \eta` without them, and at
    the end the lowest eigenvalue is asked for what the noise missed.

    Parameters
    ----------
    initial_step : float, optional
        The first :math:`\eta`, instead of :math:`\|x_0\| / \|g_0\|`.
    rho : float, default 1
        The Lipschitz constant of the Hessian: saddles with :math:`\lambda_{min} < -\sqrt{\rho\,gtol}` are to
        be left by noise.
    radius : float, optional
        Of the ball, instead of :math:`\eta\,gtol`; at least ten roundings of x.
    t_thres : int, optional
        Steps after a perturbation, instead of the number in which :math:`1 + \eta \sqrt{\rho\,gtol}` makes
        the noise grow to :math:`\sqrt{gtol / \rho}`, or 200 if that is more.
    f_thres : float, optional
        What f has to fall by, instead of :math:`\sqrt{gtol^3 / \rho} / 100`; at least round-off.
    second_order : bool, default True
        Before the run ends, search for negative curvature by Lanczos, with `hvp`, `hess` or differences of
        the gradient (110 products at most), and leave along it if there is. The result then has
        `lowest_eigenvalue`.
    seed : default 0
        Of the noise: anything that `numpy.random.default_rng` takes.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: (1 - x[0] * x[1]) ** 2                       # a saddle at 0
    >>> grad = lambda x: -2 * (1 - x[0] * x[1]) * x[::-1]
    >>> result = fastopt.minimize(f, grad, np.zeros(2), "perturbed-gd", gtol=1e-6)
    >>> result.success, result.fun < 1e-10
    (True, True)
    """
    _PerturbedDescent(problem, initial_step, rho, radius, t_thres, f_thres, second_order, seed).run()
