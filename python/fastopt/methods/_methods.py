"""THE METHODS: each a search (how far) and a descent (which way) put together.

A method is called with a `Problem` and its options, and ends by raising `Stop`. Beside these there is one for
every optimizer class, whose search is the learning rate: `_first_order`. `_registry` lists them all.
"""

from __future__ import annotations

from typing import Any

from fastopt._checks import integer, positive_or_none, real, word
from fastopt.methods import _line_descent, _region_descent
from fastopt.methods._line_descent import BETAS, ConjugateGradient, QuasiNewton
from fastopt.methods._names import Beta, Subproblem
from fastopt.methods._perturbed_gd import PerturbedDescent
from fastopt.methods._problem import Problem
from fastopt.methods._regions import Ball, Cube, newton, saddle_free

__all__ = ["arc", "cg", "l_bfgs", "perturbed_gd", "saddle_free_newton", "trust_region"]


def cg(
    problem: Problem,
    *,
    beta: Beta = "hager-zhang",
    powell: float | None = None,
    restart_every: int | None = None,
    c1: float = 1e-4,
    c2: float | None = None,
) -> None:
    r"""Nonlinear conjugate gradients: :math:`d_{k+1} = -g_{k+1} + \beta_k d_k`.

    With :math:`y = g_{k+1} - g_k`, the choices of :math:`\beta` are

    - ``"hager-zhang"``: :math:`\max\{(y - 2 d \|y\|^2 / d^T y)^T g_{k+1} / d^T y,\; 0.4\, d^T g_k /
      \|d\|^2\}`
    - ``"polak-ribiere"``: :math:`\max\{0, y^T g_{k+1} / \|g_k\|^2\}`
    - ``"hestenes-stiefel"``: :math:`\max\{0, y^T g_{k+1} / d^T y\}`
    - ``"dai-yuan"``: :math:`\|g_{k+1}\|^2 / d^T y`
    - ``"fletcher-reeves"``: :math:`\|g_{k+1}\|^2 / \|g_k\|^2`

    Parameters
    ----------
    beta : {"hager-zhang", "polak-ribiere", "hestenes-stiefel", "dai-yuan", "fletcher-reeves"}
        One of these, by default the first.
    powell : float, optional
        Restart with the steepest direction when :math:`|g_{k+1}^T g_k| \ge` powell :math:`\|g_{k+1}\|^2`; the
        paper has 0.2. By default only a direction that does not descend enough is replaced.
    restart_every : int, optional
        Restart after so many iterations; n is the classical number. By default never.
    c1, c2 : float
        Of the Wolfe conditions, 0 < c1 < c2 < 1: by default 1e-4 and 0.4, or 0.1 for ``"fletcher-reeves"``
        and ``"dai-yuan"``, which only descend after a good search.

    Notes
    -----
    Sources: Hager & Zhang, SIAM J. Optim. 16, 2005, and ACM TOMS 32, 2006; the lower bound of beta from their
    "The limited memory conjugate gradient method", SIAM J. Optim. 23, 2013, eq. 2.4; Fletcher & Reeves 1964;
    Polak & Ribière 1969 with the plus of Gilbert & Nocedal 1992; Hestenes & Stiefel 1952; Dai & Yuan 1999;
    Powell, Mathematical Programming 12, 1977. The first step tried is the last one times the ratio of the
    slopes (Nocedal & Wright 2006, section 3.5).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> A = np.diag([1.0, 10.0, 100.0])
    >>> f, grad = lambda x: 0.5 * x @ A @ x, lambda x: A @ x
    >>> fastopt.minimize(f, grad, np.ones(3), "cg", beta="polak-ribiere").success
    True
    """
    word("beta", beta, BETAS, f"one of {', '.join(BETAS)}")
    every = 0 if restart_every is None else integer("restart_every", restart_every, minimum=1)
    limit = positive_or_none("powell", powell)
    if c2 is None:
        c2 = 0.1 if beta in ("fletcher-reeves", "dai-yuan") else 0.4
    _line_descent.descend(problem, ConjugateGradient(beta, limit, every), *_wolfe(c1, c2))


