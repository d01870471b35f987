"""Every lower bound in pyproject.toml has its reason in docs/design/dependencies.md, and no other has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "design" / "dependencies.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not here")


def bounds() -> set[str]:
    """As "numpy 1.26", of what is needed to build and to run, and of the extras."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:requires|dependencies|\w+) = (\[(?:\"[^\"]*\"|[^\]\"])*\])", text, re.M)
    return {
        " ".join(found) for given in lists for found in re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)', given)
    }


def reasons() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8").partition("## Why this lower bound")[2]
    return {
        bound: why
        for names, why in re.findall(r"^\| (.*?) \| (.*) \|$", text, re.M)
        for bound in names.split(", ")
        if re.search(r" \d", bound)
    }


def test_every_lower_bound_has_a_reason() -> None:
    assert len(bounds()) > 25
    assert reasons().keys() == bounds()
    assert all(reasons().values())
