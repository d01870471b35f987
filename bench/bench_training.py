"""A whole training loop three ways: `python bench/bench_training.py [--sizes small,medium,large]`.

- `numpy`: the NumPy perceptron of `fastopt.train` with our Adam;
- `torch`: the same perceptron in PyTorch with PyTorch's fused Adam;
- `both`: that PyTorch perceptron with our Adam, on NumPy views of its tensors' memory.

Same data, widths, batches and initial weights; the three take turns. "Share" is the part of a loop's time
that is spent in its optimizer: what a faster optimizer can win at most is that share. Prints a table and
writes training.json and training.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import QUICK, machine, missing

import fastopt
from fastopt.train import MLP, digits

HERE = Path(__file__).parent
#: Widths, and rows of a batch.
SIZES: dict[str, tuple[tuple[int, ...], int]] = {
    "small": ((64, 128, 10), 64),
    "medium": ((784, 512, 256, 10), 128),
    "large": ((1024, 2048, 2048, 10), 128),
}
LR = 1e-3
LABELS = {
    "numpy": "NumPy, fastopt.Adam",
    "torch": "PyTorch, its fused Adam",
    "both": "PyTorch, fastopt.Adam",
}


class Loop:
    """Batches in turn: `backward` makes the gradients and returns the loss, `step` applies them."""

    def __init__(self, backward: Callable[[int], float], step: Callable[[], object], batches: int) -> None:
        self.backward, self.step, self.batches, self.done = backward, step, batches, 0

    def run(self, steps: int) -> tuple[float, float, float]:
        """Seconds of a step of the loop, seconds of it in the optimizer, and the last loss."""
        inside, loss = 0, 0.0
        begin = time.perf_counter_ns()
        for _ in range(steps):
            loss = self.backward(self.done % self.batches)
            start = time.perf_counter_ns()
            self.step()
            inside += time.perf_counter_ns() - start
            self.done += 1
        return (time.perf_counter_ns() - begin) / steps / 1e9, inside / steps / 1e9, loss


def data(widths: tuple[int, ...], batch: int) -> tuple[list[Any], list[Any]]:
    """Batches of inputs and class numbers: the digits where they fit, random rows elsewhere."""
    rng = np.random.default_rng(0)
    if widths[0] == 64:
        d = digits()
        x, y = (np.asarray(d.x) / 16).astype(np.float32), np.asarray(d.y, dtype=np.int64)
    else:
        x = rng.standard_normal((8 * batch, widths[0]), dtype=np.float32)
        y = rng.integers(0, widths[-1], 8 * batch)
    cuts = range(0, len(x) - batch + 1, batch)
    return [x[i : i + batch].copy() for i in cuts], [y[i : i + batch].copy() for i in cuts]


def model_of(widths: tuple[int, ...]) -> MLP:
    return MLP(list(widths), rng=np.random.default_rng(1))


def numpy_loop(widths: tuple[int, ...], xs: list[Any], ys: list[Any]) -> Loop:
    model = model_of(widths)
    optimizer = fastopt.Adam(model.parameters, lr=LR)
    optimizer.bind_grads(model.gradients)
    targets = [np.eye(widths[-1], dtype=np.float32)[y] for y in ys]
    return Loop(lambda i: model.loss_and_gradients(xs[i], targets[i])[0], optimizer.step, len(xs))


def torch_loop(widths: tuple[int, ...], xs: list[Any], ys: list[Any], *, ours: bool) -> Loop:
    """PyTorch's perceptron from the same weights."""
    import torch

    layers: list[Any] = []
    values = model_of(widths).parameters
    for i in range(len(widths) - 1):
        linear = torch.nn.Linear(widths[i], widths[i + 1])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(values[2 * i].T.copy()))
            linear.bias.copy_(torch.from_numpy(values[2 * i + 1]))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    inputs, targets = [torch.from_numpy(x) for x in xs], [torch.from_numpy(y) for y in ys]
    params = list(model.parameters())

    def backward(i: int) -> float:
        loss = torch.nn.functional.cross_entropy(model(inputs[i]), targets[i])
        for p in params:
            p.grad = None
        loss.backward()
        return float(loss.item())

    if not ours:
        return Loop(backward, torch.optim.Adam(params, lr=LR, fused=True).step, len(xs))
    optimizer = fastopt.Adam([p.detach().numpy() for p in params], lr=LR)
    return Loop(backward, lambda: optimizer.step([p.grad.numpy() for p in params]), len(xs))


