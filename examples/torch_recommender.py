"""A recommender: who will like what, from vectors of users and of items, before and after one changed line.

Ratings are made up, but have what real ones have: tastes and genres that go together, users who rate kindly
and users who do not, popular items that are rated more often, and noise. The model multiplies vectors (matrix
factorisation) and corrects for both biases. Gradients of its tables are dense: every step of the optimizer
passes over all users and items, whoever is in the batch.

Draws torch_recommender.png with --out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_twice import Clock, draw, options, same, twice

USERS, ITEMS, GENRES, WIDTH = 20_000, 2_000, 6, 8
RATINGS, BATCH, EPOCHS = 800_000, 4_096, 4
NOISE = 0.5


class Ratings(NamedTuple):
    user: Tensor
    item: Tensor
    stars: Tensor


def made_up() -> tuple[Ratings, Ratings]:
    """Ratings to train on and to test on."""
    source = torch.Generator().manual_seed(1)
    taste = torch.randn(USERS, GENRES, generator=source)
    genre = torch.softmax(3 * torch.randn(ITEMS, GENRES, generator=source), dim=1)
    kindness = 0.4 * torch.randn(USERS, generator=source)
    quality = 0.4 * torch.randn(ITEMS, generator=source)
    popular = 1 / torch.arange(10, ITEMS + 10) ** 0.7
    user = torch.randint(0, USERS, (RATINGS,), generator=source)
    item = torch.multinomial(popular, RATINGS, replacement=True, generator=source)
    liking = (taste[user] * genre[item]).sum(1) + kindness[user] + quality[item]
    stars = 3.5 + liking + NOISE * torch.randn(RATINGS, generator=source)
    cut = RATINGS * 9 // 10
    return Ratings(user[:cut], item[:cut], stars[:cut]), Ratings(user[cut:], item[cut:], stars[cut:])


class Recommender(nn.Module):
    def __init__(self, mean: float) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(USERS, WIDTH), nn.Embedding(ITEMS, WIDTH)
        self.kindness, self.quality = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)
        self.mean = nn.Parameter(torch.tensor(mean))  # a parameter of no dimension
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.kindness, self.quality):
            nn.init.zeros_(table.weight)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        together = (self.users(user) * self.items(item)).sum(1)
        return self.mean + together + self.kindness(user)[:, 0] + self.quality(item)[:, 0]


def error(model: nn.Module, ratings: Ratings) -> float:
    """The root mean square of what predictions miss by, in stars."""
    with torch.no_grad():
        return math.sqrt(nn.functional.mse_loss(model(ratings.user, ratings.item), ratings.stars).item())


def train(AdamW: Any, clock: Clock) -> list[float]:
    known, unknown = made_up()
    model = Recommender(known.stars.mean().item())
    optimizer = AdamW(model.parameters(), lr=0.02, weight_decay=0.1)
    errors = [error(model, unknown)]
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(known.stars)).split(BATCH):
            loss = nn.functional.mse_loss(model(known.user[rows], known.item[rows]), known.stars[rows])
            optimizer.zero_grad()
            loss.backward()
            with clock:
                optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] /= 2
        errors.append(error(model, unknown))
        print(f"epoch {epoch + 1}: misses unknown ratings by {errors[-1]:.4f} stars", flush=True)
    return errors


def main() -> None:
    args = options(__doc__)
    before, after = twice("AdamW", train)
    same(before, after, 1e-4)
    print(f"the mean alone misses by {after[0]:.2f}, the noise that nobody can know is {NOISE}")
    if not after[-1] < 0.75 * after[0]:
        raise SystemExit("nothing was learned")
    if args.out:
        labels = {"xlabel": "epoch", "ylabel": "error of unknown ratings, stars"}
        draw(args.out, "torch_recommender", (before, after), "A recommender, AdamW", **labels)


if __name__ == "__main__":
    main()
