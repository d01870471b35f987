"""Schedule-Free and Prodigy for PyTorch: the modes, and numbers that all tensors share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastopt
from torch_door.door import equal, mine, model, ours_alone, torch

pytestmark = ours_alone
CLASSES = ["ScheduleFreeAdamW", "ScheduleFreeRAdam", "ScheduleFreeSGD"]
RATES = {"ScheduleFreeAdamW": 0.05, "ScheduleFreeRAdam": 0.05, "ScheduleFreeSGD": 0.1}
STORAGE: list[tuple[Any, dict[str, Any]]] = [
    (torch.float32, {}),
    (torch.float64, {"ema_decay": 0.9}),
    (torch.bfloat16, {}),
    (torch.bfloat16, {"master": "split16"}),
    (torch.bfloat16, {"rounding": "kahan"}),
    (torch.float16, {"rounding": "stochastic"}),
]


def trained(name: str, dtype: Any = torch.float32, steps: int = 7, **more: Any) -> tuple[Any, Any, Any]:
    net, loss_of = model(dtype=dtype)
    opt = mine(name)(net.parameters(), lr=RATES[name], **more)
    train(opt, loss_of, steps)
    return net, loss_of, opt


def train(opt: Any, loss_of: Any, steps: int) -> None:
    for _ in range(steps):
        opt.zero_grad()
        loss_of().backward()
        opt.step()


def copies(net: Any) -> list[Any]:
    return [p.detach().clone() for p in net.parameters()]


@pytest.mark.parametrize("name", CLASSES)
def test_the_exchange_is_that_of_the_numpy_class(name: str) -> None:
    net, loss_of = model(dtype=torch.float64)
    arrays = [p.detach().numpy().copy() for p in net.parameters()]
    opt = mine(name)(net.parameters(), lr=RATES[name])
    twin = getattr(fastopt, name)(arrays, lr=RATES[name])
    for call in ("eval", "train", "step", "eval", "eval", "train", "train", "step", "eval"):
        if call == "step":
            for _ in range(6):
                opt.zero_grad()
                loss_of().backward()
                twin.step([p.grad.numpy() for p in net.parameters()])
                opt.step()
        else:
            getattr(opt, call)()
            getattr(twin, call)()
        assert opt.train_mode == twin.train_mode
        for p, a in zip(net.parameters(), arrays, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), a)


@pytest.mark.parametrize(("dtype", "options"), STORAGE, ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_the_context_gives_back_every_bit(name: str, dtype: Any, options: dict[str, Any]) -> None:
    net, loss_of, opt = trained(name, dtype, **options)
    twin_net, twin_loss, twin = trained(name, dtype, **options)
    before = copies(net)
    with opt.averaged_weights():
        assert not equal(list(net.parameters()), before)
        assert not opt.train_mode
        for call in (opt.train, opt.eval, opt.averaged_weights().__enter__, opt.step):
            with pytest.raises(RuntimeError):
                call()
    assert equal(list(net.parameters()), before)
    train(opt, loss_of, 3)
    train(twin, twin_loss, 3)
    assert equal(list(net.parameters()), list(twin_net.parameters()))


@pytest.mark.parametrize("name", CLASSES)
def test_no_step_is_taken_between_eval_and_train(name: str) -> None:
    net, loss_of, opt = trained(name)
    version = next(net.parameters())._version
    opt.eval()
    assert next(net.parameters())._version > version
    at_rest = copies(net)
    opt.eval()
    for hooked in (False, True):
        if hooked:
            opt.register_step_pre_hook(lambda *_: None)
        with pytest.raises(RuntimeError, match=r"step\(\): .* call train\(\) before the next step"):
            opt.step()
    assert equal(list(net.parameters()), at_rest)
    opt.train()
    train(opt, loss_of, 1)


@pytest.mark.parametrize("how", ["state_dict", "copy"])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CLASSES)
def test_the_mode_goes_with_the_state(name: str, mode: str, how: str) -> None:
    net, loss_of, opt = trained(name)
    getattr(opt, mode)()
    if how == "copy":
        other, twin = copy.deepcopy((net, opt))
    else:
        other, _ = model(1)
        other.load_state_dict(net.state_dict())
        twin = mine(name)(other.parameters(), lr=0.3)
        twin.load_state_dict(copy.deepcopy(opt.state_dict()))  # which shares its tensors
    assert twin.train_mode == (mode == "train")
    for side, module in ((opt, net), (twin, other)):
        side.train()
        for p in module.parameters():
            p.grad = torch.ones_like(p)
        side.step()
    assert equal(list(net.parameters()), list(other.parameters()))
    train(opt, loss_of, 1)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CLASSES)
def test_states_of_the_numpy_class_and_back(name: str, mode: str) -> None:
    net, _, opt = trained(name, torch.float64)
    getattr(opt, mode)()
    arrays = [p.detach().numpy().copy() for p in net.parameters()]
    there = getattr(fastopt, name)(arrays, lr=0.3)
    there.load_state_dict(opt.state_dict())
    assert there.train_mode == opt.train_mode
    back_net = copy.deepcopy(net)
    back = mine(name)(back_net.parameters(), lr=0.3)
    back.load_state_dict(there.state_dict())
    assert back.train_mode == opt.train_mode
    for side in (opt, there, back):
        side.train()
    for module in (net, back_net):
        for p in module.parameters():
            p.grad = torch.ones_like(p)
    opt.step()
    back.step()
    there.step([np.ones_like(a) for a in arrays])
    assert equal(list(net.parameters()), list(back_net.parameters()))
    for p, a in zip(net.parameters(), arrays, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), a)


def test_a_group_that_is_added_has_the_mode_of_the_others() -> None:
    _, _, opt = trained("ScheduleFreeSGD")
    opt.eval()
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    assert not opt.param_groups[-1]["train_mode"]
    opt.train()
    assert all(group["train_mode"] for group in opt.param_groups)


@pytest.mark.parametrize("gaps", [False, True])
def test_prodigys_numbers_are_everybodys(gaps: bool) -> None:
    """Also of tensors that have no gradient for a while; as the NumPy class, and through a state dict."""
    whole = [torch.zeros(4, 6, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)]
    params = [torch.nn.Parameter(w[..., ::2] if gaps else w) for w in whole]
    arrays = [p.detach().numpy().copy() for p in params]
    opt, twin = mine("Prodigy")(params, d0=1e-2), fastopt.Prodigy(arrays, d0=1e-2)
    for k in range(12):
        grads = [a - 1 + 0.1 * k for a in arrays]
        for i, p in enumerate(params):
            p.grad = None if (i, k % 3) == (1, 1) else torch.tensor(grads[i])
        twin.step([None if p.grad is None else g for p, g in zip(params, grads, strict=True)])
        opt.step()
        for i, p in enumerate(params):
            np.testing.assert_array_equal(p.detach().numpy(), arrays[i])
            assert {k: float(opt.state[p][k]) for k in ("d", "d_max", "d_numerator", "k")} == {
                k: twin.state[i][k] for k in ("d", "d_max", "d_numerator", "k")
            }
        if k == 7:
            saved = opt.state_dict()
            opt = mine("Prodigy")(params, d0=1e-2)
            opt.load_state_dict(saved)
    assert float(opt.state[params[0]]["d"]) > 1e-2
    assert opt.state[params[0]]["d"].dtype == torch.float64
