"""The text around a training: what is trained, on what, and the results as a table."""

from __future__ import annotations

from typing import Any

from fastopt.cli.progress import duration
from fastopt.mlp import Session
from fastopt.mlp.building import FULL_BATCH
from fastopt.mlp.report import describe


def heading(session: Session) -> str:
    """The data, the model, and what the user may have overlooked."""
    lines = [f"data   {describe.data(session)}", f"model  {describe.model(session)}"]
    rows = len(session.problem.rows.train)
    for spec in session.settings.optimizer_specs():
        if spec.name in FULL_BATCH and session.settings.batch_size < rows:
            lines.append(f"note   {spec.name} is made for whole batches: consider --batch-size {rows}")
    return "\n".join(lines)


def table(session: Session) -> str:
    """One line per optimizer, the best first."""
    name = session.problem.score
    header = [
        "optimizer",
        "lr",
        "epochs",
        f"test {name}",
        "validation",
        "train",
        "test loss",
        "time",
        "in optimizer",
    ]
    rows = [_row(result, name) for result in describe.ranking(session)]
    return "\n".join(align([header, *rows]))


def _row(result: dict[str, Any], name: str) -> list[str]:
    metrics = result["metrics"]
    scores = [
        describe.score(name, metrics[part][name]) if metrics else "-"
        for part in ("test", "validation", "train")
    ]
    seconds = result["seconds"]
    return [
        result["label"],
        f"{result['lr']:g}",
        str(result["epochs"]),
        *(scores if metrics else [result["status"], "-", "-"]),
        f"{metrics['test']['loss']:.4f}" if metrics else "-",
        duration(sum(seconds.values())),
        f"{100 * describe.optimizer_share(result):.1f} %",
    ]


def align(rows: list[list[str]]) -> list[str]:
    """Lines with columns of equal width, the first to the left; a rule under the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
