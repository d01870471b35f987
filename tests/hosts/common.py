"""What the tests of the hosts share: who is there, a small model, and the same training with either class."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from typing import Any

import pytest

REQUIRED = os.environ.get("FASTOPT_REQUIRE_HOSTS") == "1"
STEPS = 10
#: Parameters after ten steps with our class and with torch's: both round in float32.
BOUND = 1e-6


def host(name: str) -> Any:
    """A module of a host; without it the test skips, or fails where FASTOPT_REQUIRE_HOSTS=1."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if REQUIRED:
            raise
        pytest.skip(f"no {name.partition('.')[0]} here: make hosts")


def model(seed: int = 0) -> Any:
    """A perceptron with more than one shape, always the same."""
    nn = host("torch").nn
    host("torch").manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 3))


def batch(number: int, rows: int = 8) -> tuple[Any, Any]:
    """Inputs and labels of a batch, the same for the same number."""
    torch = host("torch")
    source = torch.Generator().manual_seed(100 + number)
    return torch.randn(rows, 6, generator=source), torch.randint(0, 3, (rows,), generator=source)


def loss_of(net: Any, number: int, device: str = "cpu") -> Any:
    """The loss, in float32 also where the network answers in another precision."""
    x, y = (tensor.to(device) for tensor in batch(number))
    return host("torch").nn.functional.cross_entropy(net(x).float(), y)


def largest_difference(some: Iterable[Any], others: Iterable[Any]) -> float:
    """Over pairs of tensors, of which each may be a DTensor."""
    whole = [[t.full_tensor() if hasattr(t, "full_tensor") else t for t in ts] for ts in (some, others)]
    pairs = zip(*whole, strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)
