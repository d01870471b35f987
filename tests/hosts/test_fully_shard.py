"""FSDP2 (`fully_shard`): parameters are DTensors, of which each of two processes has half.

With torch.distributed.checkpoint what two processes have saved is loaded by one, and the other way round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hosts.common import BOUND, STEPS, host, largest_difference, loss_of, model
from hosts.processes import run_in_processes

KEYWORDS: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}


def shard(net: Any, **more: Any) -> Any:
    """The model, each of its linear layers and the whole sharded over the processes."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    for layer in (net[0], net[3], net):
        # pinned memory is for a GPU's copies, and does not exist without one
        fully_shard(layer, mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=False), **more)
    return net


def train(net: Any, optimizer: Any, begin: int = 0, clip: float | None = None) -> None:
    """Ten steps, on the same batches in every process."""
    import torch

    for i in range(begin, begin + STEPS):
        optimizer.zero_grad()
        loss_of(net, i).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()


def sharded_training(_: Path) -> None:
    import torch
    from torch.distributed.tensor import DTensor

    import fastopt.torch

    for name, keywords in (("AdamW", KEYWORDS), ("SGD", {"lr": 0.1, "momentum": 0.9})):
        for clip in (None, 0.5):
            whole, net = model(), shard(model())
            train(whole, getattr(torch.optim, name)(whole.parameters(), **keywords), clip=clip)
            optimizer = getattr(fastopt.torch, name)(net.parameters(), **keywords)
            train(net, optimizer, clip=clip)
            assert largest_difference(net.parameters(), whole.parameters()) < BOUND, (name, clip)
            for p, state in optimizer.state.items():
                assert isinstance(p, DTensor)
                for key, value in state.items():
                    assert key == "step" or isinstance(value, DTensor), key
                    assert key == "step" or value.placements == p.placements


def mixed_precision(_: Path) -> None:
    """Parameters and states in float32, forward and gradients in bfloat16, as large models are trained."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    import fastopt.torch

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    nets = [shard(model(), mp_policy=policy) for _ in range(2)]
    for net, library in zip(nets, (torch.optim, fastopt.torch), strict=True):
        optimizer = library.AdamW(net.parameters(), **KEYWORDS)
        train(net, optimizer)
    assert largest_difference(nets[0].parameters(), nets[1].parameters()) < BOUND


def refused(_: Path) -> None:
    """A norm over all of a tensor, or of all gradients, is not to be had from one process's part of them."""
    import pytest

    import fastopt.torch

    for name, keywords, said in (
        ("AdamW", {"clip_norm": 1.0}, "clip_norm"),
        ("SGD", {"lr": 0.1, "nonfinite": "skip"}, "nonfinite='skip'"),
        ("LAMB", {}, "LAMB's norms"),
        ("AdamW", {"cautious": True}, "cautious"),
        ("AdamW", {"centralize": True}, "centralize"),
    ):
        net = shard(model())
        optimizer = getattr(fastopt.torch, name)(net.parameters(), **keywords)
        loss_of(net, 0).backward()
        before = [p.full_tensor().detach().clone() for p in net.parameters()]
        with pytest.raises(ValueError, match=f"^params.0.: is a shard of a DTensor, of which {said}"):
            optimizer.step()
        assert largest_difference(net.parameters(), before) == 0
        assert not any(optimizer.state.values())


def state_of(net: Any, optimizer: Any) -> dict[str, Any]:
    from torch.distributed.checkpoint.state_dict import get_state_dict

    parameters, states = get_state_dict(net, optimizer)
    return {"model": parameters, "optimizer": states}


def restore(net: Any, optimizer: Any, folder: Path) -> None:
    """What torch's documentation says: the state is loaded in place, into states that exist for that."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import set_state_dict

    state = state_of(net, optimizer)
    dcp.load(state, checkpoint_id=folder)
    set_state_dict(net, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])


def save(folder: Path) -> None:
    """Ten steps in as many processes as there are, saved; ten more, whose end is kept for comparison."""
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp

    from fastopt.torch import AdamW

    net = shard(model())
    optimizer = AdamW(net.parameters(), **KEYWORDS)
    train(net, optimizer)
    dcp.save(state_of(net, optimizer), checkpoint_id=folder / "saved")
    train(net, optimizer, begin=STEPS)
    end = [p.full_tensor().detach() for p in net.parameters()]
    if dist.get_rank() == 0:
        torch.save(end, folder / "end.pt")


def load(folder: Path) -> None:
    """The rest of the training with the saved state, sharded over as many processes as there are."""
    import torch

    import fastopt.torch

    expected = torch.load(folder / "end.pt")
    for library in (fastopt.torch, torch.optim):
        net = shard(model(seed=1))
        optimizer = library.AdamW(net.parameters(), lr=0.5)  # all of it comes from the checkpoint
        restore(net, optimizer, folder / "saved")
        train(net, optimizer, begin=STEPS)
        assert largest_difference(net.parameters(), expected) < BOUND, library


def load_unsharded(folder: Path) -> None:
    """One process, a plain model: nothing of the sharding is left."""
    import torch

    from fastopt.torch import AdamW

    net = model(seed=1)
    optimizer = AdamW(net.parameters(), lr=0.5)
    restore(net, optimizer, folder / "saved")
    train(net, optimizer, begin=STEPS)
    assert largest_difference(net.parameters(), torch.load(folder / "end.pt")) < BOUND


def test_shards_are_stepped_where_they_lie(tmp_path: Path) -> None:
    host("torch")
    run_in_processes(tmp_path, sharded_training, mixed_precision, refused)


def test_saved_by_two_continued_by_one(tmp_path: Path) -> None:
    host("torch")
    run_in_processes(tmp_path, save)
    run_in_processes(tmp_path, load, load_unsharded, ranks=1)


def test_saved_by_one_continued_by_two(tmp_path: Path) -> None:
    host("torch")
    run_in_processes(tmp_path, save, ranks=1)
    run_in_processes(tmp_path, load)
