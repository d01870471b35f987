"""What the public packages show: all their names and nothing else, before and after use."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import fastopt
from test_threads import python

ROOT = Path(fastopt.__file__).parent
#: Packages whose names a user may import, the application's included.
PACKAGES = ("", ".optim", ".linalg", ".curvature", ".methods", ".schedules", ".train")
#: Those whose names are imported at first use.
STUBBED = [
    f"fastopt{'.' * bool(p.parent != ROOT)}{p.parent.name * (p.parent != ROOT)}"
    for p in ROOT.rglob("__init__.pyi")
]


def module(package: str) -> Any:
    return importlib.import_module(f"fastopt{package}")


def public(package: str) -> list[tuple[str, Any]]:
    """The names that a package lists and their values, modules left out."""
    values = [(name, getattr(module(package), name)) for name in dir(module(package))]
    return [(name, value) for name, value in values if not inspect.ismodule(value)]


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_what_can_be_had_and_nothing_else(package: str) -> None:
    listed = dir(module(package))
    assert len(set(listed)) == len(listed)
    assert set(module(package).__all__) <= set(listed)
    for name in listed:
        assert not name.startswith("_"), name
        getattr(module(package), name)
    # what is listed beside `__all__` is made by `__getattr__`: the methods of minimize
    assert not {*vars(module(package))} & {*listed} - {*module(package).__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_is_the_same_before_and_after_use(package: str) -> None:
    name = f"fastopt{package}"
    code = (
        f"import {name} as m; before = dir(m); fresh = set(vars(m)); [getattr(m, n) for n in before]; "
        "print(before == dir(m), set(before) & {'annotations', 'TYPE_CHECKING', 'Any', 'attach'})"
    )
    done = python(code)
    assert (done.stdout, done.stderr) == ("True set()\n", "")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'fastopt{package}' has no attribute 'nothing'"):
        _ = module(package).nothing


def test_the_names_of_a_package_are_the_lines_of_its_stub() -> None:
    assert set(STUBBED) == {"fastopt", "fastopt.curvature", "fastopt.linalg", "fastopt.optim"}
    for name in STUBBED:
        found = importlib.import_module(name)
        stub = (Path(found.__file__ or "").parent / "__init__.pyi").read_text()
        lines = [line for line in stub.splitlines() if line.startswith("from ") and "*" not in line]
        own = {line.split()[3] for line in lines}
        assert own == set(found.__all__) - (set(fastopt.optim.__all__) if name == "fastopt" else set())


def test_importing_a_package_imports_none_of_its_modules() -> None:
    for name in STUBBED:
        code = f"import sys, {name}; print([m for m in sys.modules if m.startswith('{name}._')])"
        allowed = {
            "fastopt._lazy",
            "fastopt._threads",
            "fastopt._checks",
            "fastopt._dispatch",
            "fastopt._cpu",
        }
        loaded = set(ast.literal_eval(python(code).stdout))
        assert {m for m in loaded if not m.startswith("fastopt._core")} <= allowed
