"""fastopt.torch.curvature: one line for each analysis of a module, beside torch.func.hessian."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import torch  # without PyTorch it skips this file

# isort: split
from fastopt.torch import curvature

#: torch.func.hessian scripts its decompositions at the first call.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


def network(dtype: Any = torch.float64, seed: int = 1) -> tuple[Any, Any, Any]:
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).to(dtype)
    x, y = torch.randn(20, 4, dtype=dtype), torch.randn(20, 1, dtype=dtype)
    return net, lambda: torch.nn.functional.mse_loss(net(x), y), (x, y)


def theirs(net: Any, data: Any) -> Any:
    """torch.func.hessian of the same loss, as one matrix in the order of the parameters that are free."""
    x, y = data
    free = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}

    def value(params: Any) -> Any:
        return torch.nn.functional.mse_loss(torch.func.functional_call(net, params, (x,)), y)

    blocks = torch.func.hessian(value)(free)
    rows = [
        torch.cat([blocks[a][b].reshape(free[a].numel(), free[b].numel()) for b in free], 1) for a in free
    ]
    return torch.cat(rows, 0)


def flat(parts: dict[str, Any]) -> Any:
    return torch.cat([p.reshape(-1) for p in parts.values()])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_hessian_is_torchs(dtype: Any, frozen: bool) -> None:
    net, loss, data = network(dtype)
    net[0].bias.requires_grad_(not frozen)
    H = curvature.hessian(net, loss)
    want = theirs(net, data)
    assert (H.dtype, H.shape) == (dtype, want.shape)
    torch.testing.assert_close(H, want, rtol=0, atol=64 * torch.finfo(dtype).eps * float(want.abs().max()))


def test_products_keep_the_parameters_names() -> None:
    net, loss, data = network()
    v = {name: torch.randn_like(p) for name, p in net.named_parameters()}
    product = curvature.hvp(net, loss, v)
    assert {name: part.shape for name, part in product.items()} == {
        n: p.shape for n, p in net.named_parameters()
    }
    torch.testing.assert_close(flat(product), theirs(net, data) @ flat(v))


def test_the_kind_of_point() -> None:
    net, loss, data = network()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net[2].bias.fill_(data[1].mean())
    point = curvature.critical_point(net, loss)
    w = torch.linalg.eigvalsh(theirs(net, data))
    torch.testing.assert_close(point.eigenvalues, w, rtol=0, atol=1e-12)
    assert (point.kind, point.n) == ("saddle", 19)
    direction = flat(point.escape_direction)
    assert list(point.escape_direction) == [name for name, _ in net.named_parameters()]
    assert abs(float(direction.norm()) - 1) < 1e-12
    assert abs(float(direction @ theirs(net, data) @ direction) - float(w[0])) < 1e-10
    assert "saddle" in str(point)
    counted = curvature.critical_point(net, loss, counts_only=True)
    assert (counted.n_negative, counted.eigenvalues) == (point.n_negative, None)


@pytest.mark.parametrize("which", ["SA", "LA"])
def test_the_ends_of_the_spectrum(which: str) -> None:
    net, loss, data = network()
    found = curvature.eigsh(net, loss, 2, which=which)
    H = theirs(net, data)
    w = torch.linalg.eigvalsh(H)
    torch.testing.assert_close(found.eigenvalues, w[:2] if which == "SA" else w[-2:], rtol=0, atol=1e-10)
    for i in range(2):
        v = flat({name: part[i] for name, part in found.eigenvectors.items()})
        torch.testing.assert_close(H @ v, found.eigenvalues[i] * v, rtol=0, atol=1e-9)
    assert {n: p.shape for n, p in found.eigenvectors.items()} == {
        n: (2, *p.shape) for n, p in net.named_parameters()
    }


def test_trace_diagonal_and_density() -> None:
    net, loss, data = network()
    H = theirs(net, data)
    assert abs(curvature.trace(net, loss, products=60).estimate - float(H.trace())) < 1e-9
    torch.testing.assert_close(flat(curvature.diagonal(net, loss).estimate), H.diagonal(), rtol=0, atol=1e-10)
    density = curvature.spectral_density(net, loss, probes=3, steps=19)
    w = torch.linalg.eigvalsh(H)
    assert float(density.nodes[0].max()) <= float(w[-1]) + 1e-9


def test_escaping_moves_the_model_and_lowers_the_loss() -> None:
    net, loss, data = network()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net[2].bias.fill_(data[1].mean())
    before = loss().item()
    found = curvature.escape(net, loss)
    assert found.moved
    assert loss().item() == pytest.approx(found.value, abs=1e-15)
    assert loss().item() < before
    for name, p in net.named_parameters():
        assert torch.equal(found.x[name], p.detach())
    again = curvature.escape(*quadratic())
    assert not again.moved


def quadratic() -> tuple[Any, Any]:
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    return {"w": w}, lambda: (w**2).sum()


def test_a_wrong_backward_is_found_and_named() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 1.01 * g * ctx.saved_tensors[0].cos()

    w = torch.linspace(0.1, 1, 4, dtype=torch.float64).requires_grad_()
    u = torch.ones(2, dtype=torch.float64, requires_grad=True)
    report = curvature.check_grad({"good": u, "bad": w}, lambda: Wrong.apply(w).sum() + (u**2).sum())
    assert not report.ok
    assert "bad" in str(report)
    net, loss, _ = network()
    assert curvature.check_grad(net, loss).ok


def test_why_stalled() -> None:
    params, loss = quadratic()
    with torch.no_grad():
        params["w"].fill_(1)
    assert curvature.why_stalled(params, lambda: 50 * loss(), lr=0.03).cause == "oscillating"


def snapshot(net: Any) -> list[Any]:
    return [t.detach().clone() for t in (*net.parameters(), *net.buffers())]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_afterwards_what_it_was(training: bool) -> None:
    """Running statistics too, which a batch normalisation in training mode moves at each call."""
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)).double()
    net.train(training)
    x = torch.randn(10, 3, dtype=torch.float64)

    def loss() -> Any:
        return net(x).pow(2).mean()

    loss().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    before = snapshot(net)
    for analysis in (curvature.critical_point, curvature.hessian, curvature.eigsh, curvature.trace):
        analysis(net, loss)
        assert all(torch.equal(a, b) for a, b in zip(snapshot(net), before, strict=True))
        assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert net.training == training


def test_storages_can_be_resized_afterwards() -> None:
    """Of parameters, data, the direction, and of what the loss and its gradient are views of."""
    net, loss, data = network()
    v = {name: torch._neg_view(torch.randn_like(p)) for name, p in net.named_parameters()}
    resolved = {name: part.resolve_neg().clone() for name, part in v.items()}
    product = curvature.hvp(net, loss, v)
    assert all(torch.equal(product[n], part) for n, part in curvature.hvp(net, loss, resolved).items())
    curvature.critical_point(net, loss)
    curvature.escape(net, loss)
    value, slope = torch.zeros(1, dtype=torch.float64), torch.ones(2, dtype=torch.float64)

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: Any) -> Any:
            return value.view_as(value)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return slope.view_as(slope)

    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    curvature.check_grad([w], lambda: Linear.apply(w))
    for tensor in (*net.parameters(), *data, *v.values(), w, value, slope):
        assert tensor.untyped_storage().resizable()


def test_tied_parameters_count_once() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)).double()
    net[1].weight = net[0].weight
    x = torch.randn(5, 3, dtype=torch.float64)
    H = curvature.hessian(net, lambda: net(x).pow(2).mean())
    assert H.shape == (9, 9)
    want = torch.autograd.functional.hessian(
        lambda w: (x @ w.T @ w.T).pow(2).mean(), net[0].weight.detach()
    ).reshape(9, 9)
    torch.testing.assert_close(H, want)


def test_a_loss_that_draws_anew_is_refused() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(30, 30), torch.nn.Dropout(0.5), torch.nn.Linear(30, 1))
    x = torch.randn(10, 30)
    with pytest.raises(ValueError, match=r"loss: expected the same value at every call.*model\.eval\(\)"):
        curvature.critical_point(net, lambda: net(x).pow(2).mean())
    net.eval()
    assert curvature.eigsh(net, lambda: net(x).pow(2).mean(), 1).eigenvalues.shape == (1,)


def test_what_is_no_model() -> None:
    for bad in (3, torch.ones(2, requires_grad=True)):
        with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module, a dict or an iterable"):
            curvature.hessian(bad, lambda: torch.ones(()))
    with pytest.raises(ValueError, match="model: expected a parameter that requires its gradient"):
        curvature.hessian(torch.nn.Linear(2, 2).requires_grad_(False), lambda: torch.ones(()))
    with pytest.raises(TypeError, match=r"params\['weight'\]: expected a float32 or float64.*bfloat16"):
        curvature.hessian(torch.nn.Linear(2, 2).to(torch.bfloat16), lambda: torch.ones(()))
    with pytest.raises(TypeError, match="loss: expected a function without arguments"):
        curvature.hessian(torch.nn.Linear(2, 2), torch.ones(()))
