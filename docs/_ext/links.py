"""Links are written for a reader of the repository, and turned here for a reader of the site.

A link to a file that has a page here leads to that page, a link to any other file to the repository, and
pictures are taken from where they lie. Pages that include a file of the repository (`{include}`) show its
links as well, which are relative to that file.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/fastopt/fastopt"
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: Files outside docs/ that a page here includes as a whole.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "benchmarks/index.md",
    "bench/results/step.md": "benchmarks/step.md",
    "bench/results/threads.md": "benchmarks/threads.md",
    "examples/README.md": "gallery/index.md",
}

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\((?P<target>[^()\s]+)\)")


def page_of(path: Path) -> str | None:
    """The page of a file of the repository, relative to docs/, if it has one."""
    inside = path.relative_to(ROOT).as_posix()
    if inside in PAGES:
        return PAGES[inside]
    if inside.startswith("examples/") and (DOCS / f"gallery/scripts/{path.stem}.rst").exists():
        return f"gallery/scripts/{path.stem}.rst"
    if inside.startswith("docs/") and path.suffix == ".md":
        return path.relative_to(DOCS).as_posix()
    return None


def turned(target: str, file: Path, picture: bool = False) -> str:
    """What a link or picture in `file` leads to on the site."""
    if re.match(r"[a-z]+:|#|/|<", target):
        return target
    name, hash_, anchor = target.partition("#")
    path = Path(os.path.normpath(file.parent / name))
    if picture:
        return "/" + Path(os.path.relpath(path, DOCS)).as_posix()
    page = page_of(path)
    if page is not None:
        return f"/{page}{hash_}{anchor}"
    kind = "tree" if path.is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{path.relative_to(ROOT).as_posix()}{hash_}{anchor}"


def turn_links(text: str, file: Path) -> str:
    """The text of a Markdown file with its links turned; code blocks are left as they are."""
    fence, lines = "", []
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            fence = "" if found and found[1].startswith(fence) and line.strip() == found[1] else fence
        elif found:
            fence = found[1]
        else:
            line = _LINK.sub(lambda link: _turned_link(link, file), line)
        lines.append(line)
    return "\n".join(lines)


def _turned_link(link: re.Match[str], file: Path) -> str:
    text = _LINK.sub(lambda inner: _turned_link(inner, file), link["text"][1:])  # a picture that is a link
    target = turned(link["target"], file, picture=link["text"].startswith("!"))
    return f"{link['text'][0]}{text}({target})"


def without_idle_patterns(text: str, file: Path) -> str:
    """A page without those patterns in its lists of contents that no page matches, of which Sphinx warns."""

    def idle(line: str) -> bool:
        return bool(re.fullmatch(r"[\w\[\]/-]+\*", line)) and not any(file.parent.glob(f"{line}.md"))

    return "\n".join(line for line in text.split("\n") if not idle(line))


def source_of(module: str, name: str) -> str | None:
    """The repository's page of the lines where an object is defined."""
    value: Any = importlib.import_module(module)
    try:
        for part in name.split("."):
            value = getattr(value, part)
        value = inspect.unwrap(getattr(value, "fget", None) or value)
        file, (lines, first) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except (AttributeError, OSError, TypeError):  # made at run time, or of no class or function
        return None
    inside = Path(file or "").as_posix().rpartition("/fastopt/")[2]
    if "site-packages" not in (file or "") and not (ROOT / "python/fastopt" / inside).is_file():
        return None
    return f"{REPOSITORY}/blob/main/python/fastopt/{inside}#L{first}-L{first + len(lines) - 1}"


def setup(app: Any) -> dict[str, bool]:
    """Turn the links of every page and of every file that is included in one."""

    def page(app: Any, docname: str, source: list[str]) -> None:
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".md":
            source[0] = turn_links(without_idle_patterns(source[0], path), path)

    def included(app: Any, path: Path, docname: str, content: list[str]) -> None:
        content[0] = turn_links(content[0], Path(os.path.normpath(DOCS / path)))

    app.connect("source-read", page)
    app.connect("include-read", included)
    return {"parallel_read_safe": True}
