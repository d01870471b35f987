"""The examples in docstrings, those of each module."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import fastopt
from witness import require_jax, require_torch

ROOT = Path(fastopt.__file__).parent
FILES = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("file", FILES)
def test_the_examples_of(file: str) -> None:
    if file.startswith("torch/") or file.endswith("_from_torch.py"):
        require_torch()
    if file.endswith("_from_jax.py"):
        require_jax()  # apart from the others; test_from_jax.py has it too
    module = ".".join(["fastopt", *Path(file).with_suffix("").parts]).removesuffix(".__init__")
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed, "what was expected and what came is printed above"
