"""Stable-Baselines3: `optimizer_class` in `policy_kwargs`, on CartPole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hosts.common import BOUND, host, largest_difference


def learned(method: str, cls: Any) -> Any:
    """After 256 steps of the environment. eps is stated: for torch.optim.Adam alone it would be 1e-5."""
    baselines = host("stable_baselines3")
    sizes = {"n_steps": 64, "batch_size": 32, "n_epochs": 2} if method == "PPO" else {"n_steps": 16}
    policy = {"optimizer_class": cls, "optimizer_kwargs": {"eps": 1e-5}}
    agent = getattr(baselines, method)(
        "MlpPolicy", "CartPole-v1", policy_kwargs=policy, seed=1, device="cpu", learning_rate=1e-3, **sizes
    )
    return agent.learn(256)


@pytest.mark.parametrize("method", ["PPO", "A2C"])
def test_an_agent_learns_as_with_torchs_own_class(method: str) -> None:
    torch, ours = host("torch"), host("fastopt.torch")
    theirs, agent = learned(method, torch.optim.Adam), learned(method, ours.Adam)
    assert isinstance(agent.policy.optimizer, ours.Adam)
    assert largest_difference(theirs.policy.parameters(), agent.policy.parameters()) < 10 * BOUND


def test_saved_and_loaded(tmp_path: Path) -> None:
    ours = host("fastopt.torch")
    agent = learned("A2C", ours.Adam)
    agent.save(tmp_path / "agent.zip")
    again = type(agent).load(tmp_path / "agent.zip", device="cpu")
    assert isinstance(again.policy.optimizer, ours.Adam)
    assert largest_difference(agent.policy.parameters(), again.policy.parameters()) == 0
    saved, loaded = agent.policy.optimizer.state_dict(), again.policy.optimizer.state_dict()
    assert saved["state"].keys() == loaded["state"].keys() != set()
    for i, state in saved["state"].items():
        assert largest_difference(state.values(), loaded["state"][i].values()) == 0
