"""The cases of the step benchmark. Each returns rows: {"case", "ours", "peer", "ratio", "floor", "target",
...}.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from common import Call, in_fresh_process, side_by_side, staggered, with_gaps

import fastopt
from fastopt._dispatch import core

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Row = dict[str, Any]
LARGE = 20_000_000


def set_threads(n: int) -> None:
    """On both sides."""
    fastopt.set_num_threads(n)
    if torch is not None:
        torch.set_num_threads(n)


def ours(name: str, theta: Any, grad: Any, **options: Any) -> Any:
    """An optimizer on one tensor with its gradient bound, past its first step."""
    opt = fastopt.optimizers()[name.lower()]([theta], **{"lr": 1e-3, **options})
    opt.bind_grads([grad])
    opt.step()
    return opt


def torchs(name: str, theta: Any, grad: Any, **options: Any) -> Any:
    """PyTorch's, on copies."""
    p = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    p.grad = torch.from_numpy(grad.copy())
    opt = getattr(torch.optim, name)([p], **{"lr": 1e-3, **options})
    opt.step()
    return opt


def floor(opt: Any, grad: Any) -> Call:
    """The passes of this step, their bytes moved with one addition per element."""
    theta, states, ema = opt._params[0], list(opt._states[0].values()), opt._ema
    name = type(opt).__name__
    passes: list[tuple[list[Any], list[Any]]] = [([theta, *states, *ema], [grad])]
    if name == "LARS":  # the norms first
        passes.insert(0, ([], [theta, grad]))
    if name == "LAMB":  # moments and norms, then the parameters
        passes = [(states, [theta, grad]), ([theta], states)]
    if opt._clip_norm is not None:
        passes.insert(0, ([], [grad]))

    def run() -> None:
        for changed, read in passes:
            core.floor_pass(changed, read)

    return run


def numpy_adam(n: int) -> Call:
    """Adam as one writes it in NumPy, with temporaries but in place where NumPy can."""
    theta, g, m, v = staggered(n, 4)
    np.abs(v, out=v)

    def step() -> None:
        m[:] = 0.9 * m + 0.1 * g
        v[:] = 0.999 * v + 0.001 * g * g
        theta[:] -= 1e-3 * m / (np.sqrt(v) + 1e-8)

    return step


def adam_sizes(threads: int, exponents: tuple[int, ...], targets: dict[int, float]) -> Iterator[Row]:
    """Adam f32, one tensor, against PyTorch's fused step, NumPy and the floor."""
    set_threads(threads)
    for e in exponents:
        theta, grad = staggered(1 << e, 2)
        opt = ours("Adam", theta, grad)
        calls: dict[str, Call] = {"ours": opt.step, "floor": floor(opt, grad), "numpy": numpy_adam(1 << e)}
        if torch is not None:
            calls["torch"] = torchs("Adam", theta, grad, fused=True).step
        result = side_by_side(calls, turns=15 if e < 22 else 9)
        yield row(
            f"Adam 2^{e}, {threads} thread{'s' * (threads > 1)}", result, targets.get(e), bytes_moved=28 << e
        )


def row(case: str, result: dict[str, Any], target: float | None = None, bytes_moved: int = 0) -> Row:
    """One line of the table."""
    seconds = result["seconds"]
    return {
        "case": case,
        "ours_us": seconds["ours"] * 1e6,
        "torch_us": seconds.get("torch", float("nan")) * 1e6,
        "ratio": result["ratio"].get("torch"),
        "spread": result["spread"].get("torch"),
        "numpy_ratio": result["ratio"].get("numpy"),
        "of_floor": 1 / result["ratio"]["floor"] if "floor" in result["ratio"] else None,
        "gb_per_s": bytes_moved / seconds["ours"] / 1e9 if bytes_moved else None,
        "target": target,
    }


def small_tensors() -> Iterator[Row]:
    """1000 tensors of 64, gradients bound, re-validation included."""
    set_threads(1)
    for name, target in (("AdamW", 100.0), ("SGD", 20.0)):
        thetas = [a.copy() for a in np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)]
        grads = [a.copy() for a in np.random.default_rng(1).standard_normal((1000, 64), dtype=np.float32)]
        opt = fastopt.optimizers()[name.lower()](thetas, lr=1e-3)
        opt.bind_grads(grads)
        calls: dict[str, Call] = {"ours": opt.step}
        if torch is not None:
            params = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in thetas]
            for p, g in zip(params, grads, strict=True):
                p.grad = torch.from_numpy(g.copy())
            calls["torch"] = getattr(torch.optim, name)(params, lr=1e-3, fused=True).step
        yield row(f"{name}, 1000 tensors of 64", side_by_side(calls), target)


