"""The text around a training: what is trained, on what, and the results as a table."""

from __future__ import annotations

import textwrap
from typing import Any

import fastopt
from fastopt.train.analysis import expected_seconds
from fastopt.train.progress import duration
from fastopt.train.report import describe
from fastopt.train.report.groups import Group, ranking
from fastopt.train.session import Session


def heading(session: Session) -> str:
    """The data, the model, and what the user may have overlooked."""
    lines = [f"data   {describe.data(session)}", f"model  {describe.model(session)}"]
    rows = len(session.problem.rows.train)
    for spec in session.settings.optimizer_specs():
        if fastopt.optimizers()[spec.name].rule.full_batch and session.settings.batch_size < rows:
            lines.append(f"note   {spec.name} is made for whole batches: consider --batch-size {rows}")
    if session.settings.curvature:
        left = [run for run in session.runs() if not run.larger]
        each = "" if len(left) == 1 else f" for each of {len(left)} runs"
        about = duration(expected_seconds(session))
        lines.append(f"note   --curvature analyses the loss when training is over: roughly {about}{each}")
    if advice := session.blas_advice():
        lines.append(f"note   {advice}")
    return "\n".join(lines)


def table(session: Session) -> str:
    """One line per optimizer, the best first; of cross-validation means and deviations over the folds."""
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
        "training steps/s",
        "in optimizer",
    ]
    rows = [_row(group, name) for group in ranking(session)]
    return "\n".join(align([header, *rows]))


def _row(group: Group, name: str) -> list[str]:
    metrics, spread = group.metrics, group.deviations
    scores = ["diverged", "-", "-"]
    if metrics:
        scores = [
            describe.score(name, metrics[part][name], spread[part][name] if spread else None)
            for part in ("test", "validation", "train")
        ]
    epochs = sorted({int(result["epochs"]) for result in group.results})
    return [
        group.label,
        f"{group.results[0]['lr']:g}",
        str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]}-{epochs[-1]}",
        *scores,
        f"{metrics['test']['loss']:.4f}" if metrics else "-",
        duration(sum(group.seconds.values())),
        f"{group.steps_per_second:,.0f}",
        f"{100 * describe.optimizer_share(group.seconds):.1f} %",
    ]


def diagnosis(found: dict[str, Any]) -> str:
    """What a diagnosis in `metrics.json` says, wrapped."""
    texts = {
        "diagnosis": f"{found['kind']} ({found['optimizer']}): {found['reason']}",
        "cure": f"{found['cure']}.",
    }
    return "\n".join(
        textwrap.fill(text, 100, initial_indent=f"{name:9}  ", subsequent_indent=11 * " ")
        for name, text in texts.items()
    )


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
