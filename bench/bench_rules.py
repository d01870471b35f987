"""The newer rules beside the packages that people take them from: `python bench/bench_rules.py`.

    python bench/bench_rules.py [--cases schedule-free,muon] [--threads 1,2] [--out results]

Schedule-Free, AdEMAMix and Prodigy on 20 million elements; Adafactor on a matrix of as many, also beside the
bytes of its passes; Muon on the matrices of GPT-2 small's blocks and on 64 small ones, its exact form beside
five Newton-Schulz steps; SOAP and Shampoo between two refreshes; Kron with an update in every step. Each in
processes of its own, ours and the peer in turns, kept are medians. PyTorch's Muon computes in bfloat16, which
has instructions of its own on some processors (AMX): `gflops` says what our float32 products reach. Prints a
table and writes rules.json and rules.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import QUICK, Call, machine, missing, over_processes, publish, side_by_side, staggered
from step_cases import moved
from targets import plural

import fastopt

HERE = Path(__file__).parent
PROCESSES = 1 if QUICK else int(os.environ.get("FASTOPT_BENCH_PROCESSES", "5"))
N = 20_000 if QUICK else 20_000_000
SHRINK = 8 if QUICK else 1
Shape = tuple[int, ...]


def ours(name: str, shapes: list[Shape], **options: Any) -> Call:
    """Past its first steps, gradients bound."""
    rng = np.random.default_rng(0)
    thetas, grads = [], []
    for shape in shapes:
        size = int(np.prod(shape))
        theta, grad = staggered(size, 2, seed=int(rng.integers(1 << 30)))
        thetas.append(theta.reshape(shape))
        grads.append(grad.reshape(shape))
    opt = getattr(fastopt, name)(thetas, lr=1e-3, **options)
    opt.bind_grads(grads)
    for _ in range(2):
        opt.step()
    step: Call = opt.step
    return step


def theirs(make: Callable[[list[Any]], Any], shapes: list[Shape]) -> Call:
    import torch

    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in params:
        p.grad = torch.randn_like(p)
    grads = [p.grad for p in params]
    opt = make(params)
    if hasattr(opt, "train"):
        opt.train()

    def step() -> None:
        for p, grad in zip(params, grads, strict=True):  # heavyball takes the gradient away
            p.grad = grad
        opt.step()

    for _ in range(3):  # the third is the first that heavyball need not compile
        step()
    return step


def schedule_free(params: list[Any]) -> Any:
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(params, lr=1e-3)


def ademamix(params: list[Any]) -> Any:
    from pytorch_optimizer import AdEMAMix

    return AdEMAMix(params, lr=1e-3)


def prodigy(params: list[Any]) -> Any:
    from prodigyopt import Prodigy

    return Prodigy(params, lr=1e-3)


def muon(params: list[Any]) -> Any:
    import torch

    return torch.optim.Muon(params, lr=1e-3)


def soap(params: list[Any]) -> Any:
    from pytorch_optimizer import SOAP

    return SOAP(params, lr=1e-3, precondition_frequency=10**6)


def adafactor(params: list[Any]) -> Any:
    import torch

    return torch.optim.Adafactor(params, lr=1e-3)


def adafactor_floor() -> dict[str, Call]:
    """Squares and the size of theta; the size of the update; theta itself."""
    theta, grad = staggered(N, 2)
    return moved([([], [theta, grad]), ([], [grad]), ([theta], [grad])])


def shampoo(params: list[Any]) -> Any:
    from pytorch_optimizer import Shampoo

    return Shampoo(params, lr=1e-3, preconditioning_compute_steps=10**6)


def kron(params: list[Any]) -> Any:
    from pytorch_optimizer import Kron

    return Kron(params, lr=1e-3, pre_conditioner_update_probability=1.0)


def heavyball_soap(params: list[Any]) -> Any:
    import heavyball

    return heavyball.SOAP(params, lr=1e-3, precondition_frequency=10**6, use_precond_schedule=False)


GPT2: list[Shape] = [(768 // SHRINK, 768 // SHRINK), (768 // SHRINK, 3072 // SHRINK)] * (1 if QUICK else 12)
SMALL: list[Shape] = [(128, 128)] * (4 if QUICK else 64)
ONE: list[Shape] = [(768 // SHRINK, 768 // SHRINK)]
MATRIX: list[Shape] = [(N // 5000, 5000)]


class Case(NamedTuple):
    label: str
    ours: Callable[[], Call]
    peer: str
    theirs: Callable[[], Call]
    needs: str = "torch"
    shapes: list[Shape] | None = None  # of matrices that Newton-Schulz steps are taken of
    floor: Callable[[], dict[str, Call]] = dict


def exact(n: int) -> Case:
    shapes: list[Shape] = [(n // SHRINK, n // SHRINK)]
    return Case(
        f"Muon, exact, {n} x {n}",
        lambda: ours("Muon", shapes, method="exact"),
        "five Newton-Schulz steps of ours",
        lambda: ours("Muon", shapes),
    )


CASES: dict[str, Case] = {
    "schedule-free": Case(
        "ScheduleFreeAdamW, 20 M",
        lambda: ours("ScheduleFreeAdamW", [(N,)]),
        "schedulefree",
        lambda: theirs(schedule_free, [(N,)]),
        "schedulefree",
    ),
    "ademamix": Case(
        "AdEMAMix, 20 M",
        lambda: ours("AdEMAMix", [(N,)]),
        "pytorch_optimizer",
        lambda: theirs(ademamix, [(N,)]),
        "pytorch_optimizer",
    ),
    "prodigy": Case(
        "Prodigy, 20 M",
        lambda: ours("Prodigy", [(N,)]),
        "prodigyopt",
        lambda: theirs(prodigy, [(N,)]),
        "prodigyopt",
    ),
    "adafactor": Case(
        "Adafactor, 20 M (4000 x 5000)",
        lambda: ours("Adafactor", MATRIX),
        "torch.optim.Adafactor",
        lambda: theirs(adafactor, MATRIX),
        floor=adafactor_floor,
    ),
    "muon": Case(
        "Muon, 12 x (768 x 768, 768 x 3072)",
        lambda: ours("Muon", GPT2),
        "torch.optim.Muon (bfloat16)",
        lambda: theirs(muon, GPT2),
        shapes=GPT2,
    ),
    "muon-small": Case(
        "Muon, 64 x (128 x 128)",
        lambda: ours("Muon", SMALL),
        "torch.optim.Muon (bfloat16)",
        lambda: theirs(muon, SMALL),
        shapes=SMALL,
    ),
    "exact-512": exact(512),
    "exact-1024": exact(1024),
    "soap": Case(
        "SOAP between refreshes, 768 x 768",
        lambda: ours("SOAP", ONE, precondition_frequency=10**6),
        "pytorch_optimizer",
        lambda: theirs(soap, ONE),
        "pytorch_optimizer",
    ),
    "soap-heavyball": Case(
        "SOAP between refreshes, 768 x 768",
        lambda: ours("SOAP", ONE, precondition_frequency=10**6),
        "heavyball",
        lambda: theirs(heavyball_soap, ONE),
        "heavyball",
    ),
    "shampoo": Case(
        "Shampoo between refreshes, 768 x 768",
        lambda: ours("Shampoo", ONE, update_freq=10**6, block_size=768),
        "pytorch_optimizer",
        lambda: theirs(shampoo, ONE),
        "pytorch_optimizer",
    ),
    "kron": Case(
        "Kron, updated at every step, 768 x 768",
        lambda: ours("Kron", ONE, preconditioner_update_probability=1.0),
        "pytorch_optimizer",
        lambda: theirs(kron, ONE),
        "pytorch_optimizer",
    ),
}


def flops(shapes: list[Shape]) -> float:
    """Of five plain Newton-Schulz steps of the quintic: on n x m with n <= m, 4 n^2 m + 2 n^3 each."""
    total = 0.0
    for shape in shapes:
        n, m = min(shape), max(shape)
        total += 5 * (4 * n * n * m + 2 * n**3)
    return total


def one_process(key: str, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    case = CASES[key]
    calls = {"ours": case.ours(), "peer": case.theirs(), **case.floor()}
    result = side_by_side(calls, turns=9, budget=0.05)
    seconds = result["seconds"]
    row: dict[str, Any] = {
        "case": f"rules: {case.label}, beside {case.peer}, {plural(threads)}",
        "ours_us": 1e6 * seconds["ours"],
        "torch_us": 1e6 * seconds["peer"],
        "ratio": result["ratio"]["peer"],
    }
    if "floor" in seconds:
        row["of_floor"] = result["ratio"]["floor"]
    if case.peer.startswith("five"):
        row["times"] = 1 / row["ratio"]
    if case.shapes is not None:
        row["gflops"] = flops(case.shapes) / seconds["ours"] / 1e9
        row["peer_gflops"] = flops(case.shapes) / seconds["peer"] / 1e9
    return row


def beside(row: dict[str, Any]) -> str:
    """What the step is held against besides the peer: the floor of its bytes, or the products' operations."""
    if "of_floor" in row:
        return f"{100 * row['of_floor']:.0f} % of the floor"
    return f"{row['gflops']:.0f} : {row['peer_gflops']:.0f} GFLOP/s" if "gflops" in row else "-"


