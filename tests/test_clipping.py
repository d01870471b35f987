"""`clip_norm` with a norm of either type, over all tensors or each: sizes, dtypes, layouts, policies, bits.

SGD from 0 with a rate of 1 leaves minus the clipped gradient. `test_rules` has the rules beside the oracle.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastopt
from drawing import repeatable
from engine import BFLOAT16, LEVELS, PAIRS, bits, everything, make, normal, rouse, threads
from test_drawn_arrays import views

KINDS = list(itertools.product((2, "inf"), ("all", "tensor")))
SHAPES = [(3, 5), 0, (2 * 4096 + 7,), 130]
Kind = tuple[Any, str]


def clipped(grads: list[Any], limit: float, kind: Kind, level: str | None = None, **more: Any) -> list[Any]:
    """The gradients after clipping, in the dtype of the computation; None stays None."""
    wide = [np.float64 if g is not None and g.dtype == np.float64 else np.float32 for g in grads]
    theta = [np.zeros(3 if g is None else g.shape, dtype) for g, dtype in zip(grads, wide, strict=True)]
    opt = make("SGD", theta, level, lr=1.0, **keywords(limit, kind), **more)
    opt.step(grads)
    return [None if g is None else np.asarray(-t) for t, g in zip(theta, grads, strict=True)]


def keywords(limit: float | None, kind: Kind) -> dict[str, Any]:
    return {"clip_norm": limit, "clip_norm_type": kind[0], "clip_norm_per": kind[1]}


def norm(grads: list[Any], norm_type: Any) -> Any:
    """In extended precision, which has a greater range too."""
    some = [np.asarray(g, np.longdouble).ravel() for g in grads if g is not None]
    x = np.abs(np.concatenate([np.zeros(1, np.longdouble), *some]))
    return np.max(x) if norm_type == "inf" else np.sqrt(np.sum(x * x))


def expected(grads: list[Any], limit: float, kind: Kind) -> list[Any]:
    """In extended precision."""
    whole = norm(grads, kind[0])
    made = []
    for g in grads:
        size = whole if kind[1] == "all" or g is None else norm([g], kind[0])
        factor = min(np.longdouble(1), limit / (size + np.longdouble(1e-6)))
        made.append(None if g is None else np.asarray(g, np.longdouble) * factor)
    return made


def close(got: list[Any], exact: list[Any], eps: float) -> None:
    for a, b in zip(got, exact, strict=True):
        if b is not None:
            np.testing.assert_allclose(np.asarray(a, np.longdouble), b, rtol=4 * eps, atol=0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_tensor_is_scaled_as_its_norm_says(kind: Kind, level: str) -> None:
    """Some tensors are below the limit: alone they stay what they are, to the last bit."""
    grads: list[Any] = [s * g for s, g in zip((0.1, 1, 1, 1e-3), normal(1, SHAPES, np.float64), strict=True)]
    grads.insert(1, None)
    close(clipped(grads, 0.5, kind, level), expected(grads, 0.5, kind), np.finfo(float).eps)
    if kind[1] == "tensor":
        np.testing.assert_array_equal(clipped(grads, 0.5, kind, level)[-1], grads[-1])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("per", ["all", "tensor"])
def test_the_largest_element_is_exact(per: str, level: str) -> None:
    grads = normal(2, SHAPES, np.float64)
    whole = max(np.max(np.abs(g), initial=0.0) for g in grads)
    for got, g in zip(clipped(grads, 0.5, ("inf", per), level), grads, strict=True):
        size = whole if per == "all" else np.max(np.abs(g), initial=0.0)
        np.testing.assert_array_equal(got, g * min(1.0, 0.5 / (size + 1e-6)))


@pytest.mark.parametrize(
    "size", [1.7976931348623157e308, 1e300, 1e154, 1.0, 1e-6, 1e-30, 1e-200, 1e-310, 0.0]
)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_doubles_of_any_size(kind: Kind, size: float) -> None:
    """The largest double beside a tensor of ones; the limit is below 1e-6 too, the term beside the norm."""
    rng = np.random.default_rng(3)
    grads = [size * rng.uniform(0.25, 1.0, size=4099), np.ones(5), np.full(2, size)]
    for limit in (1.0, 1e-9, 1e-300):
        got = clipped(grads, limit, kind, nonfinite="raise")
        for a, b in zip(got, expected(grads, limit, kind), strict=True):
            # what ends below the normal numbers is right to the last of their places
            np.testing.assert_allclose(np.asarray(a, np.longdouble), b, rtol=1e-15, atol=1e-323)


@pytest.mark.parametrize(
    ("theta", "grad"), [(theta, grad) for theta, grads in PAIRS.items() for grad in grads], ids=str
)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_dtype(kind: Kind, theta: Any, grad: Any) -> None:
    """Also with a loss scale, and `clip_value` before the norm is taken; parameters are rounded as stored."""
    power = 15 if np.float16 in (theta, grad) else 100
    g = [np.ldexp(x, -4).astype(grad) for x in normal(4, [9000, (3, 7)], np.float64)]
    g[0][17] = 2.0**power
    eps = max(float(np.finfo(np.float64 if theta == np.float64 else np.float32).eps), _eps(theta))
    for limit, scale, bound in ((0.5, 1.0, None), (0.25, 2.0**9, None), (0.5, 0.25, 1.5)):
        params = [np.zeros(x.shape, theta) for x in g]
        more = {} if bound is None else {"clip_value": bound}
        opt = make("SGD", params, lr=1.0, **keywords(limit, kind), **more)
        opt.step(g, grad_scale=scale)
        most = bound or np.inf
        plain = [np.clip(x.astype(float) / scale, -most, most) for x in g]
        exact = expected(plain, limit, kind)
        assert opt.grad_norm == pytest.approx(float(norm(plain, kind[0])), rel=1e-14)
        for a, b in zip(params, exact, strict=True):
            tiny = 1e-7 if theta == np.float16 else 1e-44  # below its normal numbers
            np.testing.assert_allclose(-a.astype(np.longdouble), b, rtol=4 * eps, atol=tiny)


def _eps(dtype: Any) -> float:
    return 2.0**-7 if dtype == BFLOAT16 else float(np.finfo(dtype).eps)


@pytest.mark.parametrize("per", ["all", "tensor"])
def test_grad_norm_is_of_all_tensors_before_clipping(per: str) -> None:
    grads = [np.array([3.0, 0.0]), None, np.array([-4.0])]
    for norm_type, whole in ((2, 5.0), (np.inf, 4.0)):
        for more in ({"clip_norm": 0.1}, {"clip_norm": 100.0}, {"nonfinite": "skip"}):
            theta = [np.zeros(2), np.zeros(7), np.zeros(1)]
            opt = make("SGD", theta, lr=1.0, clip_norm_type=norm_type, clip_norm_per=per, **more)
            opt.step(grads)
            assert opt.grad_norm == whole
    plain = make("SGD", [np.zeros(2)], clip_norm_type="inf", clip_norm_per="tensor")  # nothing to be compared
    plain.step(grads[:1])
    assert plain.grad_norm is None


# --- NaN and infinity ---

BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BFLOAT16], ids=str)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bad_elements_wherever_they_are(kind: Kind, bad: str, dtype: Any, level: str) -> None:
    wide = np.float64 if dtype == np.float64 else np.float32
    for at in (0, 63, 64, 4095, 4096, 9001):
        grads = normal(5, [130, 9002], dtype)
        grads[1][at] = BAD[bad]
        theta = [np.ones(130, wide), np.ones(9002, wide)]
        for policy in ("skip", "raise", "propagate"):
            for more in ({}, {"clip_value": 1.0}):
                params = [t.copy() for t in theta]
                opt = make("SGD", params, level, lr=1.0, nonfinite=policy, **keywords(0.5, kind), **more)
                if policy == "raise":
                    with pytest.raises(ValueError, match=r"grads\[1\]: holds NaN or infinity"):
                        opt.step(grads)
                    assert (opt.grad_norm, bits(params)) == (None, bits(theta))
                    continue
                opt.step(grads)
                size = np.nan if bad == "nan" else np.inf
                if not more:
                    np.testing.assert_array_equal(opt.grad_norm, size)
                if policy == "skip":
                    assert (opt.skipped, bits(params)) == (1, bits(theta))
                elif kind[1] == "tensor":  # one tensor's NaN is not another's
                    assert np.isfinite(params[0]).all()
                    assert (params[0] != 1).any()
                elif bad == "nan":
                    assert np.isnan(params[0]).all()
                elif not more:
                    assert (params[0] == 1).all(), "as PyTorch: everything over infinity is 0"


@pytest.mark.parametrize("policy", ["skip", "raise"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_policies_look_at_what_clipping_leaves(kind: Kind, dtype: Any, policy: str) -> None:
    """A square that would overflow is refused, unless its own tensor's clipping makes it small."""
    huge = {np.float32: 1e25, np.float64: 1e200}[dtype]
    grads = [np.ones(5000, dtype), np.ones(3, dtype)]
    grads[0][4321] = huge
    for limit, passes in ((1.0, True), (float(np.sqrt(np.finfo(dtype).max)) * 2, False)):
        opt = make(
            "Adam", [np.ones(5000, dtype), np.ones(3, dtype)], nonfinite=policy, **keywords(limit, kind)
        )
        before = everything(opt)
        if passes or policy == "skip":
            opt.step(grads)
            assert (opt.step_count, opt.skipped) == ((1, 0) if passes else (0, 1))
        else:
            with pytest.raises(ValueError, match=r"grads\[0\]: is finite, but its square .* overflows"):
                opt.step(grads)
            assert everything(opt) == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
