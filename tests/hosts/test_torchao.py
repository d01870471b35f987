"""torchao's CPUOffloadOptimizer: one of our optimizers for each parameter, on copies in host memory.

It needs a GPU for its copies only. Without one, streams and pinned memory are stood in for here, and the
"device" is the CPU: the order of copies, hooks and steps is torchao's own all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from hosts.common import BOUND, STEPS, host, largest_difference, loss_of, model

KEYWORDS: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}


class Stream:
    """Work in order, as it is issued."""

    def wait_stream(self, other: Any) -> None: ...
    def synchronize(self) -> None: ...
    def record_event(self) -> Stream:
        return self


class Stand:
    """torch, but for what needs a GPU."""

    cuda = SimpleNamespace(Stream=Stream, current_stream=Stream, stream=lambda _: nullcontext())

    def __getattr__(self, name: str) -> Any:
        return getattr(host("torch"), name)

    def empty_like(self, tensor: Any, *, pin_memory: bool = False, **keywords: Any) -> Any:
        return host("torch").empty_like(tensor, **keywords)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the model is: on the GPU if there is one."""
    offload = host("torchao.optim.cpu_offload")
    if host("torch").cuda.is_available():
        yield "cuda"
        return
    monkeypatch.setattr(offload, "torch", Stand())
    monkeypatch.setattr(host("torch").Tensor, "record_stream", lambda *_: None)
    monkeypatch.setattr(offload, "get_available_devices", lambda: ["cpu", "cuda"])
    yield "cpu"


def offloaded(params: Any, cls: Any, **more: Any) -> Any:
    # Smaller parameters would stay on the GPU, with an optimizer of the same class: ours is for the CPU.
    return host("torchao.optim").CPUOffloadOptimizer(params, cls, minimal_size=0, **more)


def train(net: Any, optimizer: Any, device: str, begin: int = 0) -> None:
    for i in range(begin, begin + STEPS):
        loss_of(net, i, device).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("offload_gradients", [False, True])
def test_offloaded_training_is_that_of_torchs_own_class(device: str, offload_gradients: bool) -> None:
    torch, ours = host("torch"), host("fastopt.torch")
    nets = []
    for cls in (torch.optim.AdamW, ours.AdamW):
        net = model().to(device)
        groups = [
            {"params": net[0].parameters()},
            {"params": [*net[2].parameters(), *net[3].parameters()], "lr": 0.02},
        ]
        optimizer = offloaded(groups, cls, offload_gradients=offload_gradients, **KEYWORDS)
        train(net, optimizer, device)
        nets.append(net)
    assert len(optimizer.optim_dict) == len(list(net.parameters()))
    assert all(isinstance(one, ours.AdamW) for one in optimizer.optim_dict.values())
    assert largest_difference(nets[0].parameters(), nets[1].parameters()) < BOUND


def test_its_state_continues(device: str) -> None:
    ours = host("fastopt.torch")
    net = model().to(device)
    optimizer = offloaded(net.parameters(), ours.AdamW, **KEYWORDS)
    train(net, optimizer, device)
    again = model().to(device)
    again.load_state_dict(net.state_dict())
    resumed = offloaded(again.parameters(), ours.AdamW, **KEYWORDS)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # loading shares tensors, as in torch
    train(net, optimizer, device, STEPS)
    train(again, resumed, device, STEPS)
    assert largest_difference(net.parameters(), again.parameters()) == 0
