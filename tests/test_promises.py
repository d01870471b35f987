"""docs/promises.md and docs/proofs.md: every test that is said to hold a promise, or to try one, is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"
PROOFS = PAGE.with_name("proofs.md")

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


def _tried() -> list[tuple[str, str]]:
    """Files of tests that docs/proofs.md names, with the test, if it names one."""
    text = PROOFS.read_text(encoding="utf-8") if PROOFS.exists() else ""
    return sorted(set(re.findall(r"(?:tests/)?((?:\w+/)*test_\w+\.py)(?:::(\w+))?", text)))


@pytest.mark.parametrize(("file", "name"), _tried())
def test_what_a_proof_names_exists(file: str, name: str) -> None:
    found = [*TESTS.rglob(file), *TESTS.parent.glob(file)]
    assert found, f"there is no {file}"
    assert not name or name in _tests(str(found[0])), f"{file} has no {name}"


def test_proofs_name_tests() -> None:
    assert len(_tried()) > 15
    assert sum(bool(name) for _, name in _tried()) > 10
