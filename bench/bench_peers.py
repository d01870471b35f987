"""AdamW beside every way to step it on this CPU: `python bench/bench_peers.py [--cases sizes,shapes]`.

PyTorch's loop, foreach, fused and compiled steps and, where it is installed, DeepSpeed's CPUAdam (which is
compiled when it is first used: two minutes). `sizes`: one tensor of 2^12 to 2^24 elements, of which a figure
is drawn with the floor, the time that a step's bytes take. `shapes`: many tensors, and those of GPT-2 small
and ResNet-50. `contended`: one tensor while another process uses every processor. `rules`: Adagrad and Lion,
which DeepSpeed has too. Each case runs in a process of its own, all sides in turns. Writes peers.json,
peers.md and peers.svg (needs matplotlib).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import QUICK, Call, in_fresh_process, machine, missing, publish, side_by_side, staggered
from large_cases import gpt2_small
from step_cases import floor
from targets import plural
from thread_cases import busy_neighbours

import fastopt

HERE = Path(__file__).parent
PROCESSES = 1 if QUICK else int(os.environ.get("FASTOPT_BENCH_PROCESSES", "5"))
LR = 1e-3


def resnet50() -> list[int]:
    """Elements of each of its 161 tensors: 25.6 million in all."""
    sizes, inputs = [3 * 64 * 49, 64, 64], 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            out = 4 * width
            sizes += [inputs * width, width, width, 9 * width * width, width, width, width * out, out, out]
            if block == 0:
                sizes += [inputs * out, out, out]
            inputs = out
    return [*sizes, inputs * 1000, 1000]


def stepped(make: Callable[[list[Any]], Any], thetas: list[Any], grads: list[Any]) -> Any:
    """The step of an optimizer of PyTorch's kind over copies, which has taken one."""
    import torch

    params = [torch.nn.Parameter(torch.from_numpy(theta.copy())) for theta in thetas]
    for p, g in zip(params, grads, strict=True):
        p.grad = torch.from_numpy(g.copy())
    opt = make(params)
    opt.step()
    return opt.step


def torch_step(thetas: list[Any], grads: list[Any], name: str = "AdamW", **form: Any) -> Any:
    import torch

    return stepped(lambda params: getattr(torch.optim, name)(params, lr=LR, **form), thetas, grads)


def compiled(thetas: list[Any], grads: list[Any]) -> Call:
    """A graph, which is compiled at the first of its calls."""
    import torch

    step: Call = torch.compile(torch_step(thetas, grads, foreach=True), fullgraph=False)
    step()
    return step


def deepspeed(thetas: list[Any], grads: list[Any], rule: str = "AdamW") -> Call:
    from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
    from deepspeed.ops.adam import DeepSpeedCPUAdam
    from deepspeed.ops.lion import DeepSpeedCPULion

    made: dict[str, Callable[[list[Any]], Any]] = {
        "AdamW": lambda params: DeepSpeedCPUAdam(params, lr=LR, adamw_mode=True),
        "Adagrad": lambda params: DeepSpeedCPUAdagrad(params, lr=LR),
        "Lion": lambda params: DeepSpeedCPULion(params, lr=LR),
    }
    step: Call = stepped(made[rule], thetas, grads)
    return step