RULES: tuple[tuple[str, dict[str, Any], float | None], ...] = (
    ("SGD", {}, None),
    ("SGD", {"momentum": 0.9}, None),
    ("Adagrad", {}, None),
    ("Adadelta", {"lr": 1.0}, 9.0),
    ("RMSprop", {}, 5.5),
    ("RMSprop", {"centered": True, "momentum": 0.9}, None),
    ("Rprop", {}, 28.0),
    ("ASGD", {}, 1.5),
    ("Adam", {}, 1.0),
    ("Adam", {"amsgrad": True}, None),
    ("AdamW", {}, 1.0),
    ("Adamax", {}, 5.0),
    ("NAdam", {}, 9.0),
    ("RAdam", {}, 9.0),
    ("Lion", {}, None),
    ("SignSGD", {}, None),
    ("AdaBelief", {}, None),
    ("Adan", {}, None),
    ("LARS", {}, None),
    ("LAMB", {}, None),
)
FUSED = {"SGD", "Adagrad", "Adam", "AdamW"}


def every_rule() -> Iterator[Row]:
    """20 M elements: each rule against its own floor, and PyTorch where it has the class."""
    set_threads(1)
    theta, grad = staggered(LARGE, 2)
    for name, options, target in RULES:
        opt = ours(name, theta, grad, **options)
        calls: dict[str, Call] = {"ours": opt.step, "floor": floor(opt, grad)}
        if torch is not None and hasattr(torch.optim, name):
            fused = {"fused": True} if name in FUSED else {}
            calls["torch"] = torchs(name, theta, grad, **options, **fused).step
        result = side_by_side(calls, turns=9, budget=0.03)
        shown = ", ".join(k for k in options if k != "lr")
        line = row(f"{name}{' ' + shown if shown else ''}, 20 M", result, target)
        line["floor_target"] = 1 / 1.1
        yield line
        del opt, calls


def whole_tail() -> Iterator[Row]:
    """clip + AdamW + EMA + zeroing, 20 M, against PyTorch's sequence of fused calls."""
    if torch is None:
        return
    set_threads(1)
    theta, grad = staggered(LARGE, 2)
    original = grad.copy()
    opt = fastopt.AdamW([theta], lr=1e-3, clip_norm=1.0, ema_decay=0.999)
    p = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    gradient = torch.from_numpy(grad.copy())
    p.grad = gradient
    q = torch.optim.AdamW([p], lr=1e-3, fused=True)
    average = p.detach().clone()

    def torch_tail(zero: bool) -> None:
        torch.nn.utils.clip_grad_norm_([p], 1.0, foreach=True)
        q.step()
        torch._foreach_lerp_([average], [p.detach()], 0.001)
        if zero:
            gradient.zero_()
        else:
            p.grad = None
            p.grad = gradient

    for zero, target in ((True, 1.5), (False, 1.35)):
        np.copyto(grad, original)
        calls: dict[str, Call] = {
            "ours": lambda zero=zero: opt.step([grad], zero_grads=zero),  # type: ignore[misc]
            "floor": floor(opt, grad),
            "torch": lambda zero=zero: torch_tail(zero),  # type: ignore[misc]
        }
        result = side_by_side(calls, turns=9, budget=0.05)
        label = "zeroing" if zero else "set_to_none"
        yield row(
            f"clip + AdamW + EMA + {label}, 20 M", result, target, bytes_moved=LARGE * (44 if zero else 40)
        )


# --- decoupled decay, and large arrays ---


def decay_beside_none() -> Iterator[Row]:
    """AdamW against our own Adam on the same arrays: the decay is to cost nothing (2 %)."""
    for threads in (1, 2):
        set_threads(threads)
        for e in (10, 12, 14, 16, 18, 20, 22, 24):
            theta, grad = staggered(1 << e, 2)
            adamw, adam = ours("AdamW", theta, grad), ours("Adam", theta.copy(), grad)
            result = side_by_side({"ours": adamw.step, "adam": adam.step}, turns=21 if e < 22 else 11)
            yield {
                "case": f"AdamW over Adam, 2^{e}, {threads} thread{'s' * (threads > 1)}",
                "ours_us": result["seconds"]["ours"] * 1e6,
                "serial_us": result["seconds"]["adam"] * 1e6,
                "ratio": result["ratio"]["adam"],
                "spread": result["spread"]["adam"],
                "target": 0.98,
            }


