"""The step benchmark's tables in Markdown: every row, every target, and what was not measured."""

from __future__ import annotations

from typing import Any

from claims import Row, number, step_row
from targets import STEP, TARGETS, Target, shown

HEAD = [
    "| case | ours | peer | ratio (10 to 90 %) | against NumPy | share of the floor | wanted | |",
    "|---|---|---|---|---|---|---|---|",
]
NOTE = (
    "The peer is PyTorch unless the row names another: of AdamW over Adam it is our Adam; of two "
    "threads, our own "
    "step on one. The floor: the time of a pass that moves the bytes of the step, with one addition per "
    "element. "
    "`-`: not compared."
)


def cell(value: float | None, unit: str = "", digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def targets_of(row: Row) -> tuple[Target, ...]:
    return TARGETS["step"].get(row["case"], ())


def verdict(row: Row, machine: Row) -> str:
    """Whether the targets are met; `not measured` where the row lacks the number of one."""
    if machine.get("quick"):
        return ""
    targets = targets_of(row)
    values = [number(row.get(t.of)) for t in targets]
    marks = [t.met(v) for t, v in zip(targets, values, strict=True) if v is not None]
    if not all(marks):
        return "MISSED"
    return "not measured" if len(marks) < len(targets) else "met" if targets else ""


def peer(row: Row, machine: Row) -> str:
    """The peer's time, or why there is none."""
    if row["peer"] is not None:
        name = row.get("peer_name", "PyTorch")
        return f"{row['peer']:.1f} us" + ("" if name in ("PyTorch", "ours") else f" ({name})")
    if row.get("missing"):
        return str(row["missing"])
    if "ours_ms" in row:
        return "-"
    return "none in PyTorch" if machine["torch"] else "PyTorch: not installed"


def line(row: Row, machine: Row) -> str:
    """A row of the table."""
    row = step_row(row)
    spread = row.get("spread")
    ratio = number(row.get("ratio"))
    ratio_text = cell(ratio, "x") + (f" ({spread[0]:.2f} to {spread[1]:.2f})" if spread and ratio else "")
    share = number(row.get("of_floor"))
    floor = cell(share and 100 * share, " %", 0) if share else row.get("floor_missing", "-")
    if row.get("p95_over_serial") is not None:
        floor = f"p95 {row['p95_over_serial']:.2f}x"
    ours = f"{row['ours_ms']:.1f} ms" if "ours_ms" in row else cell(row["ours"], " us", 1)
    wanted = ", ".join(str(t) for t in targets_of(row))
    numpy = cell(number(row.get("numpy_ratio")), "x", 1)
    return (
        f"| {row['case']} | {ours} | {peer(row, machine)} | {ratio_text} | {numpy} | {floor} | "
        f"{wanted or '-'} | "
        f"{verdict(row, machine)} |"
    )


def unmeasured(results: list[dict[str, Any]]) -> list[str]:
    """The rows that have a target and are in none of these results: table by table."""
    have = {row["case"] for result in results for table in result["tables"].values() for row in table}
    lines = []
    for name, cases in STEP.items():
        lacking = [
            f"{case} ({', '.join(map(str, targets))})" for case, targets in cases.items() if case not in have
        ]
        if lacking:
            lines.append(f"- `{name}`: {'; '.join(lacking)}")
    return ["Not measured in this run, though there is a target:", "", *lines, ""] if lines else []


def level(result: dict[str, Any], results: list[dict[str, Any]]) -> list[str]:
    """All tables of one level in one state; what is still to be measured comes with its last one."""
    m = result["machine"]
    same = [other for other in results if other["machine"]["level"] == m["level"]]
    torch = f"PyTorch {m['torch']}" if m["torch"] else "PyTorch: not installed"
    quick = ["A quick run: too few turns, and sizes too small, to judge by.", ""] if m.get("quick") else []
    return [
        f"## Level {m['level']}" if result is same[0] else f"## Of level {m['level']}, in another state",
        "",
        f"{m['date']}, commit {m['commit']}, {m['processor']}, {m['cpus']} CPUs, {m['compiler']} "
        f"`{m['flags']}`, NumPy {m['numpy']}, {torch}",
        "",
        *quick,
        NOTE,
        "",
        *HEAD,
        *[line(row, m) for table in result["tables"].values() for row in table],
        "",
        *(unmeasured(same) if result is same[-1] else []),
    ]


def markdown(results: list[dict[str, Any]]) -> str:
    """The report of all levels; rendered from JSON alone, so that both can be held equal."""
    return "\n".join(text for result in results for text in level(result, results)).rstrip("\n") + "\n"


def spread_of(of: str, values: list[float]) -> str:
    """One number, or from lowest to highest."""
    low, high = shown(of, min(values)), shown(of, max(values))
    return low if low == high else f"{low} to {high}"
