"""Steps that move fewer bytes, beside their peers: `python bench/bench_bytes.py [--cases states,split8]`.

AdamW on 20 million elements with states in eight bits, bfloat16 with stochastic rounding, masters and
shadows, in processes of their own, ours and the peer in turns; the floor is the time that a variant's bytes
take when our own reading and writing pass moves them; `resident`: what an optimizer adds to the memory of its
process. Prints a table and writes bytes.json and bytes.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import resident
from common import QUICK, Call, machine, missing, over_processes, publish, side_by_side, staggered
from step_cases import floor
from targets import plural

import fastopt

HERE = Path(__file__).parent
PROCESSES = 1 if QUICK else int(os.environ.get("FASTOPT_BENCH_PROCESSES", "5"))
N = 20_000 if QUICK else 20_000_000
FOUR_M = 40_000 if QUICK else 4_000_000
SPLIT8 = {"state_dtype": "int8", "master": "split8", "rounding": "stochastic"}
ALL_BFLOAT16 = {"state_dtype": "bfloat16", "rounding": "stochastic"}


def bits(values: Any) -> Any:
    """Bfloat16 patterns, cut off."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def ours(n: int, dtype: str = "float32", gradient: str = "float32", **options: Any) -> Any:
    """AdamW past its first step, its gradient bound."""
    theta, grad = staggered(n, 2)
    grad *= np.float32(1e-3)
    if dtype == "bfloat16":
        theta, options = bits(theta), {**options, "dtype": "bfloat16"}
    elif gradient == "bfloat16":
        options = {**options, "dtype": "bfloat16"}
    opt = fastopt.AdamW([theta], lr=1e-3, **options)
    opt.bind_grads([bits(grad) if gradient == "bfloat16" else grad])
    for _ in range(2):
        opt.step()
    return opt


def theirs(n: int, dtype: str = "float32") -> Any:
    """PyTorch's fused AdamW, likewise."""
    import torch

    p = torch.nn.Parameter(torch.randn(n, dtype=getattr(torch, dtype)))
    p.grad = torch.randn_like(p) * 1e-3
    opt = torch.optim.AdamW([p], lr=1e-3, fused=True)
    opt.step()
    return opt


def mixed(n: int) -> Call:
    """A bfloat16 model with float32 masters as one trains it with PyTorch: cast, clip, step, cast."""
    import torch
    from torch.nn.utils import clip_grad_norm_

    model = torch.randn(n).bfloat16()
    gradient = (torch.randn(n) * 1e-3).bfloat16()
    master = torch.nn.Parameter(model.float())
    master.grad = torch.empty(n)
    opt = torch.optim.AdamW([master], lr=1e-3, fused=True)

    def step() -> None:
        assert master.grad is not None
        master.grad.copy_(gradient)
        clip_grad_norm_([master], 1.0)
        opt.step()
        with torch.no_grad():
            model.copy_(master)

    return step


def shadowed(n: int) -> Any:
    return ours(n, gradient="bfloat16", clip_norm=1.0, shadow=[np.zeros(n, np.uint16)])


def bitsandbytes(n: int) -> Call:
    """AdamW with blocks of 256 in eight bits, on the CPU."""
    import bitsandbytes as bnb
    import torch

    p = torch.nn.Parameter(torch.randn(n))
    p.grad = torch.randn(n) * 1e-3
    opt = bnb.optim.AdamW8bit([p], lr=1e-3)
    opt.step()
    return opt.step


def torchao(n: int, name: str = "AdamW8bit") -> Call:
    import torch
    import torchao.optim

    p = torch.nn.Parameter(torch.randn(n))
    p.grad = torch.randn(n) * 1e-3
    opt = getattr(torchao.optim, name)([p], lr=1e-3)
    opt.step()
    return opt.step


class Case(NamedTuple):
    """`bytes`: that our step moves of an element."""

    label: str
    ours: Callable[[], Any]
    peer: str
    theirs: Callable[[], Call]
    bytes: float
    threads: tuple[int, ...] = (1, 2)
    needs: str = "torch"


