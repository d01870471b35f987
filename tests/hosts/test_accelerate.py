"""Accelerate: `prepare` wraps the optimizer; accumulation, clipping, saved states go through the wrapper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hosts.common import BOUND, STEPS, batch, host, largest_difference, model


def rows(count: int) -> Any:
    """A data set of single rows."""
    x, y = batch(0, count)
    return host("torch").utils.data.TensorDataset(x, y)


def prepared(cls: Any, **options: Any) -> tuple[Any, ...]:
    """Accelerator, model, optimizer, loader and scheduler, as a script makes them."""
    torch, accelerate = host("torch"), host("accelerate")
    accelerate.state.AcceleratorState._reset_state(True)  # one process, many accelerators
    accelerator = accelerate.Accelerator(cpu=True, **options)
    net = model()
    optimizer = cls(net.parameters(), lr=0.01, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=STEPS)
    loader = torch.utils.data.DataLoader(rows(8 * STEPS), batch_size=8)
    return (accelerator, *accelerator.prepare(net, optimizer, loader, scheduler))


def train(accelerator: Any, net: Any, optimizer: Any, loader: Any, scheduler: Any) -> None:
    for x, y in loader:
        with accelerator.accumulate(net):
            loss = host("torch").nn.functional.cross_entropy(net(x), y)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()


@pytest.mark.parametrize(
    "options", [{}, {"gradient_accumulation_steps": 2}, {"mixed_precision": "bf16"}], ids=str
)
def test_a_prepared_optimizer_trains_as_torchs_own(options: dict[str, Any]) -> None:
    torch, ours = host("torch"), host("fastopt.torch")
    nets = []
    for cls in (torch.optim.AdamW, ours.AdamW):
        everything = prepared(cls, **options)
        train(*everything)
        nets.append(everything[1])
        assert isinstance(everything[2].optimizer, cls)
    assert largest_difference(nets[0].parameters(), nets[1].parameters()) < BOUND


def test_save_state_and_load_state(tmp_path: Path) -> None:
    AdamW = host("fastopt.torch").AdamW
    accelerator, net, *rest = prepared(AdamW)
    train(accelerator, net, *rest)
    accelerator.save_state(str(tmp_path))
    train(accelerator, net, *rest)

    accelerator, again, *rest = prepared(AdamW)
    accelerator.load_state(str(tmp_path))
    train(accelerator, again, *rest)
    assert largest_difference(net.parameters(), again.parameters()) == 0
