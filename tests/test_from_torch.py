"""A PyTorch loss as functions of NumPy arrays."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastopt
from fastopt.curvature import from_torch
from witness import require_torch

torch = require_torch()


def perceptron(dtype=torch.float64):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).to(dtype)
    inputs, targets = torch.randn(20, 4, dtype=dtype), torch.randn(20, 1, dtype=dtype)
    return model, lambda: torch.nn.functional.mse_loss(model(inputs), targets), (inputs, targets)


def values(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradient_and_products_stand_our_own_check(dtype):
    model, loss, _ = perceptron(dtype)
    bridge = from_torch(loss, dict(model.named_parameters()))
    assert list(bridge.x) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    report = fastopt.check_grad(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp)
    assert report.ok, str(report)
    assert report.digits >= (4 if dtype == torch.float64 else 0)


def test_the_hessian_is_torch_s_own():
    model, loss, (inputs, targets) = perceptron()
    bridge = from_torch(loss, model.parameters())
    assert bridge.f(bridge.x) == loss().item()
    exact = fastopt.hessian(None, bridge.x, hvp=bridge.hvp)
    differences = fastopt.hessian(bridge.grad, bridge.x)
    names = [name for name, _ in model.named_parameters()]
    parts = [p.detach() for p in model.parameters()]

    def functional(theta):
        pieces = theta.split([p.numel() for p in parts])
        values = {n: t.reshape(p.shape) for n, t, p in zip(names, pieces, parts, strict=True)}
        return torch.nn.functional.mse_loss(torch.func.functional_call(model, values, inputs), targets)

    flat = torch.cat([p.reshape(-1) for p in parts])
    theirs = torch.autograd.functional.hessian(functional, flat).numpy()
    np.testing.assert_allclose(np.asarray(exact), theirs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.asarray(differences), theirs, rtol=0, atol=1e-8)


def test_parameters_come_back_bit_for_bit():
    model, loss, _ = perceptron()
    bridge = from_torch(loss, model.parameters())
    before = values(model)
    elsewhere = [a + 1.0 for a in bridge.x]
    bridge.f(elsewhere), bridge.grad(elsewhere), bridge.hvp(elsewhere, elsewhere)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), before, strict=True))
    assert all(p.grad is None for p in model.parameters())
    bridge.assign(elsewhere)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), elsewhere, strict=True))


def test_parameters_come_back_after_an_exception():
    p = torch.ones(3, requires_grad=True)

    def loss():
        if p[0] != 1:
            raise ZeroDivisionError("mine")
        return p.sum()

    bridge = from_torch(loss, [p])
    for call in (bridge.f, bridge.grad):
        with pytest.raises(ZeroDivisionError, match="mine"):
            call([np.zeros(3, np.float32)])
    assert p.tolist() == [1, 1, 1]


def test_one_tensor_and_results_of_its_own():
    p = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    bridge = from_torch(lambda: (p**3).sum(), p)
    assert bridge.x.tolist() == [1, 2]
    first = bridge.grad(bridge.x)
    second = bridge.grad(2 * bridge.x)
    assert (first.tolist(), second.tolist()) == ([3, 12], [12, 48])
    assert bridge.hvp(bridge.x, np.ones(2)).tolist() == [6, 12]
    assert isinstance(from_torch(lambda: p.sum().float(), p).f(bridge.x), np.float32)


def test_unused_and_linear_parameters_have_no_curvature():
    p, q = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    bridge = from_torch(lambda: 3 * p.sum(), [p, q])
    assert [g.tolist() for g in bridge.grad(bridge.x)] == [[3, 3], [0, 0]]
    assert [h.tolist() for h in bridge.hvp(bridge.x, bridge.x)] == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([], ValueError, "params: expected at least one tensor"),
        ([np.ones(2)], TypeError, r"params\[0\]: expected a float32 or float64 tensor"),
        ([torch.ones(2)], ValueError, r"params\[0\]: .* requires its gradient"),
        (
            {"a": torch.ones(2, dtype=torch.bfloat16, requires_grad=True)},
            TypeError,
            r"params\['a'\]: .*bfloat16",
        ),
        ([torch.ones(2, requires_grad=True)] * 2, ValueError, "params: expected different tensors"),
    ],
)
def test_bad_parameters(params, error, words):
    with pytest.raises(error, match=words):
        from_torch(lambda: torch.ones(()), params)


def test_bad_losses():
    p = torch.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="loss: expected a function without arguments"):
        from_torch(3, p)
    cases = ((lambda: p, "one element"), (lambda: 1.0, "one element"), (lambda: torch.ones(()), "depends"))
    for loss, words in cases:
        with pytest.raises(TypeError, match=f"loss: expected a tensor .*{words}"):
            from_torch(loss, p).grad(np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"v: expected an array of shape \(2,\)"):
        from_torch(lambda: p.sum(), p).hvp(np.ones(2), np.ones(3))


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"from_torch needs torch: pip install 'fastopt\[torch\]'"):
        from_torch(lambda: None, [])
