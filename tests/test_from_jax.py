"""A JAX loss as functions of NumPy arrays."""

from __future__ import annotations

import doctest
import importlib
import sys

import numpy as np
import pytest

import fastopt
from fastopt.curvature import from_jax
from witness import require_jax

jax = require_jax()
flatten_util = importlib.import_module("jax.flatten_util")
RNG = np.random.default_rng(2)
DATA, TARGETS = RNG.standard_normal((20, 4)), RNG.standard_normal(20)
POINT = {"W": RNG.standard_normal((4, 5)), "v": RNG.standard_normal(5)}


def loss(p):
    return jax.numpy.mean((jax.numpy.tanh(DATA @ p["W"]) @ p["v"] - TARGETS) ** 2)


def test_gradient_and_products_stand_our_own_check():
    bridge = from_jax(loss, POINT)
    report = fastopt.check_grad(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp)
    assert report.ok, str(report)
    assert report.digits >= 4


def test_the_hessian_is_jax_s_own():
    bridge = from_jax(loss, POINT)
    exact = fastopt.hessian(None, bridge.x, hvp=bridge.hvp)
    flat, restore = flatten_util.ravel_pytree(POINT)
    theirs = np.asarray(jax.hessian(lambda t: loss(restore(t)))(flat))
    np.testing.assert_allclose(np.asarray(exact), theirs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.asarray(fastopt.hessian(bridge.grad, bridge.x)), theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("wrap", [np.array, jax.numpy.array])
def test_arrays_and_collections(wrap):
    one = from_jax(lambda w: (w**3).sum(), wrap([1.0, 2.0]))
    assert type(one.x) is np.ndarray
    assert one.grad(one.x).tolist() == [3, 12]
    assert one.hvp(one.x, np.ones(2)).tolist() == [6, 12]
    several = from_jax(lambda p: (p[0] * p[1]).sum(), (wrap([1.0, 2.0]), wrap([3.0, 4.0])))
    assert type(several.x) is type(several.grad(several.x)) is tuple
    assert [h.tolist() for h in several.hvp(several.x, several.x)] == [[3, 4], [1, 2]]
    assert one.grad(one.x).flags.writeable


def test_the_example_of_its_docstring():
    found = doctest.testmod(importlib.import_module("fastopt.curvature._from_jax"))
    assert found.attempted
    assert not found.failed


def test_float32():
    bridge = from_jax(lambda w: (w**3).sum(), np.ones(2, np.float32))
    assert bridge.grad(bridge.x).dtype == np.float32
    assert isinstance(bridge.f(bridge.x), np.float32)


def test_float64_is_not_narrowed_in_silence():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="x: expected float32, as JAX computes in it, got float64"):
            from_jax(loss, POINT)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_bad_arguments():
    with pytest.raises(TypeError, match="loss: expected a function of x, got 3"):
        from_jax(3, POINT)
    with pytest.raises(TypeError, match="x: expected float32 or float64, got int64"):
        from_jax(loss, np.arange(3))
    with pytest.raises(ValueError, match=r"v: expected an array of shape \(2,\)"):
        from_jax(lambda w: w.sum(), np.ones(2)).hvp(np.ones(2), np.ones(3))


def test_without_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"from_jax needs jax: pip install 'fastopt\[jax\]'"):
        from_jax(loss, POINT)