def l_bfgs(problem: Problem, *, history: int = 10, c1: float = 1e-4, c2: float = 0.9) -> None:
    r"""Limited-memory BFGS: the direction :math:`-H g` with H made of the last `history` steps.

    .. math::
        H_{k+1} = (I - \rho s y^T) H_k (I - \rho y s^T) + \rho s s^T, \quad \rho = 1 / s^T y

    with :math:`s = x_{k+1} - x_k`, :math:`y = g_{k+1} - g_k`, from :math:`H = (s^T y / y^T y) I` with the
    newest pair. A pair with :math:`s^T y \le \epsilon |s^T g_k|` is not taken.

    Parameters
    ----------
    history : int, default 10
        Pairs kept, 1 to 255: 16 bytes per variable each.
    c1, c2 : float, default 1e-4 and 0.9
        Of the Wolfe conditions, 0 < c1 < c2 < 1.

    Notes
    -----
    Sources: Liu & Nocedal, Mathematical Programming 45, 1989; the compact form of H from Byrd, Nocedal &
    Schnabel, Mathematical Programming 63, 1994; Nocedal & Wright, Numerical Optimization, 2006, section 7.2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> A = np.diag([1.0, 10.0, 100.0])
    >>> f, grad = lambda x: 0.5 * x @ A @ x, lambda x: A @ x
    >>> fastopt.minimize(f, grad, np.ones(3), "l-bfgs", history=5).success
    True
    """
    _line_descent.descend(
        problem, QuasiNewton(integer("history", history, minimum=1, maximum=255)), *_wolfe(c1, c2)
    )


def _wolfe(c1: float, c2: float) -> tuple[float, float]:
    """The constants of the Wolfe conditions, checked."""
    c2 = real("c2", c2, minimum=0.0, maximum=1.0, open_low=True, open_high=True)
    return real("c1", c1, minimum=0.0, maximum=c2, open_low=True, open_high=True), c2


