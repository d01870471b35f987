"""The charts over epochs and steps, for all runs at once, and those of the curvature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

import fastopt
from fastopt.train.analysis import Analysis
from fastopt.train.report import plot
from fastopt.train.runs import Result

# Points of a line over the steps of a run; more than the paper has dots helps nobody.
BINS = 180

Results = list[tuple[int, Result]]
Columns = dict[str, list[float]]


class Panel(NamedTuple):
    """A figure with its title and a note."""

    title: str
    note: str
    figure: Markup


def training(results: Results, score: str) -> list[Panel]:
    """Loss, score, learning rate, gradient norm of results with the numbers that give their colours."""
    begun = [(run, result) for run, result in results if result["history"]["epochs"]]
    stepped = [(run, result) for run, result in results if result["history"]["steps"]]
    titles = {"accuracy": "Accuracy", "r2": "R²"}
    charts = [_epochs(begun, "Loss", "loss"), _epochs(begun, titles[score], score)]
    return [*charts, _learning_rate(stepped), _gradient_norm(stepped)]


def _epochs(results: Results, title: str, key: str) -> Panel:
    log, percent = key == "loss", key == "accuracy"
    factor = 100 if percent else 1
    parts = [(run, r, part) for run, r in results for part in ("train", "validation")]
    columns = [factor * np.array(r["history"]["epochs"][f"{part}_{key}"]) for _, r, part in parts]
    low = 0.0 if log else _lower_edge(columns)
    ax = plot.axes("epoch", log=log, percent="y" if percent else "")
    thin = any(result["fold"] for _, result in results)
    for (run, r, part), y in zip(parts, columns, strict=True):
        first = int(np.argmax(y >= low))
        x, kept = r["history"]["epochs"]["epoch"][first:], np.maximum(y[first:], low)
        plot.line(ax, run, f"{r['label']}, {part}", x, kept, dashed=part == "train", thin=thin)
    ringed = [(run, r) for run, r in results if r["tested_epoch"] and r["tested_epoch"] < r["epochs"]]
    for run, r in ringed:
        at, epochs = r["tested_epoch"], r["history"]["epochs"]
        plot.ring(ax, run, [at], [factor * epochs[f"validation_{key}"][epochs["epoch"].index(at)]])
    if percent:
        ax.set_ylim(top=min(ax.get_ylim()[1], 100.4))
    note = "validation solid, training dashed" + ("; ring: the epoch that was tested" if ringed else "")
    return Panel(title, note, plot.chart(ax, title))


def _lower_edge(columns: list[plot.Numbers]) -> float:
    """Where a score's axis begins: the first epochs would press all that matters against the top.

    The worst tenth of the points is left out, but no line's last one.
    """
    values = np.concatenate([[], *columns])
    kept = [np.nanquantile(values, 0.1), *(y[-1] for y in columns)] if np.isfinite(values).any() else [0.0]
    return float(np.nanmin(kept))


def _learning_rate(results: Results) -> Panel:
    steps = [result["history"]["steps"] for _, result in results]
    highest = [max(s["lr"]) for s in steps] or [1.0]
    # Optimizers' rates differ by orders of magnitude; one alone is better read on a linear axis.
    log = len(results) > 1 and max(highest) > 20 * min(highest)
    floor = min(highest) / 100 if log else 0.0
    ax = plot.axes("step", log=log)
    for (run, result), s in zip(results, steps, strict=True):
        every = -(-len(s["step"]) // BINS)
        plot.line(ax, run, result["label"], s["step"][::every], np.maximum(s["lr"], floor)[::every])
    return Panel("Learning rate", "", plot.chart(ax, "Learning rate"))


def _gradient_norm(results: Results) -> Panel:
    ax = plot.axes("step", log=True)
    for run, result in results:
        steps = result["history"]["steps"]
        norms = np.maximum(steps["grad_norm"], 1e-300)
        starts = np.arange(0, len(norms), -(-len(norms) // BINS))
        last = np.append(starts[1:], len(norms)) - 1
        smooth = np.exp(fastopt.ewma(np.log(norms), beta=0.95))[last]
        band = (np.minimum.reduceat(norms, starts), np.maximum.reduceat(norms, starts))
        plot.line(ax, run, result["label"], np.array(steps["step"])[last], smooth, band=band)
    return Panel("Gradient norm", "moving average; area: single batches", plot.chart(ax, "Gradient norm"))


def density(analyses: Sequence[Analysis], runs: dict[str, int]) -> Panel:
    """The spectral density of the Hessian of each run."""
    highest = max(max(found.density.density) for found in analyses)
    # A lone eigenvalue among n has 1 / n of the area: it must still be seen.
    lowest = 0.1 * min(highest / found.n for found in analyses)
    ax = plot.axes("eigenvalue", log=True)
    for found in analyses:
        d = found.density
        band = None if d.low is None else tuple(np.clip([d.low, d.high or d.low], lowest, 2 * highest))
        plot.line(ax, runs[found.label], found.label, d.at, np.maximum(d.density, lowest), band=band)
    ax.set_ylim(lowest, 2 * highest)
    estimated = any(found.density.low is not None for found in analyses)
    note = "estimated from random probes, with its confidence band" if estimated else "all eigenvalues"
    title = "Spectral density of the Hessian"
    return Panel(title, note, plot.chart(ax, title))


def extremes(found: Analysis) -> Markup:
    """The eigenvalues of both ends as bars, with a gap for all between."""
    values, n = np.array([*found.smallest, *found.largest]), len(found.smallest)
    places = np.arange(len(values)) + (np.arange(len(values)) >= n)
    ax = plot.axes()
    paint = [plot.PAINT["accent" if v > 0 else "wrong"] for v in values]
    ax.bar(places, values, 0.76, color=paint, edgecolor=paint, linewidth=1)
    for i, (x, v) in enumerate(zip(places, values, strict=True)):
        # Small negative ones have long names and bars of no height: every other name a line further down.
        offset, below = (5, "bottom") if v > 0 else (-5 - 12 * (i % 2), "top")
        where = {"textcoords": "offset points", "ha": "center", "va": below}
        ax.annotate(f"{v:.2g}", (x, v), (0, offset), fontsize=10.5, **where)
    ax.annotate("…", (n, 0), (0, 6), textcoords="offset points", ha="center")
    ax.axhline(0, color=plot.PAINT["soft"], alpha=0.6, linewidth=1)
    ax.margins(0.02, 0.08)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="x", pad=18)
    ax.set_xticks([(n - 1) / 2, (n + 1 + len(values)) / 2], ["smallest", "largest"])
    return plot.svg(ax, "extreme eigenvalues", "scatter wide")


def ratio_over_epochs(histories: dict[str, Columns], runs: dict[str, int]) -> Markup:
    """The minimum ratio over the epochs, with what is left open around it."""
    ax = plot.axes("epoch", percent="y")
    for name, columns in histories.items():
        low, high = (100 * np.array(columns[key]) for key in ("low", "high"))
        plot.line(ax, runs[name], name, columns["epoch"], (low + high) / 2, band=(low, high))
    return plot.chart(ax, "Minimum ratio")


def ratio_and_loss(histories: dict[str, Columns], runs: dict[str, int]) -> Markup:
    """Loss over the minimum ratio, a path through the epochs; a reading's bar is as wide as its interval."""
    ax = plot.axes("minimum ratio", log=True, percent="x")
    ax.margins(0.04)
    for i, (name, columns) in enumerate(histories.items()):
        rows = np.array([columns[key] for key in ("epoch", "loss", "low", "high")]).T
        epoch, loss, low, high = (rows[np.isfinite(rows).all(axis=1)] * (1, 1, 100, 100)).T
        run, middle = runs[name], (low + high) / 2
        plot.line(ax, run, name, middle, loss, dashed=True)
        interval = {"linewidth": 3.5, "alpha": 0.22, "capstyle": "round", "gid": f"run{run}"}
        ax.hlines(loss, low, high, color=plot.colour(run), **interval)
        plot.ring(ax, run, middle, loss)
        for k in {0, len(epoch) - 1} if i == 0 and len(epoch) else ():
            text = (f"epoch {epoch[k]:g}", (middle[k], loss[k]), (0, 10))
            ax.annotate(*text, textcoords="offset points", ha="center")
    return plot.svg(ax, "loss over the minimum ratio", "scatter wide")
