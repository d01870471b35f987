"""Type checkers see what the library is: they accept the examples and right calls, and refuse wrong ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastopt

TESTS = Path(__file__).parent
CALLS = TESTS / "typing" / "calls.py"
EXAMPLES = sorted((TESTS.parent / "examples").glob("*.py"))
LIBRARY = Path(fastopt.__file__).parents[1]
Errors = dict[tuple[str, int], str]  # by file and line


def mypy(folder: Path) -> Errors:
    """What mypy finds in the Python files of a folder, as in a project that is strict with itself only."""
    pytest.importorskip("mypy")
    settings = "[mypy]\nignore_missing_imports = true\nfollow_imports = silent\n"
    if LIBRARY.name != "site-packages":  # mypy finds an installed library itself, and takes no path to it
        settings += f"mypy_path = {LIBRARY}\n"
    (folder / "mypy.ini").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--python-version", "3.10", "."]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert re.search(r"^(Found|Success)", done.stdout, re.M), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.M)
    # a lambda with a default is one for which it has no type
    return {(name, int(line)): text for name, line, text in found if "type of lambda" not in text}


def pyright(folder: Path) -> Errors:
    """The same by pyright."""
    pytest.importorskip("pyright")
    settings = {
        "extraPaths": [str(LIBRARY)],
        "reportMissingModuleSource": False,
        "typeCheckingMode": "standard",
        # what it says of style and of matplotlib is not about this library
        "reportPossiblyUnboundVariable": False,
        "reportPrivateImportUsage": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] > 0
    errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in errors
        if one.get("rule") != "reportMissingImports"  # optional packages
    }


CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """What a checker finds in calls and examples: one run, since most of its time goes to the library."""
    folder = tmp_path_factory.mktemp("typing")
    for file in (CALLS, *EXAMPLES):
        shutil.copy(file, folder)
    return CHECKERS[request.param](folder)


def test_wrong_calls_are_refused_and_right_ones_accepted(errors: Errors) -> None:
    lines = CALLS.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    found = {line: text for (name, line), text in errors.items() if name == CALLS.name}
    assert {number: lines[number - 1] for number in wrong - found.keys()} == {}, "accepted"
    assert {lines[number - 1]: found[number] for number in found.keys() - wrong} == {}, "refused"
    assert len(wrong) > 30


def test_the_examples_are_accepted(errors: Errors) -> None:
    assert {place: text for place, text in errors.items() if place[0] != CALLS.name} == {}