def trust_region(
    problem: Problem,
    *,
    initial_radius: float | None = None,
    subproblem: Subproblem = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by an exact trust region: :math:`\min g^T s + s^T H s / 2` over steps within a radius.

    The minimiser satisfies :math:`(H + \lambda I) s = -g` with :math:`\lambda \ge \max(0, -\lambda_{min})`,
    which is found in the eigenbasis of H, the hard case included (Moré and Sorensen 1983). The radius begins
    as :math:`\|x_0\|`, or as :math:`\|g\| / \|H\|` if that is longer, doubles where f fell by more than 0.75
    of the model, and is cut to the minimum of an interpolating parabola, a tenth to a half, where it fell by
    less than 0.25. No length is compared with 1: x may be measured in any unit.

    The Hessian is the user's `hessian`, an array, sparse matrix or operator; products `hvp`; or differences
    of the gradient, counted in njev, which shorten or become one-sided where a gradient is not finite.

    Parameters
    ----------
    initial_radius : float, optional
        The first radius, instead of that.
    subproblem : {"auto", "dense", "lanczos"}
        "dense": the whole Hessian and its eigendecomposition. "lanczos": only products; the model is
        minimised over a Krylov space that grows until the residual is below
        :math:`\min(0.1, \sqrt{|g|/|g_0|})\,|g|` (GLTR: Gould, Lucidi, Roma and Toint 1999). "auto": dense
        if `hessian` returns an array, or n <= 200 and `hvp` was not given.
    second_order : bool, default True
        Where the gradient is small, ask for the lowest eigenvalue too, and go on along its vector if it is
        negative beyond rounding and the error of differences. Dense, this costs one Hessian; else Lanczos
        from a random vector, 110 products at most. The result then has `lowest_eigenvalue`.
    krylov_size : int, optional
        Dimensions of the Krylov space at most, instead of 100, or as many as fit into 256 MB, but 20.
    seed : default 0
        Of the random vectors: anything that `numpy.random.default_rng` takes.

    Notes
    -----
    A point where gradient and Hessian allow no verdict, such as a monkey saddle (both 0), ends the run as a
    minimum to second order does. Sources: Moré and Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553-572;
    Gould, Lucidi, Roma and Toint, SIAM J. Optim. 9 (1999) 504-525.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2          # a saddle at 0
    >>> grad = lambda x: np.array([x[0] ** 3 - x[0], 2 * x[1]])
    >>> result = fastopt.minimize(f, grad, np.zeros(2), "trust-region")
    >>> round(abs(float(result.x[0])), 6), round(result.lowest_eigenvalue, 6)
    (1.0, 2.0)
    """
    region = Ball(initial_radius, newton)
    _region_descent.descend(problem, region, subproblem, second_order, krylov_size, seed)


def saddle_free_newton(
    problem: Problem,
    *,
    initial_radius: float | None = None,
    subproblem: Subproblem = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by saddle-free Newton steps: :math:`s = -(|H| + \lambda I)^{-1} g`.

    :math:`|H| = V |\operatorname{diag}(w)| V^T`: directions of negative curvature are followed downhill,
    where Newton's method would climb to the saddle. The damping :math:`\lambda \ge 0` is what keeps the step
    within a trust region (radius adapted as in method "trust-region"). In the Krylov space of "lanczos" H is
    the tridiagonal matrix. Where g is 0 the step is 0 as well: such a saddle is left along its lowest
    eigenvector, if `second_order` is on.

    Source: Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio, NIPS 2014, algorithm 1; the trust region
    instead of its fixed damping is ours.

    Parameters
    ----------
    initial_radius, subproblem, second_order, krylov_size, seed
        As in method "trust-region".

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: (1 - x[0] * x[1]) ** 2                       # a saddle at 0
    >>> grad = lambda x: -2 * (1 - x[0] * x[1]) * x[::-1]
    >>> fastopt.minimize(f, grad, np.zeros(2), "saddle-free-newton").fun < 1e-10
    True
    """
    region = Ball(initial_radius, saddle_free)
    _region_descent.descend(problem, region, subproblem, second_order, krylov_size, seed)


def arc(
    problem: Problem,
    *,
    initial_sigma: float | None = None,
    subproblem: Subproblem = "auto",
    second_order: bool = True,
    krylov_size: int | None = None,
    seed: Any = 0,
) -> None:
    r"""Minimise by adaptive regularisation with cubics: :math:`\min g^T s + s^T H s/2 + \sigma \|s\|^3/3`.

    Its global minimiser satisfies :math:`(H + \lambda I) s = -g` with :math:`\lambda = \sigma \|s\|`, and is
    found in the eigenbasis of H as a root in :math:`\|s\|`. Where f exceeded the model, sigma rises to half
    of what would have met f (within factors 2 and 100); where the step kept more than 0.9 of the promise it
    falls likewise, to 0.3 of itself at most. The first sigma is the one whose step is as long as the trust
    region's.

    Source: Cartis, Gould and Toint, Math. Program. 127 (2011) 245-295 and 130 (2011) 295-319: within
    :math:`O(\epsilon^{-3/2})` iterations the gradient is below epsilon.

    Parameters
    ----------
    initial_sigma : float, optional
        The first sigma.
    subproblem, second_order, krylov_size, seed
        As in method "trust-region".

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> f = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> def grad(x):
    ...     t = 200 * (x[1] - x[0] ** 2)
    ...     return np.array([-2 * (1 - x[0]) - 2 * x[0] * t, t])
    >>> fastopt.minimize(f, grad, np.array([-1.2, 1.0]), "arc").x.round(5)
    array([1., 1.])
    """
    region = Cube(initial_sigma)
    _region_descent.descend(problem, region, subproblem, second_order, krylov_size, seed)


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
        Before the run ends, search for negative curvature by Lanczos, with `hvp`, `hessian` or differences of
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
    PerturbedDescent(problem, initial_step, rho, radius, t_thres, f_thres, second_order, seed).run()
