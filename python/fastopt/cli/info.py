"""`fastopt info`: what is installed, what is used, and why; what belongs in a bug report."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

OPTIONAL = (
    "torch",
    "jax",
    "scipy",
    "matplotlib",
    "rich",
    "ml_dtypes",
    "safetensors",
    "mpi4py",
    "threadpoolctl",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this sub-command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def collect() -> dict[str, Any]:
    """Everything there is to tell, JSON-able. Optional packages are looked up, not imported."""
    import numpy as np

    import fastopt
    from fastopt import _dispatch, _threads

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
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def run(args: argparse.Namespace) -> int:
    """Print it."""
    info = collect()
    if args.json:
        print(json.dumps(info, indent=2))
        return 0
    levels, threads, build = info["levels"], info["threads"], info["build"]
    found = ", ".join(f"{name} {version}" for name, version in info["packages"].items() if version)
    missing = ", ".join(name for name, version in info["packages"].items() if not version)
    rows = {
        "fastopt": f"{info['fastopt']}  ({info['location']})",
        "Python": f"{info['python']}, NumPy {info['numpy']}",
        "platform": info["platform"],
        "processor": info["processor"],
        "compiler": build["compiler"],
        "flags": build["flags"],
        "Eigen": build["eigen"],
        "CPU level": f"{levels['in_use']}  ({levels['reason']})",
        "": f"built: {', '.join(levels['built'])}; possible here: {', '.join(levels['possible'])}",
        "threads": f"{threads['count']}  (from {threads['reason']})",
        "optimizers": ", ".join(info["optimizers"]),
        "optional": f"found: {found or 'none'}; not found: {missing or 'none'}",
    }
    for name, value in rows.items():
        print(f"{name:<11}{value}", file=sys.stdout)
    return 0
