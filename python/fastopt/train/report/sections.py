"""The sections of the page that every session has: cards, charts of the training, the test rows."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from fastopt.train.report import curves, describe, figures, images
from fastopt.train.report.groups import Group, groups, ranking
from fastopt.train.report.markup import element, panel
from fastopt.train.report.svg import colour, line_chart
from fastopt.train.report.tested import Tested
from fastopt.train.session import Session

# Larger confusion matrices are shown as a list of the most frequent mistakes.
MATRIX_CLASSES = 26
# Regression targets shown as a scatter plot each.
SCATTERS = 4


def section(title: str, content: str) -> str:
    return element("section", element("h2", escape(title)) + content)


def facts(pairs: Iterable[tuple[str, str]], **attributes: str) -> str:
    """A list of names with their values, both plain text."""
    rows = (element("dt", escape(name)) + element("dd", escape(value)) for name, value in pairs)
    return element("dl", "".join(element("div", row) for row in rows), **attributes)


def cards(session: Session) -> str:
    """One card per group, the best first; they switch their lines in the charts."""
    return element("div", "".join(_card(g, session.problem.score) for g in ranking(session)), class_="cards")


def _card(group: Group, name: str) -> str:
    measured, spread = group.metrics, group.deviations
    stopped = " (stopped early)" if any(r["status"] == "stopped early" for r in group.results) else ""
    epochs = sorted({int(r["epochs"]) for r in group.results})
    rows = [
        ("learning rate", f"{group.results[0]['lr']:g}"),
        ("epochs", f"{'-'.join(str(e) for e in {epochs[0]: 0, epochs[-1]: 0})}{stopped}"),
        ("speed", f"{describe.steps_per_second(group.steps, group.seconds):,.0f} steps/s"),
        ("in optimizer", f"{100 * describe.optimizer_share(group.seconds):.1f} %"),
    ]
    value = "diverged"
    if measured:
        shown = {
            part: describe.score(name, measured[part][name], spread[part][name] if spread else None)
            for part in ("test", "validation", "train")
        }
        value = shown.pop("test")
        rows = [*shown.items(), ("test loss", f"{measured['test']['loss']:.4f}"), *rows]
    content = element("span", escape(group.label), class_="name")
    content += element("span", value, class_="score") + facts(rows)
    tip = "show or hide in the charts"
    return element("button", content, class_=f"card {colour(group.run)}", data_switch=group.run, title=tip)


def training(session: Session) -> str:
    """Charts over epochs and steps, and where the time went."""
    shown = groups(session)
    results = [(group.run, result) for group in shown for result in group.results]
    charts = curves.charts(results, session.problem.score)
    panels = [panel(chart.title, chart.note, line_chart(chart)) for chart in charts]
    note = "share of the training time in the optimizer, and one of its steps"
    content = "".join(panels) + panel("Time", note, figures.time_bars(shown), "wide")
    return section("Training", element("div", content, class_="grid"))


def test(session: Session, best: Group) -> str:
    """What the best model, or of cross-validation the models of all folds, did with the test rows."""
    tested = Tested.of(session, best)
    panels = _class_panels(tested) if session.problem.task == "classes" else _regression_panels(tested)
    where = (
        "On all rows, each by the fold it was a test row of" if len(best.results) > 1 else "On the test rows"
    )
    return section(f"{where}: {best.label}", element("div", "".join(panels), class_="grid"))


def _class_panels(tested: Tested) -> list[str]:
    if tested.dataset.outputs <= MATRIX_CLASSES:
        panels = [panel("Confusion matrix", "number of test rows", figures.confusion_matrix(tested))]
    else:
        panels = [panel("Frequent mistakes", "", figures.frequent_mistakes(tested))]
    if tested.dataset.image_shape:
        wrong = panel("Mistakes", "the most confident first", images.mistakes(tested))
        close = panel("Close calls", "right, but the least certain", images.close_calls(tested))
        panels.append(element("div", wrong + close, class_="stack"))
    return panels


def _regression_panels(tested: Tested) -> list[str]:
    panels = []
    for i in range(min(tested.dataset.outputs, SCATTERS)):
        which = f", target {i + 1}" if tested.dataset.outputs > 1 else ""
        panels.append(panel(f"Predictions{which}", "", figures.scatter(tested, i)))
        panels.append(panel(f"Errors{which}", "predicted - actual", figures.errors(tested, i)))
    return panels
