"""What the examples for PyTorch share: the same training with torch's class and with ours, timed.

The examples with `torch_` in their names need the extra `torch` only; with `--out FOLDER` they draw what they
have printed, which needs matplotlib and Pillow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import fastopt
import fastopt.torch


class Clock:
    """The time spent inside ``with clock:``, summed."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.entered = 0

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begun
        self.entered += 1


def warm_up(cls: Any) -> None:
    """The first step and the first backward pass of a process load code, which is nobody's cost."""
    p = torch.nn.Parameter(torch.ones(2, 2))
    (p @ p).sum().backward()
    cls([p], lr=0.1).step()


def twice(name: str, train: Callable[[Any, Clock], list[float]]) -> tuple[list[float], list[float]]:
    """Call ``train(cls, clock)`` with torch's class of this name and with ours; it returns its losses."""
    print(f"-from torch.optim import {name}\n+from fastopt.torch import {name}\n", flush=True)
    torch.set_num_threads(1)  # models as small as these gain nothing from more
    fastopt.set_num_threads(1)
    for library in (torch.optim, fastopt.torch):
        warm_up(getattr(library, name))
    runs, seconds = [], []
    for library in (torch.optim, fastopt.torch):
        torch.manual_seed(0)
        clock, begun = Clock(), time.perf_counter()
        runs.append(train(getattr(library, name), clock))
        whole = time.perf_counter() - begun
        seconds.append(clock.seconds / clock.entered)
        print(
            f"{library.__name__ + '.' + name:22} {whole:6.1f} s for {clock.entered} steps, of these "
            f"{clock.seconds:6.3f} s in optimizer.step(): {100 * clock.seconds / whole:4.1f} %",
            flush=True,
        )
    print(f"one optimizer.step(): {1e6 * seconds[0]:.0f} us before, {1e6 * seconds[1]:.0f} us after")
    return runs[0], runs[1]


def same(before: list[float], after: list[float], tolerance: float) -> None:
    """Say, and insist, that two lists of losses are equal but for rounding."""
    worst = max(abs(a - b) / abs(a) for a, b in zip(before, after, strict=True))
    print(f"losses: equal to {worst:.1e}")
    if not worst <= tolerance:
        raise SystemExit(f"losses: expected a relative difference of at most {tolerance}, got {worst}")


def options(description: str | None) -> argparse.Namespace:
    """Those of the command line."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, help="directory of the picture; none is drawn without it")
    return p.parse_args()


def draw(out: Path, name: str, runs: tuple[list[float], list[float]], title: str, **labels: str) -> None:
    """The two trainings over each other, as `name`.png."""
    from common import plt, save
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(5, 3.4))
    for run, library, style in zip(runs, ("torch.optim", "fastopt.torch"), ("-", "--"), strict=True):
        axes.plot(run, style, label=library, linewidth=3 if style == "-" else 1.5)
    axes.set(title=title, **labels)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    save(figure, out, name)
