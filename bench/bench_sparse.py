"""Gradients of some rows of a table beside PyTorch's and FBGEMM's: `python bench/bench_sparse.py`.

    python bench/bench_sparse.py [--quick] [--cases adam,adagrad] [--rows 10000000] [--given 10000]

A step of `fastopt` with `SparseRows`, of `torch.optim` with the same sparse gradient and, where
`fbgemm-gpu-cpu` is installed, of its table with that optimizer, whose step is part of its backward pass. All
cases of one number of threads are measured in one process, each side in turns, and that in several processes:
pages fall differently in each, and importing PyTorch takes longer than a case. Kept are the medians over the
processes. The floor is the bytes that a step must move (theta and states of the rows read and written, their
gradient read), at what a copy of memory moves here. `--quick`: three processes and a million rows, which no
cache holds either, in two minutes. Prints a table and writes sparse.json and sparse.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import QUICK, Call, in_fresh_process, machine, missing, publish, side_by_side, timed
from targets import plural

import fastopt

HERE = Path(__file__).parent
PROCESSES = 1 if QUICK else 5
WIDTH = 64
#: How rows are drawn: all equally likely, or as words of a language are, with many duplicates.
DRAWS: dict[str, Callable[[Any, int, int], Any]] = {
    "uniform": lambda rng, rows, given: rng.integers(0, rows, given),
    "zipf": lambda rng, rows, given: (rng.zipf(1.2, given) - 1) % rows,
}


def gradients(rows: int, given: int, draw: str) -> list[tuple[Any, Any]]:
    """Several, so that none finds its rows in the caches."""
    rng = np.random.default_rng(1)
    return [
        (DRAWS[draw](rng, rows, given), rng.standard_normal((given, WIDTH), dtype=np.float32))
        for _ in range(8)
    ]


def ours(name: str, grads: list[tuple[Any, Any]], rows: int) -> Call:
    opt = getattr(fastopt, name)([np.zeros((rows, WIDTH), np.float32)], lr=1e-3)
    made = [[fastopt.SparseRows(index, values)] for index, values in grads]
    return in_turn([lambda one=one: opt.step(one) for one in made])


def theirs(name: str, grads: list[tuple[Any, Any]], rows: int) -> Call:
    """Gradients as an embedding's backward pass leaves them: not coalesced, and anew in every step."""
    import torch

    table = torch.nn.Parameter(torch.zeros(rows, WIDTH))
    opt = getattr(torch.optim, name)([table], lr=1e-3)
    pairs = [(torch.from_numpy(index)[None], torch.from_numpy(values)) for index, values in grads]

    def step(pair: tuple[Any, Any]) -> None:
        table.grad = torch.sparse_coo_tensor(*pair, (rows, WIDTH), check_invariants=False)
        opt.step()

    return in_turn([lambda pair=pair: step(pair) for pair in pairs])


def fbgemm(name: str, grads: list[tuple[Any, Any]], rows: int) -> Call | None:
    """Bags of one row: the forward pass is not measured, the backward pass is, with the step within it."""
    try:
        import torch
        from fbgemm_gpu.split_embedding_configs import EmbOptimType
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
            ComputeDevice,
            EmbeddingLocation,
            SplitTableBatchedEmbeddingBagsCodegen,
        )
    except (ImportError, OSError, AttributeError):
        return None
    table = SplitTableBatchedEmbeddingBagsCodegen(
        [(rows, WIDTH, EmbeddingLocation.HOST, ComputeDevice.CPU)],
        optimizer=getattr(EmbOptimType, name),
        learning_rate=1e-3,
    )
    offsets = torch.arange(len(grads[0][0]) + 1)
    pairs = [(torch.from_numpy(index), torch.from_numpy(values)) for index, values in grads]

    def step(index: Any, values: Any) -> None:
        table(index, offsets).backward(values)

    return in_turn([lambda pair=pair: step(*pair) for pair in pairs])


def in_turn(calls: list[Call]) -> Call:
    state = {"next": 0}

    def call() -> object:
        state["next"] = (state["next"] + 1) % len(calls)
        return calls[state["next"]]()

    return call


def bytes_per_second() -> float:
    """Of a copy beyond the caches: what is read and what is written."""
    n = 1 << (20 if QUICK else 26)
    source, to = np.ones(n, np.float32), np.ones(n, np.float32)
    return 8 * n / timed(lambda: np.copyto(to, source), 5)


class Rule(NamedTuple):
    """What others call a class of ours (FBGEMM: on the CPU), and its states, of elements and of rows."""

    torch: str | None
    fbgemm: str | None
    elementwise: int
    of_a_row: int


