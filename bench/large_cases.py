"""Arrays beyond every cache against PyTorch's fused step: each size in processes of its own, since pages fall
differently in each; and the shapes of a whole network.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

from common import QUICK, Call, in_fresh_process, side_by_side, staggered
from step_cases import Row, floor, ours, row, set_threads, torch, torch_tail, torchs
from targets import LARGE_PROCESSES, plural

import fastopt

PROCESSES = 1 if QUICK else LARGE_PROCESSES
EXPONENTS = (16,) if QUICK else (22, 24, 26)


def one_process(exponent: int, threads: int) -> list[Row]:
    """Adam and AdamW against PyTorch's fused step and the floor, in this process."""
    set_threads(threads)
    found = []
    for name in ("Adam", "AdamW"):
        theta, grad = staggered(1 << exponent, 2)
        opt = ours(name, theta, grad)
        calls: dict[str, Call] = {"ours": opt.step, **floor(opt, theta, grad)}
        if torch is not None:
            calls["torch"] = torchs(name, theta, grad).step
        result = side_by_side(calls, turns=9, budget=0.05)
        found.append(row(f"{name} 2^{exponent}, {plural(threads)}", result, bytes_moved=28 << exponent))
        del opt, calls
    return found


def median(rows: list[Row], key: str) -> float | None:
    values = [r[key] for r in rows if r[key] is not None]
    return statistics.median(values) if values else None


def large_arrays() -> Iterator[Row]:
    """Adam and AdamW, 2^22 to 2^26, one and two threads: medians over processes."""
    for threads in (1, 2):
        for e in EXPONENTS:
            code = f"import json, large_cases; print(json.dumps(large_cases.one_process({e}, {threads})))"
            for rows in zip(*(in_fresh_process(code) for _ in range(PROCESSES)), strict=True):
                ratios = [r["ratio"] for r in rows if r["ratio"] is not None]
                keys = ("ours_us", "peer_us", "ratio", "of_floor", "gb_per_s")
                yield {
                    **rows[0],
                    **{key: median(list(rows), key) for key in keys},
                    "case": f"{rows[0]['case']}, {PROCESSES} process{'es' * (PROCESSES > 1)}",
                    "spread": (min(ratios), max(ratios)) if ratios else None,
                }


def gpt2_small() -> list[int]:
    """Elements of each of its 148 tensors: 124 million in all."""
    d = 64 if QUICK else 768
    block = [d, d, 3 * d * d, 3 * d, d * d, d, d, d, 4 * d * d, 4 * d, 4 * d * d, d]
    return [(500 if QUICK else 50257) * d, 1024 * d, *block * 12, d, d]


def shapes() -> Iterator[Row]:
    """AdamW, and the whole end of a step, on the shapes of GPT-2 small."""
    threads = min(16, os.cpu_count() or 1)
    label = "GPT-2 small's shapes" if not QUICK else "small shapes"
    cases = {"AdamW": 1, "clip + AdamW + EMA": threads}
    if not QUICK and os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 7 << 30:
        for name, count in cases.items():
            yield {
                "case": f"{name}, {label}, {plural(count)}",
                "missing": "needs 7 GB of memory",
                "ours_us": None,
            }
        return
    for name, count in cases.items():
        set_threads(count)
        thetas, grads = ([staggered(n, 1, seed)[0] for n in gpt2_small()] for seed in (0, 1))
        tail = {"clip_norm": 1.0, "ema_decay": 0.999} if "clip" in name else {}
        opt: Any = fastopt.AdamW(thetas, lr=1e-3, **tail)
        opt.bind_grads(grads)
        calls: dict[str, Call] = {"ours": opt.step}
        if torch is not None and tail:
            calls["torch"] = partial(torch_tail(thetas, grads), False)
        elif torch is not None:
            params = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in thetas]
            for p, g in zip(params, grads, strict=True):
                p.grad = torch.from_numpy(g.copy())
            calls["torch"] = torch.optim.AdamW(params, lr=1e-3, fused=True).step
        found = row(f"{name}, {label}, {plural(count)}", side_by_side(calls, turns=5, budget=0.05))
        yield {**found, "floor_missing": "-"}
        del opt, calls, thetas, grads
