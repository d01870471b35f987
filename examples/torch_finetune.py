"""Fine-tuning a small transformer, with torch.optim.AdamW and then with ours: one line differs.

The text is on every machine: the reference of Python's own help(), `pydoc_data.topics`. The model reads
characters. It is trained on most topics, and then, with a smaller rate, a fresh optimizer and half of it
frozen, on some that are new. Prints the loss on a held-out part of these before and after.

Draws torch_finetune.png with --out.
"""

from __future__ import annotations

import itertools
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor, nn
from torch_twice import Clock, draw, options, same, twice

WIDTH, LAYERS, HEADS, LENGTH, ROWS = 128, 4, 4, 64, 8
PRETRAINING, TUNING = 160, 70
LAST = ("formatstrings", "string-methods", "operator-summary")


def characters(text: str) -> Tensor:
    """ASCII codes; what is not ASCII becomes a question mark."""
    return torch.frombuffer(bytearray(text.encode("ascii", "replace")), dtype=torch.uint8).long()


def read() -> tuple[Tensor, Tensor, Tensor]:
    """The texts to begin with, to tune on and to measure on."""
    first = "\n".join(text for name, text in sorted(topics.items()) if name not in LAST)
    last = characters("\n".join(topics[name] for name in LAST))
    cut = len(last) * 4 // 5
    return characters(first), last[:cut], last[cut:]


class Block(nn.Module):
    """Attention to what came before, then two layers; each adds to the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(rows, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
        return x + self.mlp(self.norms[1](x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(128, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 128)
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Embedding)):
                nn.init.normal_(layer.weight, std=0.05)

    def forward(self, text: Tensor) -> Tensor:
        x = self.letters(text) + self.places.weight[: text.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def loss_of(model: nn.Module, text: Tensor, begins: Tensor) -> Tensor:
    """The mean loss of the next character, over excerpts of the text."""
    rows = text[begins[:, None] + torch.arange(LENGTH + 1)]
    return nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


def measured(model: nn.Module, text: Tensor) -> float:
    with torch.no_grad():
        return loss_of(model, text, torch.arange(0, len(text) - LENGTH - 1, LENGTH)).item()


def fit(model: nn.Module, text: Tensor, AdamW: Any, lr: float, steps: int, clock: Clock) -> list[float]:
    """Train as one does: decay for matrices only, warm-up and cosine, the gradient's norm clipped."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in wanted if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.2)
    losses = []
    for _ in range(steps):
        loss = loss_of(model, text, torch.randint(0, len(text) - LENGTH - 1, (ROWS,)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(wanted, 1.0)
        with clock:
            optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def train(AdamW: Any, clock: Clock) -> list[float]:
    first, last, held_out = read()
    model = Transformer()
    losses = fit(model, first, AdamW, 1.5e-3, PRETRAINING, clock)
    before = measured(model, held_out)
    for p in itertools.chain(model.letters.parameters(), model.blocks[: LAYERS // 2].parameters()):
        p.requires_grad_(False)
    losses += fit(model, last, AdamW, 1e-3, TUNING, clock)
    after = measured(model, held_out)
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{count} parameters, loss on held-out text: {before:.4f} before tuning, {after:.4f} after",
        flush=True,
    )
    return [*losses, before, after]


def main() -> None:
    args = options(__doc__)
    before, after = twice("AdamW", train)
    same(before, after, 1e-4)
    if not after[-1] < after[-2]:
        raise SystemExit("tuning did not help")
    if args.out:
        title = f"A small transformer, AdamW: new text and rate from step {PRETRAINING}"
        losses = before[:-2], after[:-2]
        draw(args.out, "torch_finetune", losses, title, xlabel="step", ylabel="loss of the batch")


if __name__ == "__main__":
    main()
