"""One array or a collection of arrays as a flat vector, and the user's functions on it."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.functions.counted import ScalarFunction, VectorFunction
from fastopt.functions.evaluation import Evaluation
from fastopt.functions.layout import Layout
from fastopt.functions.lengths import norm

POINTS = {
    "array": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(2.0),
    "list": [np.ones((2, 2), np.float32), np.zeros(3, np.float32)],
    "tuple": (np.ones(2), np.zeros((1, 2))),
    "mixed": [np.ones(2, np.float32), np.full(3, 1 / 3)],
    "dict": {"W": np.ones((2, 2)), "b": np.zeros(2)},
}


def arrays(x):
    return [x] if isinstance(x, np.ndarray) else list(x.values() if isinstance(x, dict) else x)


@pytest.mark.parametrize("name", POINTS)
def test_structured_undoes_flat(name):
    x = POINTS[name]
    layout, flat = Layout.of(x)
    back = layout.structured(flat)
    assert type(back) is type(x)
    assert layout.size == flat.size == sum(a.size for a in arrays(x))
    for a, b in zip(arrays(x), arrays(back), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.array_equal(a, b)
        assert not np.shares_memory(a, b)
        assert not np.shares_memory(b, flat)
    assert np.array_equal(layout.read(back, "g"), flat)


def test_names_of_elements():
    layout, _ = Layout.of({"W": np.ones((2, 2)), "b": np.zeros(2)})
    assert layout.where(2) == "x['W'][1, 0]"
    assert layout.where(5) == "x['b'][1]"
    assert layout.slices() == {"x['W']": slice(0, 4), "x['b']": slice(4, 6)}
    assert Layout.of(np.ones(3))[0].where(1) == "x[1]"
    assert Layout.of(np.array(3.0))[0].where(0) == "x"


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.arange(3), TypeError, "x: expected float32 or float64, got int64"),
        ([np.ones(2), np.arange(3)], TypeError, r"x\[1\]: expected float32 or float64, got int64"),
        (np.ones(2, np.float16), TypeError, "got float16"),
        ([1.0, 2.0], TypeError, "a list that holds 1.0 of type float"),
        ("abc", TypeError, "got 'abc' of type str"),
        ([], ValueError, "an empty list"),
        ({}, ValueError, "an empty dict"),
        (np.ones((0, 3)), ValueError, "at least one element"),
    ],
)
def test_bad_points(x, error, words):
    with pytest.raises(error, match=words):
        Layout.of(x)


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (np.ones(3), TypeError, r"grad: expected a list of 2 arrays"),
        ([np.ones((2, 2))], ValueError, "grad: expected 2 arrays, got 1"),
        (
            [np.ones((2, 2)), np.ones(4)],
            ValueError,
            r"grad\[1\]: expected an array of shape \(3,\), got shape \(4,\)",
        ),
        ([np.ones((2, 2)), np.ones(3, complex)], TypeError, r"grad\[1\]: expected floats"),
        ([np.ones((2, 2)), "abc"], TypeError, r"grad\[1\]: expected floats"),
        (None, TypeError, "None of type NoneType"),
    ],
)
def test_bad_results(result, error, words):
    layout, flat = Layout.of(POINTS["list"])
    with pytest.raises(error, match=words):
        VectorFunction(lambda x: result, layout, "grad")(flat)


@pytest.mark.parametrize("value", [None, "1", True, 1j, np.ones(2), [1.0, 2.0], np.array(1j)])
def test_f_returns_one_real_number(value):
    layout, flat = Layout.of(np.ones(2))
    with pytest.raises(TypeError, match="f: expected a real number, got"):
        ScalarFunction(lambda x: value, layout, "f")(flat)


@pytest.mark.parametrize("value", [2.0, 2, np.float32(2), np.array(2.0), np.array([2.0])])
def test_f_may_return_any_kind_of_number(value):
    layout, flat = Layout.of(np.ones(2))
    f = ScalarFunction(lambda x: value, layout, "f")
    assert (f(flat), f.calls) == (2.0, 1)
    assert f.eps == (np.finfo(np.float32).eps if isinstance(value, np.float32) else np.finfo(float).eps)


def test_functions_cannot_harm_the_point_and_may_reuse_their_buffer():
    layout, flat = Layout.of(np.ones(2))
    buffer = np.zeros(2, np.float32)

    def grad(x):
        buffer[:] = x
        x[:] = 7
        return buffer

    g = VectorFunction(grad, layout, "grad")
    first, second = g(flat), g(2 * flat)
    assert [a.tolist() for a in (first, second, flat)] == [[1, 1], [2, 2], [1, 1]]
    assert (g.eps, g.calls) == (np.finfo(np.float32).eps, 2)


def test_not_a_function():
    with pytest.raises(TypeError, match=r"grad: expected a function of x, got"):
        VectorFunction(np.ones(2), Layout.of(np.ones(2))[0], "grad")


def test_what_a_function_keeps_is_not_written_again():
    layout, flat = Layout.of(np.zeros(1 << 17))
    kept = []

    def f(x):
        kept.append(x if len(kept) % 2 else x[3:])
        x[0] = -1
        return 0.0

    f, loose = ScalarFunction(f, layout, "f"), ScalarFunction(lambda x: float(x[5]), layout, "f")
    for k in range(4):
        flat[:] = k
        f(flat)
        assert loose(flat) == k
    assert [a[5] for a in kept] == [0, 1, 2, 3]


@pytest.mark.parametrize("power", [-1050, -1000, -600, -500, -1, 0, 500, 600, 1000, 1021])
def test_the_norm_of_a_vector_has_no_unit(power):
    """As in units of 1, times a power of two: to the last digit, wherever such a number has it."""
    v = np.random.default_rng(0).standard_normal(50)
    largest = float(np.abs(v).max())
    v = v / 2.0 ** np.frexp(largest)[1] / 8.0
    scaled = np.ldexp(v, power)
    expected = np.ldexp(norm(v), power)
    assert norm(scaled) == pytest.approx(expected, rel=0.0 if power > -1000 else 1e-2, abs=0.0)
    assert (norm(np.array([3.0, np.inf])), norm(np.zeros(3))) == (np.inf, 0.0)
    assert np.isnan(norm(np.array([3.0, np.nan])))


@pytest.mark.parametrize("name", POINTS)
def test_parts_are_views_in_the_structure_of_x(name):
    layout, flat = Layout.of(POINTS[name])
    parts = layout.parts(flat.astype(complex))
    assert [p.shape for p in parts] == [a.shape for a in arrays(POINTS[name])]
    assert all(np.shares_memory(part, whole) for whole in [parts[0].base] for part in parts)
    assert type(layout.collected(parts)) is type(POINTS[name])
    assert all(a is b for a, b in zip(arrays(layout.collected(parts)), parts, strict=True))


def test_an_evaluation_asks_once():
    calls = {"f": 0, "grad": 0}

    def f(x):
        calls["f"] += 1
        return float(x["w"] @ x["w"])

    def grad(x):
        calls["grad"] += 1
        return {"w": 2 * x["w"]}

    at = Evaluation(f, grad, {"w": np.array([1.0, 2.0])})
    assert calls == {"f": 0, "grad": 0}
    assert (at.value, at.value, at.g.tolist(), at.g.tolist()) == (5.0, 5.0, [2.0, 4.0], [2.0, 4.0])
    assert calls == {"f": 1, "grad": 2}  # the gradient's second call says whether it is a function
    assert 0.0 < at.noise < 1e-14
    assert calls["grad"] == 5
    assert at.value_noise >= 5.0 * np.finfo(float).eps
    assert calls["f"] == 7
