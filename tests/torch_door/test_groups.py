"""Groups are added, edited and thawed while training, as with PyTorch's class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from drawing import repeatable
from torch_door.door import allowed, clones, drive, given, mine, theirs, torch, worst


def adagrad_begins_at_a_step() -> bool:
    p = torch.nn.Parameter(torch.ones(1))
    opt = torch.optim.Adagrad([p])
    opt.state.clear()
    p.grad = torch.ones(1)
    try:
        opt.step()
    except KeyError:
        return False
    return True


needs_adagrad = pytest.mark.skipif(
    not adagrad_begins_at_a_step(),
    reason="this PyTorch's Adagrad makes states in its constructor alone, and fails without",
)
BEGUN = ("Adam", "AdamW", "NAdam", "RMSprop", "SGD")
NAMES = (*BEGUN, "Adagrad")
#: Of parameters that come later.
LATE = [*BEGUN, pytest.param("Adagrad", marks=needs_adagrad)]


def checked(run: Any, name: str, dtype: Any = torch.float32) -> None:
    params, grads = given(dtype)
    exact, bound = allowed(run, params, grads, name)
    assert worst(run(mine(name), clones(params), grads), exact) <= bound


@pytest.mark.parametrize("name", LATE)
def test_a_group_that_comes_later(name: str) -> None:
    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own[:5], lr=0.01)
        drive(opt, own, grads[:10])
        opt.add_param_group({"params": own[5:], "lr": 0.03, "weight_decay": 0.2})
        drive(opt, own, grads[10:])
        assert opt.param_groups[1]["lr"] == 0.03
        return own

    checked(run, name)


@pytest.mark.parametrize("name", NAMES)
def test_values_edited_in_place(name: str) -> None:
    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls([{"params": own[:5]}, {"params": own[5:], "lr": 0.02}])
        for k, row in enumerate(grads):
            if k == 3:
                opt.param_groups[0]["weight_decay"] = 0.3
            if k == 6:
                opt.param_groups[1]["lr"] *= 0.5
            if k == 9:
                opt.param_groups[0]["maximize"] = True
            if k == 12 and "betas" in opt.param_groups[0]:
                opt.param_groups[0]["betas"] = (0.5, 0.9)
            if k == 15 and name == "SGD":
                opt.param_groups[1]["momentum"] = 0.7
            drive(opt, own, [row])
        return own

    checked(run, name)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_rates_in_tensors_of_one_element(name: str, shape: tuple[int, ...]) -> None:
    """Of any shape, at construction and edited, and in place: they are read at every step.

    PyTorch's own classes take them without axes alone, before 2.8.
    """

    def run(cls: Any, own: Any, grads: Any) -> Any:
        axes = shape if cls is mine(name) else ()
        opt = cls(own, lr=torch.full(axes, 0.01))
        for k, row in enumerate(grads):
            if k == 4:
                opt.param_groups[0]["lr"] = torch.full(axes, 0.03)
            if k == 8:
                opt.param_groups[0]["lr"].mul_(0.5)
            drive(opt, own, [row])
        return own

    checked(run, name)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_halfway_and_thawed(name: str) -> None:
    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own, lr=0.01)
        drive(opt, own, grads[:8])
        frozen = [[None if i % 2 else g for i, g in enumerate(row)] for row in grads]
        for p in own[1::2]:
            p.requires_grad_(False)
        held = [p.detach().clone() for p in own[1::2]]
        drive(opt, own, frozen[8:16])
        assert all(torch.equal(p.detach(), h) for p, h in zip(own[1::2], held, strict=True))
        for p in own[1::2]:
            p.requires_grad_()
        drive(opt, own, grads[16:])
        return own

    checked(run, name)


@pytest.mark.parametrize("name", LATE)
def test_parameters_swapped_within_a_group(name: str) -> None:
    """Hosts put other tensors into ``group["params"]``, with and without their state."""

    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own[:-1], lr=0.01)
        drive(opt, own, grads[:5])
        old, new = opt.param_groups[0]["params"][0], own[-1]
        opt.param_groups[0]["params"][0] = new
        drive(opt, own, grads[5:10])
        assert old in opt.state or name == "SGD"
        opt.param_groups[0]["params"][0] = old
        drive(opt, own, grads[10:15])
        opt.param_groups[0]["params"] = [*own[2:], own[0]]
        drive(opt, own, grads[15:])
        return own

    checked(run, name)


@needs_adagrad
def test_accumulators_begin_where_the_constructor_says() -> None:
    """Whatever a group says of it, when the optimizer is made, later, and after its states were cleared."""
    ends = []
    for make in (mine("Adagrad"), theirs("Adagrad")):
        params = [torch.nn.Parameter(torch.ones(3)) for _ in range(3)]
        groups = [{"params": params[:1], "initial_accumulator_value": 0.3}, {"params": params[1:2]}]
        opt = make(groups, lr=0.1, initial_accumulator_value=0.5)
        opt.add_param_group({"params": params[2:], "initial_accumulator_value": 2.0})
        for k in range(4):
            if k == 2:
                opt.state.clear()
            for p in params:
                p.grad = torch.full((3,), 0.1 + k)
            opt.step()
        ends.append([p.detach() for p in params] + [opt.state[p]["sum"] for p in params])
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_named_parameters() -> None:
    net = torch.nn.Linear(3, 2)
    opt = mine("AdamW")(net.named_parameters())
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    assert opt.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    net(torch.ones(1, 3)).sum().backward()
    opt.step()
    opt.load_state_dict(opt.state_dict())
    opt.step()
    assert opt.state[net.bias]["step"] == 2


def test_a_group_that_is_refused_is_not_added() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    opt = mine("AdamW")([p])
    for bad in ({"params": [p]}, {"params": [torch.ones(2, requires_grad=True) * 2]}):
        with pytest.raises(ValueError, match=r"param|leaf"):
            opt.add_param_group(bad)
        assert len(opt.param_groups) == 1
    with pytest.raises(TypeError, match="param"):
        opt.add_param_group([p])
    assert len(opt.param_groups) == 1


@pytest.mark.parametrize("where", ["first", "last", "alone"])
def test_empty_groups(where: str) -> None:
    """Shards without parameters: ZeroRedundancyOptimizer makes such groups."""
    p = torch.nn.Parameter(torch.ones(2))
    groups: list[dict[str, Any]] = [] if where == "alone" else [{"params": [p]}]
    groups.insert(0 if where == "first" else len(groups), {"params": [], "lr": 0.5})
    opt = mine("AdamW")(groups)
    p.grad = torch.ones(2)
    opt.step()
    assert (p.detach() < 1).all() == (where != "alone")


def test_zero_grad() -> None:
    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    opt = mine("AdamW")([p, q])
    p.grad = torch.ones(2)
    opt.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    opt.zero_grad()
    assert (p.grad, q.grad) == (None, None)
    opt.step()
    assert not opt.state


OPERATIONS = ("step", "lr", "decay", "add", "freeze", "thaw", "reload", "replace", "drop state", "shuffle")


@repeatable(50)
@drawn(
    st.lists(st.sampled_from(OPERATIONS), min_size=3, max_size=25),
    st.sampled_from(NAMES if adagrad_begins_at_a_step() else BEGUN),
)
def test_drawn_changes(operations: list[str], name: str) -> None:
    """Whatever is done between steps, in float64 and in twins of PyTorch's class."""

    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt, waiting, k = cls([{"params": own[:4]}], lr=0.01), own[4:], 0
        for operation in [*operations, "step"]:
            if operation == "step":
                drive(opt, own, [grads[k % len(grads)]])
                k += 1
            elif operation == "lr":
                opt.param_groups[-1]["lr"] *= 0.7
            elif operation == "decay":
                opt.param_groups[0]["weight_decay"] = 0.1 - opt.param_groups[0]["weight_decay"]
            elif operation == "add" and waiting:
                opt.add_param_group({"params": [waiting.pop(0)], "lr": 0.05})
            elif operation in ("freeze", "thaw"):
                own[2].requires_grad_(operation == "thaw")
            elif operation == "reload":
                opt.load_state_dict(opt.state_dict())
            elif operation == "replace":
                opt.param_groups = [dict(group) for group in opt.param_groups]
            elif operation == "drop state":
                opt.state.pop(own[1], None)
            elif operation == "shuffle":
                opt.param_groups[0]["params"].reverse()
        return own

    params, grads = given(torch.float64)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        exact = run(theirs(name), clones(params), grads)
        got = run(mine(name), clones(params), grads)
    finally:
        torch.set_default_dtype(before)
    assert worst(got, exact) <= 1e-12
