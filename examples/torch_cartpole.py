"""Reinforcement learning: a pole on a cart learns to stand, with torch.optim.Adam and with ours.

The physics are here (Barto, Sutton and Anderson 1983): no simulator is needed. Many carts run at once; an
episode ends when the pole has fallen by 12 degrees, the cart has left its track, or 200 steps are over. The
gradient is that of the expected reward (REINFORCE), each action weighted by how much more came after it than
the critic had expected.

Draws torch_cartpole.png with --out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch_twice import Clock, draw, options, twice

CARTS, LIMIT, ROUNDS, DISCOUNT = 32, 200, 100, 0.98
LEARNED = 190  # mean length of the last five rounds
GRAVITY, CART, POLE, HALF, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
EDGE, FALLEN = 2.4, math.radians(12)


def moved(state: Tensor, right: Tensor) -> Tensor:
    """Position, speed, angle and its speed of each cart, 0.02 s after a push to the right or to the left."""
    x, v, angle, turn = state.unbind(1)
    force = FORCE * (2 * right - 1)
    sin, cos = angle.sin(), angle.cos()
    push = (force + POLE * HALF * turn**2 * sin) / (CART + POLE)
    turning = (GRAVITY * sin - cos * push) / (HALF * (4 / 3 - POLE * cos**2 / (CART + POLE)))
    speeding = push - POLE * HALF * turning * cos / (CART + POLE)
    return torch.stack(
        (x + SECONDS * v, v + SECONDS * speeding, angle + SECONDS * turn, turn + SECONDS * turning), dim=1
    )


def episodes(actor: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """States, actions, and which carts were still running, of shape (steps, carts, ...)."""
    state = 0.1 * torch.rand(CARTS, 4) - 0.05
    running = torch.ones(CARTS, dtype=torch.bool)
    states: list[Tensor] = []
    actions: list[Tensor] = []
    alive: list[Tensor] = []
    while len(states) < LIMIT and running.any():
        with torch.no_grad():
            right = (torch.rand(CARTS) < actor(state)[:, 0].sigmoid()).float()
        states.append(state)
        actions.append(right)
        alive.append(running)
        state = moved(state, right)
        running = running & (state[:, 0].abs() < EDGE) & (state[:, 2].abs() < FALLEN)
    return torch.stack(states), torch.stack(actions), torch.stack(alive).float()


def returns(alive: Tensor) -> Tensor:
    """What follows each step: one for every step that the pole still stands, later ones discounted."""
    total, following = torch.zeros(CARTS), []
    for standing in alive.flip(0):
        total = standing * (1 + DISCOUNT * total)
        following.append(total)
    return torch.stack(following).flip(0)


def loss_of(actor: nn.Module, critic: nn.Module, states: Tensor, actions: Tensor, alive: Tensor) -> Tensor:
    follows = returns(alive) * (1 - DISCOUNT)
    expected = critic(states)[..., 0]
    better = follows - expected.detach()
    better = (better / (better[alive > 0].std() + 1e-6)).clamp(-3, 3)
    surprise = nn.functional.binary_cross_entropy_with_logits(
        actor(states)[..., 0], actions, reduction="none"
    )
    each = better * surprise + (follows - expected) ** 2
    return (alive * each).sum() / alive.sum()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def train(Adam: Any, clock: Clock) -> list[float]:
    """The mean length of the episodes, round by round, until the pole stands."""
    actor, critic = network(), network()
    optimizer = Adam([*actor.parameters(), *critic.parameters()], lr=0.005)
    lengths = []
    for number in range(ROUNDS):
        states, actions, alive = episodes(actor)
        lengths.append(alive.sum().item() / CARTS)
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(actor, critic, states, actions, alive).backward()
            with clock:
                optimizer.step()
        learned = recent(lengths) >= LEARNED
        if learned or number % 10 == 9:
            print(f"round {number + 1}: {lengths[-1]:.0f} of {LIMIT} steps", flush=True)
        if learned:
            break
    return lengths


def recent(lengths: list[float]) -> float:
    return sum(lengths[-5:]) / 5


def main() -> None:
    # Actions are drawn: a difference in the last digit of a probability may turn one, and all that follows.
    args = options(__doc__)
    runs = twice("Adam", train)
    for name, lengths in zip(("torch", "fastopt"), runs, strict=True):
        first, last = lengths[0], recent(lengths)
        print(f"{name}: the pole stood for {first:.0f} steps, after {len(lengths)} rounds for {last:.0f}")
        if not last >= LEARNED:
            raise SystemExit(f"{name}: the pole still falls, after {last} steps")
    if args.out:
        title = "A pole on a cart, Adam"
        draw(args.out, "torch_cartpole", runs, title, xlabel="round", ylabel="steps that the pole stands")


if __name__ == "__main__":
    main()