Peer = Callable[[list[Any], list[Any]], Call]
PEERS: dict[str, tuple[str, Peer]] = {
    "loop": ("torch", lambda t, g: torch_step(t, g, foreach=False, fused=False)),
    "foreach": ("torch", lambda t, g: torch_step(t, g, foreach=True)),
    "fused": ("torch", lambda t, g: torch_step(t, g, fused=True)),
    "compiled": ("torch", compiled),
    "deepspeed": ("deepspeed", deepspeed),
}
#: Of the other rules.
RULES: dict[str, dict[str, tuple[str, Peer]]] = {
    "AdamW": PEERS,
    "Adagrad": {
        "fused": ("torch", lambda t, g: torch_step(t, g, "Adagrad", fused=True)),
        "deepspeed": ("deepspeed", lambda t, g: deepspeed(t, g, "Adagrad")),
    },
    "Lion": {"deepspeed": ("deepspeed", lambda t, g: deepspeed(t, g, "Lion"))},
}
M = 20_000 if QUICK else 20_000_000
EXPONENTS = (12, 14) if QUICK else range(12, 25, 2)
#: Tensors of each case. A graph over hundreds of tensors is compiled for minutes: `compiled` is left out.
SHAPES: dict[str, Callable[[], list[int]]] = {
    "1 x 20 M": lambda: [M],
    "200 x 50 k": lambda: [M // 400] * 200,
    "1000 x 1 k": lambda: [M // 20_000] * 1000,
    "GPT-2 small": gpt2_small,
    "ResNet-50": resnet50,
}
CASES: dict[str, dict[str, Callable[[], list[int]]]] = {
    "sizes": {f"2^{e}": lambda e=e: [1 << e] for e in EXPONENTS},
    "shapes": SHAPES,
    "contended": {"1 x 20 M": SHAPES["1 x 20 M"]},
    "rules": {f"{rule}, 1 x 20 M": SHAPES["1 x 20 M"] for rule in ("Adagrad", "Lion")},
}


def one_process(table: str, case: str, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    sizes = CASES[table][case]()
    thetas, grads = ([staggered(n, 1, seed)[0] for n in sizes] for seed in (0, 1))
    rule = case.partition(",")[0] if table == "rules" else "AdamW"
    opt = getattr(fastopt, rule)(thetas, lr=LR)
    opt.bind_grads(grads)
    opt.step()
    calls: dict[str, Call] = {"ours": opt.step}
    for name, (package, make) in RULES[rule].items():
        if not missing(package) and (name != "compiled" or len(sizes) == 1):
            calls[name] = make(thetas, grads)
    if len(sizes) == 1:
        calls |= floor(opt, thetas[0], grads[0])
    busy = busy_neighbours(os.cpu_count() or 1) if table == "contended" else contextlib.nullcontext()
    with busy:
        found = side_by_side(calls, turns=9, budget=0.05)
    return {
        "case": f"peers: {table}, {case}, {plural(threads)}",
        "elements": sum(sizes),
        **{f"{name}_us": 1e6 * seconds for name, seconds in found["seconds"].items()},
        **{f"{name}_ratio": ratio for name, ratio in found["ratio"].items()},
    }


def measure(table: str, case: str, threads: int) -> dict[str, Any]:
    call = f"bench_peers.one_process({table!r}, {case!r}, {threads})"
    code = f"import json, bench_peers; print(json.dumps({call}))"
    rows = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(PROCESSES)]
    return {k: v if k == "case" else statistics.median(row[k] for row in rows) for k, v in rows[0].items()}


def markdown(result: dict[str, Any]) -> str:
    """One line for each case: our time, and how many times longer the others take."""
    names = [*PEERS, "floor"]
    lines = [
        f"| AdamW (`rules`: as named), float32 | fastopt | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in result["rows"]:
        cells = [row["case"].removeprefix("peers: "), f"{row['ours_us']:.3g} us"]
        cells += [f"{row[f'{name}_ratio']:.2f}x" if f"{name}_ratio" in row else "-" for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    m = result["machine"]
    text = (
        f"Medians over {result['processes']} processes ({m['date']}, commit {m['commit']}, {m['processor']}, "
        f"{m['cpus']} CPUs, level {m['level']}, PyTorch {m['torch']}). The floor: the "
        "same bytes, one addition each."
    )
    return "\n".join([*lines, "", text, ""])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Throughput against size, with the floor drawn in: one panel for each number of threads."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = sorted({row["case"].rsplit(", ", 1)[1] for row in rows if ": sizes," in row["case"]})
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, panels = plt.subplots(
            1, len(labels), figsize=(5 * len(labels), 4), sharey=True, squeeze=False, facecolor="white"
        )
        for panel, label in zip(panels[0], labels, strict=True):
            some = [row for row in rows if ": sizes," in row["case"] and row["case"].endswith(label)]
            for name in ("ours", *PEERS, "floor"):
                known = [row for row in some if f"{name}_us" in row]
                style = (
                    {"color": "black", "ls": "--"} if name == "floor" else {"marker": "o", "markersize": 4}
                )
                speeds = [row["elements"] / row[f"{name}_us"] for row in known]
                if known:
                    panel.plot([row["elements"] for row in known], speeds, label=name, **style)
            panel.set(xscale="log", yscale="log", xlabel="elements of the tensor", title=label)
            panel.grid(alpha=0.3)
        panels[0][0].set_ylabel("million elements a second")
        panels[0][-1].legend(frameon=False, fontsize=8)
        figure.tight_layout()
        figure.savefig(path)
        plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help=f"with commas, of {', '.join(CASES)}")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if gone := missing("torch"):
        print(gone, file=sys.stderr)
        return 1
    rows = []
    for table in CASES if args.cases == "all" else args.cases.split(","):
        for case in CASES[table]:
            for threads in map(int, args.threads.split(",")):
                rows.append(measure(table, case, threads))
                print(rows[-1], file=sys.stderr, flush=True)
    result = {"machine": machine(), "processes": PROCESSES, "rows": rows}
    publish(args.out, "peers", result, markdown(result))
    if (gone := missing("matplotlib")) is None and any(": sizes," in row["case"] for row in rows):
        draw(rows, args.out / "peers.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
