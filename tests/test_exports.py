"""What the extension modules show to the dynamic linker: an init function and threadpoolctl's two.

Two levels with one symbol in common would share code: whichever was loaded first would run for both.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastopt

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("nm") is None,
    reason="reads ELF files with nm (binutils)",
)
MODULES = sorted(Path(fastopt.__file__).parent.glob("_c*.so"))
TWO = {"fastopt_get_num_threads", "fastopt_set_num_threads"}


def symbols(path: Path, *options: str) -> list[tuple[str, str]]:
    """(type, name) as nm lists them."""
    listed = subprocess.run(["nm", "-D", *options, path], capture_output=True, text=True, check=True).stdout
    return [(line.split()[-2], line.split()[-1]) for line in listed.splitlines() if line]


def test_there_are_modules_to_look_at() -> None:
    names = {path.name.partition(".")[0] for path in MODULES}
    assert "_cpu" in names
    assert any(name.startswith("_core") for name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name.partition(".")[0])
def test_defined_symbols(path: Path) -> None:
    module = path.name.partition(".")[0]
    expected = {f"PyInit_{module}"} | (TWO if module.startswith("_core") else set())
    assert {name for _, name in symbols(path, "--defined-only")} == expected


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name.partition(".")[0])
def test_nothing_is_unique_or_weakly_defined(path: Path) -> None:
    """Unique symbols (GNU's 'u') are shared over the whole process in spite of RTLD_LOCAL."""
    assert not [name for kind, name in symbols(path, "--defined-only") if kind in "uVW"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name.partition(".")[0])
def test_no_runtime_library_for_threads_is_needed(path: Path) -> None:
    needed = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
    for library in ("libgomp", "libomp", "libtbb", "libpython"):
        assert library not in needed


def test_the_modules_were_found_where_they_are_imported_from() -> None:
    for path in MODULES:
        spec = importlib.util.find_spec(f"fastopt.{path.name.partition('.')[0]}")
        assert spec is not None
        assert spec.origin == str(path)
