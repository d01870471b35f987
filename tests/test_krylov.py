"""The Krylov space of the methods with curvature: orthonormal, exact, and aware of its end."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.methods._models import Krylov, room
from fastopt.methods._secular import trust_region_step

N = 120
SPECTRA = {
    "graded": np.geomspace(1e-12, 1, N),
    "even": np.linspace(-1, 1, N),
    "one far out": np.r_[np.linspace(0, 1, N - 1), 1e8],
    "low rank": np.r_[np.zeros(80), np.linspace(1, 1e6, N - 80)],
    "two values": np.r_[-np.ones(60), np.ones(60)],
}


def operator(d):
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((len(d), len(d))))[0]
    h = (q * d) @ q.T
    return (h + h.T) / 2


def grown(h, g, most=N):
    space = Krylov(lambda v: h @ v, g, 0.0, most)
    while space.extend():
        pass
    return space


@pytest.mark.parametrize("name", SPECTRA)
def test_vectors_stay_orthonormal_and_the_projection_exact(name):
    h = operator(SPECTRA[name])
    space = grown(h, np.random.default_rng(1).standard_normal(N), 100)
    q = np.array([space.lift(y) for y in np.eye(space.size)])  # Ritz vectors
    largest = abs(SPECTRA[name]).max()
    np.testing.assert_allclose(q @ q.T, np.eye(space.size), atol=1e-13)
    np.testing.assert_allclose(q @ h @ q.T, np.diag(space.w), atol=1e-13 * largest)
    assert space.lowest_residual() == pytest.approx(
        np.linalg.norm(h @ space.lowest() - space.w[0] * space.lowest()), abs=1e-12 * largest
    )


def test_an_invariant_space_is_noticed():
    """Two eigenvalues: two dimensions; a low rank r: r + 1, give or take what rounding adds."""
    g = np.random.default_rng(1).standard_normal(N)
    assert grown(operator(SPECTRA["two values"]), g).size == 2
    assert 41 <= grown(operator(SPECTRA["low rank"]), g).size <= 44


def test_a_step_is_grown_until_its_residual_is_small():
    h = operator(SPECTRA["even"]) + 1.5 * np.eye(N)
    g = np.random.default_rng(2).standard_normal(N)
    for tolerance in (1e-1, 1e-4, 1e-10):
        space = Krylov(lambda v: h @ v, g, tolerance, N)
        step = trust_region_step(space.w, space.c, 3.0)
        while space.grow(step):
            step = trust_region_step(space.w, space.c, 3.0)
        s = space.lift(step.y)
        residual = np.linalg.norm(h @ s + step.multiplier * s + g)
        assert residual <= tolerance * np.linalg.norm(g) * (1 + 1e-6)
        assert space.size < N


def test_room_is_bounded_by_memory():
    assert room(1000, 100) == 100
    assert room(10**6, 100) == 33
    assert room(10**9, 100) == 20
