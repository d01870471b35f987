"""The page as a whole: escaped, in light and dark, the same every time, and only where it can be made."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt.cli import main
from fastopt.train import Session, Settings, report

SCRIPT = "<script>alert('&')<script>"
ASSETS = ("page.html", "style.css", "script.js")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Trained on pictures, with readings of the curvature; all that a user can name has a hostile name."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / f"{SCRIPT}.npz"
    y = np.arange(120) % 3
    names = np.array([SCRIPT, "b", 'c"'])
    np.savez(path, X=rng.standard_normal((120, 3, 3)) + y[:, None, None] / 2, y=names[y])
    hidden, optimizers = (4,), ("adamw", "sgd")
    found = Session(
        Settings(data=str(path), hidden=hidden, epochs=4, optimizers=optimizers, curvature_every=2)
    )
    assert found.run()
    for result in found.results:
        result["spec"], result["label"] = f"{result['spec']} {SCRIPT}", f"{result['label']} {SCRIPT}"
    return found


def page(session: Session, out: Path) -> str:
    report.write(session, out)
    return (out / report.PAGE).read_text("utf-8")


def figures(text: str) -> list[ET.Element]:
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    return list(root.iter("{http://www.w3.org/1999/xhtml}svg"))


def test_names_are_escaped(session: Session, tmp_path: Path) -> None:
    text = page(session, tmp_path)
    assert text.count("<script") == text.count("</script>") == 1  # our own
    assert "alert(" in text
    assert len(figures(text)) == 6  # well-formed: four charts of the training, two of the curvature


def test_the_same_session_gives_the_same_page(session: Session, tmp_path: Path) -> None:
    assert page(session, tmp_path) == page(session, tmp_path)


def test_no_reference_leaves_the_page(session: Session, tmp_path: Path) -> None:
    text = page(session, tmp_path)
    addresses = set(re.findall(r"""\b\w+://[^\s"'<]+""", text))
    assert addresses <= {"http://www.w3.org/1999/xhtml"}  # a name, fetched by nobody
    assert not re.search(r"""\bhref\s*=|@import|url\(|src="(?!data:)""", text)


def test_figures_are_drawn_in_colours_that_are_light_and_dark(session: Session, tmp_path: Path) -> None:
    text = page(session, tmp_path)
    style = text.partition("<style>")[2].partition("</style>")[0]
    defined = set(re.findall(r"--(\w+): light-dark\(", style))
    assert {"page", "panel", "text", "c0", "c7"} <= defined
    for svg in figures(text):
        drawn = ET.tostring(svg, "unicode")
        used = set(re.findall(r"var\(--(\w+)\)", drawn))
        assert {"soft", "line"} <= used <= defined
        assert not re.search(r"(fill|stroke): (#|rgb|black|white)", drawn)
    assert "prefers-color-scheme: dark" in style


def test_a_card_switches_lines_in_every_chart(session: Session, tmp_path: Path) -> None:
    text = page(session, tmp_path)
    cards = set(re.findall(r'data-switch="(\d+)"', text))
    assert cards == {"0", "1"}
    for svg in figures(text)[:4]:
        assert {part.get("data-run") for part in svg.iter() if part.get("data-run")} == cards


@pytest.mark.parametrize("absent", [("jinja2",), ("matplotlib",), ("jinja2", "matplotlib")])
def test_without_the_extra_all_but_the_page_is_there(
    absent: tuple[str, ...],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)  # importing it now raises ImportError
    out = tmp_path / "o"
    assert main(["train", "--hidden", "4", "--epochs", "1", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"metrics.json", "checkpoint.npz"}
    told = capfd.readouterr().out
    assert "test accuracy" in told  # the table
    (hint,) = [line for line in told.splitlines() if "fastopt[report]" in line]
    assert hint.startswith("report ")
    assert 'pip install "fastopt[report]"' in hint
    assert all(name in hint for name in absent)


def test_nothing_of_the_extra_is_imported_before_a_page_is_written() -> None:
    program = (
        "import sys, fastopt.train.train_command, fastopt.train.report\n"
        "print(sorted({'jinja2', 'markupsafe', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_the_page_is_made_from_is_installed() -> None:
    folder: Any = resources.files("fastopt.train.report")
    assert all((folder / name).is_file() for name in ASSETS)
    try:
        listed = {str(path) for path in metadata.files("fastopt") or ()}
    except metadata.PackageNotFoundError:
        return  # used from a working tree
    assert {f"fastopt/train/report/{name}" for name in ASSETS} <= listed
