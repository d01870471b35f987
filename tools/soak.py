"""Steps, saves, loads, thread changes, errors and copies in turns, for minutes: does anything grow, or drift?

    python tools/soak.py --minutes 10 --seed 1

An optimizer is compared, bit for bit, with a twin that gets the good operations only, on another CPU level
where there is one, with one thread. Memory, descriptors and threads of the process are watched: behind the
first fifth of the time none may grow. Prints a line each tenth of the time and figures as JSON at the end;
the exit code is 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

import fastopt
from engine import LEVELS, everything, make
from fastopt import _dispatch

SHAPES = [(64, 33), (), 70_000, (5, 7, 3), 0, (200, 64)]
CLASSES = ("AdamW", "SGD", "LAMB", "NAdam", "RMSprop", "Prodigy", "Adagrad", "ScheduleFreeAdamW", "Muon")
MOST_GROWTH = 24 << 20  # bytes: what allocators keep varies


class Pair:
    """An optimizer and its twin."""

    def __init__(self, rng: random.Random) -> None:
        name = rng.choice(CLASSES)
        options: dict[str, Any] = {"ema_decay": 0.9, "clip_norm": 1.0, "nonfinite": "raise", "lr": 0.01}
        if name in ("AdamW", "SGD", "RMSprop") and rng.randrange(2):
            options |= {"state_dtype": "int8"}
        if name == "SGD":
            options |= {"momentum": 0.9}
        # matrix rules agree on one level only
        other = LEVELS[-1] if name == "Muon" else LEVELS[0]
        self.name = name
        self.one, self.other = (self._optimizer(level, options) for level in (LEVELS[-1], other))

    def _optimizer(self, level: str, options: dict[str, Any]) -> Any:
        params = [np.linspace(-1, 1, int(np.prod(s)), dtype=np.float32).reshape(s) for s in SHAPES]
        # Prodigy sums over all parameters and has one rate
        groups = [
            {"params": params[:3]},
            {"params": params[3:], "lr": 0.01 if self.name == "Prodigy" else 0.02},
        ]
        return make(self.name, groups, level, **options)

    def same(self) -> bool:
        return bool(everything(self.one) == everything(self.other))


def step(pair: Pair, rng: random.Random, _: Path) -> None:
    numbers = np.random.default_rng(rng.getrandbits(64))
    grads: list[Any] = [numbers.standard_normal(s, np.float32) for s in SHAPES]
    if rng.randrange(3) == 0:
        grads[rng.randrange(len(grads))] = None
    if rng.randrange(3) == 0 and grads[0] is not None:
        grads[0] = np.asfortranarray(grads[0])
    for opt in (pair.one, pair.other):
        opt.step(grads, grad_scale=2.0)


def bad_step(pair: Pair, rng: random.Random, _: Path) -> None:
    grads: list[Any] = [np.ones(s, np.float32) for s in SHAPES]
    grads[-1] = rng.choice(
        (np.ones(3, np.float32), np.ones(SHAPES[-1]), "x", np.full(SHAPES[-1], np.nan, np.float32))
    )
    with contextlib.suppress(TypeError, ValueError):
        pair.one.step(grads)
        raise SystemExit("a bad step was taken")


def through_a_file(pair: Pair, rng: random.Random, folder: Path) -> None:
    path = folder / "run.npz"
    params = [p for group in pair.one.param_groups for p in group["params"]]
    tree = {"params": params, "opt": pair.one}
    fastopt.save(path, tree)
    fastopt.load(path, into=tree)


def through_a_dict(pair: Pair, rng: random.Random, _: Path) -> None:
    pair.one.load_state_dict(copy.deepcopy(pair.one.state_dict()))


def bad_load(pair: Pair, rng: random.Random, folder: Path) -> None:
    d = pair.one.state_dict()
    d["param_groups"][0]["lr"] = -1.0
    with contextlib.suppress(fastopt.CheckpointError):
        pair.one.load_state_dict(d)
        raise SystemExit("a bad state was taken")
    path = folder / "damaged.npz"
    pair.one.save(path)
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1
    path.write_bytes(content)
    with contextlib.suppress(fastopt.CheckpointError):
        pair.one.load(path)
        raise SystemExit("a damaged file was read")


def other_threads(pair: Pair, rng: random.Random, _: Path) -> None:
    _dispatch.load(LEVELS[-1]).set_num_threads(rng.choice((1, 2, 3, 5, 8)))


def in_a_thread(pair: Pair, rng: random.Random, folder: Path) -> None:
    """While others read the optimizer, who may be told that it is in use."""

    def look() -> None:
        for _ in range(5):
            with contextlib.suppress(RuntimeError):
                pair.one.state_dict()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for thread in lookers:
        thread.start()
    for thread in lookers:
        thread.join()
    step(pair, rng, folder)


def numbers_change(pair: Pair, rng: random.Random, _: Path) -> None:
    lr = rng.choice((0.01, 0.02, 0.03))
    for opt in (pair.one, pair.other):
        for group in opt.param_groups:
            group["lr"] = lr
    with contextlib.suppress(ValueError):
        pair.one.param_groups[0]["lr"] = -1.0
        raise SystemExit("a bad rate was taken")


def averages(pair: Pair, rng: random.Random, _: Path) -> None:
    if pair.one.step_count:  # before the first step there are none
        with contextlib.suppress(KeyError), pair.one.ema_weights():
            raise KeyError


def analysis(pair: Pair, rng: random.Random, _: Path) -> None:
    a = np.random.default_rng(rng.getrandbits(64)).standard_normal((rng.choice((3, 40, 150)),) * 2)
    a += a.T
    w, v = fastopt.eigh(a)
    assert np.abs(a @ v - v * w).max() < 1e-10 * len(a)
    assert fastopt.linalg.inertia(a).negative == (w < 0).sum()
    with contextlib.suppress(np.linalg.LinAlgError):
        fastopt.eigh(a * np.nan)
        raise SystemExit("eigenvalues of NaN")


def refused_arrays(pair: Pair, rng: random.Random, _: Path) -> None:
    for bad in (np.ones(3, int), np.ones(6)[::2], np.broadcast_to(1.0, 3), np.ones(3, ">f4")):
        with contextlib.suppress(TypeError, ValueError):
            fastopt.Adam([np.ones(5), bad])
            raise SystemExit("a bad parameter was taken")


ACTIONS: list[Callable[[Pair, random.Random, Path], None]] = [
    *([step] * 12),
    *(bad_step, through_a_file, through_a_dict, bad_load, other_threads, in_a_thread),
    *(numbers_change, averages, analysis, refused_arrays),
]


def watched() -> dict[str, int]:
    """What the process holds."""
    status = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    return {
        "rss": int(status["VmRSS"].split()[0]) * 1024,
        "threads": int(status["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def soak(minutes: float, seed: int, folder: Path) -> dict[str, Any]:
    rng = random.Random(seed)
    began = time.monotonic()
    done: Counter[str] = Counter()
    samples: list[dict[str, int]] = []
    pairs, limit = 0, 60 * minutes
    while time.monotonic() - began < limit:
        pair = Pair(rng)
        pairs += 1
        for _ in range(150):
            action = rng.choice(ACTIONS)
            action(pair, rng, folder)
            done[action.__name__] += 1
            assert pair.same(), f"{pair.name}: the twin has other bits after {action.__name__}"
            if time.monotonic() - began > limit:
                break
        if time.monotonic() - began > len(samples) * limit / 10:
            samples.append(
                {"seconds": round(time.monotonic() - began), "actions": sum(done.values()), **watched()}
            )
            print(samples[-1], flush=True)
    samples.append({"seconds": round(time.monotonic() - began), "actions": sum(done.values()), **watched()})
    return {"seed": seed, "optimizers": pairs, "actions": dict(done), "samples": samples}


def grown(samples: list[dict[str, int]]) -> list[str]:
    """What is larger at the end than it ever was in the first part."""
    part = max(2, len(samples) // 5)
    most = {key: max(s[key] for s in samples[:part]) for key in samples[0]}
    allowed = {
        "rss": MOST_GROWTH,
        "threads": 7,
        "descriptors": 0,
    }  # a pool of eight may have been asked for late
    return [
        f"{key}: {samples[-1][key]}, at first {most[key]}"
        for key, more in allowed.items()
        if samples[-1][key] > most[key] + more
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tools/soak.py", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    _dispatch.load(LEVELS[0]).set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(given.minutes, given.seed, Path(folder))
    result["grown"] = grown(result["samples"])
    print(json.dumps(result))
    return 1 if result["grown"] else 0


if __name__ == "__main__":
    sys.exit(main())
