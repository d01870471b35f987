"""The section on curvature: verdicts, spectra, traces, and loss against minimum ratio."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fastopt.train.analysis import Analysis
from fastopt.train.report import curvature_figures as figures
from fastopt.train.report.groups import groups
from fastopt.train.report.markup import element, panel
from fastopt.train.report.sections import facts, section
from fastopt.train.report.svg import Chart, Series, line_chart
from fastopt.train.session import Session

TITLES = {
    "minimum": "A minimum",
    "maximum": "A maximum",
    "saddle": "A saddle",
    "degenerate": "A degenerate critical point",
    "unresolved": "Unresolved",
    "not critical": "Not a critical point",
}


def section_of(session: Session, analyses: Sequence[Analysis]) -> str:
    """Everything about curvature; nothing where none was asked for."""
    runs = {group.label: group.run for group in groups(session)}
    panels = [_verdict(found) for found in analyses]
    panels += [_density(analyses, runs)] if analyses else []
    panels += [
        p for found in analyses for p in (_extremes(found, len(analyses)), _layers(found, len(analyses)))
    ]
    panels += _readings(session, runs)
    return section("Curvature", element("div", "".join(panels), class_="grid")) if panels else ""


def _verdict(found: Analysis) -> str:
    headline, *lines = found.text.splitlines()
    content = element("p", escape(TITLES[found.kind]), class_="verdict")
    content += element("p", escape(headline.partition(": ")[2].capitalize() + "."))
    content += element("pre", escape("\n".join(line.strip() for line in lines[1:])))
    exact = f"{found.products:,} Hessian-vector products" if found.method != "dense" else "the whole Hessian"
    ratios = [("min ratio", _interval(found.min_ratio))]
    if found.beyond:
        among = f"{_interval(found.min_ratio_beyond)} among eigenvalues beyond {_share(found.beyond)}"
        ratios = [("min ratio", f"{ratios[0][1]} by the spectral density; {among}")]
    about = facts(
        [
            ("loss", f"{found.loss:.6g}: {found.about}"),
            *ratios,
            ("from", f"{exact}, {found.n:,} parameters, {found.seconds:.1f} s"),
        ],
        class_="about",
    )
    return panel("Verdict", found.label, element("div", content + about, class_="words"))


def _interval(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}"


def _share(beyond: float) -> str:
    return f"{100 * beyond:g} % of the largest in magnitude"


def _density(analyses: Sequence[Analysis], runs: dict[str, int]) -> str:
    series = [
        Series(
            runs[found.label],
            found.label,
            found.density.at,
            found.density.density,
            "",
            None if found.density.low is None else (found.density.low, found.density.high or []),
        )
        for found in analyses
    ]
    highest = max(max(s.y) for s in series)
    # A lone eigenvalue among n has 1 / n of the area: it must still be seen.
    lowest = 0.1 * min(highest / found.n for found in analyses)
    estimated = any(found.density.low is not None for found in analyses)
    note = "estimated from random probes, with its confidence band" if estimated else "all eigenvalues"
    title = "Spectral density of the Hessian"
    chart = Chart(title, "eigenvalue", series, True, note=note, y_range=(lowest, 2 * highest))
    # Beside the verdict of a single run; a line of its own below several.
    return panel(title, note, line_chart(chart), "wide" if len(analyses) % 2 == 0 else "")


def _extremes(found: Analysis, runs: int) -> str:
    note = f"{len(found.smallest)} smallest and {len(found.largest)} largest of {found.n:,}"
    title = "Extreme eigenvalues" + (f": {found.label}" if runs > 1 else "")
    return panel(title, note, figures.extremes(found.smallest, found.largest))


def _layers(found: Analysis, runs: int) -> str:
    exact = all(layer.deviation == 0 for layer in found.layers)
    note = "of each diagonal block" + ("" if exact else ", estimated, with standard error")
    title = "Trace per layer" + (f": {found.label}" if runs > 1 else "")
    return panel(title, note, figures.layers(found.layers))


def _readings(session: Session, runs: dict[str, int]) -> list[str]:
    """Loss against minimum ratio, and the ratio over the epochs."""
    histories = {
        str(result["label"]): result["history"]["curvature"]
        for result in session.results
        if result["history"]["curvature"]
    }
    if not histories:
        return []
    first = next(iter(histories.values()))
    rows, beyond = first["rows"][0], first["beyond"][0]
    note = f"on {rows:g} training rows; bars: what is left open; only descriptive while the gradient is large"
    which = f"positive share of the eigenvalues beyond {_share(beyond)}" if beyond else "positive eigenvalues"
    over = [
        Series(
            runs[label],
            label,
            columns["epoch"],
            [(low + high) / 2 for low, high in zip(columns["low"], columns["high"], strict=True)],
            "",
            (columns["low"], columns["high"]),
        )
        for label, columns in histories.items()
    ]
    chart = Chart("Minimum ratio", "epoch", over, percent=True)
    return [
        panel("Loss against minimum ratio", note, figures.ratio_plot(histories, runs)),
        panel("Minimum ratio", f"{which}; area: what is left open", line_chart(chart)),
    ]
