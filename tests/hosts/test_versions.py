"""The pinned hosts are those that are installed here, and each has a test."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from hosts.common import REQUIRED

HERE = Path(__file__).parent
PINS = dict(re.findall(r"^([\w-]+)==(\S+)$", (HERE / "requirements.txt").read_text(encoding="utf-8"), re.M))
#: What a package is called when it is imported, where that is not its name.
CALLED = {"fbgemm-gpu-cpu": "fbgemm_gpu", "torch-optimi": "optimi", "pytest-timeout": "timeout"}


@pytest.mark.parametrize("name", PINS)
def test_what_is_pinned_is_used(name: str) -> None:
    word = CALLED.get(name, name.replace("-", "_"))
    files = [HERE.parents[1] / "pyproject.toml", *HERE.glob("*.py"), *HERE.parent.glob("test_from_jax.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files if file != Path(__file__))
    assert re.search(rf"(?<![\w-]){word}(?![\w-])", text), f"{name} is used nowhere"


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
