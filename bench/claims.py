"""The numbers of every result in one shape, and what of them misses its target.

`rows(part, result)` yields (machine, row): a row has "case", "ours", "peer", "unit", "ratio", "of_floor", and
whatever else its targets bound. The measured files keep the shape in which each script writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from targets import TARGETS, Target, plural

Row = dict[str, Any]
Found = Iterator[tuple[Row, Row]]
RESULTS = Path(__file__).parent / "results"


def number(value: Any) -> float | None:
    """None where nothing was measured; NaN in older files."""
    return None if value is None or value != value else float(value)


def step_rows(result: list[Row]) -> Found:
    for level in result:
        for table in level["tables"].values():
            for row in table:
                yield level["machine"], step_row(row)


def step_row(row: Row) -> Row:
    """Older rows call their peer by the key of its time."""
    peer = number(row.get("peer_us", row.get("torch_us", row.get("serial_us"))))
    ours = number(row.get("ours_us", 1e3 * row.get("ours_ms", float("nan"))))
    return {**row, "ours": ours, "peer": peer, "unit": "us"}


def threads_rows(result: Row) -> Found:
    by_size: dict[str, list[Row]] = {}
    for row in result["rows"]:
        gap = f"{row['gap_ms']:g} ms between" if row["gap_ms"] else "back to back"
        numbers = {"ours": row["ours_us"], "peer": row.get("torch_us"), "unit": "us"}
        case = f"{row['rule']} 2^{row['exponent']}, {plural(row['threads'])}, {gap}"
        yield result["machine"], {**row, **numbers, "case": case}
        by_size.setdefault(f"{row['rule']} 2^{row['exponent']}, {gap}", []).append(row)
    for case, rows in by_size.items():
        if len(rows) > 1:
            rows.sort(key=lambda r: int(r["threads"]))
            worst = max(b["ours_us"] / a["ours_us"] for a, b in pairwise(rows))
            yield (
                result["machine"],
                {"case": f"{case}, more threads over fewer", "slowdown": worst, "ours": worst, "unit": "x"},
            )


def eigh_rows(result: Row) -> Found:
    for row in result["rows"]:
        case = f"{row['function']} {row['matrix']}, n = {row['n']}, {plural(row['threads'])}"
        numbers = {"ours": 1e3 * row["ours_ms"], "peer": 1e3 * row["theirs_ms"], "unit": "us"}
        yield result["machine"], {"case": case, "ratio": row["ratio"], **numbers}


def inertia_rows(result: Row) -> Found:
    for row in result["rows"]:
        case = f"inertia {row['matrix']}, n = {row['n']}, {plural(row['threads'])}"
        numbers = {"ours": 1e3 * row["ms"]["inertia"], "peer": 1e3 * row["ms"]["eigvalsh"], "unit": "us"}
        yield result["machine"], {"case": case, "ratio": row["ratio"]["eigvalsh"], **numbers}


def curvature_rows(result: Row) -> Found:
    machine = result["machine"]
    for row in result["verdicts"]:
        numbers = {"ours": 1e3 * row["ours_ms"], "peer": 1e3 * row["one_ms"], "unit": "us"}
        yield machine, {"case": f"verdict, {row['case']}", "ratio": row["ratio"], **numbers}
    products = {r["method"]: r["products"] for r in result["top_ten"] if r.get("products")}
    peers = [n for method, n in products.items() if not method.startswith("fastopt")]
    ours = products.get("fastopt eigsh")
    if peers and ours:
        yield (
            machine,
            {
                "case": "top ten: products fewer than the best peer's",
                "ours": ours,
                "peer": min(peers),
                "unit": "products",
                "lead": min(peers) - ours,
            },
        )
    distances = {r["method"]: r["distance"] for r in result["density"] if "distance" in r}
    theirs = [d for method, d in distances.items() if method != "fastopt"]
    if theirs and "fastopt" in distances:
        mine, best = distances["fastopt"], min(theirs)
        yield (
            machine,
            {
                "case": "density: distance less than the best peer's",
                "ours": mine,
                "peer": best,
                "unit": "widths",
                "ratio": best / mine,
            },
        )
    for row in result["own_time"]:
        case = f"own time, {row['case']}, n = {row['n']:,}"
        share = row["own_share"]
        yield machine, {"case": case, "own_share": share, "ours": 1e6 * row["seconds"] * share, "unit": "us"}


def minimize_rows(result: Row) -> Found:
    machine = result["machine"]
    summary = result.get("summary", [])
    for ours, theirs in zip(summary[::2], summary[1::2], strict=True):
        pair = f"{ours['method'].split()[1]} : {theirs['method'].split()[1]}"
        a, b = ours["solved"], theirs["solved"]
        counts = {"ours": a, "peer": b, "unit": "problems"}
        yield machine, {"case": f"{pair}, problems solved", "lead": a - b, **counts}
        for key, what in (("evaluations", "in all"), ("on_common", "where both solve")):
            a, b = ours[key], theirs[key]
            counts = {"ours": a, "peer": b, "unit": "evaluations"}
            yield machine, {"case": f"{pair}, evaluations {what}", "ratio": b / a, **counts}
    for row in result.get("time", []):
        numbers = {"ours": row["ours_us"], "peer": row["theirs_us"], "unit": "us", "ratio": row["ratio"]}
        yield machine, {"case": f"own time, {row['method']}, n = {row['n']}", **numbers}


def training_rows(result: Row) -> Found:
    for row in result["rows"]:
        numbers = {"ours": row["ours_us"], "peer": row["torch_us"], "unit": "us", "ratio": row["ratio"]}
        yield result["machine"], {"case": row["case"], **numbers}


def torch_rows(result: Row) -> Found:
    """A row that was measured later than the others says at which commit."""
    for row in result["rows"]:
        machine = {**result["machine"], "commit": row.get("commit", result["machine"]["commit"])}
        yield machine, {**row, "ours": row["ours_us"], "peer": row["torch_us"], "unit": "us"}


def bytes_rows(result: Row) -> Found:
    """Times, and bytes of a process."""
    yield from torch_rows(result)
    for row in result.get("resident", []):
        yield result["machine"], {**row, "ours": row["resident"], "unit": "bytes"}


def sparse_rows(result: Row) -> Found:
    """A row for each peer; of a rule that no peer has, ours alone."""
    for row in result["rows"]:
        peers = [
            (key, name)
            for key, name in (("torch", "torch.optim"), ("fbgemm", "FBGEMM"))
            if f"{key}_us" in row
        ]
        for key, name in peers or [("", "")]:
            case = f"{row['case']}, beside {name}" if name else row["case"]
            numbers = {"ours": row["ours_us"], "peer": row.get(f"{key}_us"), "unit": "us"}
            numbers |= {"ratio": row.get(f"{key}_ratio"), "of_floor": row["floor_us"] / row["ours_us"]}
            yield result["machine"], {"case": case, **numbers}


def peers_rows(result: Row) -> Found:
    """The peer is PyTorch's fused step, or DeepSpeed's where PyTorch has none."""
    for row in result["rows"]:
        peer = "fused" if "fused_us" in row else "deepspeed"
        numbers = {"ours": row["ours_us"], "peer": row.get(f"{peer}_us"), "ratio": row.get(f"{peer}_ratio")}
        floor = {"of_floor": row["floor_ratio"]} if "floor_ratio" in row else {}
        yield result["machine"], {**row, **numbers, **floor, "unit": "us"}


READERS = {
    "step": step_rows,
    "torch": torch_rows,
    "bytes": bytes_rows,
    "rules": torch_rows,
    "sparse": sparse_rows,
    "peers": peers_rows,
    "threads": threads_rows,
    "training": training_rows,
    "eigh": eigh_rows,
    "inertia": inertia_rows,
    "curvature": curvature_rows,
    "minimize": minimize_rows,
}


def read(path: Path) -> Any:
    """A result: JSON, or one JSON object on each line."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def best_of_step(results: list[Row]) -> Row:
    """What was measured at the best level: its tables, of whichever state, and the machine of the first."""
    best = [one for one in results if one["machine"]["level"] == results[-1]["machine"]["level"]]
    tables = {name: table for one in reversed(best) for name, table in one["tables"].items()}
    return {"machine": best[0]["machine"], "tables": tables}