LARGE_CASES = tuple((name, e, t) for t in (1, 2) for e in (22, 24, 26) for name in ("Adam", "AdamW"))
PROCESSES = 5  # pages fall differently in each


def one_large(name: str, exponent: int, threads: int) -> Row:
    """A large array against PyTorch's fused step and the floor, in this process."""
    set_threads(threads)
    theta, grad = staggered(1 << exponent, 2)
    opt = ours(name, theta, grad)
    calls: dict[str, Call] = {"ours": opt.step, "floor": floor(opt, grad)}
    if torch is not None:
        calls["torch"] = torchs(name, theta, grad, fused=True).step
    return row("", side_by_side(calls, turns=9, budget=0.05), 1.05, bytes_moved=28 << exponent)


def large_arrays() -> Iterator[Row]:
    """Adam and AdamW, 2^22 to 2^26, one and two threads: medians over processes."""
    for name, e, threads in LARGE_CASES:
        code = f"import json, step_cases; print(json.dumps(step_cases.one_large({name!r}, {e}, {threads})))"
        rows = [in_fresh_process(code) for _ in range(PROCESSES)]
        ratios = [r["ratio"] for r in rows if r["ratio"] is not None]
        middle = {
            key: statistics.median(r[key] for r in rows)
            for key in ("ours_us", "torch_us", "of_floor", "gb_per_s")
        }
        yield {
            **rows[0],
            **middle,
            "case": f"{name} 2^{e}, {threads} thread{'s' * (threads > 1)}, {PROCESSES} processes",
            "ratio": statistics.median(ratios) if ratios else None,
            "spread": (min(ratios), max(ratios)) if ratios else None,
        }


# --- threads ---


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Other processes that use every moment of `count` processors."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.3)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def step_samples(n: int, threads: int, work_ms: float, count: int) -> Any:
    """Microseconds of `count` steps with NumPy work in between, the first tenth left out."""
    fastopt.set_num_threads(threads)
    theta, grad = staggered(n, 2)
    opt = ours("Adam", theta, grad)
    samples = with_gaps(opt.step, work_ms, count)
    return np.array(samples[count // 10 :])


def threads_against_one(
    label: str, work_ms: float, exponents: tuple[int, ...], count: int, turns: int, targets: dict[int, float]
) -> Iterator[Row]:
    """Two threads against one: ratio of medians and of 95th percentiles, medians over the turns."""
    for e in exponents:
        pairs = [
            (step_samples(1 << e, 1, work_ms, count), step_samples(1 << e, 2, work_ms, count))
            for _ in range(turns)
        ]
        medians = [float(np.median(a) / np.median(b)) for a, b in pairs]
        tails = [float(np.quantile(b, 0.95) / np.quantile(a, 0.95)) for a, b in pairs]
        yield {
            "case": f"{label}, Adam 2^{e}",
            "ours_us": statistics.median(float(np.median(b)) for _, b in pairs),
            "serial_us": statistics.median(float(np.median(a)) for a, _ in pairs),
            "ratio": statistics.median(medians),
            "spread": (min(medians), max(medians)),
            "p95_over_serial": statistics.median(tails),
            "target": targets.get(e),
        }


def thread_cases() -> Iterator[Row]:
    """Back to back; with 1 and 5 ms of work between; with two busy neighbours."""
    yield from threads_against_one(
        "2 threads, back to back", 0, (17, 18, 19, 20), 120, 9, dict.fromkeys(range(17, 21), 1.7)
    )
    floor_targets = dict.fromkeys(range(14, 21), 0.95) | {21: 1.3, 22: 1.3, 23: 1.3}
    yield from threads_against_one(
        "2 threads, 1 ms between", 1, (14, 16, 17, 18, 19, 20, 21, 22), 40, 9, floor_targets
    )
    yield from threads_against_one(
        "2 threads, 5 ms between", 5, (14, 16, 18, 19, 20, 21, 22), 20, 9, floor_targets
    )
    with busy_neighbours(2):
        yield from threads_against_one("2 threads, 2 busy neighbours", 0, (18,), 400, 9, {18: 1 / 1.2})


CASES = {
    "one": lambda: adam_sizes(
        1, (10, 12, 14, 16, 17, 18, 20, 24, 26), {10: 30, 14: 10, 16: 4, 17: 3, 18: 2, 24: 1, 26: 1}
    ),
    "two": lambda: adam_sizes(2, (10, 14, 17, 20, 24), {10: 15, 14: 5, 17: 3, 24: 1}),
    "small": small_tensors,
    "rules": every_rule,
    "tail": whole_tail,
    "decay": decay_beside_none,
    "large": large_arrays,
    "threads": thread_cases,
}
