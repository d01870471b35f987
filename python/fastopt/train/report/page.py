"""The page: header, one card per run, charts, what happened on the test rows, findings, all settings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from fastopt.train.analysis import Analysis
from fastopt.train.diagnosis import Diagnosis
from fastopt.train.report import curvature, describe, findings, sections
from fastopt.train.report.groups import Group, ranking
from fastopt.train.report.markup import element
from fastopt.train.report.sections import facts, section
from fastopt.train.session import Session


def page(
    session: Session,
    document: dict[str, Any],
    diagnosis: Diagnosis | None = None,
    analyses: Sequence[Analysis] = (),
) -> str:
    """The whole document as well-formed HTML; nothing in it refers to another file."""
    assets = resources.files("fastopt.train.report")
    style, script = ((assets / name).read_text("utf-8") for name in ("style.css", "script.js"))
    best = ranking(session)[0]
    body = [
        _header(session, best),
        sections.cards(session),
        findings.diagnosis(diagnosis) if diagnosis else "",
        sections.training(session),
        sections.test(session, best) if best.metrics else "",
        curvature.section_of(session, analyses),
        section("Settings", _settings(document)),
        element("footer", "Made by <b>fastopt train</b>. The numbers behind this page are in metrics.json."),
    ]
    head = (
        '<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        + element("title", f"fastopt train: {escape(session.problem.dataset.name)}")
        + element("style", style)
    )
    content = element("main", "\n".join(body)) + element("div", id="readout") + element("script", script)
    html = element("head", head) + "\n" + element("body", content)
    return "<!DOCTYPE html>\n" + element("html", html, lang="en", xmlns="http://www.w3.org/1999/xhtml") + "\n"


def _header(session: Session, best: Group) -> str:
    score, settings = session.problem.score, session.settings
    figure, what = "diverged", "no run reached its end"
    if best.metrics:
        value = best.metrics["test"][score]
        figure = f"{100 * value:.2f}<small>%</small>" if score == "accuracy" else f"{value:.4f}"
        what = f"test {'R²' if score == 'r2' else score}, {best.label}"
        if best.deviations:
            spread = describe.score(score, value, best.deviations["test"][score]).split("± ")[1]
            what += f", mean of {len(best.results)} folds, deviation {spread}"
    headline = element("h1", figure) + element("p", escape(what), class_="what")
    how = f"{settings.schedule}, {settings.epochs} epochs, batches of {settings.batch_size}"
    how += f", augmented by {settings.augment}" if settings.augment else ""
    hero = element("div", headline, class_="headline") + facts(
        [
            ("data", describe.data(session)),
            ("model", describe.model(session)),
            ("training", f"{how}, seed {settings.seed}"),
        ]
    )
    brand = "<span>fastopt</span> train" + element("button", "◐", id="theme", title="light or dark")
    return element("header", element("div", brand, class_="brand") + element("div", hero, class_="hero"))


def _settings(document: dict[str, Any]) -> str:
    parts = ""
    for title, name in (("", "settings"), ("Data", "data"), ("Environment", "environment")):
        pairs = ((key.replace("_", " "), _show(value)) for key, value in document[name].items())
        parts += (element("h3", title) if title else "") + facts(pairs, class_="facts")
    return element("div", parts, class_="panel settings")


def _show(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value) or "none"
    return str(value)
