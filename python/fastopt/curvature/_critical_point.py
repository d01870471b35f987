"""`critical_point`: what kind of point is this? And where its Hessian comes from, if none was given."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import flag, real, shown
from fastopt.curvature._hvp import HessianVectorProduct
from fastopt.curvature._hvp import hvp as differences
from fastopt.curvature._krylov_spectrum import Spectrum, SpectrumEnds, SpectrumSigns
from fastopt.curvature._point import CriticalPoint, signed
from fastopt.curvature._spectrum import DenseSpectrum, kind_of
from fastopt.curvature._stationary import stationarity
from fastopt.functions.arguments import takes_functions
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.matrices import Products, at_point, given_hessian
from fastopt.functions.products import product_at

Array = NDArray[Any]

#: Up to this order the Hessian is formed: 128 MB in float64, and the whole truth.
DENSE = 4096


@takes_functions
def critical_point(
    grad: Callable[..., Any] | None,
    x: Any,
    *,
    hessian: Any = None,
    hvp: Any = None,
    f: Callable[..., Any] | None = None,
    gtol: float | None = None,
    error: float | None = None,
    counts_only: bool = False,
) -> CriticalPoint:
    r"""What kind of point is `x`: minimum, maximum, saddle? With error bars, and no guess where they overlap.

    Near x the loss is :math:`L_0 + g^T v + \tfrac12 v^T H v`. Where g vanishes, the signs of H's eigenvalues
    decide; each is known to within

    .. math:: \tau = n \epsilon \|H\|_2 + 2 e

    (Weyl; n is replaced by 4 if smaller, :math:`\epsilon` belongs to H's dtype, e is the error of H), so
    eigenvalues within :math:`[-\tau, \tau]` count as unresolved and never as evidence.

    Parameters
    ----------
    grad : callable or None
        The gradient: takes x, or its like in new arrays, and returns the same structure. With None the point
        is taken to be critical and the matrix alone is classified; `hessian` is then needed.
    x : array, or list, tuple or dict of arrays, float32 or float64; or None
        The point, n numbers in all. Not changed. None only without `grad`.
    hessian : matrix of shape (n, n), or callable x -> matrix, optional
        The Hessian in the flat order of x (its arrays one after the other, each in C order): array_like, a
        sparse matrix, or an operator with ``matvec`` and ``shape``, which is multiplied out up to 4096
        parameters. A result of :func:`fastopt.hessian` brings its error with it. Default: from `hvp`, else
        central differences of `grad`.
    hvp : callable or object with ``matvec``, optional
        Exact Hessian-vector products, ``hvp(v)`` or ``hvp(x, v)`` in the structure of x.
    f : callable, optional
        The loss. Used to tell whether there is anything left to gain (see Notes) and by ``plot()``.
    gtol : float, optional
        Speak of a critical point if :math:`\|g\|_2 \le` `gtol`; infinity accepts any. Default: measured,
        see Notes.
    error : float, optional
        The error of `hessian` in the 2-norm, infinity if nothing is known of it. Default: its attribute
        ``error`` if it has one, else 0.

    counts_only : bool, default False
        Count the signs of the eigenvalues by factorisation and compute none of them: `eigenvalues` and
        `escape_direction` are then None. At least twice as fast. Needs a dense Hessian.

    Returns
    -------
    CriticalPoint
        ``kind``, ``eigenvalues``, ``n_negative``, ``n_unresolved``, ``n_positive``, ``min_ratio``,
        ``tolerance``, ``gradient_norm``, ``escape_direction``, ...; print it to read it.

    Raises
    ------
    ValueError
        If the gradient or the Hessian is not finite, the gradient differs from call to call, the Hessian is
        not symmetric (by more than 1 % of its norm; less counts as its error), or shapes disagree.
    TypeError
        If something is not of a kind listed above. What the user's functions raise passes through.

    Notes
    -----
    When is a gradient small? Without `gtol` the point is critical if (1) the gradient is round-off: no more
    than four times what one rounding error of x changes it by; or (2) with `f`, no step can change f by more
    than its noise in the quadratic model, :math:`\|g\|^2 / (2 \min|\lambda|)`; or (3) the Newton step
    :math:`s = -H^{-1} g` is short, arrives (the gradient at x + s is at most a quarter of g) and H barely
    changes on the way (by less than half of the eigenvalue that decides). It is short if the model still
    holds a thousand times as far out and ends to hold further on; a model that holds everywhere, that of a
    quadratic function, has no length, and :math:`\|s\| \le 10^{-3} \max(1, \|x\|)` decides. Cost: up to
    9 gradients beyond the Hessian's, and 5 more where s is not short beside x.

    A dense analysis costs one `eigvalsh`, an escape direction one linear system more. Bounds, and why they
    hold: ``docs/design/curvature.md``. The saddles of deep learning: Dauphin et al., NeurIPS 2014.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> def grad(w):                                     # of the loss (1 - w0 w1)^2
    ...     return -2 * (1 - w[0] * w[1]) * w[::-1]
    >>> point = fastopt.critical_point(grad, np.zeros(2))
    >>> point.kind, point.eigenvalues.round(6)
    ('saddle', array([-2.,  2.]))
    >>> point.escape_direction.round(6)
    array([0.707107, 0.707107])
    >>> fastopt.critical_point(None, None, hessian=np.diag([1.0, 2.0, 3.0])).kind
    'minimum'
    """
    if gtol is not None and not (isinstance(gtol, Real) and gtol == math.inf):
        gtol = real("gtol", gtol, minimum=0.0)
    counts_only = flag("counts_only", counts_only)
    at = _evaluation(f, grad, x)
    if at is not None and at.has_grad:
        _ = at.g  # before the Hessian, which costs far more
    if counts_only:
        return analysed(at, SpectrumSigns(*matrix_at(at, hessian, hvp, error)), gtol)
    return analysed(at, spectrum_at(at, hessian, hvp, error), gtol)


def _evaluation(f: Callable[..., Any] | None, grad: Callable[..., Any] | None, x: Any) -> Evaluation | None:
    if x is not None:
        return Evaluation(f, grad, x)
    if f is not None or grad is not None:
        raise TypeError(f"x: expected the point that {'f' if grad is None else 'grad'} belongs to, got None")
    return None


def analysed(at: Evaluation | None, spectrum: Spectrum, gtol: float | None) -> CriticalPoint:
    """The verdict, once the spectrum is known."""
    kind = kind_of(spectrum.counts, spectrum.tau, spectrum.norm, spectrum.eps)
    if kind == "degenerate" and isinstance(spectrum, SpectrumEnds):
        kind = "unresolved"  # the inner eigenvalues were not seen, so none is known to be near zero
    still = stationarity(at, spectrum, kind, gtol)
    curvature, direction = None, None
    if still.critical and kind in ("saddle", "maximum") and not isinstance(spectrum, SpectrumSigns):
        curvature, u = spectrum.lowest()
        u = signed(u, None if still.norm is None or at is None else at.g)
        direction = u if at is None else at.layout.structured(u)
    return CriticalPoint(
        kind if still.critical else "not critical",
        spectrum.n,
        spectrum.eigenvalues,
        *spectrum.counts,
        spectrum.counts.min_ratio,
        spectrum.tau,
        gradient_norm=still.norm,
        gradient_noise=still.noise,
        newton_decrement=None if still.newton is None else still.newton.decrement,
        newton_step=None if still.newton is None else still.newton.length,
        escape_direction=direction,
        curvature=curvature,
        confidence=spectrum.confidence,
        hessian=spectrum.matrix,
        notes=spectrum.notes + still.notes,
        _newton=still.newton,
        _evaluation=at,
        _spectrum=spectrum,
    )


def spectrum_at(
    at: Evaluation | None, hessian: Any, hvp: Any, error: float | None
) -> DenseSpectrum | SpectrumEnds:
    """The spectrum: all of it up to order `DENSE` or where an array is given, else its ends."""
    products = None if at is None or at.n <= DENSE or hvp is not None else Products.of(hessian)
    if at is not None and products is not None:
        given = 0.0 if error is None else real("error", error, minimum=0.0)
        product = product_at(products, at.layout, at.x, "hessian")
        return SpectrumEnds(product, at.n, given, at.rng)
    if hessian is not None or at is None or at.n <= DENSE:
        return DenseSpectrum(*matrix_at(at, hessian, hvp, error))
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if hvp is None:
        if not at.has_grad:
            raise TypeError("hvp: expected products where there is neither gradient nor Hessian, got None")
        hvp = differences(at.grad.function, at.layout.structured(at.x))
    error = 0.0
    product = product_at(hvp, at.layout, at.x)
    if isinstance(hvp, HessianVectorProduct):
        v = at.rng.standard_normal(at.n)
        error = hvp.error(v / np.linalg.norm(v))
    return SpectrumEnds(product, at.n, error, at.rng)


def matrix_at(at: Evaluation | None, hessian: Any, hvp: Any, error: float | None) -> tuple[Array, float]:
    """The Hessian from whatever was given, and the error that comes with it: never silently exact."""
    if hessian is not None and hvp is not None:
        raise TypeError("hessian, hvp: expected one of them, got both")
    if hessian is not None:
        given = hessian if at is None else at_point(hessian, at.layout, at.x)
        return given_hessian(given, None if at is None else at.n, error)
    if error is not None:
        raise TypeError(f"error: expected None without hessian, got {shown(error)}")
    if at is None or (not at.has_grad and hvp is None):
        raise TypeError("hessian: expected a matrix where there is no gradient function, got None")
    from fastopt.curvature._hessian import hessian as formed

    grad = at.grad.function if at.has_grad else None
    if grad is not None and isinstance(hvp, HessianVectorProduct) and hvp._along is not None:
        hvp = None  # differences either way: column by column their error is known
    return given_hessian(formed(grad, at.layout.structured(at.x), hvp=hvp), at.n, None)
