"""What the public packages show: all their names and nothing else, before and after use."""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt._signature import Common
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
    assert set(STUBBED) == {
        "fastopt",
        "fastopt.curvature",
        "fastopt.linalg",
        "fastopt.optim",
        "fastopt.torch",
    }
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


def callables() -> Iterator[tuple[str, Any]]:
    """Every public function and class of every public package, with the classes' methods, each once."""
    seen: set[int] = set()
    for package in (*PACKAGES, ".checkpoint"):
        for name, value in public(package):
            for where, one in _with_methods(name, value):
                if id(one) not in seen:
                    seen.add(id(one))
                    yield f"{package}.{where}", one


def _with_methods(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if inspect.isfunction(value):
        yield name, value
    if not inspect.isclass(value) or not value.__module__.startswith("fastopt"):
        return
    yield name, value
    for key, member in vars(value).items():
        plain = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
        if inspect.isfunction(plain) and (not key.startswith("_") or key in ("__init__", "__call__")):
            yield f"{name}.{key}", plain


CALLABLES = dict(callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_annotations_exist_at_run_time(name: str) -> None:
    typing.get_type_hints(CALLABLES[name])
    made_elsewhere = inspect.isclass(CALLABLES[name]) and "__init__" not in vars(CALLABLES[name])
    if made_elsewhere and issubclass(CALLABLES[name], (dict, Exception)):
        return  # Python knows no signature of those
    inspect.signature(CALLABLES[name], eval_str=True)


def test_there_are_callables_to_look_at() -> None:
    assert len(CALLABLES) > 200
    assert {".Adam.__init__", ".Optimizer.step", ".Batches.__init__"} <= CALLABLES.keys()


def test_an_unpacked_keyword_is_seen() -> None:
    hints = typing.get_type_hints(fastopt.Adam.__init__)
    assert hints["amsgrad"] is bool
    common = typing.get_type_hints(Common)
    assert set(typing.get_args(common["nonfinite"])) == {"propagate", "skip", "raise"}


def test_the_base_class_is_not_an_optimizer() -> None:
    with pytest.raises(TypeError, match="Optimizer: the base class; use one of its subclasses"):
        fastopt.Optimizer([np.ones(2)])


def test_a_class_from_the_registry_takes_its_keywords() -> None:
    opt = fastopt.optimizers()["adamw"]([np.ones(2)], lr=0.1, betas=(0.8, 0.9), l1=0.1)
    assert opt.param_groups[0]["betas"] == (0.8, 0.9)
