"""The site, built by `make docs`: pages in Markdown (MyST), the reference from docstrings (numpydoc).

What is peculiar to it is in `_ext`: links that hold in the repository and here (`links`), the reference and
the formulas (`reference`, of the names in `surface`), and the examples (`examples`, for sphinx-gallery).
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from examples import GALLERY, stage_examples  # noqa: E402

import fastopt  # noqa: E402

project = "fastopt"
author = "The fastopt developers"
copyright = f"2026, {author}"
version = release = fastopt.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "links",
    "reference",
]
exclude_patterns = ["_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

# --- Markdown ---
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
highlight_language = "text"  # of blocks that name none: commands, output

# --- docstrings ---
default_role = "py:obj"  # as numpydoc's pages have it: `name` is a link where there is such a name
add_module_names = False
autodoc_typehints = "none"  # the docstrings say them, with shapes and units
autodoc_mock_imports = ["torch"]  # fastopt.torch is described without PyTorch, whose wheels are gigabytes
autosummary_generate = False
numpydoc_show_class_members = False
python_maximum_signature_line_length = 88

# --- examples ---
stage_examples()
sphinx_gallery_conf = GALLERY

# --- looks ---
html_theme = "furo"
pygments_dark_style = "github-dark"  # furo's own underlines modules like links
html_title = f"fastopt {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
templates_path: list[str] = []


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where in the repository an object of the reference is defined."""
    from links import source_of

    return source_of(info["module"], info["fullname"]) if domain == "py" and info["module"] else None
