"""The loss along the extreme eigenvectors of a critical point, with the quadratic model over it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import real
from fastopt.curvature._dense import Dense
from fastopt.functions.counted import Objective
from fastopt.functions.lengths import norm

if TYPE_CHECKING:
    from fastopt.curvature._point import CriticalPoint
    from fastopt.functions.evaluation import Evaluation

Array = NDArray[Any]

LOSS, MODEL, MARK = "#1f4e79", "#e07b39", "#222222"


def plot(point: CriticalPoint, f: Any, span: float | None, axes: Any) -> Any:
    """See `CriticalPoint.plot`."""
    at, dense = point._evaluation, point._spectrum
    if at is None or not isinstance(dense, Dense):
        raise ValueError("plot: expected a point x and a dense Hessian, but critical_point was given none")
    objective = at.problem.f if f is None else Objective(f, at.problem.layout, "f")
    if objective is None:
        raise ValueError("f: expected the loss, as critical_point was not given it either; got None")
    span = None if span is None else real("span", span, minimum=0.0, open_low=True)
    vectors = [_unchanged(dense, i) for i in ((0, dense.n - 1) if dense.n > 1 else (0,))]
    try:
        import matplotlib.pyplot as plt
    except ImportError as e:
        raise ImportError(
            "plot: expected matplotlib, which is not installed: pip install fastopt[report]"
        ) from e
    if axes is None:
        figure, axes = plt.subplots(
            1, len(vectors), figsize=(5.2 * len(vectors), 4.0), squeeze=False, layout="constrained"
        )
        axes = axes[0]
        figure.suptitle(str(point).splitlines()[0], fontsize=11)
    g = at.g if at.problem.grad is not None else np.zeros(dense.n)
    for ax, u, which in zip(axes, vectors, ("smallest", "largest"), strict=False):
        _section(
            ax,
            objective,
            at,
            u,
            float(g @ u),
            float(dense.eigenvalues[0 if which == "smallest" else -1]),
            span,
        )
        ax.set_title(f"along the eigenvector of the {which} eigenvalue", fontsize=10)
    return axes[0].figure


def _unchanged(dense: Dense, i: int) -> Array:
    """The eigenvector, or a ValueError if the matrix is no longer the one that was analysed."""
    u = dense.vector(i)
    value = dense.eigenvalues[i]
    if np.linalg.norm(dense.matrix @ u - value * u) > 100 * max(dense.n, 4) * dense.eps * dense.norm:
        raise ValueError("hessian: expected the matrix as critical_point saw it, but it has changed since")
    return u


def _section(
    ax: Any, f: Objective, at: Evaluation, u: Array, slope: float, value: float, span: float | None
) -> None:
    def along(t: float) -> float:
        return f((at.x + t * u).astype(at.x.dtype, copy=False))

    start = along(0.0)
    reach = _reach(along, start, value, at) if span is None else span
    t = np.linspace(-reach, reach, 121)
    with np.errstate(all="ignore"):
        loss = np.array([along(float(s)) for s in t])
    model = start + t * slope + t * t * value / 2
    ax.plot(t, loss, color=LOSS, lw=2.2, label="loss")
    ax.plot(
        t,
        model,
        color=MODEL,
        lw=1.6,
        ls=(0, (5, 3)),
        label=rf"$L_0 + t\,g^Tu + t^2 \lambda/2$,  $\lambda$ = {value:.3g}",
    )
    ax.plot([0], [start], "o", color=MARK, ms=6, zorder=3)
    finite = loss[np.isfinite(loss)]
    low, high = float(finite.min()), float(finite.max())
    pad = 0.12 * ((high - low) or abs(start) or 1.0)
    ax.set_ylim(low - pad, high + pad)  # a model that leaves the picture is not to squash the loss
    ax.set_xlabel("t  (x + t u)")
    ax.set_ylabel("loss")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9)


def _reach(along: Callable[[float], float], start: float, value: float, at: Evaluation) -> float:
    """A span over which the loss leaves its quadratic model by a third; |x|, at least 1, if it never does."""
    limit = norm(at.x) or 1.0
    reach = 1e-4 * limit
    while reach < limit:
        wanted = abs(value) * reach * reach / 2
        ends = [along(sign * reach) - start - value * reach * reach / 2 for sign in (-1, 1)]
        if not all(math.isfinite(e) for e in ends) or max(map(abs, ends)) > 0.33 * wanted > 1e-9 * abs(start):
            break
        reach *= 2
    return reach
