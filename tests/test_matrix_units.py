"""Rules of matrices in gradients of any unit: their squares may be beyond the type, their steps are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

#: Square where it is large: of a long side most eigenvalues are 0, and SOAP's basis for them is arbitrary.
SHAPES = [(6, 5), (5, 6), (3, 4, 2), (90, 90), (9,)]
#: With nothing that has the unit of a gradient: epsilons are 0.
FREE: dict[str, tuple[str, dict[str, Any]]] = {
    "Adafactor": ("Adafactor", {"eps": (0.0, 1e-3)}),
    "Adafactor, averaged, unclipped": ("Adafactor", {"eps": (0.0, 1e-3), "beta1": 0.9, "d": 1e9}),
    "Adafactor, added": ("Adafactor", {"eps": (0.0, 1e-3), "eps_form": "added", "scaled_decay": True}),
    "Muon": ("Muon", {"eps": 0.0}),
    "Muon, exact": ("Muon", {"method": "exact", "normalize": True}),
    "SOAP": ("SOAP", {"eps": 0.0, "precondition_frequency": 2, "precondition_1d": True}),
    "Shampoo": ("Shampoo", {"epsilon": 0.0}),
    "Shampoo, averaged, grafted": (
        "Shampoo",
        {
            "epsilon": 0.0,
            "beta2": 0.9,
            "momentum": 0.5,
            "update_freq": 2,
            "grafting": "adam",
            "graft_eps": 0.0,
        },
    ),
}
#: Powers of two: some 1e-30, 1e-25, 1e19, 1e30, 1e37; 1e-150, 1e-145, 1e150, 1e300.
UNITS = {np.float32: (-100, -83, 63, 100, 122), np.float64: (-498, -482, 498, 997)}
#: Roots of statistics whose rank is not full magnify rounding to its root, of which a step of 0.01 is a part.
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-9}


def gradients(dtype: Any, shapes: list[tuple[int, ...]], steps: int = 6) -> list[list[Any]]:
    """Full of digits, the largest of each 3: only a power of two may be between one step's and another's."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(steps):
        row = [rng.normal(size=shape) for shape in shapes]
        rows.append([(3 * g / np.abs(g).max()).astype(dtype) for g in row])
    return rows


def path(case: str, dtype: Any, unit: int, **more: Any) -> list[Any]:
    """The parameters after steps with gradients times 2**unit."""
    name, keywords = FREE[case]
    shapes = [s for s in SHAPES if name != "Muon" or len(s) > 1]
    rng = np.random.default_rng(4)
    thetas = [rng.normal(size=s).astype(dtype) for s in shapes]
    opt = getattr(fastopt, name)(thetas, lr=0.01, **keywords, **more)
    for row in gradients(dtype, shapes):
        scaled = [np.ldexp(g, unit).astype(dtype) for g in row]
        assert all(
            (np.ldexp(s.astype(np.float64), -unit) == g).all() for s, g in zip(scaled, row, strict=True)
        )
        opt.step(scaled)
    return thetas


@pytest.mark.parametrize("dtype", UNITS, ids=str)
@pytest.mark.parametrize("case", FREE)
def test_a_power_of_two_changes_nothing(case: str, dtype: Any) -> None:
    exact = path(case, dtype, 0)
    for unit in UNITS[dtype]:
        for a, b in zip(path(case, dtype, unit), exact, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype], err_msg=f"2**{unit}, {a.shape}")


@pytest.mark.parametrize("dtype", UNITS, ids=str)
@pytest.mark.parametrize("case", ["Adafactor", "Adafactor, averaged, unclipped", "Muon", "Muon, exact"])
def test_nor_a_bit(case: str, dtype: Any) -> None:
    exact = b"".join(theta.tobytes() for theta in path(case, dtype, 0))
    for unit in UNITS[dtype]:
        assert b"".join(theta.tobytes() for theta in path(case, dtype, unit)) == exact, unit


@pytest.mark.parametrize("dtype", UNITS, ids=str)
@pytest.mark.parametrize("plain", [False, True], ids=["without epsilon", "as by default"])
@pytest.mark.parametrize("case", FREE)
def test_gradients_of_every_size_in_turn(case: str, plain: bool, dtype: Any) -> None:
    """From the smallest number to the largest, and zeros: all stays finite, and moves."""
    name, keywords = FREE[case]
    keywords = {} if plain else keywords
    info = np.finfo(dtype)
    rng = np.random.default_rng(5)
    thetas = [rng.normal(size=s).astype(dtype) for s in SHAPES]
    start = [theta.copy() for theta in thetas]
    opt = getattr(fastopt, name)(thetas, lr=1e-3, **keywords)
    low, high = np.log10(float(info.smallest_subnormal)) / 2, np.log10(float(info.max)) / 2 - 0.5
    for k in range(12):
        sizes = [10.0 ** rng.uniform(low, high) for _ in range(2)]
        row = [np.sign(g) * np.minimum(np.abs(g), 2) * sizes[0] * sizes[1] for g in map(_normal(rng), SHAPES)]
        opt.step([np.zeros_like(g, dtype) if k == 5 else g.astype(dtype) for g in row])
        assert all(np.isfinite(theta).all() for theta in thetas), (k, sizes)
        assert all(np.abs(theta).max() < 1e3 for theta in thetas), (k, sizes)
    assert all((theta != before).any() for theta, before in zip(thetas, start, strict=True))


def _normal(rng: Any) -> Any:
    return lambda shape: rng.normal(size=shape)


@pytest.mark.parametrize("dtype", UNITS, ids=str)
def test_rows_and_columns_without_a_gradient_rest(dtype: Any) -> None:
    """Also where no epsilon keeps their second moment from 0."""
    theta = np.ones((4, 5), dtype)
    g = np.random.default_rng(6).normal(size=(4, 5)).astype(dtype)
    g[2] = 0
    g[:, 3] = 0
    opt = fastopt.Adafactor([theta], lr=0.1, eps=(0.0, 1e-3))
    for _ in range(3):
        opt.step([g])
    moved = theta != 1
    assert (moved == (g != 0)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["Adafactor", "Kron", "SOAP", "Shampoo"])
def test_what_is_not_finite_is_not_brought_back(name: str, value: float) -> None:
    theta = np.ones((4, 5), np.float32)
    opt = getattr(fastopt, name)([theta], lr=0.1)
    for _ in range(2):
        g = np.ones((4, 5), np.float32)
        g[1, 2] = value
        opt.step([g])
    assert np.isnan(theta[1, 2])
