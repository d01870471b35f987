"""`fastopt info`: `fastopt.info()`, printed."""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this sub-command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    import fastopt

    info = fastopt.info()
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
