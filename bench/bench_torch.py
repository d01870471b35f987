"""`fastopt.torch` beside `torch.optim`, whole steps: `python bench/bench_torch.py [--cases one,many]`.

Each case is measured in processes of its own, ours and PyTorch's in turns on their own tensors; kept are the
medians over the processes. PyTorch is `fused=True` where it has that, else its default. Prints a table and
writes torch.json and torch.md.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import QUICK, Call, in_fresh_process, machine, missing, publish, side_by_side
from large_cases import gpt2_small
from targets import plural

import fastopt

HERE = Path(__file__).parent
PROCESSES = 1 if QUICK else 5
FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
MILLIONS = 20_000 if QUICK else 20_000_000
Shapes = Sequence[tuple[int, ...]]


def resnet50() -> list[tuple[int, ...]]:
    """The shapes of its 161 parameters: 25.6 million elements."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            for shape in ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)):
                shapes += [shape, shape[:1], shape[:1]]
            if block == 0:
                shapes += [(4 * width, inputs, 1, 1), (4 * width,), (4 * width,)]
            inputs = 4 * width
    return [*shapes, (1000, 2048), (1000,)]


def parameters(shapes: Shapes, dtype: str = "float32") -> list[Any]:
    import torch

    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape, dtype=getattr(torch, dtype))) for shape in shapes]
    for p in made:
        p.grad = torch.randn_like(p)
    return made


def optimizer(module: Any, name: str, params: list[Any], **options: Any) -> Any:
    fused = {"fused": True} if name in FUSED and module.__name__ == "torch.optim" else {}
    return getattr(module, name)(params, lr=1e-3, **fused, **options)


def pair(name: str, shapes: Shapes, dtype: str = "float32") -> dict[str, Call]:
    """One step of each, everything else equal."""
    import torch

    import fastopt.torch

    return {
        "ours": optimizer(fastopt.torch, name, parameters(shapes, dtype)).step,
        "torch": optimizer(torch.optim, name, parameters(shapes, dtype)).step,
    }


def tail(shapes: Shapes) -> dict[str, Call]:
    """Clipping, step and average of the weights: one call of ours, their sequence."""
    import torch
    from torch.nn.utils import clip_grad_norm_

    import fastopt.torch

    ours = fastopt.torch.AdamW(parameters(shapes), lr=1e-3, clip_norm=1.0, ema_decay=0.999)
    params = parameters(shapes)
    theirs = torch.optim.AdamW(params, lr=1e-3, fused=True)
    average = [p.detach().clone() for p in params]

    def sequence() -> None:
        clip_grad_norm_(params, 1.0)
        theirs.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, params, 0.001)

    return {"ours": ours.step, "torch": sequence}


def training() -> dict[str, Call]:
    """A whole training step of a small transformer: 4 layers of 256, batches of 32 sequences of 32."""
    import torch

    import fastopt.torch

    def loop(module: Any) -> Call:
        torch.manual_seed(0)
        layer = torch.nn.TransformerEncoderLayer(256, 4, 512, dropout=0.0, batch_first=True)
        model = torch.nn.Sequential(torch.nn.TransformerEncoder(layer, 4), torch.nn.Linear(256, 64))
        x, y = torch.randn(32, 32, 256), torch.randint(0, 64, (32 * 32,))
        opt = optimizer(module, "AdamW", list(model.parameters()))

        def step() -> None:
            opt.zero_grad()
            torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y).backward()
            opt.step()

        return step

    return {"ours": loop(fastopt.torch), "torch": loop(torch.optim)}


def many() -> dict[str, Call]:
    """And the engine itself on arrays of these shapes: what is more is Python and looking at tensors."""
    import numpy as np

    shapes = [(64,)] * 200
    engine = fastopt.AdamW([np.ones(64, np.float32) for _ in shapes], lr=1e-3)
    engine.bind_grads([np.ones(64, np.float32) for _ in shapes])
    return {**pair("AdamW", shapes), "engine": engine.step}


def scheduled(groups: int) -> dict[str, Call]:
    """With a learning rate that is written at every step, as a scheduler does."""
    import torch

    import fastopt.torch

    def loop(module: Any) -> Call:
        params = parameters([(64,)] * 200)
        share = len(params) // groups
        opt = optimizer(
            module, "AdamW", [{"params": params[share * g : share * (g + 1)]} for g in range(groups)]
        )
        rates = itertools.cycle([1e-3, 9e-4, 8e-4])

        def step() -> None:
            lr = next(rates)
            for group in opt.param_groups:
                group["lr"] = lr
            opt.step()

        return step

    return {"ours": loop(fastopt.torch), "torch": loop(torch.optim)}


