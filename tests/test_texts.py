"""Files of text are the same on every system: UTF-8, and lines that end as git keeps them."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["python", "tests", "bench", "docs", "examples", "tools"]
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def leaves_the_encoding_open(node: ast.AST) -> bool:
    """Whether it opens a file as text in whatever encoding the system has: that of Windows is not UTF-8."""
    if not isinstance(node, ast.Call) or {"encoding", None} & {keyword.arg for keyword in node.keywords}:
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
        return len(node.args) < (1 if node.func.attr == "read_text" else 2)
    if not isinstance(node.func, ast.Name) or node.func.id != "open":
        return False
    modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text('a')", True),
        ("path.write_text('a', 'utf-8')", False),
        ("open(path)", True),
        ("open('b', 'w')", True),
        ("open(path, mode='r+b')", False),
        ("open(path, 'rb')", False),
        ("tarfile.open(path)", False),
    ],
)
def test_what_leaves_it_open(text: str, expected: bool) -> None:
    assert leaves_the_encoding_open(ast.parse(text).body[0].value) is expected  # type: ignore[attr-defined]


def test_every_text_is_read_and_written_in_utf_8() -> None:
    found = []
    for path in FILES:
        tree = ast.parse(path.read_bytes())
        lines = [node.lineno for node in ast.walk(tree) if leaves_the_encoding_open(node)]  # type: ignore[attr-defined]
        found += [f"{path.relative_to(ROOT)}:{line}" for line in lines]
    assert FILES
    assert found == []


def test_git_checks_out_the_lines_that_it_keeps() -> None:
    """Also where its own setting would turn their ends into those of Windows."""
    rules = [line.split() for line in (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()]
    assert ["*", "text=auto", "eol=lf"] in rules
    if not (ROOT / ".git").exists():
        pytest.skip("LINES NOT COMPARED: needs a clone")
    command = ["git", "-C", str(ROOT), "ls-files", "--eol"]
    listed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    fields = [line.split("\t")[0].split() for line in listed.splitlines()]
    assert {tuple(f[:2]) for f in fields} <= {("i/lf", "w/lf"), ("i/-text", "w/-text"), ("i/none", "w/none")}
