"""Elements of HTML and SVG as strings."""

from __future__ import annotations

from html import escape
from typing import Any

VOID = ("line", "circle", "rect", "img", "polyline", "polygon")


def element(name: str, content: str = "", **attributes: Any) -> str:
    """One well-formed element; `content` is markup, attribute values are escaped and floats shortened.

    A trailing underscore keeps an attribute's name from being a keyword, other ones become hyphens.

    >>> element("line", x1=0.123456, class_="grid", data_run=2)
    '<line x1="0.1" class="grid" data-run="2"/>'
    """
    written = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()]
    opening = " ".join([name, *(f'{key}="{escape(_text(value), True)}"' for key, value in written)])
    return f"<{opening}/>" if name in VOID else f"<{opening}>{content}</{name}>"


def _text(value: Any) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(content: str, x: float, y: float, kind: str, anchor: str = "middle", turned: bool = False) -> str:
    """SVG text of class `kind`; `turned` reads upwards."""
    place = {"transform": f"translate({x:.1f} {y:.1f}) rotate(-90)"} if turned else {"x": x, "y": y}
    return element("text", escape(content), class_=kind, text_anchor=anchor, **place)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return element("line", class_=kind, x1=x1, y1=y1, x2=x2, y2=y2)


def drawing(kind: str, width: float, height: float, label: str, parts: list[str], **attributes: Any) -> str:
    """The `<svg>` around its parts; `label` is for those who cannot see it."""
    box = f"0 0 {width:g} {height:g}"
    return element(
        "svg", "".join(parts), class_=kind, viewBox=box, role="img", aria_label=label, **attributes
    )


def panel(title: str, note: str, content: str, extra: str = "") -> str:
    """A titled box of the page; `title` and `note` are plain text."""
    caption = element("b", escape(title)) + (element("span", escape(note)) if note else "")
    return element("figure", element("figcaption", caption) + content, class_=f"panel {extra}".strip())