#: Label, numbers of threads, and the calls. Cases are chosen by the key's first word.
CASES: dict[str, tuple[str, tuple[int, ...], Callable[[], dict[str, Call]]]] = {
    "one": ("AdamW, one tensor of 1,024", (1,), lambda: pair("AdamW", [(1024,)])),
    "many": ("AdamW, 200 tensors of 64", (1,), many),
    "scheduled": ("AdamW, 200 tensors of 64, the rate written at every step", (1,), lambda: scheduled(1)),
    "scheduled groups": (
        "AdamW, 200 groups of one, the rate written at every step",
        (1,),
        lambda: scheduled(200),
    ),
    "mlp": (
        "AdamW, a perceptron of 200 layers of 32",
        (1,),
        lambda: pair("AdamW", [(32, 32), (32,)] * 200),
    ),
    "gpt2": ("AdamW, GPT-2 small's shapes", (1, 2), lambda: pair("AdamW", [(n,) for n in gpt2_small()])),
    "resnet": ("AdamW, ResNet-50's shapes", (1, 2), lambda: pair("AdamW", resnet50())),
    **{
        f"rules {name}": (f"{name}, 20 M", (1,), lambda name=name: pair(name, [(MILLIONS,)]))
        for name in ("RMSprop", "NAdam", "RAdam", "Adamax", "Adadelta", "Rprop")
    },
    "bf16": ("AdamW, bfloat16, 20 M", (1, 2), lambda: pair("AdamW", [(MILLIONS,)], "bfloat16")),
    "tail": ("clip + AdamW + EMA, 20 M", (1, 2), lambda: tail([(MILLIONS,)])),
    "training": ("a training step, 4 layers of 256", (1, 2), training),
}


def one_process(key: str, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    label, _, calls = CASES[key]
    made = calls()
    result = side_by_side(made, turns=9, budget=0.05)
    seconds = result["seconds"]
    row: dict[str, Any] = {
        "case": f"torch: {label}, {plural(threads)}",
        "ours_us": 1e6 * seconds["ours"],
        "torch_us": 1e6 * seconds["torch"],
        "ratio": result["ratio"]["torch"],
    }
    if "engine" in seconds:
        row["per_tensor_us"] = 1e6 * (seconds["ours"] - seconds["engine"]) / 200
    return row


def measure(key: str, threads: int) -> dict[str, Any]:
    code = f"import json, bench_torch; print(json.dumps(bench_torch.one_process({key!r}, {threads})))"
    rows = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(PROCESSES)]
    found = {k: v if k == "case" else statistics.median(r[k] for r in rows) for k, v in rows[0].items()}
    return {**found, "spread": (min(r["ratio"] for r in rows), max(r["ratio"] for r in rows))}


def time_text(us: float) -> str:
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.1f} ms"


def markdown(result: dict[str, Any]) -> str:
    """One line for each case."""
    m = result["machine"]
    lines = ["| `optimizer.step()` | fastopt.torch | torch.optim | ratio |", "|---|---|---|---|"]
    for row in result["rows"]:
        low, high = row["spread"]
        lines.append(
            f"| {row['case'].removeprefix('torch: ')} | {time_text(row['ours_us'])} | "
            f"{time_text(row['torch_us'])} | {row['ratio']:.2f}x ({low:.2f} to {high:.2f}) |"
        )
    where = f"{m['date']}, commit {m['commit']}, {m['processor']}, {m['cpus']} CPUs, level {m['level']}"
    per_tensor = "".join(
        f" Of each of the 200 tensors, Python and looking at it take {1000 * row['per_tensor_us']:.0f} ns."
        for row in result["rows"]
        if "per_tensor_us" in row
    )
    text = (
        f"Medians over {PROCESSES} processes, lowest to highest in brackets; PyTorch {m['torch']} with "
        f"`fused=True` where it has that ({where}).{per_tensor}"
    )
    return "\n".join([*lines, "", text, ""])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help="first words of the cases' keys, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if gone := missing("torch"):
        print(gone, file=sys.stderr)
        return 1
    wanted = args.cases.split(",")
    rows = [
        measure(key, threads)
        for key, (_, counts, _) in CASES.items()
        if wanted == ["all"] or key.split()[0] in wanted
        for threads in counts
    ]
    result = {"machine": machine(), "rows": rows}
    publish(args.out, "torch", result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
