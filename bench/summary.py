"""The first tables of bench/README.md: what a newcomer asks first, in a few rows each.

Nothing is measured or judged here: the rows are those of the tables further down, of one thread each.
"""

from __future__ import annotations

from typing import Any

from blocks import ratio_text, table, time
from claims import RESULTS, Row, read

#: Of peers.json: the sides, and what they are called here.
SIDES = {
    "fused": "PyTorch, `fused=True`",
    "foreach": "PyTorch, `foreach=True`",
    "loop": "PyTorch, its loop over tensors",
    "compiled": "PyTorch, `torch.compile`",
    "deepspeed": "DeepSpeed, `CPUAdam`",
}
#: Of peers.json: the cases, and the heads of their columns.
STEPS = {
    "sizes, 2^12": "4,096 elements",
    "sizes, 2^18": "262,144",
    "sizes, 2^24": "16.8 million",
    "shapes, 1000 x 1 k": "1000 tensors of 1,000",
    "shapes, GPT-2 small": "GPT-2 small, 124 million",
}
#: Of bytes.json.
LIGHT = {
    "float32, states in 8 bits, 4 M, beside bitsandbytes": "bitsandbytes, 8 bits",
    "float32, states in 8 bits, 4 M, beside bitsandbytes-cpu-fork": "a fork of bitsandbytes for CPUs, 8 bits",
    "float32, states in 8 bits, 4 M, beside torchao": "torchao, 8 bits",
    "float32, states in 8 bits, theirs in 4, 4 M, beside torchao": "torchao, 4 bits",
    "float32, states in 8 bits, beside PyTorch float32": "PyTorch fused, float32",
}
MEMORY = {
    "float32, states in float32": "fastopt, float32",
    "float32, states in bfloat16": 'fastopt, `state_dtype="bfloat16"`',
    "float32, states in 8 bits": 'fastopt, `state_dtype="int8"`',
    "PyTorch float32": "PyTorch, float32",
    "bitsandbytes": "bitsandbytes, 8 bits",
}
ORDERS = (4, 16, 64, 256, 1024, 2048)


def grid(head: list[str], lines: list[list[str]]) -> str:
    first, *rest = ["| " + " | ".join(row) + " |" for row in (head, *lines)]
    return table(first, rest)


def ratio(value: float | None) -> str:
    return "-" if value is None else ratio_text(value)


def by_case(part: str, key: str = "rows") -> dict[str, Row]:
    """The rows of one thread, by what comes before it."""
    found = {row["case"].removeprefix(f"{part}: "): row for row in read(RESULTS / f"{part}.json")[key]}
    return {
        case.removesuffix(", 1 thread"): row for case, row in found.items() if case.endswith(", 1 thread")
    }


def step() -> str:
    found = by_case("peers")
    lines = [["fastopt: its time", *(time(found[case]["ours_us"]) for case in STEPS)]]
    for key, name in SIDES.items():
        lines.append([name, *(ratio(found[case].get(f"{key}_ratio")) for case in STEPS)])
    return grid(["their time over ours", *STEPS.values()], lines)


def light() -> str:
    found = by_case("bytes")
    lines = [
        [name, time(found[case]["ours_us"]), time(found[case]["torch_us"]), ratio(found[case]["ratio"])]
        for case, name in LIGHT.items()
    ]
    return grid(["beside", "fastopt, 8 bits", "theirs", "their time over ours"], lines)


def memory() -> str:
    found = by_case("bytes", "resident")
    lines = []
    for case, name in MEMORY.items():
        row = found[f"{case}, resident set"]
        lines.append([name, f"{row['resident']:.1f}", f"{row['most']:.1f}"])
    return grid(["AdamW", "bytes a parameter", "at the most"], lines)


def eigensolver() -> str:
    rows: list[dict[str, Any]] = read(RESULTS / "eigh.json")["rows"]
    found = {(r["function"], r["matrix"], r["n"]): r["ratio"] for r in rows if r["threads"] == 1}
    lines = []
    for matrix, where in (("random", "one matrix"), ("4096 stacked", "4,096 in a stack")):
        for function in ("eigvalsh", "eigh"):
            ratios = [ratio(found.get((function, matrix, n))) for n in ORDERS]
            lines.append([f"`{function}`, {where}", *ratios])
    return grid(["LAPACK's time over ours", *(f"n = {n}" for n in ORDERS)], lines)


def loops() -> str:
    lines = []
    for row in by_case("training").values():
        share = f"{100 * row['torch_share']:.0f} %"
        lines.append([f"{row['parameters']:,}", time(row["torch_us"]), share, ratio(row["ratio"])])
    head = ["parameters", "a loop's step, PyTorch", "of it the optimizer", "its time over that with ours"]
    return grid(head, lines)


def sources() -> str:
    """Machine and commit of each table."""
    lines = []
    for part in ("peers", "bytes", "training", "eigh"):
        m = read(RESULTS / f"{part}.json")["machine"]
        lines.append(f"`{part}.json` {m['date']}, commit {m['commit']}, {m['processor']}, level {m['level']}")
    return f"(From {'; '.join(lines)}; PyTorch {m['torch']}, NumPy {m['numpy']}.)\n"


def summary() -> str:
    """The block of bench/README.md."""
    parts = (
        "**A step of AdamW**, float32:\n",
        step(),
        "**A step with states in 8 bits**, 4 million parameters (beside PyTorch: 20 million):\n",
        light(),
        "**Memory of the states**, measured as what the process grows by:\n",
        memory(),
        "**A whole training loop** of a perceptron in PyTorch, with our Adam in place of its fused one:\n",
        loops(),
        "**Symmetric eigenproblems** beside LAPACK, as NumPy calls it, float64:\n",
        eigensolver(),
        sources(),
    )
    return "\n".join(parts)
