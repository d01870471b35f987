"""The Krylov space of the methods with curvature: orthonormal, exact, and aware of its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt._dispatch import core
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


# --- what the basis refuses ---

FLOATS = (np.float32, np.float64)


def basis(dtype: Any, columns: int, capacity: int = 3) -> Any:
    """The first unit vectors of length 4."""
    made = core.Basis(4, capacity, dtype == np.float32)
    for column in np.eye(4, dtype=dtype)[:columns]:
        made.append(column, 1.0)
    return made


def columns_of(made: Any) -> Any:
    return [made.column(j).tobytes() for j in range(made.columns)]


@pytest.mark.parametrize("size", [(0, 1), (-1, 1), (1, 0), (1, -1), (-(2**63), 2**62)])
def test_a_basis_has_room_for_a_vector(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="n, capacity: expected at least 1"):
        core.Basis(*size, False)


def vectors(dtype: Any) -> dict[str, Any]:
    other = np.float64 if dtype == np.float32 else np.float32
    return {
        "other precision": np.ones(4, other),
        "bytes swapped": np.ones(4, np.dtype(dtype).newbyteorder()),
        "gaps": np.ones(8, dtype)[::2],
        "backwards": np.ones(4, dtype)[::-1],
        "misaligned": np.zeros(4 * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype),
        "too short": np.ones(3, dtype),
        "too long": np.ones(5, dtype),
        "empty": np.ones(0, dtype),
    }


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", vectors(np.float64))
def test_vectors_of_a_basis_are_as_it_is(case: str, dtype: Any) -> None:
    made, w = basis(dtype, 2), vectors(dtype)[case]
    before, given = columns_of(made), w.tobytes()
    for call in (made.orthogonalise, made.append):
        with pytest.raises(ValueError, match="w: expected a contiguous array"):
            call(w, 1.0)
    assert (columns_of(made), w.tobytes()) == (before, given)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_vector_is_written_by_orthogonalise_alone(dtype: Any) -> None:
    made, w = basis(dtype, 2), np.ones(4, dtype)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="w: expected a contiguous array"):
        made.orthogonalise(w, 1.0)
    made.append(w, 0.5)
    assert (made.column(2) == 0.5).all()
    with pytest.raises(ValueError, match="append: the basis is full"):
        made.append(w, 0.5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "q",
    [
        np.eye(3),
        np.ones(2),
        np.ones((1, 2, 1)),
        np.array(1.0),
        np.eye(2, dtype=np.float32),
        np.eye(2)[::-1],
        np.eye(2).astype(">f8"),
    ],
    ids=["more rows than columns", "one axis", "three axes", "no axis", "float32", "backwards", "swapped"],
)
def test_factors_of_a_basis(q: Any, dtype: Any) -> None:
    made = basis(dtype, 2)
    before = columns_of(made)
    for call in (made.rotate, made.combine):
        with pytest.raises(ValueError, match="q: expected"):
            call(q)
    with pytest.raises(ValueError, match="q: expected no more columns than rows"):
        made.rotate(np.ones((2, 3)))
    assert columns_of(made) == before
    assert made.combine(np.ones((2, 3))).tolist() == [[1, 1, 0, 0]] * 3


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("j", [-1, 2, 3, 2**62, -(2**63)])
def test_columns_that_are_not_there(j: int, dtype: Any) -> None:
    made = basis(dtype, 2)
    before = columns_of(made)
    calls = [lambda: made.column(j), lambda: made.swap(0, j), lambda: made.swap(j, 0)]
    for call in calls if j == 2 else [*calls, lambda: made.truncate(j)]:
        with pytest.raises(IndexError, match="expected the index of a column"):
            call()
    assert columns_of(made) == before