RULES = {
    "Adam": Rule("SparseAdam", None, 2, 0),
    "Adagrad": Rule("Adagrad", "EXACT_ADAGRAD", 1, 0),
    "SGD": Rule("SGD", "EXACT_SGD", 0, 0),
    "RowWiseAdagrad": Rule(None, "EXACT_ROWWISE_ADAGRAD", 0, 1),
    "RowWiseAdam": Rule(None, None, 1, 1),
}
CASES = {
    f"{name.lower()} {draw}": (name, draw)
    for name in RULES
    for draw in (DRAWS if name == "Adam" else ("uniform",))
}


def one_process(keys: Sequence[str], threads: int, rows: int, given: int) -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    speed = bytes_per_second()
    return [one_case(key, threads, rows, given, speed) for key in keys]


def one_case(key: str, threads: int, rows: int, given: int, speed: float) -> dict[str, Any]:
    name, draw = CASES[key]
    rule, grads = RULES[name], gradients(rows, given, draw)
    calls = {"ours": ours(name, grads, rows)}
    if rule.torch is not None:
        calls["torch"] = theirs(rule.torch, grads, rows)
    if rule.fbgemm is not None and (peer := fbgemm(rule.fbgemm, grads, rows)) is not None:
        calls["fbgemm"] = peer
    result = side_by_side(calls, turns=9, budget=0.1)
    distinct = statistics.mean(len(np.unique(index)) for index, _ in grads)
    moved = distinct * (2 * (1 + rule.elementwise) * 4 * WIDTH + 8 * rule.of_a_row) + given * (4 * WIDTH + 8)
    return {
        "case": f"sparse: {name}, {given:,} rows of {rows:,} x {WIDTH}, {draw}, {plural(threads)}",
        **{f"{peer}_us": 1e6 * seconds for peer, seconds in result["seconds"].items()},
        **{f"{peer}_ratio": ratio for peer, ratio in result["ratio"].items()},
        "bytes": moved,
        "floor_us": 1e6 * moved / speed,
    }


def measure(keys: Sequence[str], threads: int, rows: int, given: int, processes: int) -> list[dict[str, Any]]:
    call = f"bench_sparse.one_process({list(keys)!r}, {threads}, {rows}, {given})"
    code = f"import json, bench_sparse; print(json.dumps({call}))"
    made = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(processes)]
    return [
        {k: v if k == "case" else statistics.median(r[k] for r in same) for k, v in same[0].items()}
        for same in zip(*made, strict=True)
    ]


def markdown(result: dict[str, Any]) -> str:
    """One line for each case."""
    lines = ["| a step | fastopt | torch.optim | FBGEMM | floor |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        cells = [row["case"].removeprefix("sparse: "), f"{row['ours_us']:.0f} us"]
        for peer in ("torch", "fbgemm"):
            known = f"{peer}_us" in row
            cells.append(f"{row[f'{peer}_us']:.0f} us, {row[f'{peer}_ratio']:.1f}x" if known else "-")
        cells.append(f"{row['floor_us']:.0f} us")
        lines.append(f"| {' | '.join(cells)} |")
    m = result["machine"]
    text = (
        f"Medians over {result['processes']} processes ({m['date']}, commit {m['commit']}, {m['processor']}, "
        f"{m['cpus']} CPUs, level {m['level']}, PyTorch {m['torch']}). The floor: the bytes of the rows at "
        "the speed of a copy of memory on one thread."
    )
    return "\n".join([*lines, "", text, ""])


def default_rows() -> int:
    """Of ten million rows two sides hold 15.4 GB: a tenth of them where memory is short."""
    if QUICK:
        return 10_000
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return 10_000_000 if here > 19e9 else 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help="first words of the cases' keys, with commas")
    parser.add_argument("--quick", action="store_true", help="three processes, a million rows: two minutes")
    parser.add_argument("--rows", type=int, help="of the table; default: ten million, if memory allows")
    parser.add_argument("--given", type=int, default=100 if QUICK else 10_000)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if gone := missing("torch"):
        print(gone, file=sys.stderr)
        return 1
    wanted = args.cases.split(",")
    keys = [key for key in CASES if wanted == ["all"] or key.split()[0] in wanted]
    length = args.rows or (min(default_rows(), 1_000_000) if args.quick else default_rows())
    processes = min(PROCESSES, 3) if args.quick else PROCESSES
    rows = [
        row
        for threads in map(int, args.threads.split(","))
        for row in measure(keys, threads, length, args.given, processes)
    ]
    result = {"machine": machine(), "processes": processes, "rows": rows}
    publish(args.out, "sparse", result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
