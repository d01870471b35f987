"""Parameters without a shape: of lazy modules that have not run yet. The others go on."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from torch_door.door import EVERY, MOVING, clones, equal, mine, ours_alone, theirs, torch

#: PyTorch's makes the states in the constructor, which takes no parameter without a shape.
MAKES_STATES = ("Adagrad",)
LATE = sorted({*EVERY} - {*MAKES_STATES})


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LazyLinear(2))


def backward(net: Any, whole: bool = True) -> None:
    net.zero_grad()
    torch.manual_seed(1)
    inputs = torch.randn(5, 3)
    ((net(inputs) if whole else net[0](inputs)) ** 2).sum().backward()


def run(make: Any) -> list[Any]:
    net = network()
    opt = make(net.parameters(), lr=0.01)
    for k in range(6):
        backward(net, whole=k >= 2)
        opt.step()
        opt.load_state_dict(copy.deepcopy(opt.state_dict()))
        if k == 0:
            opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    return list(net.parameters())


@pytest.mark.parametrize("name", [name for name in LATE if hasattr(torch.optim, name) and name != "Muon"])
def test_the_others_are_stepped_and_the_lazy_ones_once_they_have_a_shape(name: str) -> None:
    for a, b in zip(run(mine(name)), run(theirs(name)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@ours_alone
@pytest.mark.parametrize("keywords", [{}, {"ema_decay": 0.9, "clip_norm": 1.0}], ids=str)
@pytest.mark.parametrize("name", LATE)
def test_every_class_and_what_comes_on_top(name: str, keywords: dict[str, Any]) -> None:
    net = network()
    opt = mine(name)(net.parameters(), **keywords, **MOVING.get(name, {}))
    for k in range(4):
        backward(net, whole=k >= 2)
        before = clones([net[0].weight])
        opt.step()
        assert k == 0 or not equal(before, [net[0].weight])
        for use in ("ema_weights", "averaged_weights"):
            if (use == "ema_weights" and keywords) or hasattr(opt, "averaged_weights") > (use[0] == "e"):
                with getattr(opt, use)():
                    pass
        opt.load_state_dict(opt.state_dict())
    assert all(opt.state[p] for p in net.parameters()) or name in ("SGD", "SignSGD")


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_states_that_are_loaded_before_there_is_a_shape(name: str) -> None:
    """A run is resumed: the optimizer is filled before the first forward of the new model."""
    keywords = {"lr": 0.1, **({"momentum": 0.9} if name == "SGD" else {})}
    ends = []
    for make in (mine(name), theirs(name)):
        old = network()
        first = make(old.parameters(), **keywords)
        backward(old)
        first.step()
        new = network()
        second = make(new.parameters(), **keywords)
        second.load_state_dict(first.state_dict())
        backward(new, whole=False)
        second.step()
        new.load_state_dict(old.state_dict())
        for _ in range(2):
            backward(new)
            second.step()
        ends.append(list(new.parameters()))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@ours_alone
def test_states_of_the_authors_and_of_arrays_wait_for_the_shape_too() -> None:
    """Where the shape of a parameter says how its states are to be laid out."""
    import numpy as np

    import fastopt

    arrays = [np.ones(shape, np.float32) for shape in ((4, 3), (4,), (2, 4), (2,))]
    arrays_alone = fastopt.AdamW(arrays)
    arrays_alone.step([np.ones_like(a) for a in arrays])
    opt = mine("AdamW")(network().parameters())
    opt.load_state_dict(arrays_alone.state_dict())
    net = network()
    prodigy = mine("Prodigy")(net.parameters())
    backward(net, whole=False)
    prodigy.step()
    saved = prodigy.state_dict()
    again = mine("Prodigy")(network().parameters())
    group = {**saved["param_groups"][0], "d": 1e-6, "d_max": 1e-6, "d_numerator": 0.0, "k": 1}
    state = {0: {"s": torch.zeros(12), "p0": torch.zeros(12), "exp_avg_sq": torch.zeros(4, 3)}}
    state[2] = {"s": torch.zeros(8), "p0": torch.zeros(8), "exp_avg_sq": torch.zeros(2, 4)}
    again.load_state_dict({"state": state, "param_groups": [group]})


@ours_alone
@pytest.mark.parametrize("names", [False, True])
def test_stepping_in_backward_needs_the_shapes(names: bool) -> None:
    from fastopt.torch import step_in_backward

    net = network()
    opt = mine("AdamW")(net.named_parameters() if names else net.parameters())
    label = r"params\[2\] \(1\.weight\)" if names else r"params\[2\]"
    with pytest.raises(ValueError, match=rf"^{label}: has no shape yet: run its lazy module once"):
        step_in_backward(opt)
    backward(net)
    assert all(p.grad is not None for p in net.parameters()), "a refused call has left hooks behind"
    step_in_backward(opt)
    backward(net)
    assert all(p.grad is None for p in net.parameters())
