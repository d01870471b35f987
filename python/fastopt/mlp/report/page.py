"""The page: header, one card per run, charts, what happened on the test rows, all settings."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources
from typing import Any

from fastopt.mlp.report import curves, describe, figures, images
from fastopt.mlp.report.markup import element, panel
from fastopt.mlp.report.svg import colour, line_chart
from fastopt.mlp.session import Session

Result = dict[str, Any]

# Larger confusion matrices are shown as a list of the most frequent mistakes.
MATRIX_CLASSES = 26
# Regression targets shown as a scatter plot each.
SCATTERS = 4


def page(session: Session, document: dict[str, Any]) -> str:
    """The whole document as well-formed HTML; nothing in it refers to another file."""
    assets = resources.files("fastopt.mlp.report")
    style, script = ((assets / name).read_text("utf-8") for name in ("style.css", "script.js"))
    best = describe.ranking(session)[0]
    body = [
        _header(session, best),
        _cards(session),
        _section("Training", element("div", _training(session), class_="grid")),
        _test(session, best) if best["metrics"] else "",
        _section("Settings", _settings(document)),
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


def _section(title: str, content: str) -> str:
    return element("section", element("h2", escape(title)) + content)


def _facts(facts: Iterable[tuple[str, str]], **attributes: Any) -> str:
    """A list of names with their values, both plain text."""
    rows = (element("dt", escape(name)) + element("dd", escape(value)) for name, value in facts)
    return element("dl", "".join(element("div", row) for row in rows), **attributes)


def _header(session: Session, best: Result) -> str:
    score, settings = session.problem.score, session.settings
    figure, what = "diverged", "no run reached its end"
    if best["metrics"]:
        value = best["metrics"]["test"][score]
        figure = f"{100 * value:.2f}<small>%</small>" if score == "accuracy" else f"{value:.4f}"
        what = f"test {'R²' if score == 'r2' else score}, {best['label']}"
    headline = element("h1", figure) + element("p", escape(what), class_="what")
    how = f"{settings.schedule}, {settings.epochs} epochs, batches of {settings.batch_size}"
    facts = _facts(
        [
            ("data", describe.data(session)),
            ("model", describe.model(session)),
            ("training", f"{how}, seed {settings.seed}"),
        ]
    )
    brand = "<span>fastopt</span> train" + element("button", "◐", id="theme", title="light or dark")
    hero = element("div", headline, class_="headline") + facts
    return element("header", element("div", brand, class_="brand") + element("div", hero, class_="hero"))


def _cards(session: Session) -> str:
    runs = {result["label"]: run for run, result in enumerate(session.results)}
    cards = (_card(result, runs[result["label"]], session) for result in describe.ranking(session))
    return element("div", "".join(cards), class_="cards")


def _card(result: Result, run: int, session: Session) -> str:
    name, measured = session.problem.score, result["metrics"]
    stopped = " (stopped early)" if result["status"] == "stopped early" else ""
    facts = [
        ("learning rate", f"{result['lr']:g}"),
        ("epochs", f"{result['epochs']}{stopped}"),
        ("speed", f"{describe.steps_per_second(result):,.0f} steps/s"),
        ("in optimizer", f"{100 * describe.optimizer_share(result):.1f} %"),
    ]
    if measured:
        parts = [(part, describe.score(name, measured[part][name])) for part in ("validation", "train")]
        facts = [*parts, ("test loss", f"{measured['test']['loss']:.4f}"), *facts]
    score = describe.score(name, measured["test"][name]) if measured else "diverged"
    content = element("span", escape(result["label"]), class_="name")
    content += element("span", score, class_="score") + _facts(facts)
    tip = "show or hide in the charts"
    return element("button", content, class_=f"card {colour(run)}", data_switch=run, title=tip)


def _training(session: Session) -> str:
    charts = curves.charts(session.results, session.problem.score)
    panels = [panel(chart.title, chart.note, line_chart(chart)) for chart in charts]
    note = "share of the training time in the optimizer, and one of its steps"
    return "".join(panels) + panel("Time", note, figures.time_bars(session.results), "wide")


def _test(session: Session, best: Result) -> str:
    problem = session.problem
    if problem.task == "classes":
        panels = _class_panels(session, best)
    else:
        panels = []
        for i in range(min(problem.dataset.outputs, SCATTERS)):
            which = f", target {i + 1}" if problem.dataset.outputs > 1 else ""
            panels.append(panel(f"Predictions{which}", "", figures.scatter(problem, best, i)))
            panels.append(panel(f"Errors{which}", "predicted - actual", figures.errors(problem, best, i)))
    return _section(f"On the test rows: {best['label']}", element("div", "".join(panels), class_="grid"))


def _class_panels(session: Session, best: Result) -> list[str]:
    problem = session.problem
    if problem.dataset.outputs <= MATRIX_CLASSES:
        matrix = figures.confusion_matrix(problem, best)
        panels = [panel("Confusion matrix", "number of test rows", matrix)]
    else:
        panels = [panel("Frequent mistakes", "", figures.frequent_mistakes(problem, best))]
    if problem.dataset.image_shape:
        wrong = panel("Mistakes", "the most confident first", images.mistakes(problem, best))
        close = panel("Close calls", "right, but the least certain", images.close_calls(problem, best))
        panels.append(element("div", wrong + close, class_="stack"))
    return panels


def _settings(document: dict[str, Any]) -> str:
    parts = ""
    for title, name in (("", "settings"), ("Data", "data"), ("Environment", "environment")):
        pairs = ((key.replace("_", " "), _show(value)) for key, value in document[name].items())
        parts += (element("h3", title) if title else "") + _facts(pairs, class_="facts")
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
