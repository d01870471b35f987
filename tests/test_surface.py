"""What the public packages show: all their names and nothing else, before and after use."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import fastopt
from fastopt._signature import Common
from fastopt.methods._for_scipy import ScipyMethod
from fastopt.methods._line_descent import BETAS
from fastopt.methods._names import Beta, MethodName, Options
from fastopt.methods._registry import SCIPY, find
from fastopt.methods._scipy import _run
from fastopt.schedules._by_name import ScheduleName
from fastopt.train.activations import ACTIVATIONS, ActivationName
from fastopt.train.initialise import INITIALISERS, InitName
from fastopt.train.outputs import OUTPUTS, OutputName
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
        stub = (Path(found.__file__ or "").parent / "__init__.pyi").read_text(encoding="utf-8")
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
#: Of their constructors Python knows no signature; of an array's NumPy tells it since 2.4.
UNSIGNED = (dict, Exception) if np.ndarray.__text_signature__ else (dict, Exception, np.ndarray)


@pytest.mark.parametrize("name", CALLABLES)
def test_annotations_exist_at_run_time(name: str) -> None:
    typing.get_type_hints(CALLABLES[name])
    made_elsewhere = inspect.isclass(CALLABLES[name]) and "__init__" not in vars(CALLABLES[name])
    if made_elsewhere and issubclass(CALLABLES[name], UNSIGNED):
        return
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


# --- choices ---

#: ``name : {"a", "b"}`` in a docstring.
CHOICE = re.compile(r"^\s*(\w+) : \{(.+?)\}", re.M)


def documented_choices() -> Iterator[tuple[str, str, set[Any]]]:
    """Callable, parameter and words of every choice in a docstring; names of dtypes are no words."""
    for name, value in CALLABLES.items():
        for parameter, listed in CHOICE.findall(inspect.getdoc(value) or ""):
            if "float32" not in listed:
                yield name, parameter, set(ast.literal_eval(f"[{listed}]"))


def literals(hint: Any) -> set[Any]:
    """The words in an annotation, unions looked into."""
    if typing.get_origin(hint) is Literal:
        return set(typing.get_args(hint))
    return set().union(*map(literals, typing.get_args(hint)))


def alternatives(hint: Any) -> set[Any]:
    """The members of a union, or the one type that is none."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return set(typing.get_args(hint)) if union else {hint}


def hints_of(value: Any) -> dict[str, Any]:
    """The annotations of a callable's parameters, with those that all optimizers have in common."""
    parameters = inspect.signature(value, eval_str=True).parameters.values()
    hints = {p.name: p.annotation for p in parameters}
    return {**typing.get_type_hints(Common), **hints} if value is fastopt.Optimizer else hints


CHOICES = {f"{name}.{parameter}": (name, parameter, words) for name, parameter, words in documented_choices()}


@pytest.mark.parametrize("case", CHOICES)
def test_a_choice_is_one_for_type_checkers_too(case: str) -> None:
    name, parameter, words = CHOICES[case]
    assert literals(hints_of(CALLABLES[name])[parameter]) == words


def test_there_are_choices_to_look_at() -> None:
    assert len(CHOICES) > 20
    assert {".eigsh.which", ".methods.cg.beta", ".Optimizer.nonfinite", ".train.MLP.output"} <= CHOICES.keys()


def test_no_word_by_default_is_just_any_string() -> None:
    """A parameter whose default is a word is a choice, but for these: texts that are read."""
    texts = {".train.Settings.schedule"}
    for name, value in CALLABLES.items():
        try:
            parameters = inspect.signature(value, eval_str=True).parameters.values()
        except ValueError:  # of dicts and exceptions Python knows none
            continue
        for p in parameters:
            if isinstance(p.default, str) and f"{name.removesuffix('.__init__')}.{p.name}" not in texts:
                assert p.default in literals(p.annotation), f"{name}({p.name}=...)"


REGISTRIES: dict[str, tuple[Any, set[str]]] = {
    "methods": (MethodName, {*fastopt.methods.names(), "CG", *SCIPY}),
    "beta": (Beta, set(BETAS)),
    "schedules": (ScheduleName, set(fastopt.schedules.names())),
    "activations": (ActivationName, set(ACTIVATIONS)),
    "outputs": (OutputName, set(OUTPUTS)),
    "initialisers": (InitName, set(INITIALISERS)),
}


@pytest.mark.parametrize("registry", REGISTRIES)
def test_type_checkers_know_the_names_of_a_registry(registry: str) -> None:
    literal, names = REGISTRIES[registry]
    assert set(typing.get_args(literal)) == names


def test_type_checkers_know_the_options_of_minimize() -> None:
    taken: dict[str, set[Any]] = {}
    for name in fastopt.methods.names():
        for p in inspect.signature(find(name).function, eval_str=True).parameters.values():
            taken.setdefault(p.name, set()).update(alternatives(p.annotation))
    del taken["problem"], taken["common"]
    known = typing.get_type_hints(Options)
    assert known.keys() == taken.keys() | typing.get_type_hints(Common).keys()
    for key, hints in taken.items():
        assert alternatives(known[key]) >= hints, key


@pytest.mark.parametrize("name", typing.get_args(MethodName))
def test_every_name_of_a_method_is_taken(name: Any) -> None:
    assert fastopt.minimize(lambda x: float(x @ x), lambda x: 2 * x, np.zeros(2), name).success


def test_type_checkers_know_the_methods_for_scipy() -> None:
    tree = ast.parse(Path(fastopt.methods.__file__ or "").read_text(encoding="utf-8"))
    declared = {ast.unparse(node.target) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    assert declared == {name.replace("-", "_") for name in fastopt.methods.names()}
    known, taken = (list(inspect.signature(f).parameters) for f in (ScipyMethod.__call__, _run))
    assert known[1:] == taken[1:]
