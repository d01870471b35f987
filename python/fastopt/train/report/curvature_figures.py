"""Drawings of the curvature section that are no line charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from fastopt.train.analysis import Layer
from fastopt.train.report.markup import drawing, element, line, text
from fastopt.train.report.scales import Scale, span
from fastopt.train.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, colour

Columns = dict[str, list[float]]


def extremes(smallest: Sequence[float], largest: Sequence[float]) -> str:
    """The eigenvalues of both ends as bars, with a gap for all between."""
    values = [*smallest, *largest]
    low, high = min(0.0, *values), max(0.0, *values)
    air = 0.08 * (high - low) or 1.0
    y = Scale(low - air * (low < 0), high + air, HEIGHT - BOTTOM, TOP + 8)
    gap = 1.0
    slot = (WIDTH - RIGHT - LEFT) / (len(values) + gap)
    parts = []
    for value, label in y.ticks():
        parts.append(line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"))
        parts.append(text(label, LEFT - 8, y(value) + 4, "tick", "end"))
    for i, value in enumerate(values):
        x = LEFT + slot * (i + (gap if i >= len(smallest) else 0.0))
        top, height = min(y(value), y(0)), max(abs(y(value) - y(0)), 1.0)
        kind = "right" if value > 0 else "wrong"
        parts.append(element("rect", class_=kind, x=x + 0.12 * slot, y=top, width=0.76 * slot, height=height))
        # Small negative ones have long names and bars of no height: every other name a line further down.
        place = y(value) - 5 if value > 0 else y(value) + 13 + 12 * (i % 2)
        parts.append(text(f"{value:.2g}", x + slot / 2, place, "tick small"))
    middle = LEFT + slot * (len(smallest) + gap / 2)
    parts += [text("…", middle, y(0) - 6, "label"), line(LEFT, y(0), WIDTH - RIGHT, y(0), "axis")]
    parts.append(text("smallest", LEFT + slot * len(smallest) / 2, HEIGHT - 8, "label"))
    parts.append(text("largest", WIDTH - RIGHT - slot * len(largest) / 2, HEIGHT - 8, "label"))
    return drawing("scatter wide", WIDTH, HEIGHT, "extreme eigenvalues", parts)


def layers(found: Sequence[Layer]) -> str:
    """Bars per layer: the trace of its block of the Hessian, and the mean of that block's eigenvalues."""
    traces = [(layer, layer.trace, layer.deviation) for layer in found]
    means = [(layer, layer.trace / layer.n, layer.deviation / layer.n) for layer in found]
    content = element("h3", "Trace") + _bars(traces)
    return content + element("h3", "Mean eigenvalue: trace / parameters", class_="next") + _bars(means)


def _bars(rows: Sequence[tuple[Layer, float, float]]) -> str:
    full = max(abs(value) + deviation for _, value, deviation in rows) or 1.0
    cells = ""
    for layer, value, deviation in rows:
        kind = "piece low" if value >= 0 else "piece high"
        bar = element("span", class_=kind, style=f"width:{100 * abs(value) / full:.2f}%")
        spread = f" ± {deviation:.2g}" if deviation else ""
        cells += element(
            "div",
            element("span", f"{escape(layer.name)} ({layer.n:,})", class_="bar-name")
            + element("span", bar, class_="bar")
            + element("span", f"{value:.4g}{spread}", class_="bar-value"),
            class_="bar-row",
        )
    return element("div", cells, class_="bars")


def ratio_plot(histories: dict[str, Columns], runs: dict[str, int]) -> str:
    """Loss over the minimum ratio, a path through the epochs; a reading's bar is as wide as its interval."""
    ends = [100 * v for c in histories.values() for key in ("low", "high") for v in c[key]]
    losses = [v for c in histories.values() for v in c["loss"]]
    x = Scale(*span(ends, log=False), LEFT, WIDTH - RIGHT)
    y = Scale(*span(losses, log=True), HEIGHT - BOTTOM, TOP, log=True)
    parts = []
    for value, label in y.ticks():
        parts.append(line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"))
        parts.append(text(label, LEFT - 8, y(value) + 4, "tick", "end"))
    parts += [text(f"{label} %", x(value), HEIGHT - BOTTOM + 17, "tick") for value, label in x.ticks(6)]
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    parts.append(text("minimum ratio", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "label"))
    for i, (name, columns) in enumerate(histories.items()):
        parts += _path(columns, runs[name], x, y, named=i == 0)
    return drawing("scatter wide", WIDTH, HEIGHT, "loss over the minimum ratio", parts)


def _path(columns: Columns, run: int, x: Scale, y: Scale, *, named: bool) -> list[str]:
    rows = zip(*(columns[key] for key in ("epoch", "loss", "low", "high")), strict=True)
    readings = [(e, y(loss), x(100 * a), x(100 * b)) for e, loss, a, b in rows if math.isfinite(loss + a + b)]
    if not readings:
        return []
    middle = [(int(e), (left + right) / 2, height) for e, height, left, right in readings]
    points = " ".join(f"{a:.1f},{b:.1f}" for _, a, b in middle)
    kind = colour(run)
    parts = [element("polyline", class_=f"line dashed {kind}", data_run=run, points=points)]
    for _, height, left, right in readings:
        parts.append(
            element("line", class_=f"interval {kind}", data_run=run, x1=left, y1=height, x2=right, y2=height)
        )
    for _, a, b in middle:
        parts.append(element("circle", class_=f"mark {kind}", data_run=run, cx=a, cy=b, r=4.0))
    for epoch, a, b in {middle[0], middle[-1]} if named else set():
        parts.append(text(f"epoch {epoch}", a, b - 10, "tick"))
    return parts
