"""The stub of the extension modules, against one generated from the module: every name and every argument."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastopt
from engine import LEVELS
from fastopt import _dispatch

STUB = Path(fastopt.__file__).parent / "_core.pyi"
Signature = list[tuple[str, bool]]  # the arguments' names, and whether each has a default


def signature(function: ast.FunctionDef) -> Signature:
    names = [a.arg for a in function.args.args]
    defaults = len(function.args.defaults)
    return [(name, i >= len(names) - defaults) for i, name in enumerate(names)]


def decorators(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(d).rpartition(".")[2] for d in function.decorator_list}


def outline(body: list[ast.stmt]) -> dict[str, Any]:
    """Functions with their arguments, attributes ("read" or "write"), and classes with the same."""
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found[node.name] = outline(node.body)
        elif isinstance(node, ast.FunctionDef):
            marks = decorators(node)
            if "setter" in marks:
                found[node.name] = "write"
            else:
                found[node.name] = "read" if "property" in marks else signature(node)
        elif isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("__"):
            found[ast.unparse(node.target)] = "write"
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_the_stub_is_that_of_the_module(level: str, tmp_path: Path) -> None:
    module = _dispatch.load(level).__name__
    command = [sys.executable, "-m", "pybind11_stubgen", module, "-o", str(tmp_path), "--exit-code"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    generated = tmp_path / (module.replace(".", "/") + ".pyi")
    found = outline(ast.parse(generated.read_text(encoding="utf-8")).body)
    found.pop("floor_pass", None)  # only where it was built for bench/
    assert outline(ast.parse(STUB.read_text(encoding="utf-8")).body) == found


def test_the_entries_of_dicts_are_what_the_stub_says() -> None:
    classes = {
        c.name: c for c in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(c, ast.ClassDef)
    }
    for name, entry in (
        ("_Rule", _dispatch.core.rules()[0]),
        ("_PoolStatistics", _dispatch.core.pool_statistics()),
    ):
        assert list(outline(classes[name].body)) == list(entry)


def test_the_package_says_that_it_has_types() -> None:
    assert (Path(fastopt.__file__).parent / "py.typed").is_file()
