"""fastopt.ewma and fastopt.EWMA: the recurrence, its bias correction, and that both agree bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastopt

RNG = np.random.default_rng(11)


def by_definition(x, beta, initial=0.0):
    """The averages as sums: sum over s <= t of (1 - beta) beta^(t-s) x_s, plus beta^t initial."""
    t = np.arange(1, len(x) + 1)
    age = t[:, None] - t[None, :]
    weights = np.where(age >= 0, (1 - beta) * beta ** np.maximum(age, 0.0), 0.0)
    return np.tensordot(weights, x, 1) + (beta**t).reshape(-1, *[1] * (x.ndim - 1)) * initial


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3), (50, 4, 8), (1,), (50, 0), (0, 3)])
def test_it_is_the_weighted_sum_divided_by_the_sum_of_weights(beta, shape):
    x = RNG.standard_normal(shape)
    plain = by_definition(x, beta)
    t = np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    np.testing.assert_allclose(fastopt.ewma(x, beta, bias_correction=False), plain, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fastopt.ewma(x, beta), plain / (1 - beta**t), rtol=1e-12, atol=1e-12)


def test_numbers_by_hand():
    # v = 1, 1.5, 3.25; divided by 1/2, 3/4, 7/8.
    np.testing.assert_allclose(fastopt.ewma([2, 2, 5], 0.5), [2, 2, 26 / 7], rtol=1e-15)
    assert fastopt.ewma([2, 2, 5], 0.5, bias_correction=False).tolist() == [1.0, 1.5, 3.25]
    assert fastopt.ewma([2, 2, 5], 0.5, initial=4).tolist() == [3.0, 2.5, 3.75]


@pytest.mark.parametrize("beta", [0.3, 0.9, 1 - 1e-12])
def test_a_constant_sequence_has_itself_as_average_from_the_first_sample(beta):
    np.testing.assert_allclose(fastopt.ewma(np.full(100, 0.7), beta), 0.7, rtol=1e-14)


def test_the_memory_is_one_over_one_minus_beta():
    kept = 1 - fastopt.ewma(np.ones(100), 0.99, bias_correction=False)[-1]
    assert kept == pytest.approx(math.exp(-1), rel=0.01)


@pytest.mark.parametrize("columns", [1, 3, 40])
@pytest.mark.parametrize("keywords", [{}, {"bias_correction": False}, {"initial": 0.3}])
def test_the_streaming_class_and_every_layout_have_the_same_bits(columns, keywords):
    x = RNG.standard_normal((30, columns)).astype(np.float32)
    whole = fastopt.ewma(x, 0.93, **keywords)
    for c in range(columns):
        stream = fastopt.EWMA(0.93, **keywords)
        assert [stream.update(sample) for sample in x[:, c]] == whole[:, c].tolist()
        assert stream.count == 30
        assert stream.value == whole[-1, c]
    np.testing.assert_array_equal(fastopt.ewma(x.T, 0.93, axis=1, **keywords).T, whole)
    np.testing.assert_array_equal(fastopt.ewma(x.T, 0.93, axis=-1, **keywords).T, whole)
    np.testing.assert_array_equal(fastopt.ewma(x[::-1][::-1], 0.93, **keywords), whole)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, ">f8"])
def test_the_result_is_float64_and_the_samples_stay(dtype):
    x = np.array([0, 1, 1, 0, 1]).astype(dtype)
    before = x.copy()
    out = fastopt.ewma(x)
    assert out.dtype == np.float64
    assert out.dtype.isnative
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(out, fastopt.ewma(x.astype(np.float64)))


def test_bfloat16_samples():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = RNG.standard_normal(9).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(fastopt.ewma(x), fastopt.ewma(x.astype(np.float64)))


@pytest.mark.parametrize("columns", [2, 40])
def test_infinite_and_nan_samples_stay_in_their_own_sequence(columns):
    x = np.ones((6, columns))
    x[2, 0], x[2, 1] = np.nan, np.inf
    out = fastopt.ewma(x)
    np.testing.assert_allclose(out[:2], 1.0)
    np.testing.assert_allclose(out[:, 2:], 1.0)
    assert np.isnan(out[2:, 0]).all()
    assert np.isinf(out[2:, 1]).all()


def test_initial_is_broadcast_to_a_sample():
    x = RNG.standard_normal((20, 2, 3))
    initial = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        fastopt.ewma(x, 0.8, initial=initial), by_definition(x, 0.8, initial), rtol=1e-12, atol=1e-14
    )


def test_value_before_the_first_sample():
    assert math.isnan(fastopt.EWMA().value)
    assert fastopt.EWMA(initial=0.25).value == 0.25
    assert repr(fastopt.EWMA(0.5, initial=0.25)) == "<fastopt.EWMA beta=0.5: 0.25 after 0 samples>"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fastopt.ewma([1.0], 1.0), ValueError, r"beta: expected a number in \[0, 1\), got 1.0"),
        (lambda: fastopt.ewma([1.0], -0.1), ValueError, "beta: "),
        (lambda: fastopt.ewma([1.0], math.nan), ValueError, "beta: "),
        (lambda: fastopt.EWMA(1.0), ValueError, "beta: "),
        (lambda: fastopt.EWMA("0.9"), TypeError, "beta: .*got '0.9' of type str"),
        (lambda: fastopt.ewma(1.0), ValueError, "x: expected at least one axis"),
        (lambda: fastopt.ewma([1j]), TypeError, "x: expected real numbers, got dtype complex128"),
        (lambda: fastopt.ewma(["a"]), TypeError, "x: expected real numbers"),
        (lambda: fastopt.ewma([None]), TypeError, "x: expected real numbers, got dtype object"),
        (lambda: fastopt.ewma([1.0], axis=1), ValueError, "axis: "),
        (lambda: fastopt.ewma([1.0], axis=0.0), TypeError, "axis: "),
        (
            lambda: fastopt.ewma([1.0], bias_correction=1),
            TypeError,
            "bias_correction: expected True or False",
        ),
        (lambda: fastopt.ewma([1.0], bias_correction=True, initial=1), ValueError, "bias_correction: "),
        (
            lambda: fastopt.ewma(np.ones((4, 3)), initial=[1, 2]),
            ValueError,
            r"initial: .*broadcasts to \(3,\)",
        ),
        (lambda: fastopt.ewma([1.0], initial=[1, 2]), ValueError, r"initial: .*broadcasts to \(\)"),
        (lambda: fastopt.ewma([1.0], initial="a"), TypeError, "initial: expected real numbers"),
        (lambda: fastopt.EWMA(initial=math.inf), ValueError, "initial: "),
    ],
)
def test_bad_arguments_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "options", [{}, {"initial": 2.0}, {"bias_correction": False}, {"beta": 0.0}], ids=str
)
@pytest.mark.parametrize("samples", [[], [1.0, 5.0], [1.0, math.nan], [math.inf]], ids=str)
def test_a_saved_average_goes_on_bit_for_bit(options, samples):
    a, b = fastopt.EWMA(**options), fastopt.EWMA(**options)
    for x in samples:
        a.update(x)
    b.update(3.0)
    b.load_state_dict(a.state_dict())
    assert repr(b) == repr(a)
    for x in (0.1, 0.7):
        assert repr(a.update(x)) == repr(b.update(x))
    assert a.count == b.count == len(samples) + 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.5}, r"state\['beta'\]: expected 0.9, as here, got 0.5"),
        ({"initial": 1.0}, r"state\['initial'\]: expected None"),
        ({"bias_correction": 1}, r"state\['bias_correction'\]: expected True"),
        ({"count": -1}, r"state\['count'\]: expected an integer >= 0"),
        ({"weights": 2.0}, r"state\['weights'\]: expected a number in"),
        ({"average": 1}, r"state\['average'\]: expected a float"),
        ({"more": 1}, "state: expected the keys"),
    ],
)
def test_a_state_of_another_average_is_refused(change, message):
    average = fastopt.EWMA()
    average.update(2.0)
    with pytest.raises((TypeError, ValueError), match=message):
        average.load_state_dict(average.state_dict() | change)
    with pytest.raises(TypeError, match="state: expected a dict"):
        average.load_state_dict(None)
    assert (average.value, average.count) == (2.0, 1)
