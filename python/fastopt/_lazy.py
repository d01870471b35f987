"""Names that a package imports at first use. The one list of them is its stub, `__init__.pyi`.

A type checker reads the stub, which is made for that and says with ``X as X`` what is exported; so does the
package when it is imported, as plain lines. So no name stands in two lists, and none can be missing from one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["attach"]


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package with a stub.

    In the stub every export is a line of its own: ``from module import name as name``, with the package
    itself in place of `module` for one of its modules, or ``from module import *`` for all that another
    package exports.
    """
    modules = _read(package)
    public = sorted(modules)

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = modules[name]
        if module == package:
            value: Any = importlib.import_module(f"{package}.{name}")
        else:
            value = getattr(importlib.import_module(module), name)
        setattr(sys.modules[package], name, value)  # found without this function from now on
        return value

    return get, lambda: list(public), public


def _read(package: str) -> dict[str, str]:
    """The exported names of a package, and the module that has each."""
    modules: dict[str, str] = {}
    # without pathlib and ast, which take longer to import than all the rest
    with open(f"{sys.modules[package].__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
        for line in stub:
            match line.split():
                case ["from", module, "import", "*", *_]:
                    modules |= dict.fromkeys(importlib.import_module(module).__all__, module)
                case ["from", module, "import", name, "as", public] if name == public:
                    modules[name] = module
    return modules
