"""The reference: a page for each public name, tables of them, and the formulas of the optimizers.

`{public} PACKAGE` is a table of the package's names, with their pages below it in the contents.
`{formulas}` with names of classes is what their docstrings say before the parameters: formulas stand there,
and nowhere else. `{formulas} rest` are the classes that no other such list on the page names, under a heading
if there are any.
`{methods}` are the classes that are methods of `fastopt.minimize` too.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, ClassVar

import surface
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.ext.autodoc.mock import mock
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature

#: Of a page that is written: where, relative to docs/.
PAGES = "reference/api"


def page(full: str) -> str:
    """The reStructuredText of the page of one name."""
    package, _, name = full.rpartition(".")
    value = surface.found(full)
    lines = [full, "=" * len(full), "", f".. currentmodule:: {package}", ""]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        lines.append(f".. auto{kind}:: {name}")
        fields = surface.fields(value)
        members = [*fields, *surface.members(value)]
        if fields:
            lines.append("   :member-order: bysource")
        if members:
            lines.append(f"   :members: {', '.join(m for m in members if m != '__call__')}")
        if "__call__" in members:
            lines.append("   :special-members: __call__")
    else:
        lines.append(f".. auto{'function' if callable(value) else 'data'}:: {name}")
    return "\n".join([*lines, ""])


def write_pages(app: Any) -> None:
    """Write the pages of all public names, where they have changed, and remove those of former names."""
    folder = Path(app.srcdir, PAGES)
    folder.mkdir(exist_ok=True)
    with mock(app.config.autodoc_mock_imports):
        pages = {f"{full}.rst": page(full) for names in surface.documented().values() for full in names}
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


class Lines(SphinxDirective):
    """A directive that stands for lines of reStructuredText, on a page of Markdown."""

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        """What these lines are on the page."""
        text = StringList(["```{eval-rst}", *lines, "```"], source=self.get_source_info()[0])
        container = nodes.container()
        self.state.nested_parse(text, self.content_offset, container)
        return container.children


class Public(Lines):
    """`{public} PACKAGE`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        names = surface.documented()[self.arguments[0]]
        table = [".. autosummary::", "   :nosignatures:", "", *(f"   ~{name}" for name in names), ""]
        tree = [".. toctree::", "   :hidden:", ""]
        tree += [f"   {name.rpartition('.')[2]} <api/{name}>" for name in names]
        with mock(self.config.autodoc_mock_imports):
            return self.parsed([*table, *tree])


class Formulas(Lines):
    """`{formulas}`."""

    optional_arguments = 1
    has_content = True
    named: ClassVar[dict[str, set[str]]] = {}

    def run(self) -> list[nodes.Node]:
        import fastopt

        shown = self.named.setdefault(self.env.docname, set())
        names = " ".join(self.content).split()
        if self.arguments == ["rest"]:
            names = [name for name in dir(fastopt.optim) if name not in shown]
        shown |= set(names)
        heading = [".. rubric:: Others", ""] if self.arguments == ["rest"] and names else []
        return self.parsed([*heading, *(line for name in names for line in formula(name))])


class Methods(Lines):
    """`{methods}`: the optimizer classes that are methods of minimisation."""

    def run(self) -> list[nodes.Node]:
        import fastopt

        classes = fastopt.optimizers()
        names = [f":class:`{name} <fastopt.{classes[name].__name__}>`" for name in surface.rules_as_methods()]
        return self.parsed([", ".join(names)])


def formula(name: str) -> list[str]:
    """The head of a class's docstring, under its name."""
    import fastopt

    text = inspect.getdoc(getattr(fastopt, name)) or ""
    head = text.partition("\nParameters\n---")[0].rstrip()
    return [f":class:`~fastopt.{name}`", *(f"   {line}" if line else "" for line in head.split("\n")), ""]


def link_notes(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """In a docstring, the path of a design note becomes a link to it."""
    lines[:] = [re.sub(r"(`{2}|)docs/(design/[\w-]+)\.md\1", r":doc:`/\2`", line) for line in lines]


def show_signature(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Classes for PyTorch, whose bases are a stand-in's here, take the keywords of the NumPy class.

    Protocols, which nobody makes, take nothing.
    """
    if what != "class":
        return None
    if getattr(value, "_is_protocol", False):
        return "", returns
    if not name.startswith("fastopt.torch."):
        return None
    if formula := getattr(value, "_formula", None):
        return stringify_signature(inspect.signature(formula), show_annotation=False), returns
    if name == "fastopt.torch.Optimizer":
        return stringify_signature(of_every_class(), show_annotation=False), returns
    return None


def of_every_class() -> inspect.Signature:
    """What every class for PyTorch takes: the options of an optimizer, then those of a group."""
    from fastopt._hypers import COMMON_DEFAULTS
    from fastopt.torch._options import CommonOptions

    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [p.replace(kind=keyword) for p in inspect.signature(CommonOptions).parameters.values()]
    group = [inspect.Parameter(name, keyword, default=value) for name, value in COMMON_DEFAULTS.items()]
    compat = inspect.Parameter("compat", keyword, default=None)
    params = inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([params, *options, *group, compat])


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before Sphinx looks for any."""
    app.connect("autodoc-process-docstring", link_notes)
    app.connect("autodoc-process-signature", show_signature)
    app.connect("builder-inited", write_pages, priority=100)
    app.add_directive("public", Public)
    app.add_directive("formulas", Formulas)
    app.add_directive("methods", Methods)
    return {"parallel_read_safe": True}
