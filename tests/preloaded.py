"""Small C++ libraries that stand between a process and its C library, built when a test asks for them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def build(name: str, folder: Path) -> str:
    """LD_PRELOAD with tests/name.cpp behind what is in it (a sanitizer, which wants to be the first).

    Skips where there is no glibc or no compiler.
    """
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip(f"{name.upper()} NOT TESTED: written for glibc")
    if compiler is None:
        pytest.skip(f"{name.upper()} NOT TESTED: no C++ compiler here")
    library = folder / f"{name}.so"
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(HERE / f"{name}.cpp"), "-ldl"], check=True)
    return f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()
