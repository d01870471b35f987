"""The charts over epochs and steps, for all runs at once."""

from __future__ import annotations

import math
from typing import Any

import fastopt
from fastopt.train.report.scales import span
from fastopt.train.report.svg import Chart, Series

# Points of a line over the steps of a run; more than the paper has dots helps nobody.
BINS = 180

Result = dict[str, Any]
Results = list[tuple[int, Result]]


def charts(results: Results, score: str) -> list[Chart]:
    """Loss, score, learning rate, gradient norm of results with the numbers that give their colours."""
    return [
        _epochs(results, "Loss", "loss", log=True),
        _score(results, score),
        _learning_rate(results),
        _gradient_norm(results),
    ]


def _epochs(results: Results, title: str, key: str, *, log: bool = False, percent: bool = False) -> Chart:
    series, marks = [], []
    thin = " thin" if any(result["fold"] for _, result in results) else ""
    for run, result in results:
        epochs = result["history"]["epochs"]
        for part, style in (("train", "dashed"), ("validation", "")):
            if epochs:
                series.append(
                    Series(
                        run,
                        f"{result['label']}, {part}",
                        epochs["epoch"],
                        epochs[f"{part}_{key}"],
                        style + thin,
                    )
                )
        tested = result["tested_epoch"]
        if tested is not None and tested < result["epochs"]:
            marks.append((run, tested, epochs[f"validation_{key}"][epochs["epoch"].index(tested)]))
    note = "validation solid, training dashed" + ("; ring: the epoch that was tested" if marks else "")
    return Chart(title, "epoch", series, log, percent, note, marks=marks)


def _score(results: Results, score: str) -> Chart:
    percent = score == "accuracy"
    chart = _epochs(results, "Accuracy" if percent else "R²", score, percent=percent)
    values = sorted(v for s in chart.series for v in s.y if math.isfinite(v))
    # The first epochs would press all that matters against the top: leave out the worst tenth of the points.
    last = [s.y[-1] for s in chart.series if math.isfinite(s.y[-1])]
    shown = [*values[len(values) // 10 :], *last]
    low, high = span([v * (100 if percent else 1) for v in shown], log=False)
    top = min(high, 100.4) if percent else high
    return Chart(
        chart.title,
        chart.x_label,
        _from(chart.series, low, percent),
        False,
        percent,
        chart.note,
        (low, top),
        chart.marks,
    )


def _from(series: Any, low: float, percent: bool) -> list[Series]:
    """Each line from its first point above the lower edge on."""
    cut = []
    for s in series:
        first = next((i for i, y in enumerate(s.y) if y * (100 if percent else 1) >= low), len(s.y))
        kept = [max(y, low / (100 if percent else 1)) for y in s.y[first:]]
        cut.append(Series(s.run, s.name, s.x[first:], kept, s.style))
    return cut


def _learning_rate(results: Results) -> Chart:
    series = []
    for run, result in results:
        steps = result["history"]["steps"]
        if steps:
            every = -(-len(steps["step"]) // BINS)
            series.append(Series(run, result["label"], steps["step"][::every], steps["lr"][::every]))
    rates = [y for s in series for y in s.y if y > 0]
    # Optimizers' rates differ by orders of magnitude; one alone is better read on a linear axis.
    log = len(results) > 1 and max(rates, default=1.0) > 20 * min((max(s.y) for s in series), default=1.0)
    if log:
        floor = min(max(s.y) for s in series) / 100
        series = [Series(s.run, s.name, s.x, [max(y, floor) for y in s.y]) for s in series]
    return Chart("Learning rate", "step", series, log)


def _gradient_norm(results: Results) -> Chart:
    series = []
    for run, result in results:
        steps = result["history"]["steps"]
        if not steps:
            continue
        norms = steps["grad_norm"]
        size = -(-len(norms) // BINS)
        smooth = fastopt.ewma([math.log(max(v, 1e-300)) for v in norms], beta=0.95)
        bins = [range(i, min(i + size, len(norms))) for i in range(0, len(norms), size)]
        low = [max(min(norms[i] for i in b), 1e-300) for b in bins]
        high = [max(norms[i] for i in b) for b in bins]
        line = [math.exp(smooth[b[-1]]) for b in bins]
        series.append(
            Series(run, result["label"], [steps["step"][b[-1]] for b in bins], line, "", (low, high))
        )
    note = "moving average; area: single batches"
    return Chart("Gradient norm", "step", series, True, note=note)
