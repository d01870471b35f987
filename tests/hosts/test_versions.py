"""The pinned hosts are those of the extra in pyproject.toml, and those that are installed here."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from hosts.common import REQUIRED

HERE = Path(__file__).parent
PINS = dict(re.findall(r"^([\w-]+)==(\S+)$", (HERE / "requirements.txt").read_text(encoding="utf-8"), re.M))
PROJECT = HERE.parents[1] / "pyproject.toml"


def test_the_extra_names_the_pinned_hosts() -> None:
    extra = PROJECT.read_text(encoding="utf-8").partition("\nhosts = [")[2].partition("]")[0]
    least = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', extra))
    assert least.keys() == {name for name in PINS if name not in ("pytest", "pytest-timeout")}
    for name, lowest in least.items():
        assert PINS[name].startswith(lowest), name


@pytest.mark.parametrize("name", PINS)
def test_what_is_tested_is_what_is_pinned(name: str) -> None:
    try:
        installed = version(name).partition("+")[0]
    except PackageNotFoundError:
        if REQUIRED:
            raise
        pytest.skip(f"no {name} here: make hosts")
    if REQUIRED:
        assert installed == PINS[name]
