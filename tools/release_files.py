"""Is everything there that a release publishes, and nothing else? `python tools/release_files.py DIST`

One source distribution, and for each version of Python that pyproject.toml builds a wheel for each platform,
all of the version in the sources. Prints what is missing and what is too much; the exit code is 1 if
anything is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Tags of a platform: what repairs a wheel adds the oldest C library that would do, e.g.
#: manylinux_2_24_x86_64.manylinux_2_28_x86_64.
PLATFORMS = {
    **{
        f"manylinux {arch}": rf"(manylinux\w+_{arch}\.)*manylinux\w+_{arch}" for arch in ("x86_64", "aarch64")
    },
    **{f"musllinux {arch}": rf"musllinux_\d+_\d+_{arch}" for arch in ("x86_64", "aarch64")},
    "macOS arm64": r"macosx_\d+_\d+_arm64",
    "Windows x86_64": "win_amd64",
}


def pythons() -> list[str]:
    """Those that cibuildwheel is told to build: cp310, ..., cp314t."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\n[tool.cibuildwheel]\n")[1]
    built = re.search(r"^build = \[(.*)\]$", text, re.M)
    assert built is not None
    return re.findall(r'"(cp\d+t?)-\*"', built[1])


def version() -> str:
    text = (ROOT / "python" / "fastopt" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.*)"$', text, re.M)[0]  # type: ignore[no-any-return]


def wrong(names: Iterable[str]) -> list[str]:
    """What is missing among the names of files, and what is too much; empty if all is there."""
    left, found = set(names), []
    wanted = {"the source distribution": rf"fastopt-{re.escape(version())}\.tar\.gz"}
    for python in pythons():
        start = rf"fastopt-{re.escape(version())}-{python.rstrip('t')}-{python}"
        wanted |= {f"{python} on {name}": rf"{start}-{tags}\.whl" for name, tags in PLATFORMS.items()}
    for what, pattern in wanted.items():
        fitting = {name for name in left if re.fullmatch(pattern, name)}
        left -= fitting
        if len(fitting) != 1:
            found.append(f"{what}: {'missing' if not fitting else ', '.join(sorted(fitting))}")
    return found + [f"not expected: {name}" for name in sorted(left)]


def main() -> int:
    files = sorted(Path(sys.argv[1]).iterdir())
    for file in files:
        print(f"{file.stat().st_size:>10} {file.name}")
    problems = wrong(file.name for file in files)
    print(*problems or [f"{len(files)} files: all that is published"], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
