"""Parameters and gradients of every layout step as contiguous ones, and autograd hears of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from drawing import repeatable
from torch_door.door import EVERY, FLOATS, MOVING, clones, drive, equal, mine, ours_alone, theirs, torch

SHAPE = (2, 6, 4, 4)


def base(dtype: Any = torch.float32, seed: int = 0) -> Any:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)


#: The same numbers in memory of another order, each a leaf.
LAYOUTS: dict[str, Any] = {
    "contiguous": lambda a: a.clone(),
    "channels last": lambda a: a.clone(memory_format=torch.channels_last),
    "transposed": lambda a: a.mT.contiguous().mT,
    "permuted": lambda a: a.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
    "every second": lambda a: a.repeat_interleave(2, -1)[..., ::2],
    "a slice": lambda a: torch.nn.functional.pad(a, (1, 2, 3, 4))[..., 3:-4, 1:-2],
    "at an offset": lambda a: torch.cat([a.new_zeros(3), a.reshape(-1)])[3:].view(SHAPE),
}
GRADIENTS: dict[str, Any] = {
    **LAYOUTS,
    "expanded": lambda g: g[:1, :1].expand(SHAPE),
    "a scalar expanded": lambda g: g[0, 0, 0, 0].expand(SHAPE),
    "negated": lambda g: torch._neg_view(-g),
    "zeros without memory": lambda g: torch._efficientzerotensor(SHAPE, dtype=g.dtype),
    "of inference mode": lambda g: torch.inference_mode()(g.clone)(),
}


def stepped(name: str, layout: str, of_gradient: str, dtype: Any, steps: int = 4) -> tuple[Any, Any]:
    """A parameter in this layout and one that is contiguous, after the same steps."""
    p = torch.nn.Parameter(LAYOUTS[layout](base(dtype)))
    plain = torch.nn.Parameter(base(dtype))
    opts = mine(name)([p]), mine(name)([plain])
    stride = p.stride()
    for k in range(steps):
        gradient = GRADIENTS[of_gradient](base(dtype, seed=k + 1))
        p.grad = gradient
        plain.grad = gradient.clone(memory_format=torch.contiguous_format)
        for opt in opts:
            opt.step()
    assert p.stride() == stride
    return p, plain


@pytest.mark.parametrize("of_gradient", GRADIENTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_both(layout: str, of_gradient: str) -> None:
    p, plain = stepped("AdamW", layout, of_gradient, torch.float32)
    torch.testing.assert_close(p.detach(), plain.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", ["channels last", "every second"])
@pytest.mark.parametrize("name", EVERY)
def test_every_rule(name: str, layout: str, dtype: Any) -> None:
    p, plain = stepped(name, layout, "contiguous", dtype)
    close = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(p.detach(), plain.detach(), rtol=close, atol=close)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_numbers_between_those_of_a_view_stay(name: str) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    p = whole[:, ::2].requires_grad_()
    before = whole.clone()
    opt = mine(name)([p], lr=0.1)
    p.grad = torch.ones_like(p)
    opt.step()
    assert torch.equal(whole[:, 1::2], before[:, 1::2])
    assert bool((whole[:, ::2] < before[:, ::2]).all())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1, 1)], ids=str)
def test_scalars_and_empty_tensors(name: str, shape: tuple[int, ...]) -> None:
    p = torch.nn.Parameter(torch.ones(shape))
    q = torch.nn.Parameter(torch.ones(3))
    opt = mine(name)([p, q], **MOVING.get(name, {}))
    before = p.detach().clone()
    for _ in range(3):
        p.grad, q.grad = torch.full(shape, 0.5), torch.full((3,), 0.5)
        opt.step()
    assert p.shape == shape
    assert p.numel() == 0 or not torch.equal(p.detach(), before)


#: As many axes as an array may have.
MOST_AXES = getattr(np, "MAXDIMS", 64)
#: Of a transposed convolution in three dimensions, and of the most axes.
MANY_AXES = [(2, 3, 2, 4, 3), (2, 1, 3, 1, 2, 2), (2,) * 9, (1,) * MOST_AXES]


@pytest.mark.parametrize("shape", MANY_AXES, ids=len)
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_many_axes(name: str, shape: tuple[int, ...]) -> None:
    """Also where parameter and gradient lie in another order each, and the gradient's changes."""
    order = torch.randperm(len(shape), generator=torch.Generator().manual_seed(0)).tolist()
    results = []
    for cls in (mine(name), theirs(name)):
        draw = torch.Generator().manual_seed(1)

        def numbers(permuted: bool, draw: Any = draw) -> Any:
            made = torch.randn(shape, generator=draw)
            return (
                made.permute(order).contiguous().permute(*torch.tensor(order).argsort()) if permuted else made
            )

        p = torch.nn.Parameter(numbers(True))
        opt = cls([p], lr=0.1, **({} if name == "Adam" else {"momentum": 0.9}))
        for k in range(6):
            p.grad = numbers(k % 2 == 0)
            opt.step()
            if k == 3:
                p.data = p.data.clone(memory_format=torch.contiguous_format)
        results.append(p.detach())
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)