def markdown(result: dict[str, Any]) -> str:
    """One line for each case."""
    m = result["machine"]
    lines = ["| a step | ours | peer | ratio | floor, or products of ours : peer |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        low, high = row["spread"]
        ratio = f"{row['ratio']:.2f}x ({low:.2f} to {high:.2f})"
        lines.append(
            f"| {row['case'].removeprefix('rules: ')} | {row['ours_us'] / 1000:.2f} ms | "
            f"{row['torch_us'] / 1000:.2f} ms | {ratio} | {beside(row)} |"
        )
    lines += [f"| {case} | | not installed | | |" for case in result["missing"]]
    text = (
        f"Medians over {PROCESSES} processes, lowest to highest in brackets ({m['date']}, commit "
        f"{m['commit']}, {m['processor']}, {m['cpus']} CPUs, level {m['level']}, PyTorch {m['torch']}). "
        "Products are counted as five plain steps take them, on either side."
    )
    return "\n".join([*lines, "", text, ""])


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
    wanted = list(CASES) if args.cases == "all" else args.cases.split(",")
    rows, lacking = [], []
    for key in wanted:
        if (absent := missing(CASES[key].needs)) is not None:
            lacking.append(f"{CASES[key].label}, beside {CASES[key].peer}")
            print(absent, file=sys.stderr)
            continue
        for threads in map(int, args.threads.split(",")):
            rows.append(over_processes("bench_rules", key, threads, PROCESSES))
            print(rows[-1], file=sys.stderr, flush=True)
    result = {"machine": machine(), "rows": rows, "missing": lacking}
    publish(args.out, "rules", result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