#: A code, and its share of a scale of four bytes for 64.
CODE = 1 + 4 / 64
CASES: dict[str, Case] = {
    "states": Case(
        "float32, states in 8 bits",
        lambda: ours(N, state_dtype="int8"),
        "PyTorch float32",
        lambda: theirs(N).step,
        12 + 4 * CODE,
    ),
    "split8": Case(
        "bfloat16 + 8 bits, states in 8 bits",
        lambda: ours(N, "bfloat16", "bfloat16", **SPLIT8),
        "PyTorch float32",
        lambda: theirs(N).step,
        8 + 4 * CODE,
    ),
    "half": Case(
        "all in bfloat16, stochastic",
        lambda: ours(N, "bfloat16", "bfloat16", **ALL_BFLOAT16),
        "our float32",
        lambda: ours(N).step,
        14,
    ),
    "halves": Case(
        "all in bfloat16, stochastic",
        lambda: ours(N, "bfloat16", "bfloat16", **ALL_BFLOAT16),
        "PyTorch bfloat16",
        lambda: theirs(N, "bfloat16").step,
        14,
    ),
    "shadow": Case(
        "float32 with bfloat16 shadow and gradient, clipped",
        lambda: shadowed(N),
        "PyTorch: cast, clip, step, cast",
        lambda: mixed(N),
        30,
    ),
    "bnb": Case(
        "float32, states in 8 bits, 4 M",
        lambda: ours(FOUR_M, state_dtype="int8"),
        "bitsandbytes",
        lambda: bitsandbytes(FOUR_M),
        12 + 4 * CODE,
        needs="bitsandbytes",
    ),
    "torchao": Case(
        "float32, states in 8 bits, 4 M",
        lambda: ours(FOUR_M, state_dtype="int8"),
        "torchao",
        lambda: torchao(FOUR_M),
        12 + 4 * CODE,
        needs="torchao",
    ),
    "torchao4": Case(
        "float32, states in 8 bits, theirs in 4, 4 M",
        lambda: ours(FOUR_M, state_dtype="int8"),
        "torchao",
        lambda: torchao(FOUR_M, "AdamW4bit"),
        12 + 4 * CODE,
        needs="torchao",
    ),
}


def installed(package: str) -> tuple[str, str]:
    """What is installed under this name, and its version: a fork may be imported by the same."""
    for name in (f"{package}-cpu-fork", package):
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return package, ""


def one_process(key: str, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    case = CASES[key]
    opt, peer = case.ours(), case.theirs()
    n = next(iter(opt.params.values())).size
    theta, grad = staggered(n, 2)
    plain = fastopt.AdamW([theta], lr=1e-3)
    plain.step([grad])
    calls = {"ours": opt.step, "peer": peer, **floor(plain, theta, grad)}
    result = side_by_side(calls, turns=9, budget=0.05)
    seconds = result["seconds"]
    name, version = (case.peer, "") if case.needs == "torch" else installed(case.needs)
    return {
        "case": f"bytes: {case.label}, beside {name}, {plural(threads)}",
        "peer": f"{name} {version}".rstrip(),
        "ours_us": 1e6 * seconds["ours"],
        "torch_us": 1e6 * seconds["peer"],
        "ratio": result["ratio"]["peer"],
        "of_floor": seconds["floor"] * case.bytes / 28 / seconds["ours"] if "floor" in seconds else None,
        "bytes": case.bytes,
    }


def added(before: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of before that have not been measured again, and the new ones."""
    new = {row["case"] for row in rows}
    return [row for row in before if row["case"] not in new] + rows


def markdown(result: dict[str, Any]) -> str:
    """One line for each case."""
    m = result["machine"]
    lines = ["| AdamW | bytes | ours | peer | ratio | share of its floor |", "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        low, high = row["spread"]
        case, mine, peer = row["case"].removeprefix("bytes: "), row["ours_us"] / 1000, row["torch_us"] / 1000
        share = "-" if row["of_floor"] is None else f"{100 * row['of_floor']:.0f} %"
        lines.append(
            f"| {case} | {row['bytes']:.4g} | {mine:.2f} ms | {peer:.2f} ms ({row['peer']}) | "
            f"{row['ratio']:.2f}x ({low:.2f} to {high:.2f}) | {share} |"
        )
    where = f"{m['date']}, commit {m['commit']}, {m['processor']}, {m['cpus']} CPUs, level {m['level']}"
    text = (
        f"Bytes moved of each element; medians over {PROCESSES} processes, lowest to highest in brackets; "
        f"PyTorch {m['torch']} with `fused=True` ({where}). The floor: the time in which a pass with one "
        "addition moves as many bytes."
    )
    lines += [f"| {case} | | | not installed | | |" for case in result["missing"]]
    return "\n".join([*lines, "", text, "", resident.markdown(result.get("resident", [])), ""])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help=f"with commas, of {', '.join(CASES)}, resident")
    parser.add_argument("--threads", default="", help="instead of the cases' own")
    parser.add_argument(
        "--add", action="store_true", help="to the rows that are there: of peers that exclude each other"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    named = [*CASES, "resident"] if args.cases == "all" else args.cases.split(",")
    wanted = [key for key in named if key != "resident"]
    gone = [key for key in wanted if missing(CASES[key].needs)]
    rows = []
    for key in wanted:
        if key in gone:
            print(missing(CASES[key].needs), file=sys.stderr)
            continue
        for threads in map(int, args.threads.split(",")) if args.threads else CASES[key].threads:
            rows.append(over_processes("bench_bytes", key, threads, PROCESSES))
            print(rows[-1], file=sys.stderr, flush=True)
    lacking = [f"{CASES[key].label}, beside {CASES[key].peer}" for key in gone]
    memory = resident.measured(N, PROCESSES) if "resident" in named else []
    if args.add:
        before = json.loads((args.out / "bytes.json").read_text(encoding="utf-8"))
        rows = added(before["rows"], rows)
        memory = added(before.get("resident", []), memory)
    result = {"machine": machine(), "rows": rows, "resident": memory, "missing": lacking}
    publish(args.out, "bytes", result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