@ours_alone
def test_more_axes_than_an_array_may_have_are_named() -> None:
    p = torch.nn.Parameter(torch.empty((1,) * (MOST_AXES + 1)))
    with pytest.raises(
        TypeError, match=rf"params\[0\]: .* {MOST_AXES + 1} dimensions, of at most {MOST_AXES}"
    ):
        mine("SGD")([p], lr=0.1)


def test_a_gradient_of_many_axes_that_changes_its_order_in_place() -> None:
    """The same tensor object, address and shape: the strides alone are others."""
    p = torch.nn.Parameter(torch.zeros(2, 2, 2, 2, 2))
    opt = mine("SGD")([p], lr=1.0)
    p.grad = torch.arange(32.0).view(2, 2, 2, 2, 2)
    opt.step()
    p.grad.data = p.grad.data.permute(4, 3, 2, 1, 0)
    before = p.detach().clone()
    opt.step()
    assert torch.equal(before - p, p.grad)
    assert not torch.equal(before, -p.grad)


def test_tied_parameters_step_once() -> None:
    """A module that uses one parameter twice lists it once; PyTorch sums its gradients."""
    for cls in (mine("AdamW"), theirs("AdamW")):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
        net[1].weight = net[0].weight
        opt = cls(net.parameters(), lr=0.1)
        for _ in range(3):
            opt.zero_grad()
            net(torch.ones(2, 3)).pow(2).sum().backward()
            opt.step()
        assert net[1].weight is net[0].weight
        if cls is mine("AdamW"):
            got = [p.detach().clone() for p in net.parameters()]
    for a, b in zip(got, net.parameters(), strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-6, atol=1e-6)


def test_data_that_moves_is_followed() -> None:
    """`p.data = ...`, `share_memory_`, `set_` and a storage that was resized: the address is read anew."""
    results = []
    for cls in (mine("SGD"), theirs("SGD")):
        p = torch.nn.Parameter(torch.ones(4))
        opt = cls([p], lr=0.1, momentum=0.9)
        for k in range(8):
            if k == 2:
                p.data = p.data.clone()
            if k == 4:
                p.data = torch.cat([p.data, p.data])[::2].clone()
            if k == 5:
                p.data.share_memory_()
            if k == 6:
                with torch.no_grad():
                    p.set_(torch.full((4,), 0.25))
            p.grad = torch.ones(4)
            opt.step()
        results.append(p.detach().clone())
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_autograd_sees_that_a_saved_tensor_has_changed(name: str) -> None:
    for layout in ("contiguous", "every second"):
        w = torch.nn.Parameter(LAYOUTS[layout](base()))
        x = base(seed=5).requires_grad_()
        opt = mine(name)([w])
        version = w._version
        out = (w * x).sum()
        w.grad = torch.ones_like(w)
        opt.step()
        assert w._version > version
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_a_parameter_without_a_gradient_keeps_its_version() -> None:
    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    opt = mine("AdamW")([p, q])
    for _ in range(2):
        p.grad = torch.ones(2)
        before = q._version
        opt.step()
        assert q._version == before


