"""The application lives on what is public: who imports and touches what, read from every file of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastopt

ROOT = Path(fastopt.__file__).parent
FILES = sorted([*(ROOT / "train").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])
#: The pass that a step's time is compared with is in an installation for benchmarks alone, and not public.
EXCEPTIONS: dict[str, set[str]] = {
    "cli/bench.py": {"fastopt._dispatch", "fastopt._dispatch.core"},
}
#: What collections.namedtuple documents, underscores and all.
NAMED_TUPLE = {"_asdict", "_fields", "_replace"}
WINGS = ("fastopt.train", "fastopt.cli")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of modules, and of what is taken from them, by every import wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def public(dotted: str) -> bool:
    """Whether a user may write it: modules and names without underscores, shown by the one they are in."""
    thing: object = fastopt
    for part in dotted.split(".")[1:]:
        if part.startswith("_") or part not in dir(thing):
            return False
        thing = getattr(thing, part)
    return True


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_are_public(path: Path) -> None:
    names = [n for n in imported(ast.parse(path.read_text("utf-8"))) if n.split(".")[0] == "fastopt"]
    private = {n for n in names if not n.startswith(WINGS) and not public(n)}
    assert private - EXCEPTIONS.get(name(path), set()) == set()
    assert (
        name(path).startswith("cli/")
        or not any(n.startswith("fastopt.cli") for n in names)
        or (path.name.endswith("_command.py"))
    ), "only the commands know of the command line"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_private_attribute_of_another_object_is_touched(path: Path) -> None:
    """`self._x`, and what this very file defines (by assignment or as a method), are its own."""
    tree = ast.parse(path.read_text("utf-8"))
    own = NAMED_TUPLE | {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.endswith("__"):
            continue
        mine = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        exempt = f"fastopt.{node.attr}" in EXCEPTIONS.get(name(path), set())
        assert mine or node.attr in own or exempt, f"{name(path)}:{node.lineno}: {ast.unparse(node)}"


def test_every_exception_is_needed() -> None:
    for file, allowed in EXCEPTIONS.items():
        used = set(imported(ast.parse((ROOT / file).read_text("utf-8"))))
        assert allowed <= used | {n.rpartition(".")[0] for n in used}, file