def rows(name: str, result: Any) -> Found:
    """All rows of the result of this name ("step", "eigh", ...)."""
    return READERS[name](result)  # type: ignore[operator, no-any-return]


class Judged(NamedTuple):
    """One target, and what one result says of it."""

    source: str
    level: str
    case: str
    target: Target
    value: float

    @property
    def met(self) -> bool:
        return self.target.met(self.value)


def judged(folder: Path = RESULTS) -> list[Judged]:
    """Every number in this folder's results that has a target."""
    found = []
    for path in files(folder):
        targets = TARGETS.get(path.stem, {})
        for machine, row in rows(path.stem, read(path)):
            for target in targets.get(row["case"], ()):
                value = number(row.get(target.of))
                if value is not None:
                    found.append(Judged(path.stem, machine["level"], row["case"], target, value))
    return found


def files(folder: Path) -> list[Path]:
    """Results, in the order in which they are shown."""
    return [path for name in READERS if (path := folder / f"{name}.json").exists()]


def unmeasured(found: list[Judged]) -> list[tuple[str, str, Target]]:
    """(part, case, target) that no result has measured."""
    seen = {(j.case, j.target) for j in found}
    return [
        (part, case, target)
        for part, cases in TARGETS.items()
        for case, targets in cases.items()
        for target in targets
        if (case, target) not in seen
    ]
