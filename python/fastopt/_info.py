"""What is installed, what is used, and why."""

from __future__ import annotations

import os
from typing import Any

from fastopt import _dispatch, _threads

__all__ = ["info"]

#: What is imported where it is used: the packages of the extras torch, jax and report, SciPy and ml_dtypes.
OPTIONAL = (
    "torch",
    "jax",
    "scipy",
    "matplotlib",
    "jinja2",
    "rich",
    "threadpoolctl",
    "ml_dtypes",
)


def info() -> dict[str, Any]:
    """What is installed, what is used, and why: what belongs in a bug report, and `fastopt info` prints.

    Returns
    -------
    dict
        Text, numbers, lists and dicts that JSON can hold. Versions under ``"fastopt"``, ``"python"``,
        ``"numpy"`` and ``"packages"`` (None where one is not installed; none is imported), the machine
        under ``"platform"`` and ``"processor"``, the compiler under ``"build"``; ``"levels"``: the CPU levels
        ``"built"`` and ``"possible"`` here, the one ``"in_use"`` and the ``"reason"``; ``"threads"``: their
        ``"count"`` and its ``"reason"``; the names of all ``"optimizers"``.

    Examples
    --------
    >>> import fastopt
    >>> found = fastopt.info()
    >>> found["levels"]["in_use"] in found["levels"]["possible"]
    True
    """
    import platform

    import numpy as np

    import fastopt

    core = _dispatch.core
    return {
        "fastopt": fastopt.__version__,
        "location": os.path.dirname(os.path.abspath(fastopt.__file__)),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "build": {"compiler": core.compiler, "flags": core.flags, "eigen": core.eigen},
        "levels": {
            "built": list(_dispatch.built()),
            "possible": list(_dispatch.possible()),
            "in_use": core.level,
            "reason": "FASTOPT_LEVEL"
            if os.environ.get("FASTOPT_LEVEL")
            else "the best that this processor can run",
        },
        "threads": {"count": fastopt.get_num_threads(), "reason": _threads.thread_reason()},
        "optimizers": sorted(cls.__name__ for cls in fastopt.optimizers().values()),
        "packages": {name: _version(name) for name in OPTIONAL},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        import platform

        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
