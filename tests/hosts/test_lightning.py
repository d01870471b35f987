"""Lightning: `configure_optimizers` returns ours; the backward pass runs in the closure of its step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hosts.common import BOUND, STEPS, batch, host, largest_difference, loss_of, model


def module(cls: Any, **keywords: Any) -> Any:
    torch, lightning = host("torch"), host("pytorch_lightning")

    class Perceptron(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = model()

        def training_step(self, batch: Any, _: int) -> Any:
            x, y = batch
            return torch.nn.functional.cross_entropy(self.net(x), y)

        def configure_optimizers(self) -> Any:
            optimizer = cls(self.parameters(), lr=0.01, **keywords)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 3)]

        def train_dataloader(self) -> Any:
            x, y = batch(0, 8 * STEPS)
            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)

    return Perceptron()


def trainer(folder: Path, epochs: int, **options: Any) -> Any:
    return host("pytorch_lightning").Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_fit_trains_as_with_torchs_own_class(tmp_path: Path) -> None:
    torch, ours = host("torch"), host("fastopt.torch")
    modules = []
    for cls in (torch.optim.AdamW, ours.AdamW):
        modules.append(module(cls))
        trainer(tmp_path, 2, gradient_clip_val=0.5, accumulate_grad_batches=2).fit(modules[-1])
    assert largest_difference(modules[0].parameters(), modules[1].parameters()) < BOUND


def test_resumed_from_a_checkpoint(tmp_path: Path) -> None:
    AdamW = host("fastopt.torch").AdamW
    half, whole, resumed = (module(AdamW) for _ in range(3))
    fitting = trainer(tmp_path, 1)
    fitting.fit(half)
    fitting.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, 2).fit(whole)
    trainer(tmp_path, 2).fit(resumed, ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert largest_difference(whole.parameters(), resumed.parameters()) == 0


def test_what_is_ours_is_reached_through_the_trainer(tmp_path: Path) -> None:
    AdamW = host("fastopt.torch").AdamW
    fitted = module(AdamW, clip_norm=0.5, ema_decay=0.9)
    fitting = trainer(tmp_path, 1)
    fitting.fit(fitted)
    (optimizer,) = fitting.optimizers
    assert isinstance(optimizer, AdamW)
    assert optimizer.grad_norm > 0
    last = loss_of(fitted.net, 0).item()
    with optimizer.ema_weights():
        assert loss_of(fitted.net, 0).item() != last
    assert loss_of(fitted.net, 0).item() == last
