"""The benchmark scripts: every target has a case that measures it, and the loops compare like with like.

Nothing is timed here: where time is taken, a constant stands in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_step
import bench_training
import common
import large_cases
import numpy as np
import pytest
import step_cases
import thread_cases
from targets import STEP

import fastopt

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
pytestmark = pytest.mark.skipif(common.QUICK, reason="the full benchmark's cases are what is compared")


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """The benchmarks choose numbers of threads for the whole process."""
    before, torch = fastopt.get_num_threads(), sys.modules.get("torch")
    before_torch = torch.get_num_threads() if torch else 1  # as witnesses need it
    yield
    fastopt.set_num_threads(before)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(before_torch)


def measured(calls: Any, **_: Any) -> dict[str, Any]:
    """As `side_by_side`, without measuring: every call runs once."""
    for call in calls.values():
        call()
    names = list(calls)[1:]
    return {
        "seconds": dict.fromkeys(calls, 1.0),
        "ratio": dict.fromkeys(names, 1.0),
        "spread": dict.fromkeys(names, (1.0, 1.0)),
    }


def tiny(n: int, count: int, seed: int = 0) -> list[Any]:
    return list(np.random.default_rng(seed).standard_normal((count, min(n, 8)), dtype=np.float32))


def in_this_process(code: str, **_: str) -> Any:
    """The call that the code would print the result of, made here."""
    found = re.search(r"json\.dumps\((.+)\)\)$", code)
    assert found
    return eval(found[1], {"large_cases": large_cases, "optax_case": None})


@pytest.fixture
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (step_cases, large_cases):
        monkeypatch.setattr(module, "side_by_side", measured)
        monkeypatch.setattr(module, "staggered", tiny)
        monkeypatch.setattr(module, "set_threads", lambda n: None)
        monkeypatch.setattr(module, "torch", None)
    monkeypatch.setattr(large_cases, "in_fresh_process", in_this_process)
    monkeypatch.setattr(large_cases.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(large_cases.os, "sysconf", lambda name: 1 << 20)
    monkeypatch.setattr(step_cases, "missing", lambda package: f"{package}: not installed")
    monkeypatch.setattr(thread_cases, "step_samples", lambda *_: np.ones(4))
    monkeypatch.setattr(thread_cases, "busy_neighbours", lambda count: contextlib.nullcontext())


@pytest.mark.usefixtures("_untimed")
@pytest.mark.parametrize("table", STEP)
def test_every_target_has_a_case(table: str) -> None:
    rows = list(bench_step.cases()[table]())
    cases = [row["case"] for row in rows]
    assert set(STEP[table]) <= set(cases)
    assert len(set(cases)) == len(cases)
    for row in rows:
        for target in STEP[table].get(row["case"], ()):
            assert target.of in row or target.of == "ratio"


def test_the_cases_of_the_step_are_all_there_is() -> None:
    assert set(bench_step.cases()) == set(bench_step.ALL) >= set(STEP)


def test_work_between_the_steps_is_a_training_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    monkeypatch.setattr(common, "training_step", lambda: lambda: passes.append(1))
    samples = common.with_gaps(lambda: None, 0.2, 3)
    assert len(samples) == 3
    assert len(passes) >= 3
    monkeypatch.undo()
    loss, gradients = common.training_step()()  # type: ignore[misc]
    assert loss > 0
    assert all(np.abs(g).max() > 0 for g in gradients)


def test_the_loops_train_the_same_network() -> None:
    pytest.importorskip("torch")
    widths, batch = bench_training.SIZES["small"]
    xs, ys = bench_training.data(widths, batch)
    loops = [
        bench_training.numpy_loop(widths, xs, ys),
        bench_training.torch_loop(widths, xs, ys, ours=False),
        bench_training.torch_loop(widths, xs, ys, ours=True),
    ]
    for count in (1, 40):
        losses = [loop.run(count)[2] for loop in loops]
        np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    assert losses[0] < 2 < np.log(10)


def test_a_training_table_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_training, "QUICK", True)
    monkeypatch.setattr(bench_training, "missing", lambda package: f"{package}: not installed")
    row = bench_training.measure("small", 1)
    machine = {"torch": None, "date": "", "commit": "", "processor": "", "cpus": 1, "level": "v4"}
    text = bench_training.markdown({"machine": machine, "rows": [row]})
    line = next(line for line in text.splitlines() if line.startswith("| training"))
    assert line.count("PyTorch: not installed") == 4
    assert all(cell.strip() for cell in line.split("|")[1:-1])


def test_the_floor_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without it has no such column, and says so."""
    monkeypatch.setattr(step_cases, "core", object())
    theta, grad = tiny(8, 2)
    opt = step_cases.ours("Adam", theta, grad)
    assert step_cases.floor(opt, theta, grad) == {}
    row = step_cases.row("case", measured({"ours": opt.step}))
    assert row["floor_missing"] == common.NO_FLOOR


def recipe() -> str:
    """The front page's block of code for PyTorch."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    return next(block for block in blocks if "import torch" in block)


def test_the_recipe_for_pytorch_trains() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(recipe(), names)
    model, x, y = names["model"], names["x"], names["y"]
    loss = torch.nn.functional.cross_entropy(model(x), y).item()
    assert loss < 2.3, "it did not learn"
    assert all(names["opt"].state[p]["step"] == 20 for p in model.parameters())
    assert names["opt"].param_groups[0]["lr"] < 1e-9, "the schedule has not ended"


@pytest.mark.parametrize("script", [*sorted(p.name for p in BENCH.glob("bench_*.py")), "run.py", "render.py"])
def test_a_script_tells_its_options(script: str) -> None:
    import subprocess

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, str(BENCH / script), "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
