"""Who may know whom among the packages: docs/design/house.md, held by the import statements."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import fastopt

ROOT = Path(fastopt.__file__).parent
WINGS = Path(__file__).parents[1] / "docs" / "design" / "house.md"

#: A package of analysis, and what of the other packages it may import. "" is what lies at the top.
MAY_KNOW = {
    "linalg": {"linalg", ""},
    "functions": {"functions", ""},
    "curvature": {"curvature", "functions", "linalg", ""},
    "methods": {"methods", "functions", "linalg", ""},
}
#: What lies above the library: nothing below may know of it.
ABOVE = {"functions", "curvature", "methods", "train", "cli"}
#: Modules that may know one thing more, and why.
DECLARED = {
    "methods/_curvature.py": {"fastopt.curvature"},  # the Hessian from exact products is `hessian`'s
    "methods/_registry.py": {"fastopt"},  # every optimizer class is a method
    "methods/_first_order.py": {"fastopt"},
    "torch/curvature.py": {"fastopt.curvature"},  # the door's own way to the analysis
}
#: The door of the library: everything is imported there, at first use.
DOOR = {"__init__.py", "__main__.py"}
#: What may be imported inside a function only, so that nobody needs it who does not use it.
OPTIONAL = {"matplotlib", "torch", "jax", "scipy"}


def files() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def package(file: str) -> str:
    return file.split("/")[0] if "/" in file else ""


def imported(tree: ast.AST, file: str) -> set[str]:
    """Every name that a file imports, dotted, in functions and under TYPE_CHECKING too."""
    found: set[str] = set()
    here = ["fastopt", *file.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def module_of(name: str) -> str:
    """The longest part of a dotted name that is a module here, or the name itself."""
    parts = name.split(".")
    while len(parts) > 1:
        path = ROOT.joinpath(*parts[1:])
        if path.is_dir() or any(path.with_suffix(end).is_file() for end in (".py", ".pyi")):
            break
        parts.pop()
    return ".".join(parts)


def neighbours(file: str) -> set[str]:
    """The modules of fastopt that a file imports."""
    names = imported(ast.parse((ROOT / file).read_text(encoding="utf-8")), file)
    return {module_of(name) for name in names if name.split(".")[0] == "fastopt"}


def wing(module: str) -> str:
    """The package of a module by its dotted name; "" for what lies at the top."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[1]).is_dir() else ""


@pytest.mark.parametrize("file", [f for f in files() if package(f) in MAY_KNOW])
def test_analysis_and_linalg_know_what_lies_below(file: str) -> None:
    declared = DECLARED.get(file, set())
    for module in neighbours(file):
        if module in declared:
            continue
        assert module != "fastopt", f"{file} imports fastopt itself, whose names lead everywhere"
        assert wing(module) in MAY_KNOW[package(file)], f"{file} imports {module}"


@pytest.mark.parametrize("file", [f for f in files() if package(f) not in ABOVE and f not in DOOR])
def test_the_library_knows_nothing_of_what_stands_on_it(file: str) -> None:
    above = {module for module in neighbours(file) if wing(module) in ABOVE} - DECLARED.get(file, set())
    assert not above, f"{file} imports {above}"


def test_there_are_no_circles() -> None:
    """No file imports itself by way of others at its top, for types neither."""
    graph = {file: _targets(file) for file in files()}
    done: set[str] = set()

    def visit(file: str, path: tuple[str, ...]) -> None:
        assert file not in path, " -> ".join([*path[path.index(file) :], file])
        if file in done:
            return
        for target in graph.get(file, ()):
            visit(target, (*path, file))
        done.add(file)

    for file in graph:
        visit(file, ())


def _targets(file: str) -> set[str]:
    """The files that the statements at the top of a file import; the lazy list of a package is no import."""
    if file.endswith("__init__.py"):
        return set()
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
    modules = {module_of(name) for name in imported(top, file) if name.split(".")[0] == "fastopt"}
    return {"/".join(module.split(".")[1:]) + ".py" for module in modules}


@pytest.mark.parametrize("file", [f for f in files() if package(f) in MAY_KNOW])
def test_what_is_optional_is_imported_where_it_is_used(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
    assert not {name.split(".")[0] for name in imported(top, file)} & OPTIONAL


def test_info_lists_what_is_optional() -> None:
    """No more and no less than what the package imports; its bridge imports jax by name."""
    trees = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in files()}
    names = {name.split(".")[0] for file, tree in trees.items() for name in imported(tree, file)}
    always = {"fastopt", "numpy", "typing_extensions", "markupsafe"}  # for type checkers; part of jinja2
    assert {*names, "jax"} - sys.stdlib_module_names - always == set(fastopt.info()["packages"])


def test_the_note_names_every_file_of_analysis() -> None:
    """A reader finds each file of the layer and of curvature in the note, and no file that is gone."""
    text = WINGS.read_text(encoding="utf-8")
    for file in files():
        folder, _, name = file.partition("/")
        if folder in ("functions", "curvature") and name != "__init__.py":
            assert f"`{name.removesuffix('.py')}`" in text, f"{file} is not in house.md"


def test_declared_exceptions_are_needed() -> None:
    for file, modules in DECLARED.items():
        assert (ROOT / file).is_file(), f"{file} is gone"
        assert modules <= neighbours(file), f"{file} no longer needs {modules}"