def measure(size: str, threads: int) -> dict[str, Any]:
    """The three loops in turns, this many threads for everything."""
    widths, batch = SIZES[size]
    xs, ys = data(widths, batch)
    fastopt.set_num_threads(threads)
    loops = {"numpy": numpy_loop(widths, xs, ys)}
    if gone := missing("torch"):
        print(gone, file=sys.stderr)
    else:
        import torch

        torch.set_num_threads(threads)
        loops |= {
            "torch": torch_loop(widths, xs, ys, ours=False),
            "both": torch_loop(widths, xs, ys, ours=True),
        }
    first = {name: loop.run(3) for name, loop in loops.items()}
    steps = 3 if QUICK else max(3, min(200, round(0.3 / max(seconds for seconds, _, _ in first.values()))))
    turns = [{name: loop.run(steps) for name, loop in loops.items()} for _ in range(3 if QUICK else 9)]
    row: dict[str, Any] = {
        "case": f"training, {size}, {threads} thread{'s' * (threads > 1)}",
        "widths": widths,
        "batch": batch,
        "parameters": sum(p.size for p in model_of(widths).parameters),
    }
    for name in loops:
        row[f"{name}_us"] = 1e6 * statistics.median(t[name][0] for t in turns)
        row[f"{name}_share"] = statistics.median(t[name][1] / t[name][0] for t in turns)
        row[f"{name}_loss"] = turns[-1][name][2]
    if "torch" in loops:
        row["ratio"] = statistics.median(t["torch"][0] / t["both"][0] for t in turns)
        row["numpy_ratio"] = statistics.median(t["torch"][0] / t["numpy"][0] for t in turns)
        row["optimizer_ratio"] = statistics.median(t["torch"][1] / t["both"][1] for t in turns)
    row["ours_us"] = row.get("both_us", row["numpy_us"])
    row.setdefault("torch_us", None)
    row.setdefault("ratio", None)
    return row


def markdown(result: dict[str, Any]) -> str:
    """One line for each size: time of a step of each loop, and the optimizer's share of it."""
    gone = None if result["machine"]["torch"] else "PyTorch: not installed"
    lines = [
        "| Adam, float32 | parameters | " + " | ".join(LABELS.values()) + " | gain of the loop | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [
            f"{row[f'{name}_us']:.0f} us ({100 * row[f'{name}_share']:.0f} %)"
            if row.get(f"{name}_us") is not None
            else str(gone)
            for name in LABELS
        ]
        gain = str(gone) if row["ratio"] is None else f"{row['ratio']:.2f}x"
        bound = str(gone) if row["ratio"] is None else f"{1 / (1 - row['torch_share']):.2f}x"
        lines.append(
            f"| {row['case']} | {row['parameters']:,} | " + " | ".join(cells) + f" | {gain} | {bound} |"
        )
    m = result["machine"]
    where = f"{m['date']}, commit {m['commit']}, {m['processor']}, {m['cpus']} CPUs, level {m['level']}"
    return "\n".join(
        [
            *lines,
            "",
            f"A step of the whole loop, and in brackets the optimizer's share of it ({where}). The "
            "gain is that of our Adam in PyTorch's loop; an optimizer that took no time at all would win "
            'what stands under "at most". A gain above that: the rest of the loop ran faster too.',
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="small" if QUICK else "small,medium,large")
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if unknown := set(args.sizes.split(",")) - set(SIZES):
        parser.error(f"--sizes: no size {sorted(unknown)[0]!r}; there are {', '.join(SIZES)}")
    from contextlib import nullcontext

    rows = []
    for threads in map(int, args.threads.split(",")):
        limits: Any = nullcontext()
        if gone := missing("threadpoolctl"):
            print(f"{gone}: NumPy's threads are its own default", file=sys.stderr)
        else:
            from threadpoolctl import threadpool_limits

            limits = threadpool_limits(threads, user_api="blas")
        with limits:
            rows += [measure(size, threads) for size in args.sizes.split(",")]
    result = {"machine": machine(), "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "training.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (args.out / "training.md").write_text(markdown(result), encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
