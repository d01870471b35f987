"""The scripts of examples/ as sphinx-gallery wants them: copies with a title and the pictures on top.

They are not run here. Each writes pictures of its own, which are committed; some take half an hour to do so.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
STAGE = ROOT / "build" / "docs-examples"
#: Modules that the examples share.
SHARED = ("common", "descent", "handwriting", "torch_twice")

HEADER = """\
Scripts
=======

Every script of the gallery, to read and to download. Run them from a clone: they share the modules
{shared} of ``examples/``.
"""

GALLERY: dict[str, Any] = {
    "examples_dirs": [str(STAGE)],
    "gallery_dirs": ["gallery/scripts"],
    "plot_gallery": False,
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": (),
    "reset_modules": (),
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 10**6,
    "show_signature": False,
    "remove_config_comments": True,
}


def stage_examples() -> None:
    """Write the copies, those that have changed only."""
    STAGE.mkdir(parents=True, exist_ok=True)
    scripts = [path for path in sorted(EXAMPLES.glob("*.py")) if path.stem not in SHARED]
    texts = {path.name: staged(path) for path in scripts}
    shared = ", ".join(f"``{name}``" for name in SHARED)
    texts["GALLERY_HEADER.rst"] = HEADER.format(shared=shared)
    for path in STAGE.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        target = STAGE / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def staged(path: Path) -> str:
    """The script with a docstring in reStructuredText: a title, its first line, its pictures."""
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    code = text.split('"""', 2)[2]
    paragraphs = docstring.split("\n\n")
    title = title_of(paragraphs[0])
    names = re.findall(r"\b(\w+\.png)\b", docstring)
    pictures = [EXAMPLES / "pictures" / name for name in names]
    pictures = [picture for picture in dict.fromkeys(pictures) if picture.exists()]
    body = [title, "=" * len(title), "", escaped(paragraphs.pop(0)), ""]
    for picture in pictures:
        body += [f".. image:: /../examples/pictures/{picture.name}", f"   :alt: {picture.stem}", ""]
    for paragraph in paragraphs:
        if paragraph.startswith("    "):
            body += [".. code-block:: text", "", paragraph, ""]
        else:
            body += [escaped(paragraph), ""]
    if pictures:
        code += f"\n# sphinx_gallery_thumbnail_path = '../examples/pictures/{pictures[0].name}'\n"
    return 'r"""\n' + "\n".join(body) + '"""' + code


def title_of(line: str) -> str:
    """What a docstring's first line says before its details, for a list of titles."""
    title = re.split(r":|\.$|(?<=\?) ", " ".join(line.split()))[0]
    return title if len(title) <= 60 else title.partition(",")[0]


def escaped(text: str) -> str:
    """Plain text as reStructuredText."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)