@pytest.mark.parametrize("norm_type", [2, "inf"])
def test_an_infinity_that_clip_value_takes_away(norm_type: Any, dtype: Any) -> None:
    """By default the arithmetic takes its course: what is clipped to a number counts as that number."""
    most = float(np.finfo(dtype).max)
    g = np.array([np.inf, -1.0, 0.0], dtype)
    for bound in (2.0, most / 4):
        (got,) = clipped([g], 1.0, (norm_type, "all"), clip_value=bound)
        (exact,) = expected([np.array([bound, -1.0, 0.0], dtype)], 1.0, (norm_type, "all"))
        np.testing.assert_allclose(got, exact.astype(float), rtol=1e-6)


# --- who else is there ---


def test_groups_share_a_norm_or_have_many() -> None:
    params, grads = normal(6, SHAPES, np.float64), normal(7, SHAPES, np.float64)
    for kind in KINDS:
        theta = [p.copy() for p in params]
        groups = [
            {"params": theta[:1], "lr": 0.5},
            {"params": theta[1:3], "maximize": True},
            {"params": theta[3:]},
        ]
        make("SGD", groups, lr=1.0, **keywords(0.7, kind)).step(grads)
        rates = (0.5, -1.0, -1.0, 1.0)
        for got, p, g, rate in zip(theta, params, expected(grads, 0.7, kind), rates, strict=True):
            np.testing.assert_allclose(got, p - rate * g.astype(float), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", ["LAMB", "LARS", "Adam", "SGD"])
def test_one_tensor_has_one_norm(name: str, kind: Kind) -> None:
    """Per tensor, each steps as it would alone, bit for bit, whatever it is among; with gaps and averages."""
    params = [*normal(8, SHAPES, np.float64), *normal(9, [65, 5000])]
    single = [p.copy() for p in params]
    options = {**keywords(0.5, kind), "ema_decay": 0.5, "weight_decay": 0.1, "clip_value": 1.5}
    together = make(name, params, lr=0.1, **options)
    alone = [make(name, [p], lr=0.1, **options) for p in single]
    for k in range(4):
        grads: list[Any] = [g * 10.0 ** (k - 2) for g in [*normal(20 + k, SHAPES, np.float64)]]
        grads += [*normal(30 + k, [65, 5000])]
        grads[k] = None
        together.step(grads)
        for opt, g in zip(alone, grads, strict=True):
            opt.step([g])
    same = bits([params, together.ema]) == bits([single, [opt.ema[0] for opt in alone]])
    assert same == (kind[1] == "tensor")


@repeatable(100)
@given(st.data())
def test_a_gradient_in_any_layout(data: Any) -> None:
    """Its strides and its neighbours' make no difference."""
    drawn = [data.draw(views(np.dtype(np.float64))) for _ in range(3)]
    kind, limit = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from((0.01, 1.0, 4.0)))
    got = clipped(drawn, limit, kind)
    close(got, expected(drawn, limit, kind), np.finfo(float).eps)
    plain = [np.ascontiguousarray(g).reshape(g.shape) for g in drawn]
    if all(g.ndim < 2 for g in drawn):  # else the order of a sum may be another
        assert bits(got) == bits(clipped(plain, limit, kind))


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bits_over_levels_and_threads(kind: Kind, dtype: Any) -> None:
    shapes = [(1 << 18) + 5, 3, (700, 300), 20_003]
    results = []
    for level, count in itertools.product(LEVELS, (1, 2, 7)):
        with threads(count):
            if count > 1:
                rouse(level)
            opt = make("LAMB", normal(10, shapes, dtype), level, lr=0.1, **keywords(0.5, kind))
            for k in range(2):
                opt.step(normal(11 + k, shapes, dtype))
        results.append(everything(opt))
    assert all(other == results[0] for other in results[1:])


