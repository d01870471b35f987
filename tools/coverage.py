"""Which branches of the bindings the tests take: `make coverage`, or python tools/coverage.py [pytest
arguments].

With `--least PERCENT` before them, fewer branches taken are a failure: what was reached once is kept.

The bindings are what checks arrays and arguments. They alone are compiled with counters; what the compiler
adds for exceptions that only pass through is no branch of ours. Prints a table, file by file;
build/coverage/html shows every line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from one_level import ROOT, OneLevel

COUNTERS = ("--coverage", "-O1", "-fno-inline", "-fprofile-update=atomic", "-g0")


def main() -> int:
    arguments, least = sys.argv[1:], 0.0
    if arguments[:1] == ["--least"]:
        least, arguments = float(arguments[1]), arguments[2:]
    build = OneLevel("coverage", os.environ.get("FASTOPT_CHECKED_LEVEL", "v3"))
    build.build()
    # two units of several files each, as CMake joins them
    units = [s["file"] for s in build.sources() if "/unity_" in s["file"].lower()]
    replaced = dict(build.compile(unit, f"counted_{i}.o", {}, *COUNTERS) for i, unit in enumerate(units))
    build.link(replaced, "--coverage")
    for counts in build.folder.glob("*.gcda"):
        counts.unlink()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    status = subprocess.run(command, cwd=ROOT, env=build.environment(), check=False).returncode
    html, summary = build.folder / "html", build.folder / "summary.json"
    html.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "gcovr", "--root", str(ROOT), "--object-directory", str(build.folder),
               "--filter", str(ROOT / "cpp" / "bindings") + "/", "--exclude-throw-branches",
               "--exclude-unreachable-branches", "--html-details", str(html / "index.html"), "--json-summary",
               str(summary), str(build.folder)]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads(summary.read_text(encoding="utf-8"))
    print(table(found))
    taken = 100 * found["branch_covered"] / max(1, found["branch_total"])
    if taken < least:
        print(f"{taken:.1f} % of the branches are taken, expected {least:g} % or more")
    return status or int(taken < least)


def table(summary: dict[str, Any]) -> str:
    """In Markdown, the fullest last."""
    files = sorted(summary["files"], key=lambda f: (f["branch_covered"] - f["branch_total"], f["filename"]))
    rows = [_row(f["filename"].removeprefix("cpp/bindings/"), f) for f in files if f["branch_total"]]
    return "\n".join(
        ["| file | branches | taken | lines | run |", "|---|---|---|---|---|", *rows, _row("all", summary)]
    )


def _row(name: str, f: dict[str, Any]) -> str:
    shares = [
        f"{f[f'{what}_covered']} of {f[f'{what}_total']} | {share(f, what)}" for what in ("branch", "line")
    ]
    return f"| {name} | {' | '.join(shares)} |"


def share(f: dict[str, Any], what: str) -> str:
    return f"{100 * f[f'{what}_covered'] / max(1, f[f'{what}_total']):.1f} %"


if __name__ == "__main__":
    sys.exit(main())
