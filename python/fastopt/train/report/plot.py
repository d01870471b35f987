"""Axes, lines and SVG of every figure: matplotlib's, in the colours of the page's style sheet."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ET
from contextlib import AbstractContextManager
from typing import Any

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

WIDTH, HEIGHT, SQUARE = 560, 300, 360
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 44
RUN_COLOURS = 8
# Variables of style.css, which knows light and dark; matplotlib draws with a colour that stands for each.
VARIABLES = ("soft", "line", "panel", "accent", "wrong", *(f"c{i}" for i in range(RUN_COLOURS)))
PAINT = {name: f"#fade{i:02x}" for i, name in enumerate(VARIABLES)}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": PAINT["soft"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": PAINT["soft"] + "99",
    "axes.labelcolor": PAINT["soft"],
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.xmargin": 0,
    "axes.ymargin": 0.04,
    **{f"axes.spines.{side}": False for side in ("left", "top", "right")},
    "grid.color": PAINT["line"],
    "grid.linewidth": 1,
    **{f"{axis}.color": PAINT["soft"] for axis in ("xtick", "ytick")},
    **{f"{axis}.major.pad": 8 for axis in ("xtick", "ytick")},
    "xtick.bottom": False,
    "ytick.left": False,
    "path.simplify": False,
}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# matplotlib's annotations of its types differ from version to version.
Axes = Any
Numbers = Any


def styled() -> AbstractContextManager[None]:
    """The surroundings in which every figure is made and written, whatever the user's own style."""
    return style.context(["default", STYLE])


def label(value: float, least: float = 1e-4) -> str:
    """A tick's label; powers of ten below `least` and where it would be long.

    >>> label(1500.0), label(0.05), label(0.001, least=0.01), label(2e-05)
    ('1,500', '0.05', '10⁻³', '2·10⁻⁵')
    """
    if value == 0 or least <= abs(value) < 1e6:
        return f"{value:,.6g}"
    digits, exponent = f"{value:.5e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if float(digits) == 1 else f"{float(digits):g}·{power}"


def axes(x: str = "", y: str = "", *, log: bool = False, percent: str = "", square: bool = False) -> Axes:
    """Axes named `x` and `y`; `log` is of the vertical one, `percent` names those in per cent."""
    width, height = (SQUARE, SQUARE) if square else (WIDTH, HEIGHT)
    frame = (LEFT / width, BOTTOM / height, 1 - (LEFT + RIGHT) / width, 1 - (TOP + BOTTOM) / height)
    ax: Axes = Figure(figsize=(width / 72, height / 72), dpi=72).add_axes(frame)
    ax.set(xlabel=x, ylabel=y, yscale="log" if log else "linear")
    for name, axis, least in (("x", ax.xaxis, 1e-4), ("y", ax.yaxis, 0.01 if log else 1e-4)):
        axis.set_major_formatter(_formatter(least, " %" if name in percent else ""))
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return ax


def _formatter(least: float, unit: str) -> FuncFormatter:
    return FuncFormatter(lambda value, _: label(value, least) + unit)


def colour(run: int) -> str:
    return PAINT[f"c{run % RUN_COLOURS}"]


def line(
    ax: Axes,
    run: int,
    name: str,
    x: Numbers,
    y: Numbers,
    *,
    dashed: bool = False,
    thin: bool = False,
    band: tuple[Numbers, Numbers] | None = None,
) -> None:
    """A line in its run's colour; the card of the run hides it. `band` holds (low, high) around it."""
    if band is not None:
        ax.fill_between(x, *band, color=colour(run), alpha=0.16, linewidth=0, gid=f"run{run}")
    how = {"linestyle": (0, (1.1, 2.8)), "alpha": 0.85} if dashed else {"alpha": 0.75 if thin else 1.0}
    ends = {"solid_capstyle": "round", "dash_capstyle": "round", "gid": f"run{run}"}
    ax.plot(x, y, color=colour(run), linewidth=1.2 if thin else 2, label=name, **how, **ends)


