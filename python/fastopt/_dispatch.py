"""The engine of this process: the extension module of the best CPU level, or of the one that FASTOPT_LEVEL
names.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import Any

LEVELS = ("v2", "v3", "v4")  # of x86-64; elsewhere there is one level, "base"


def built() -> tuple[str, ...]:
    """Levels that this installation has, lowest first."""
    names = {"base": "_core"} | {level: f"_core_{level}" for level in LEVELS}
    return tuple(
        level for level, name in names.items() if importlib.util.find_spec(f"fastopt.{name}") is not None
    )


def possible() -> tuple[str, ...]:
    """Levels that this processor can run, lowest first; "base" where the installation has that."""
    import fastopt._cpu as _cpu

    here = _cpu.level()
    base = ("base",) if here == 0 or "base" in built() else ()  # one module for all of x86-64 with MSVC
    return (*base, *(level for level in LEVELS if int(level[1:]) <= here))


def load(level: str) -> Any:
    """The extension module of one level; ImportError if it is unknown, not built, or beyond this
    processor.
    """
    if level not in (*LEVELS, "base"):
        raise ImportError(f"FASTOPT_LEVEL: expected one of {', '.join((*LEVELS, 'base'))}, got {level!r}")
    if level not in possible():
        raise ImportError(
            f"FASTOPT_LEVEL: this processor can run {', '.join(possible()) or 'no level'}, got {level!r}"
        )
    module: ModuleType
    try:
        module = importlib.import_module("fastopt._core" if level == "base" else f"fastopt._core_{level}")
    except ModuleNotFoundError:
        raise ImportError(
            f"FASTOPT_LEVEL: this installation has {', '.join(built())}, got {level!r}"
        ) from None
    return module


def choose() -> Any:
    """The module in use by this process."""
    wanted = os.environ.get("FASTOPT_LEVEL")
    if wanted:
        return load(wanted)
    here, can_run = built(), possible()
    usable = [level for level in here if level in can_run]
    if usable:
        return load(usable[-1])  # if that fails, it says why: no lower level in silence
    if here and not can_run:
        raise ImportError(
            "fastopt needs a processor of level x86-64-v2 (SSE4.2 and POPCNT, about 2009) or newer; "
            "this one has less"
        )
    raise ImportError(
        f"fastopt is installed without an extension module for {', '.join(can_run)}; reinstall it"
    )


core = choose()
