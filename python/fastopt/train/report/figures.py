"""What a trained model did: where its time went, and confusions or regression on the test rows."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from fastopt.train import metrics
from fastopt.train.report import describe
from fastopt.train.report.groups import Group
from fastopt.train.report.markup import drawing, element, line, text
from fastopt.train.report.scales import Scale, span
from fastopt.train.report.tested import Tested

PHASES = {
    "optimizer": "optimizer step",
    "gradients": "forward and backward pass",
    "batches": "drawing batches",
}


def time_bars(shown: list[Group]) -> str:
    """One bar per group: where the training time went, evaluation left out."""
    rows = "".join(_time_bar(group) for group in shown)
    keys = "".join(
        element("span", element("i", class_=f"piece {phase}") + title, class_="key")
        for phase, title in PHASES.items()
    )
    return element("div", rows, class_="bars") + element("p", keys, class_="keys")


def _time_bar(group: Group) -> str:
    spent = group.seconds
    total = sum(spent[phase] for phase in PHASES) or 1.0
    pieces = ""
    for phase, title in PHASES.items():
        seconds = spent[phase]
        width, tip = f"width:{100 * seconds / total:.2f}%", f"{title}: {seconds:.2f} s"
        pieces += element("span", class_=f"piece {phase}", style=width, title=tip)
    share = 100 * describe.optimizer_share(spent)
    per_step = 1e6 * spent["optimizer"] / max(group.steps, 1)
    cells = element("span", escape(group.label), class_="bar-name")
    cells += element("span", pieces, class_="bar")
    cells += element("span", f"{share:.1f} % · {per_step:.0f} µs", class_="bar-value")
    return element("div", cells, class_="bar-row", data_run=group.run)


def confusion_matrix(tested: Tested) -> str:
    """Actual classes down, predicted ones across; shade by share of the actual class."""
    classes = tested.dataset.classes
    counts = metrics.confusion(tested.predicted, tested.actual, len(classes))
    n, margin, width = len(classes), 52, 460
    size = width / n
    parts = [text("predicted", margin + width / 2, 12, "label")]
    parts.append(text("actual", 12, margin + width / 2, "label", turned=True))
    totals = np.maximum(counts.sum(axis=1), 1)
    for i, name in enumerate(classes):
        corner = margin + i * size
        parts.append(text(name[:5], corner + size / 2, margin - 8, "tick"))
        parts.append(text(name[:5], margin - 8, corner + size / 2 + 4, "tick", "end"))
        for j in range(n):
            share = counts[i, j] / totals[i]
            parts.append(_cell(i == j, int(counts[i, j]), share, margin + j * size, corner, size))
    return drawing("matrix", margin + width + 4, margin + width + 4, "confusion matrix", parts)


def _cell(right: bool, count: int, share: float, x: float, y: float, size: float) -> str:
    place: dict[str, Any] = {"x": x, "y": y, "width": size - 2, "height": size - 2, "rx": 4}
    box = element("rect", class_="cell", **place)
    if count == 0:
        return box
    # A single mistake among many must still be seen: its shade starts at a third.
    opacity = share if right else min(1.0, 0.35 + 3 * share)
    box += element("rect", class_="right" if right else "wrong", opacity=f"{opacity:.3f}", **place)
    kind = "count strong" if opacity > 0.6 else "count"
    return box + text(str(count), x + size / 2 - 1, y + size / 2 + 4, kind)


def frequent_mistakes(tested: Tested, limit: int = 12) -> str:
    """The most frequent confusions as a table, for many classes."""
    classes = tested.dataset.classes
    counts = metrics.confusion(tested.predicted, tested.actual, len(classes))
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(k), len(classes)) for k in order]
    rows = [(classes[i], classes[j], str(counts[i, j])) for i, j in pairs if counts[i, j]]
    header = element("tr", "".join(element("th", name) for name in ("actual", "predicted", "rows")))
    body = "".join(element("tr", "".join(element("td", escape(c)) for c in row)) for row in rows)
    return element("table", header + body)


def scatter(tested: Tested, column: int, limit: int = 1500) -> str:
    """Predicted over actual values of one target on the test rows, with the diagonal."""
    actual, predicted = tested.actual[:limit, column].tolist(), tested.predicted[:limit, column].tolist()
    low, high = span([*actual, *predicted], log=False)
    size, left, right, bottom = 360, 54, 350, 316
    x, y = Scale(low, high, left, right), Scale(low, high, bottom, 10)
    parts = [line(x(low), y(low), x(high), y(high), "axis dashed")]
    for value, label in x.ticks():
        parts.append(line(left, y(value), right, y(value), "grid"))
        parts.append(text(label, x(value), bottom + 17, "tick"))
        parts.append(text(label, left - 8, y(value) + 4, "tick", "end"))
    for a, b in zip(actual, predicted, strict=True):
        parts.append(element("circle", class_="dot", cx=x(a), cy=y(b), r=3))
    parts.append(text("actual", (left + right) / 2, size - 6, "label"))
    parts.append(text("predicted", 12, (bottom + 10) / 2, "label", turned=True))
    return drawing("scatter", size, size, "predicted over actual values", parts)


def errors(tested: Tested, column: int, bins: int = 24) -> str:
    """Histogram of the errors of one target on the test rows."""
    difference = tested.predicted[:, column] - tested.actual[:, column]
    largest = float(np.abs(difference).max()) or 1.0
    counts, edges = np.histogram(difference, bins, (-largest, largest))
    size, left, right, top, bottom = 360, 44, 350, 14, 316
    x, y = Scale(-largest, largest, left, right), Scale(0, float(counts.max()), bottom, top)
    parts = []
    for value, label in y.ticks():
        parts.append(line(left, y(value), right, y(value), "grid"))
        parts.append(text(label, left - 8, y(value) + 4, "tick", "end"))
    parts += [text(label, x(value), bottom + 17, "tick") for value, label in x.ticks()]
    width = x(float(edges[1])) - x(float(edges[0])) - 1
    for count, low in zip(counts.tolist(), edges.tolist(), strict=False):
        top_edge, height = y(count), bottom - y(count)
        parts.append(element("rect", class_="right", x=x(low) + 0.5, y=top_edge, width=width, height=height))
    parts.append(line(x(0), top, x(0), bottom, "axis dashed"))
    parts.append(text("error", (left + right) / 2, size - 6, "label"))
    parts.append(text("test rows", 12, (bottom + top) / 2, "label", turned=True))
    return drawing("scatter", size, size, "histogram of the errors", parts)