def test_gradients_are_left_as_they_are() -> None:
    p = torch.nn.Parameter(base())
    opt = mine("AdamW")([p], weight_decay=0.1)
    for k in range(3):
        g = base(seed=k)
        p.grad = g
        opt.step()
        assert p.grad is g
        assert torch.equal(g, base(seed=k))


@ours_alone
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradients_of_another_dtype_than_pytorch_allows_are_not_needed(dtype: Any) -> None:
    p = torch.nn.Parameter(base(dtype))
    p.grad = base(dtype, 1)
    mine("AdamW")([p]).step()
    assert p.dtype == dtype


# --- whatever layout and whatever order of groups ---


@st.composite
def tensors(draw: Any) -> Any:
    """A leaf of any strides: axes permuted, sliced with steps, at an offset."""
    shape = draw(st.lists(st.integers(0, 5), min_size=0, max_size=4))
    steps = [draw(st.integers(1, 3)) for _ in shape]
    order = draw(st.permutations(range(len(shape))))
    whole = torch.arange(1.0, 1.0 + _size(n * s + 1 for n, s in zip(shape, steps, strict=True)))
    whole = (whole * 0.37).sin().reshape([n * s + 1 for n, s in zip(shape, steps, strict=True)])
    view = whole[tuple(slice(1, n * s + 1, s) for n, s in zip(shape, steps, strict=True))]
    return view.permute(order)


def _size(lengths: Any) -> int:
    total = 1
    for n in lengths:
        total *= n
    return total


@repeatable(60)
@drawn(st.lists(tensors(), min_size=1, max_size=4), st.sampled_from(EVERY), st.data())
def test_drawn_layouts(views: list[Any], name: str, data: Any) -> None:
    left = [v.detach().requires_grad_() for v in views]
    right = [v.detach().clone(memory_format=torch.contiguous_format).requires_grad_() for v in views]
    opts = mine(name)(left), mine(name)(right)
    for _ in range(3):
        for p, q in zip(left, right, strict=True):
            if data.draw(st.booleans()):
                p.grad = q.grad = None
            else:
                q.grad = (q.detach() * 3).cos().contiguous()
                order = data.draw(st.permutations(range(q.dim())))
                back = [order.index(i) for i in range(q.dim())]
                p.grad = q.grad.permute(order).contiguous().permute(back)
        for opt in opts:
            opt.step()
    for p, q in zip(left, right, strict=True):
        torch.testing.assert_close(p.detach(), q.detach(), rtol=1e-5, atol=1e-6)


def test_clones_are_twins() -> None:
    params = [torch.nn.Parameter(base())]
    twin = clones(params)
    drive(mine("SGD")(twin, lr=0.0), twin, [[base(seed=1)]])
    assert equal(params, twin)


@ours_alone
@pytest.mark.parametrize("freed", [False, True])
def test_a_parameter_that_becomes_a_negated_view_of_its_memory(freed: bool) -> None:
    """`p.data = ...` keeps the address, the strides and the object; only a bit of the tensor shows it."""
    p, q = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    opt = mine("AdamW")([p, q])
    for own in (p, q):
        own.grad = torch.ones(5)
    opt.step()
    opt.step()
    q.data = torch._neg_view(q.data)
    if freed:
        p.grad, q.grad = torch.ones(5), torch.ones(5)
    before = p.detach().clone(), q.detach().clone()
    for _ in range(2):
        with pytest.raises(TypeError, match=r"params\[1\].*negated view"):
            opt.step()
    assert torch.equal(p, before[0])
    assert torch.equal(q, before[1])
    q.data = torch._neg_view(q.data).clone()
    opt.step()
    assert not torch.equal(p, before[0])
