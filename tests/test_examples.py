"""The examples run; those with pictures write them, those for PyTorch compare two optimizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from witness import require_torch

EXAMPLES = Path(__file__).parents[1] / "examples"

#: Script, options that keep it short, pictures.
RUNS = [
    ("batches", [], ["batches.png"]),
    ("choosing", ["--quick"], ["choosing.png", "settings.png"]),
    ("conjugate", [], ["conjugate.png"]),
    ("fewer_bytes", ["--quick"], ["fewer_bytes.png"]),
    ("minimum_ratio", ["--quick"], ["minimum_ratio.png"]),
    ("networks", [], ["networks.png", "starting.png"]),
    ("race", ["--no-animation"], ["momentum.png", "race.png"]),
    ("saddle", [], ["saddle.png"]),
    ("stalling", [], ["rates.png", "stalling.png"]),
    ("surface", [], ["surface.png"]),
]


@pytest.mark.parametrize(("script", "options", "pictures"), RUNS, ids=[run[0] for run in RUNS])
def test_an_example_writes_its_pictures(script, options, pictures, tmp_path):
    pytest.importorskip("matplotlib")
    printed(script, "--out", tmp_path, *options)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(pictures)
    for picture in pictures:
        data = (tmp_path / picture).read_bytes()
        assert data[:4] in (b"\x89PNG", b"GIF8")
        assert len(data) < 400_000


@pytest.mark.parametrize("script", ["torch_cartpole", "torch_finetune", "torch_recommender"])
def test_an_example_for_torch_is_the_same_before_and_after(script, tmp_path):
    """The scripts themselves fail where losses differ or nothing is learned."""
    require_torch()
    pytest.importorskip("matplotlib")
    said = printed(script, "--out", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [f"{script}.png"]
    for line in ("-from torch.optim import Adam", "+from fastopt.torch import Adam"):
        assert line in said
    assert said.count("s in optimizer.step(): ") == 2


def printed(script, *options):
    command = [sys.executable, EXAMPLES / f"{script}.py", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_committed_pictures_are_small():
    sizes = {p.name: p.stat().st_size for p in (EXAMPLES / "pictures").iterdir()}
    assert max(sizes.values()) < 400_000, sizes
