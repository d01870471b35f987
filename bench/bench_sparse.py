"""Gradients of some rows of a table beside PyTorch's and FBGEMM's: `python bench/bench_sparse.py`.

    python bench/bench_sparse.py [--cases adam,adagrad] [--rows 10000000] [--given 10000] [--out results]

A step of `fastopt` with `SparseRows`, of `torch.optim` with the same sparse gradient and, where
`fbgemm-gpu-cpu` is installed, of its table with that optimizer, whose step is part of its backward pass. Each
case is measured in processes of its own, in turns; kept are the medians over the processes. The floor is the
bytes that a step must move (theta and states of the rows read and written, their gradient read), at what a
copy of memory moves here. Prints a table and writes sparse.json and sparse.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    opt = getattr(torch.optim, {"Adam": "SparseAdam"}.get(name, name))([table], lr=1e-3)
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
    known = {"Adagrad": "EXACT_ADAGRAD", "RowwiseAdagrad": "EXACT_ROWWISE_ADAGRAD", "SGD": "EXACT_SGD"}
    if name not in known:
        return None
    table = SplitTableBatchedEmbeddingBagsCodegen(
        [(rows, WIDTH, EmbeddingLocation.HOST, ComputeDevice.CPU)],
        optimizer=getattr(EmbOptimType, known[name]),
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


#: States of each rule, elementwise and of a row.
STATES = {"Adam": (2, 0), "Adagrad": (1, 0), "SGD": (0, 0), "RowwiseAdagrad": (0, 1), "RowwiseAdam": (1, 1)}
CASES = {
    f"{name.lower()} {draw}": (name, draw)
    for name in STATES
    if hasattr(fastopt, name)
    for draw in (DRAWS if name == "Adam" else ("uniform",))
}


def one_process(key: str, threads: int, rows: int, given: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    fastopt.set_num_threads(threads)
    name, draw = CASES[key]
    grads = gradients(rows, given, draw)
    calls = {"ours": ours(name, grads, rows)}
    if hasattr(torch.optim, {"Adam": "SparseAdam"}.get(name, name)):
        calls["torch"] = theirs(name, grads, rows)
    if (peer := fbgemm(name, grads, rows)) is not None:
        calls["fbgemm"] = peer
    result = side_by_side(calls, turns=9, budget=0.1)
    elementwise, of_a_row = STATES[name]
    distinct = statistics.mean(len(np.unique(index)) for index, _ in grads)
    moved = distinct * (2 * (1 + elementwise) * 4 * WIDTH + 2 * 4 * of_a_row) + given * (4 * WIDTH + 8)
    return {
        "case": f"sparse: {name}, {given:,} rows of {rows:,} x {WIDTH}, {draw}, {plural(threads)}",
        **{f"{peer}_us": 1e6 * seconds for peer, seconds in result["seconds"].items()},
        **{f"{peer}_ratio": ratio for peer, ratio in result["ratio"].items()},
        "bytes": moved,
        "floor_us": 1e6 * moved / bytes_per_second(),
    }


def measure(key: str, threads: int, rows: int, given: int) -> dict[str, Any]:
    call = f"bench_sparse.one_process({key!r}, {threads}, {rows}, {given})"
    code = f"import json, bench_sparse; print(json.dumps({call}))"
    made = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(PROCESSES)]
    return {k: v if k == "case" else statistics.median(r[k] for r in made) for k, v in made[0].items()}


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
        f"Medians over {PROCESSES} processes ({m['date']}, commit {m['commit']}, {m['processor']}, "
        f"{m['cpus']} CPUs, level {m['level']}, PyTorch {m['torch']}). The floor: the bytes of the rows at "
        "the speed of a copy of memory on one thread."
    )
    return "\n".join([*lines, "", text, ""])


def default_rows() -> int:
    """Of ten million rows each side holds 7.7 GB: a tenth of them where memory is short."""
    if QUICK:
        return 10_000
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return 10_000_000 if here > 30e9 else 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="all", help="first words of the cases' keys, with commas")
    parser.add_argument("--rows", type=int, default=default_rows())
    parser.add_argument("--given", type=int, default=100 if QUICK else 10_000)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if gone := missing("torch"):
        print(gone, file=sys.stderr)
        return 1
    wanted = args.cases.split(",")
    rows = [
        measure(key, threads, args.rows, args.given)
        for key in CASES
        if wanted == ["all"] or key.split()[0] in wanted
        for threads in map(int, args.threads.split(","))
    ]
    result = {"machine": machine(), "rows": rows}
    publish(args.out, "sparse", result, markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
