"""The section on what a diagnosis found."""

from __future__ import annotations

import re
from html import escape

from fastopt.train.diagnosis import Diagnosis
from fastopt.train.problem import PARTS
from fastopt.train.report.markup import element, panel
from fastopt.train.report.sections import section

TITLES = {
    "model bias": "The model is too small",
    "optimisation": "The optimisation fails",
    "overfitting": "The model overfits",
    "mismatch": "The test rows come from another distribution",
    "none": "Nothing ails the model",
}


def diagnosis(found: Diagnosis) -> str:
    """Verdict, reason and cure, and the losses that say so as bars."""
    content = element("p", escape(TITLES[found.kind]), class_="verdict")
    content += element("p", escape(found.reason[0].upper() + found.reason[1:]))
    # An option is one word: no line may end within it.
    cure = re.sub(r"--[a-z-]+", r"<code>\g<0></code>", escape(found.cure))
    content += element("p", f"<b>Cure:</b> {cure}.")
    panels = panel("Verdict", found.optimizer, element("div", content, class_="words"))
    if found.losses:
        panels += panel("Losses", "line: what counts as high", _bars(found))
    return section("Diagnosis", element("div", panels, class_="grid"))


def _bars(found: Diagnosis) -> str:
    """Each loss as a bar, the limit as a mark at half the width or where the longest bar leaves it."""
    rows = [(part, found.losses[part], found.standard_errors[part]) for part in PARTS]
    if found.larger and found.larger["losses"]:
        widths = "-".join(map(str, found.larger["hidden"]))
        rows.append((f"train, larger ({widths})", found.larger["losses"]["train"], 0.0))
    full = max(2 * found.high, *(loss for _, loss, _ in rows))
    cells = ""
    for name, loss, error in rows:
        kind = "piece high" if loss > found.high else "piece low"
        bar = element("span", class_=kind, style=f"width:{100 * loss / full:.2f}%")
        bar += element("span", class_="limit", style=f"left:{100 * found.high / full:.2f}%")
        value = f"{loss:.4f}" + (f" ± {error:.4f}" if error else "")
        cells += element(
            "div",
            element("span", escape(name), class_="bar-name")
            + element("span", bar, class_="bar")
            + element("span", value, class_="bar-value"),
            class_="bar-row",
        )
    return element("div", cells, class_="bars")
