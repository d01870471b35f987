"""Hessian-vector products against differences of the gradient, and their symmetry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.curvature._gradient_report import Finding, Target
from fastopt.curvature._lines import ProbeDirection, random_direction
from fastopt.curvature._probe import probe
from fastopt.functions.counted import VectorFunction
from fastopt.functions.layout import Layout
from fastopt.functions.matrices import at_point, dense

Array = NDArray[Any]

#: Of random directions, for the symmetry.
PAIRS = 5


def matrix_product(hessian: Any, layout: Layout, flat: Array) -> VectorFunction:
    """v -> H v for a matrix, or a function of x that returns one."""
    matrix = dense(at_point(hessian, layout, flat), layout.size)
    return VectorFunction(matrix.__matmul__, Layout.of(flat, "v")[0], "hessian")


def check_products(
    product: VectorFunction,
    g: VectorFunction,
    flat: Array,
    lines: list[ProbeDirection],
    point: int,
    tol: float,
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """w'Hv against the slope of w'grad along v, for each v and a random w of signs; then symmetry."""
    x = flat.astype(np.float64)
    at_x = g(flat).astype(np.float64)
    for line in lines:
        u = line.vector(flat.size)
        claimed = g.layout.finite(product(u.astype(g.layout.dtype)), f"{product.name} of {line.where}")
        claimed = claimed.astype(np.float64)
        w = rng.choice((-1.0, 1.0), flat.size)

        def walk(t: float, u: Array = u, w: Array = w) -> tuple[float, float]:
            p = g.layout.rounded(x + t * u)
            return float((p - x) @ u), float(w @ (g(p).astype(np.float64) - at_x))

        # Values are differences from the gradient at x, so their rounding is that of the gradient.
        noise = 2.0 * g.eps * float(np.sum(np.abs(at_x)))
        floor = 8.0 * max(product.eps, g.eps) * float(np.sum(np.abs(claimed)))
        target = Target("hvp", f"{line.where} (H v)", line.parameter, line.index, point)
        yield probe(target, walk, 0.0, line, float(w @ claimed), g.eps, noise, floor, tol)
    yield from _symmetry(product, g, flat, point, tol, rng)


def _symmetry(
    product: VectorFunction, g: VectorFunction, flat: Array, point: int, tol: float, rng: np.random.Generator
) -> Iterator[Finding]:
    """u'Hv and v'Hu, for pairs of random directions, which meet every entry.

    Both may be small by cancellation, so |H| is what their rounding and their difference are measured by.
    """
    if flat.size == 1:
        return
    eps = max(product.eps, g.eps)
    for k in range(PAIRS):
        u, v = (random_direction(g.layout, flat, rng).vector(flat.size) for _ in range(2))
        hu, hv = (g.layout.finite(product(w.astype(g.layout.dtype)), product.name) for w in (u, v))
        one, other = float(u @ hv), float(v @ hu)
        size = max(float(np.linalg.norm(hu)), float(np.linalg.norm(hv)))
        # Products that are differences of gradients themselves are symmetric to that.
        gap, uncertainty = abs(one - other), 10.0 * eps ** (2 / 3) * size
        kind = (
            "wrong"
            if gap > max(uncertainty, tol * size)
            else "right"
            if uncertainty <= tol * size
            else "round-off"
        )
        digits = max(0, int(-np.log10(10.0 * eps ** (2 / 3))))
        target = Target("symmetry", f"random directions {k}", g.layout.name, None, point)
        relative = gap / size if size else 0.0
        yield Finding(*target, kind, one, other, uncertainty, relative, digits, (other, other), None, False)
