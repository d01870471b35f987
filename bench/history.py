"""One line for each case and commit: `results/history.jsonl`, appended by `run.py --record`.

Every line has the same fields: part, case, commit, date, machine (no name of its own), level, ours, peer,
unit, ratio (the peer's over ours, unless the case says otherwise) and floor (the share of the floor).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from claims import RESULTS, files, number, read, rows
from common import machine_text

HISTORY = RESULTS / "history.jsonl"
FIELDS = (
    "part",
    "case",
    "commit",
    "date",
    "machine",
    "level",
    "ours",
    "peer",
    "unit",
    "ratio",
    "floor",
)


def lines(name: str, result: Any) -> list[dict[str, Any]]:
    """The lines of one result; rows without a number of ours (a machine too small) are left out."""
    found = []
    for machine, row in rows(name, result):
        text = machine_text(machine) if "cpus" in machine else machine["processor"]
        place = {"commit": machine["commit"], "date": machine["date"], "machine": text}
        numbers = {key: number(row.get(key)) for key in ("ours", "peer", "ratio")}
        if numbers["ours"] is None:
            continue
        line = {"part": name, "case": row["case"], **place, "level": machine["level"], **numbers}
        line |= {"unit": row["unit"], "floor": number(row.get("of_floor"))}
        found.append({key: line[key] for key in FIELDS})
    return found


def key(line: dict[str, Any]) -> tuple[str, ...]:
    return tuple(line[k] for k in ("case", "commit", "machine", "level"))


def record(folder: Path, history: Path = HISTORY) -> int:
    """Append what this folder's results hold and the history does not; the number of new lines."""
    old = read(history) if history.exists() else []
    known = {key(line) for line in old}
    new = []
    for path in files(folder):
        for line in lines(path.stem, read(path)):
            if key(line) not in known:
                known.add(key(line))
                new.append(line)
    with history.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in new)
    return len(new)
