"""What is published is complete: a wheel for each version of Python and each platform, all of one version."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "release_files.py"
if not TOOL.exists():
    pytest.skip("tools/ is not here: the tests alone were copied", allow_module_level=True)


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("release_files", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELEASE = tool()
ENDS = (
    "manylinux_2_24_x86_64.manylinux_2_28_x86_64",
    "manylinux_2_28_aarch64",
    "musllinux_1_2_x86_64",
    "musllinux_1_2_aarch64",
    "macosx_11_0_arm64",
    "win_amd64",
)


def complete() -> set[str]:
    start = f"fastopt-{RELEASE.version()}"
    tags = [f"{python.rstrip('t')}-{python}" for python in RELEASE.pythons()]
    return {f"{start}.tar.gz", *(f"{start}-{tag}-{end}.whl" for tag in tags for end in ENDS)}


def test_a_complete_release_is_taken() -> None:
    assert len(complete()) == 1 + len(RELEASE.pythons()) * len(ENDS) > 30
    assert "cp314t" in RELEASE.pythons()
    assert RELEASE.wrong(complete()) == []


@pytest.mark.parametrize("name", sorted(complete()))
def test_whatever_is_missing_is_named(name: str) -> None:
    (problem,) = RELEASE.wrong(complete() - {name})
    assert problem.endswith(": missing")


def test_what_nobody_expects_is_named() -> None:
    start = f"fastopt-{RELEASE.version()}"
    for name in (f"{start}-cp311-cp311-linux_x86_64.whl", "fastopt-0.0.1.tar.gz", "notes.txt"):
        assert RELEASE.wrong({*complete(), name}) == [f"not expected: {name}"]
    twice = f"{start}-cp311-cp311-manylinux_2_34_x86_64.whl"
    (problem,) = RELEASE.wrong({*complete(), twice})
    assert problem.startswith("cp311 on manylinux x86_64: ")
    assert twice in problem