def ring(ax: Axes, run: int, x: Numbers, y: Numbers) -> None:
    """Rings at the points of a run."""
    paint = {"markerfacecolor": PAINT["panel"], "markeredgecolor": colour(run), "markeredgewidth": 2.5}
    ax.plot(x, y, "o", markersize=9, gid=f"run{run}", **paint)


def chart(ax: Axes, title: str) -> Markup:
    """The SVG of a line chart, with its numbers in `data-chart` for the read-out under the pointer."""
    lines = [one for one in ax.lines if not one.get_label().startswith("_")]
    series = [
        {
            "run": int(one.get_gid().removeprefix("run")),
            "name": one.get_label(),
            "x": [float(f"{v:.5g}") for v in one.get_xdata()],
            "y": [float(f"{v:.4g}") if math.isfinite(v) else None for v in one.get_ydata()],
        }
        for one in lines
    ]
    places = {float(v) for one in lines for v in one.get_xdata()}
    if len(places) == 1:
        ax.set_xlim(min(places), min(places) + 1)
    low, high = ax.get_xlim()
    content = {"low": low, "high": high, "left": LEFT, "right": WIDTH - RIGHT, "width": WIDTH}
    content |= {
        "label": ax.get_xlabel(),
        "unit": " %" if ax.yaxis.get_major_formatter()(1).endswith("%") else "",
    }
    content |= {
        "whole": all(v.is_integer() for v in places),
        "series": series,
    }
    ax.axvline(low, color=PAINT["soft"], linewidth=1, gid="cursor")
    return svg(ax, title, "chart", **{"data-chart": json.dumps(content, separators=(",", ":"))})


def svg(ax: Axes, title: str, kind: str, **attributes: str) -> Markup:
    """The figure as an element of the page, of class `kind`; `title` is for those who cannot see it."""
    if ax.get_yscale() == "log":
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(
            LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0), numticks=7)
        )
        ax.yaxis.set_minor_locator(NullLocator())
    stream = io.StringIO()
    ax.figure.savefig(stream, format="svg", metadata={"Date": None})
    root = ET.fromstring(stream.getvalue())
    _inline(root)
    for name in ("width", "height", "version"):
        del root.attrib[name]
    root.attrib |= {"class": kind, "role": "img", "aria-label": title, **attributes}
    return Markup(ET.tostring(root, "unicode"))


def _inline(root: ET.Element) -> None:
    """Make the root of a file an element among others: without names that only one may have, and shorter."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text, element.tail = (element.text or "").strip(), None
    shapes = {path.get("id"): path.get("d", "") for path in root.iter("path")}
    for element in list(root.iter()):
        for child in [child for child in element if child.tag in ("metadata", "defs")]:
            element.remove(child)
        if element.tag == "use":
            element.tag = "path"
            reference = element.attrib.pop("{http://www.w3.org/1999/xlink}href")
            element.set("d", shapes[reference.removeprefix("#")])
            x, y = (float(element.attrib.pop(name)) for name in ("x", "y"))
            element.set("transform", f"translate({x:.1f} {y:.1f})")
        _rename(element)


def _rename(element: ET.Element) -> None:
    """The page's names for a part and its colours; coordinates with the digits that are seen."""
    name = element.attrib.pop("id", "")
    element.attrib.pop("clip-path", None)
    if name.startswith("run"):
        element.set("data-run", name.removeprefix("run"))
    elif name == "cursor":
        element.set("class", name)
    if "d" in element.attrib:
        element.set("d", re.sub(r"(\.\d\d)\d+", r"\1", " ".join(element.attrib["d"].split())))
    if "style" in element.attrib:
        plain = re.sub(r"font-family: [^;]*;? ?", "", element.attrib["style"])
        element.set("style", re.sub(r"#fade(..)", lambda m: f"var(--{VARIABLES[int(m[1], 16)]})", plain))
