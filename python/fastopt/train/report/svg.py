"""Line charts as inline SVG. Colours come from the page's style sheet, by class."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastopt.train.report.markup import drawing, element, line, text
from fastopt.train.report.scales import Scale, span

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 40
# Colours in the style sheet; further runs begin again.
COLOURS = 8

Numbers = Sequence[float]


@dataclass(frozen=True)
class Series:
    """One line: `run` gives its colour and the switch that hides it, `style` is "" or "dashed".

    `band` holds (low, high) values around the line, drawn as an area.
    """

    run: int
    name: str
    x: Numbers
    y: Numbers
    style: str = ""
    band: tuple[Numbers, Numbers] | None = None


@dataclass(frozen=True)
class Chart:
    """A set of lines over one pair of axes; `percent` labels the vertical axis in per cent.

    `marks` holds (run, x, y) of points to be ringed.
    """

    title: str
    x_label: str
    series: Sequence[Series]
    log: bool = False
    percent: bool = False
    note: str = ""
    y_range: tuple[float, float] | None = None
    marks: Sequence[tuple[int, float, float]] = ()

    @property
    def factor(self) -> float:
        return 100.0 if self.percent else 1.0


def colour(run: int) -> str:
    """The class that gives a run its colour."""
    return f"run{run % COLOURS}"


def line_chart(chart: Chart) -> str:
    """The chart as `<svg>`, with its numbers in `data-chart` for the read-out under the pointer."""
    xs = [x for s in chart.series for x in s.x]
    values = [y * chart.factor for s in chart.series for column in (s.y, *(s.band or ())) for y in column]
    low, high = chart.y_range or span(values, chart.log)
    first, last = min(xs, default=0), max(xs, default=1)
    x = Scale(first, last if last > first else first + 1, LEFT, WIDTH - RIGHT)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP, chart.log)
    parts = [*_frame(chart, x, y), *(_series(s, x, y, chart.factor) for s in chart.series)]
    for run, at, value in chart.marks:
        kind, height = f"mark {colour(run)}", y(value * chart.factor)
        parts.append(element("circle", class_=kind, data_run=run, cx=x(at), cy=height, r=4.5))
    parts.append(line(0, TOP, 0, HEIGHT - BOTTOM, "cursor"))
    return drawing("chart", WIDTH, HEIGHT, chart.title, parts, data_chart=_numbers(chart, x))


def _frame(chart: Chart, x: Scale, y: Scale) -> list[str]:
    """Grid, axis, ticks and the horizontal axis' name."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value, label in y.ticks():
        parts.append(line(LEFT, y(value), right, y(value), "grid"))
        parts.append(text(label + (" %" if chart.percent else ""), LEFT - 8, y(value) + 4, "tick", "end"))
    parts += [text(label, x(value), bottom + 17, "tick") for value, label in x.ticks(6)]
    parts.append(line(LEFT, bottom, right, bottom, "axis"))
    parts.append(text(chart.x_label, (LEFT + right) / 2, HEIGHT - 5, "label"))
    return parts


def _series(s: Series, x: Scale, y: Scale, factor: float) -> str:
    def points(pairs: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{x(a):.1f},{y(b * factor):.1f}" for a, b in pairs if math.isfinite(b))

    area = ""
    if s.band is not None:
        below = list(zip(s.x, s.band[0], strict=True))
        edge = [*zip(s.x, s.band[1], strict=True), *reversed(below)]
        area = element("polygon", class_=f"band {colour(s.run)}", data_run=s.run, points=points(edge))
    kind = " ".join(["line", *s.style.split(), colour(s.run)])
    along = points(zip(s.x, s.y, strict=True))
    return area + element("polyline", class_=kind, data_run=s.run, points=along)


def _numbers(chart: Chart, x: Scale) -> str:
    """What the read-out needs, as JSON."""
    series = [
        {
            "run": s.run,
            "name": s.name,
            "x": [float(f"{value:.5g}") for value in s.x],
            "y": [float(f"{v * chart.factor:.4g}") if math.isfinite(v) else None for v in s.y],
        }
        for s in chart.series
    ]
    frame = {"low": x.low, "high": x.high, "left": LEFT, "right": WIDTH - RIGHT, "width": WIDTH}
    whole = all(float(value).is_integer() for s in chart.series for value in s.x)
    unit = " %" if chart.percent else ""
    content = {**frame, "label": chart.x_label, "unit": unit, "whole": whole, "series": series}
    return json.dumps(content, separators=(",", ":"))
