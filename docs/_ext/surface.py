"""The public names of fastopt, and which page of the reference describes each.

Read from the packages themselves, so that a new name is in the reference as soon as it is public. Nothing
here needs Sphinx.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from typing import Any

#: Packages whose names are public, in the order in which a name that several have is looked for.
PACKAGES = (
    "fastopt.optim",
    "fastopt.linalg",
    "fastopt.curvature",
    "fastopt.methods",
    "fastopt.schedules",
    "fastopt.checkpoint",
    "fastopt",
    "fastopt.train",
    "fastopt.torch",
    "fastopt.torch.linalg",
    "fastopt.torch.curvature",
)


def public(package: str) -> list[str]:
    """The names that a package lists, but for modules."""
    module = importlib.import_module(package)
    names = module.__all__ if package.startswith("fastopt.torch.") else dir(module)
    names = [name for name in names if not name.startswith("_")]
    if package == "fastopt.checkpoint":
        names = list(module.__all__)
    return sorted((n for n in names if not inspect.ismodule(getattr(module, n))), key=str.lower)


def rules_as_methods() -> list[str]:
    """Names in `fastopt.methods` that are optimizer classes, as methods of minimisation."""
    import fastopt

    return [name for name in public("fastopt.methods") if name in fastopt.optimizers()]


def documented() -> dict[str, list[str]]:
    """Of each package the full names that its page of the reference describes: each object once.

    An object is called by its shortest public name: `fastopt.Adam`, not `fastopt.optim.Adam`.
    """
    top = set(public("fastopt"))
    pages: dict[str, list[str]] = {}
    seen: set[str] = set()
    for package in PACKAGES:
        hidden = set(rules_as_methods()) if package == "fastopt.methods" else set()
        full = []
        for name in public(package):
            short = f"fastopt.{name}" if name in top and is_same(package, name) else f"{package}.{name}"
            if name not in hidden and short not in seen:
                full.append(short)
                seen.add(short)
        pages[package] = full
    return pages


def is_same(package: str, name: str) -> bool:
    """Whether the name means in `fastopt` what it means in a package."""
    return found(f"fastopt.{name}") is found(f"{package}.{name}")


def found(full: str) -> Any:
    """The object of a full name."""
    package, _, name = full.rpartition(".")
    return getattr(importlib.import_module(package), name)


def fields(cls: type) -> list[str]:
    """The fields of a dataclass; the page has those with a docstring of their own."""
    names = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    return [name for name in names if not name.startswith("_")]


@functools.cache
def classes() -> frozenset[type]:
    """Every class that has a page of its own."""
    objects = [found(name) for names in documented().values() for name in names]
    return frozenset(value for value in objects if inspect.isclass(value))


def members(cls: type) -> list[str]:
    """The methods and properties that the page of a class describes: its own, and those of bases that have
    no page.
    """
    names = []
    for name in dir(cls):
        owner = next(c for c in cls.__mro__ if name in vars(c))
        if not owner.__module__.startswith("fastopt") or (owner is not cls and owner in classes()):
            continue
        value = vars(owner)[name]
        method = inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
        if method and value.__doc__ and (not name.startswith("_") or name == "__call__"):
            names.append(name)
    return names
