"""Sources as compilers read them that are not at hand: each alone, without what GCC and Clang add to the
language, with vectors of one lane.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CPP = HERE.parent / "cpp"
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
SOURCES = sorted(path.relative_to(CPP).as_posix() for path in CPP.glob("*/*.cpp"))

#: Those that compute with vectors and include nothing but the standard library.
LANES = ["inertia", "jacobi", "lane_solve", "ldlt", "probes", "ql", "secular", "sturm", "tridiagonalise"]

pytestmark = pytest.mark.skipif(
    COMPILER is None or not CPP.exists() or sys.platform == "win32",
    reason="needs the C++ sources and a compiler that takes the options of GCC",
)


def eigen() -> Path:
    places = [Path(sysconfig.get_paths()["platlib"]) / "cmeel.prefix/include/eigen3"]
    places += [Path(prefix) / "include/eigen3" for prefix in ("/usr", "/usr/local", "/opt/homebrew")]
    return next((place for place in places if (place / "Eigen/Core").exists()), Path())


def includes() -> list[str]:
    """The headers of others; skips where they are not installed (make coverage brings them)."""
    found = importlib.util.find_spec("pybind11")
    if eigen() == Path() or found is None or found.origin is None:
        pytest.skip("SOURCES NOT READ ALONE: needs the headers of Eigen and pybind11")
    folders = [eigen(), Path(found.origin).parent / "include", Path(sysconfig.get_paths()["include"])]
    return [option for folder in folders for option in ("-isystem", str(folder))]


def read(*arguments: object) -> None:
    """The compiler reads these and finds nothing to say."""
    options = ["-std=c++20", "-fsyntax-only", "-fvisibility=hidden", f"-I{CPP}"]
    options += ["-Wall", "-Wextra", "-Wpedantic", "-Wno-unknown-pragmas", "-Werror"]
    options += ["-DEIGEN_MPL2_ONLY", "-DFASTOPT_MODULE=_core"]
    options += [f'-DFASTOPT_{name}="{name}"' for name in ("COMPILER", "FLAGS", "EIGEN")]
    command = [str(COMPILER), *options, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_eigensolver_with_vectors_of_one_lane() -> None:
    read("-DFASTOPT_SCALAR", *(CPP / "linalg" / f"{name}.cpp" for name in LANES))


def rules(folder: Path) -> list[Path]:
    """A source for each rule, as CMake makes them."""
    listed = re.search(r"using All = List<([^>]*)>", (CPP / "rules/all.hpp").read_text(encoding="utf-8"))
    assert listed is not None
    template = (CPP / "engine/kernels_of_rule.cpp.in").read_text(encoding="utf-8")
    made = []
    for rule in re.findall(r"\w+", listed[1]):
        made.append(folder / f"{rule}.cpp")
        made[-1].write_text(template.replace("@rule@", rule), encoding="utf-8")
    return made


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_names_what_it_includes(source: str) -> None:
    """Bindings are compiled together, where one finds what another has included."""
    read(*includes(), CPP / source)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", SOURCES)
def test_without_the_extensions_of_gnu(source: str) -> None:
    if source.startswith("cpu/") or source == "bindings/module.cpp":
        pytest.skip("uses what other headers define in the compiler's own words")
    read(*includes(), "-DFASTOPT_SCALAR", "-include", HERE / "cpp/another_compiler.hpp", CPP / source)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_rules_without_the_extensions_of_gnu(tmp_path: Path) -> None:
    for source in rules(tmp_path):
        read(*includes(), "-include", HERE / "cpp/another_compiler.hpp", source)
