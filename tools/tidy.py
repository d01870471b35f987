"""clang-tidy over the C++ of the library, with the checks of .clang-tidy: `make tidy`, or python
tools/tidy.py [FILES].

Each source is looked at as CMake compiles it, at one CPU level; of the rules' kernels, which are all made of
one template, Adam's. Prints each complaint once, however many sources include its header.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from one_level import ROOT, OneLevel

COMPLAINT = re.compile(r"^(/\S+?:\d+:\d+: (?:warning|error): .*\[[\w.,-]+\])$", re.M)


def configure() -> tuple[Path, list[str]]:
    """The folder with the commands, and the sources."""
    build = OneLevel("tidy", "v3")
    build.configure()
    kept = []
    for entry in build.sources():
        # GCC's own warnings are no words of clang's
        entry["command"] = re.sub(r" -Wno-maybe-uninitialized| -fno-fat-lto-objects", "", entry["command"])
        if "/kernels/" not in entry["file"] or entry["file"].endswith("/Adam.cpp"):
            kept.append(entry)
    (build.folder / "compile_commands.json").write_text(json.dumps(kept), encoding="utf-8")
    return build.folder, sorted(entry["file"] for entry in kept)


def look(folder: Path, file: str) -> str:
    command = ["clang-tidy", "-p", str(folder), "--quiet", "--extra-arg=-Wno-unknown-warning-option", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + (done.stderr if "error" in done.stderr.lower() and not done.stdout else "")


def main() -> int:
    folder, sources = configure()
    wanted = [str(Path(name).resolve()) for name in sys.argv[1:]]
    if unknown := sorted(set(wanted) - set(sources)):  # those of the bindings are joined into two
        print(f"{unknown[0]}: expected sources that are compiled by themselves:", *sources, sep="\n  ")
        return 2
    sources = [source for source in sources if not wanted or source in wanted]
    seen: set[str] = set()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2) as crew:
        for output in crew.map(lambda source: look(folder, source), sources):
            for line in COMPLAINT.findall(output):
                if line not in seen:
                    seen.add(line)
                    print(line.replace(f"{ROOT}/", ""), flush=True)
    print(f"{len(sources)} sources, {len(seen)} complaints")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