# --- states of before ---


def of_before(opt: Any) -> dict[str, Any]:
    """As a state was saved before there was a choice."""
    saved: dict[str, Any] = opt.state_dict()
    for key in ("clip_norm_type", "clip_norm_per"):
        del saved["fastopt"]["options"][key]
    return saved


def test_a_state_of_before_there_was_a_choice_is_that_of_the_defaults() -> None:
    def one(**options: Any) -> Any:
        return make("Adam", [np.ones(3)], clip_norm=1.0, **options)

    old = one()
    old.step([np.ones(3)])
    new = one()
    new.load_state_dict(of_before(old))
    assert bits(new.state_dict()) == bits(old.state_dict())
    other = one(clip_norm_type="inf", clip_norm_per="tensor")
    with pytest.raises(
        fastopt.CheckpointError, match=r"override=\{'clip_norm_type': 'inf', 'clip_norm_per': 'tensor'\}"
    ):
        other.load_state_dict(of_before(old))
    other.load_state_dict(of_before(old), override={"clip_norm_type": np.inf, "clip_norm_per": "tensor"})
    assert other.step_count == 1


def test_the_options_that_were_chosen_are_shown() -> None:
    shown = repr(make("Adam", [np.ones(3)], clip_norm=1.5, clip_norm_type=np.inf, nonfinite="skip"))
    assert "\n  clip_norm=1.5, clip_norm_type='inf', nonfinite='skip'\n" in shown
    assert "clip" not in repr(make("Adam", [np.ones(3)]))
