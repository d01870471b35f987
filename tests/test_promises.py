"""docs/promises.md: every test that is said to hold a promise is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not here")


@cache
def _tests(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def _rows() -> list[tuple[str, list[str]]]:
    """(promise, what holds it)"""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    cells = re.findall(r"^\| (.*) \| (.*) \|$", text, re.M)
    return [(promise, re.findall(r"`([^`]+)`", held)) for promise, held in cells if promise != "promise"]


@pytest.mark.parametrize(
    ("promise", "holders"), _rows(), ids=lambda value: value[:40] if isinstance(value, str) else ""
)
def test_what_holds_a_promise_exists(promise: str, holders: list[str]) -> None:
    assert holders, "nothing holds it"
    for holder in holders:
        file, _, name = holder.partition("::")
        assert (TESTS / file).is_file(), f"there is no {file}"
        assert not name or name in _tests(file), f"{file} has no {name}"


def test_there_are_promises_and_none_is_made_twice() -> None:
    promises = [promise for promise, _ in _rows()]
    assert len(promises) > 60
    assert len(set(promises)) == len(promises)
    assert all(holder.endswith(".py") or "::" in holder for _, holders in _rows() for holder in holders)
