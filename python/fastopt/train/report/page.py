"""The page: `page.html` filled with a session's numbers and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fastopt.train.analysis import Analysis
from fastopt.train.diagnosis import Diagnosis
from fastopt.train.problem import PARTS
from fastopt.train.report import answers, charts, describe, plot
from fastopt.train.report.groups import groups, ranking
from fastopt.train.report.tested import Tested
from fastopt.train.session import Session


def page(
    session: Session,
    document: dict[str, Any],
    diagnosis: Diagnosis | None = None,
    analyses: Sequence[Analysis] = (),
) -> str:
    """The whole document as well-formed HTML; nothing in it refers to another file."""
    environment = Environment(
        loader=PackageLoader("fastopt.train.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": _shown, "options_apart": _options_apart, "score": describe.score}
    ranked, shown = ranking(session), groups(session)
    best = ranked[0]
    with plot.styled():
        return environment.get_template("page.html").render(
            session=session,
            problem=session.problem,
            settings=session.settings,
            document=document,
            best=best,
            groups=shown,
            ranking=ranked,
            runs={group.label: group.run for group in shown},
            diagnosis=diagnosis,
            losses=_losses(diagnosis) if diagnosis else [],
            training=charts.training([(g.run, r) for g in shown for r in g.results], session.problem.score),
            tested=Tested.of(session, best) if best.metrics else None,
            analyses=analyses,
            histories={
                str(result["label"]): result["history"]["curvature"]
                for result in session.results
                if result["history"]["curvature"]
            },
            answers=answers,
            charts=charts,
            describe=describe,
        )


def _losses(found: Diagnosis) -> list[tuple[str, float, float]]:
    """Part, loss and standard error for the bars of a diagnosis."""
    rows: list[tuple[str, float, float]] = [
        (part, found.losses[part], found.standard_errors[part]) for part in PARTS if found.losses
    ]
    if found.losses and found.larger and found.larger["losses"]:
        widths = "-".join(map(str, found.larger["hidden"]))
        rows.append((f"train, larger ({widths})", found.larger["losses"]["train"], 0.0))
    return rows


def _options_apart(text: str) -> list[str]:
    """Text and the options of the command line in it, alternately: no line may end within an option."""
    return re.split(r"(--[a-z-]+)", text)


def _shown(value: Any) -> str:
    """A setting as a person reads it."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    return str(value)
