"""SOAP where a basis is not unique: each of ours is seen to be one, and the oracle goes on from it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from reference import ORACLES
from reference_factored import along, soap, soap_sides, squares_in

SHAPES = [(7, 7), (20, 6), (6, 20), (1, 9), (9, 1), (3, 4, 5), (2, 2, 2, 3), (5,)]
SETTINGS: list[dict[str, Any]] = [
    {"precondition_frequency": 3, "precondition_1d": True},
    {"precondition_frequency": 2, "max_precond_dim": 6, "merge_dims": True, "normalize_grads": True},
]
#: Of a basis, and of theta after 12 steps of 0.1.
TOLERANCE = {np.float64: (1e-13, 1e-11), np.float32: (1e-5, 1e-4)}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("setting", SETTINGS, ids=["plain", "merged"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_oracle_goes_on_from_our_bases(
    shape: tuple[int, ...], setting: dict[str, Any], dtype: Any, order: Any
) -> None:
    h = SimpleNamespace(**{**ORACLES["SOAP"].defaults, "lr": 0.1, "eps": 1e-3, **setting})
    rng = np.random.default_rng(0)
    theta = np.array(rng.normal(size=shape), dtype=dtype, order=order)
    exact, s = np.array(theta, dtype=np.float64), {}
    opt = fastopt.SOAP([theta], **vars(h))
    of_basis, of_theta = TOLERANCE[dtype]
    sides = soap_sides(shape, h)
    for t in range(1, 13):
        g = np.asarray(rng.normal(size=shape), dtype=dtype)
        opt.step([g])
        exact = soap(exact, g.astype(np.float64), s, t, h)
        if "Q" in s and (t == 1 or (t - 1) % h.precondition_frequency == 0):
            _take_bases(s, opt.state[theta]["Q"].astype(np.float64), sides, of_basis)
    np.testing.assert_allclose(theta, exact, atol=of_theta)


def _take_bases(s: dict[str, Any], flat: Any, sides: list[int | None], tolerance: float) -> None:
    """Ours in place of the oracle's, with the first moment in it."""
    merged = [
        n or int(s["exp_avg"].size / np.prod([m for m in sides if m])) if n is None else n for n in sides
    ]
    m = s["exp_avg"].reshape(merged) if np.prod(merged) == s["exp_avg"].size else None
    for i, (ours, theirs) in enumerate(zip(squares_in(flat, sides), squares_in(s["Q"], sides), strict=True)):
        if ours is None:
            continue
        assert np.abs(ours.T @ ours - np.eye(len(ours))).max() < tolerance
        if m is not None:
            m = along(m, i, theirs.T @ ours)
    if m is not None:
        s["exp_avg"] = m.reshape(s["exp_avg"].shape)
    s["Q"] = flat


@pytest.mark.parametrize("scale", [1e-15, 1e-3, 1.0, 1e6, 1e15])
def test_the_first_bases_diagonalise_the_statistics(scale: float) -> None:
    rng = np.random.default_rng(1)
    g = (scale * np.outer(rng.normal(size=40), rng.normal(size=30))).astype(np.float32)  # of rank one
    w = np.ones_like(g)
    opt = fastopt.SOAP([w])
    opt.step([g])
    assert (w == 1).all()
    state = opt.state[w]
    for gram, q in zip(squares_in(state["GG"], [40, 30]), squares_in(state["Q"], [40, 30]), strict=True):
        assert np.abs(q.T.astype(float) @ q - np.eye(len(q))).max() < 1e-5
        turned = q.T.astype(float) @ gram @ q
        assert np.abs(turned - np.diag(np.diag(turned))).max() <= 1e-5 * np.abs(gram).max()


@pytest.mark.parametrize("g", [np.zeros((4, 6)), np.ones((4, 6))], ids=["zero", "rank one"])
def test_degenerate_gradients_stay_finite(g: Any) -> None:
    w = np.ones((4, 6), np.float32)
    opt = fastopt.SOAP([w], precondition_frequency=2)
    for _ in range(7):
        opt.step([g.astype(np.float32)])
    assert np.isfinite(w).all()


def test_what_is_not_finite_shows_in_all_of_the_parameter() -> None:
    w = np.ones((4, 6), np.float32)
    opt = fastopt.SOAP([w])
    for value in (np.nan, 1.0):
        opt.step([np.full((4, 6), value, np.float32)])
    assert np.isnan(w).all()


@pytest.mark.parametrize("name", ["SOAP", "Shampoo", "Adafactor"])
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    def run(threads: int) -> Any:
        before = fastopt.get_num_threads()
        fastopt.set_num_threads(threads)
        try:
            rng = np.random.default_rng(2)
            ws = [rng.normal(size=s).astype(np.float32) for s in ((530, 400), (30, 20), (300,))]
            opt = getattr(fastopt, name)(ws, lr=0.01)
            for _ in range(12 if name == "SOAP" else 3):
                opt.step([rng.normal(size=w.shape).astype(np.float32) for w in ws])
            return b"".join(w.tobytes() for w in ws)
        finally:
            fastopt.set_num_threads(before)

    assert run(1) == run(2) == run(5)
