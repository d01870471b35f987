"""`transformers.Trainer`: an optimizer made before, or a class for it to make; tiny random models, no hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hosts.common import BOUND, STEPS, host, largest_difference

ROWS, LENGTH, WORDS = 8, 12, 61


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def language_model(kind: str) -> Any:
    transformers = host("transformers")
    host("torch").manual_seed(0)
    if kind == "gpt2":
        return transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=WORDS, n_positions=LENGTH, n_embd=16, n_layer=2, n_head=2)
        )
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=WORDS,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=LENGTH,
        )
    )


def sentences() -> list[dict[str, Any]]:
    torch = host("torch")
    words = torch.randint(0, WORDS, (ROWS * STEPS, LENGTH), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "labels": row} for row in words]


def trained(net: Any, folder: Path, resume: Any = None, **more: Any) -> Any:
    """The trainer, after ten steps of batches of eight."""
    transformers = host("transformers")
    options = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=ROWS,
        max_steps=STEPS,
        learning_rate=0.01,
        max_grad_norm=1.0,
        save_steps=STEPS // 2,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(net, options, train_dataset=sentences(), **more)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_an_optimizer_that_is_given(kind: str, tmp_path: Path) -> None:
    torch, ours = host("torch"), host("fastopt.torch")
    nets = []
    for cls in (torch.optim.AdamW, ours.AdamW):
        net = language_model(kind)
        optimizer = cls(net.parameters(), lr=0.01, weight_decay=0.1)
        trained(net, tmp_path / cls.__module__, optimizers=(optimizer, None))
        nets.append(net)
    assert (
        largest_difference(nets[0].parameters(), nets[1].parameters()) < 10 * BOUND
    )  # lr is a tenth of weights


def test_a_class_that_is_given_and_a_checkpoint(tmp_path: Path) -> None:
    AdamW = host("fastopt.torch").AdamW
    made = {"optimizer_cls_and_kwargs": (AdamW, {"lr": 0.01, "betas": (0.9, 0.99)})}
    whole, resumed = language_model("gpt2"), language_model("gpt2")
    trainer = trained(whole, tmp_path, **made)
    assert isinstance(trainer.optimizer.optimizer, AdamW)
    trained(resumed, tmp_path, resume=str(tmp_path / f"checkpoint-{STEPS // 2}"), **made)
    assert largest_difference(whole.parameters(), resumed.parameters()) == 0
