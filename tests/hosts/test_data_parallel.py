"""DistributedDataParallel and ZeroRedundancyOptimizer: two processes, each with half of every batch."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from hosts.common import BOUND, STEPS, host, largest_difference, loss_of, model
from hosts.processes import run_in_processes

#: Name of the class, and keywords that bring in what it has of state.
RULES: list[tuple[str, dict[str, Any]]] = [
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
]


def train(make: Any, **keywords: Any) -> tuple[Any, Any]:
    """Ten steps of a model in DDP with the optimizer that `make` makes of its parameters."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    net = DistributedDataParallel(model(), gradient_as_bucket_view=True)
    optimizer = make(net.parameters(), **keywords)
    for i in range(STEPS):
        optimizer.zero_grad()
        loss_of(net, 2 * i + dist.get_rank()).backward()
        optimizer.step()
    return net, optimizer


def sharded(cls: Any, **more: Any) -> Any:
    from torch.distributed.optim import ZeroRedundancyOptimizer

    return lambda params, **keywords: ZeroRedundancyOptimizer(params, cls, **more, **keywords)


def both_ways(_: Path) -> None:
    import torch
    import torch.distributed as dist

    import fastopt.torch

    for name, keywords in RULES:
        theirs, ours = getattr(torch.optim, name), getattr(fastopt.torch, name)
        expected, _ = train(theirs, **keywords)
        replicated, _ = train(ours, **keywords)
        assert largest_difference(replicated.parameters(), expected.parameters()) < BOUND, name
        # With views, the parameters move into buckets after the optimizer has been made.
        for views in (False, True):
            net, optimizer = train(sharded(ours, parameters_as_bucket_view=views), **keywords)
            assert largest_difference(net.parameters(), expected.parameters()) < BOUND, (name, views)
            stored = sum(t.numel() for state in optimizer.optim.state.values() for t in state.values())
            whole = sum(p.numel() for p in net.parameters())
            assert 0 < stored < whole * len(optimizer.optim.state[next(iter(optimizer.optim.state))])
        shares = [torch.zeros(1) for _ in range(dist.get_world_size())]
        dist.all_gather(shares, torch.tensor([float(len(optimizer.optim.state))]))
        assert int(sum(shares)) == len(list(net.parameters()))


def saved(_: Path) -> None:
    """The state, collected on one process, goes into a new ZeroRedundancyOptimizer and into torch's class."""
    import torch
    import torch.distributed as dist

    import fastopt.torch

    keywords = {"lr": 0.01, "weight_decay": 0.1}
    net, optimizer = train(sharded(fastopt.torch.AdamW), **keywords)
    optimizer.consolidate_state_dict(to=0)
    box = [optimizer.state_dict() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    again, other = model(), model()
    for copy in (again, other):
        copy.load_state_dict(net.module.state_dict())
    opts = [
        sharded(fastopt.torch.AdamW)(again.parameters(), **keywords),
        torch.optim.AdamW(other.parameters(), **keywords),
    ]
    for copy, opt in zip((again, other), opts, strict=True):
        opt.load_state_dict(deepcopy(box[0]))  # ZeroRedundancyOptimizer empties what it is given
        for i in range(STEPS):
            opt.zero_grad()
            loss_of(copy, 50 + i).backward()  # the same batches everywhere
            opt.step()
    assert largest_difference(again.parameters(), other.parameters()) < BOUND


def few_parameters(_: Path) -> None:
    """A process without parameters has a group without any, and steps all the same."""
    import torch

    from fastopt.torch import AdamW

    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = sharded(AdamW)([weight], lr=0.1)
    for _ in range(3):
        weight.grad = 2 * weight.detach()
        optimizer.step()
    twin = torch.nn.Parameter(torch.ones(3))
    reference = torch.optim.AdamW([twin], lr=0.1)
    for _ in range(3):
        twin.grad = 2 * twin.detach()
        reference.step()
    assert largest_difference([weight], [twin]) < BOUND


def test_parameters_are_those_of_torchs_own_class(tmp_path: Path) -> None:
    host("torch")
    run_in_processes(tmp_path, both_ways)


def test_the_collected_state_continues_and_a_process_may_have_no_parameter(tmp_path: Path) -> None:
    host("torch")
    run_in_processes(tmp_path, saved, few_parameters)
