"""What is published: metadata, licences, the page on the package index, and what is in each distribution.

The wheel is the installed one, or FASTOPT_WHEEL; the source distribution is built here, or taken from the
folder FASTOPT_SDIST (`tools/release_check.sh` sets both).
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

import fastopt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = Path(fastopt.__file__).parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
HOME: str = PROJECT["urls"]["Source"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: How the text of each licence begins, near its top.
TITLES = {
    "Apache-2.0": "Apache License",
    "MPL-2.0": "Mozilla Public License Version 2.0",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
    "CC-BY-4.0": "Attribution 4.0 International",
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def read_host(name: str) -> str:
    """Of the settings of one host, which the source distribution has not."""
    if not (ROOT / name).exists():
        pytest.skip("needs a clone")
    return read(name)


def licences() -> list[str]:
    return re.split(r" AND ", PROJECT["license"])


# --- metadata ---


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in PROJECT
    assert "version" in PROJECT["dynamic"]
    assert not re.search(r"^(version|date-released):", read("CITATION.cff"), re.M)
    version = pytest.importorskip("packaging.version").Version(fastopt.__version__)
    assert str(version) == fastopt.__version__, "not in the normal form, in which the names of files have it"


def test_every_classifier_exists_and_those_of_python_are_what_is_built() -> None:
    known = pytest.importorskip("trove_classifiers").classifiers
    given: list[str] = PROJECT["classifiers"]
    assert [c for c in given if c not in known] == []
    assert sorted(set(given)) == given
    minors = [int(m[1]) for c in given if (m := re.fullmatch(r".* :: Python :: 3\.(\d+)", c))]
    built = {re.fullmatch(r"cp3(\d+)t?-\*", b)[1] for b in PYPROJECT["tool"]["cibuildwheel"]["build"]}  # type: ignore[index]
    assert minors == sorted(map(int, built))
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"
    assert not [c for c in given if c.startswith("License ::")], "the expression says it"


def test_the_systems_are_those_that_wheels_are_built_for() -> None:
    systems = {c.split(" :: ")[-1] for c in PROJECT["classifiers"] if c.startswith("Operating System")}
    assert systems == {"MacOS", "Windows", "Linux"}
    row = re.search(r"system: \[(.*)\]", read_host(".github/workflows/wheels.yml"))
    assert row is not None
    called = {"macos": "MacOS", "windows": "Windows", "ubuntu": "Linux"}
    assert {called[image.split("-")[0]] for image in row[1].split(", ")} == systems


def test_every_address_of_the_project_is_that_of_its_source() -> None:
    for file in ("pyproject.toml", "SECURITY.md", "CITATION.cff"):
        for host, path in re.findall(
            r"https://(github\.com|raw\.githubusercontent\.com)/([\w.-]+/[\w.-]+)", read(file)
        ):
            assert f"https://github.com/{path}" == HOME, f"{file}: {host}/{path}"


def test_the_script_that_is_installed_can_be_called() -> None:
    module, _, name = PROJECT["scripts"]["fastopt"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


# --- licences ---


def test_every_licence_of_the_expression_has_its_text_and_no_other() -> None:
    pytest.importorskip("packaging.licenses", exc_type=ImportError).canonicalize_license_expression(
        PROJECT["license"]
    )
    texts = {"Apache-2.0": read("LICENSE")} | {
        path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "LICENSES").iterdir()
    }
    assert set(licences()) == set(texts)
    for name, text in texts.items():
        assert TITLES[name] in text[:400], name


def test_the_notice_says_which_part_is_under_which_licence() -> None:
    rows = re.findall(r"^\S.*? {2,}(\S.*?) {2,}(\S+) {2,}.+$", read("NOTICE").split("----", 1)[1], re.M)
    assert {licence for _, licence in rows} | {"Apache-2.0"} == set(licences())
    data = [where for where, _ in rows if where.startswith("fastopt/")]
    assert data
    for where in data:
        assert (PACKAGE.parent / where).is_file()


# --- the page on the package index ---


def links(markdown: str) -> Iterator[str]:
    """Targets of links and pictures, outside of code."""
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", markdown, flags=re.S))


def test_the_links_of_the_readme_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", README, re.M)
    }
    found = [link for link in links(README) if not link.startswith("https:")]
    assert found
    for link in found:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        assert path or anchor in headings, link


def test_pages_and_changelog_agree_on_whether_a_version_is_out() -> None:
    """What is true before the first release only is taken out with it (CONTRIBUTING.md, "Release")."""
    out = re.search(r"^## \[\d", read("CHANGELOG.md"), re.M) is not None
    for page in ("README.md", "docs/install.md"):
        if (ROOT / page).exists():
            assert ("No version has been released" in read(page)) is not out, page


def published() -> str:
    """The page as the build makes it of README.md."""
    builder = pytest.importorskip("hatch_fancy_pypi_readme._builder")
    config = pytest.importorskip("hatch_fancy_pypi_readme._config").load_and_validate_config(
        copy.deepcopy(
            PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
        )  # it empties what it reads
    )
    text: str = builder.build_text(
        config.fragments, config.substitutions, version=fastopt.__version__, package_name="fastopt"
    )
    return text


def test_the_page_on_the_index_has_only_absolute_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = published()
    assert len(list(links(text))) == len(list(links(README)))
    for link in links(text):
        assert link.startswith(("https://", "#")), link
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) == README.count("![")
    raw = HOME.replace("github.com", "raw.githubusercontent.com")
    for picture in pictures:
        assert picture.startswith(f"{raw}/v{fastopt.__version__}/"), (
            "pictures as files, not as pages about them"
        )
        assert (ROOT / picture.removeprefix(f"{raw}/v{fastopt.__version__}/")).is_file()


def test_the_page_on_the_index_is_otherwise_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = published()
    assert "repository only" not in text
    assert "No version has been released" not in text
    for pattern in (r"```.*?```", r"^\|.*\|$", r"^## .*$"):
        assert re.findall(pattern, text, re.S | re.M if "`" in pattern else re.M) == re.findall(
            pattern, README, re.S | re.M if "`" in pattern else re.M
        )


# --- the source distribution ---


def git_files() -> set[str]:
    """What git keeps, and what it would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (
        {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}
        if done.returncode == 0
        else set()
    )


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the source distribution by their names in the tree."""
    folder = Path(os.environ.get("FASTOPT_SDIST") or tmp_path_factory.mktemp("sdist"))
    if not list(folder.glob("*.tar.gz")):
        for module in ("scikit_build_core", "hatch_fancy_pypi_readme"):
            pytest.importorskip(module)
        code = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.tar.gz")
    assert path.name == f"fastopt-{fastopt.__version__}.tar.gz"
    with tarfile.open(path) as archive:
        members = [m for m in archive.getmembers() if m.isfile()]
        return {m.name.partition("/")[2]: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def test_the_source_distribution_is_what_git_keeps(sdist: dict[str, bytes]) -> None:
    kept = git_files()
    if not kept:
        pytest.skip("no git here, or no clone")
    expected = {name for name in kept if not name.startswith((".ci/", ".github/"))} | {"PKG-INFO"}
    assert set(sdist) == expected


def test_the_source_distribution_has_nothing_that_was_built(sdist: dict[str, bytes]) -> None:
    assert not [name for name in sdist if re.search(r"\.(so|pyd|pyc|o|whl)$|__pycache__|_cache/", name)]
    for needed in (
        "Makefile",
        "CMakeLists.txt",
        "tools/requirements.py",
        "tests/golden/run_version_1.npz",
        "NOTICE",
    ):
        assert needed in sdist


def test_the_metadata_of_the_source_distribution(sdist: dict[str, bytes]) -> None:
    text = sdist["PKG-INFO"].decode()
    assert f"Version: {fastopt.__version__}\n" in text
    assert f"License-Expression: {PROJECT['license']}\n" in text
    assert text.count("License-File: ") == 2 + len(list((ROOT / "LICENSES").iterdir()))
    assert "\nDynamic:" not in text


# --- the wheel ---


class Wheel:
    """The names of the files of a wheel, its metadata and its modules: of the installed one, or of a file."""

    def __init__(self, path: Path | None, installed: Distribution | None) -> None:
        self.archive = zipfile.ZipFile(path) if path else None
        self.installed = installed

    @property
    def names(self) -> set[str]:
        if self.archive:
            return {name for name in self.archive.namelist() if not name.endswith("/")}
        assert self.installed
        files = {f.as_posix() for f in self.installed.files or ()}
        # what the installer adds: compiled files, scripts, and its own notes
        notes = ("INSTALLER", "REQUESTED", "direct_url.json")
        return {
            f for f in files if "__pycache__" not in f and not f.startswith("..") and not f.endswith(notes)
        }

    def read(self, name: str) -> bytes:
        if self.archive:
            return self.archive.read(name)
        assert self.installed
        return Path(str(self.installed.locate_file(name))).read_bytes()


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    given = os.environ.get("FASTOPT_WHEEL")
    if given:
        return Wheel(Path(given), None)
    try:
        found = distribution("fastopt")
    except PackageNotFoundError:
        pytest.skip("fastopt is not installed here, and FASTOPT_WHEEL names no wheel")
    if not any(f.name.startswith("_core") for f in found.files or ()):
        pytest.skip("an editable installation")
    return Wheel(None, found)


def test_the_wheel_has_the_package_its_metadata_and_nothing_else(wheel: Wheel) -> None:
    info = f"fastopt-{fastopt.__version__}.dist-info"
    assert {name.split("/")[0] for name in wheel.names} == {"fastopt", info}, "no library of others either"
    assert not [n for n in wheel.names if re.search(r"\.(c|h)pp$|CMake|(^|/)(tests?|bench|examples)/|~$", n)]
    sources = {p.relative_to(ROOT / "python").as_posix() for p in (ROOT / "python").rglob("*") if p.is_file()}
    sources = {name for name in sources if not re.search(r"__pycache__|\.(so|pyd)$", name)}
    modules = {n for n in wheel.names if n.startswith("fastopt/") and n.endswith((".so", ".pyd"))}
    assert {n for n in wheel.names if n.startswith("fastopt/")} - modules == sources
    assert {m.split("/")[1].split(".")[0] for m in modules} >= {"_cpu"}
    texts = {f"{info}/licenses/{name}" for name in ("LICENSE", "NOTICE")}
    texts |= {f"{info}/licenses/LICENSES/{path.name}" for path in (ROOT / "LICENSES").iterdir()}
    assert texts == {n for n in wheel.names if "/licenses/" in n}


@pytest.mark.skipif("CIBUILDWHEEL" not in os.environ, reason="of wheels to publish")
def test_modules_need_no_library_that_their_system_lacks(wheel: Wheel) -> None:
    """Nobody promises a C++ library on Windows, nor where musl is; elsewhere the system has it."""
    lacking = [rb"msvcp140[\w.]*"] if sys.platform == "win32" else []
    lacking += [rb"lib(?:stdc\+\+|gcc_s)\.so"] if "musl" in str(sysconfig.get_config_var("SOABI")) else []
    for name in wheel.names:
        if name.endswith((".so", ".pyd")):
            assert not [pattern for pattern in lacking if re.search(pattern, wheel.read(name), re.I)], name


def test_the_metadata_of_the_wheel(wheel: Wheel) -> None:
    text = wheel.read(f"fastopt-{fastopt.__version__}.dist-info/METADATA").decode()
    head, _, body = text.partition("\n\n")
    fields = re.findall(r"^([A-Z][\w-]*): (.*)$", head, re.M)
    assert dict(fields)["License-Expression"] == PROJECT["license"]
    assert dict(fields)["Requires-Python"] == PROJECT["requires-python"]
    assert {v for k, v in fields if k == "Provides-Extra"} == set(PROJECT["optional-dependencies"])
    assert [v for k, v in fields if k == "Requires-Dist" and "extra ==" not in v] == PROJECT["dependencies"]
    assert {v for k, v in fields if k == "Project-URL"} == {f"{k}, {v}" for k, v in PROJECT["urls"].items()}
    assert dict(fields)["Description-Content-Type"] == "text/markdown"
    assert all(link.startswith(("https://", "#")) for link in links(body))


def paths_within(data: bytes, platform: str) -> list[bytes]:
    """Paths in a module but those that every module of the system has: on macOS, of its own libraries."""
    found: list[bytes] = re.findall(
        rb"(?:/(?:home|root|tmp|Users|builds?|work|project|opt|usr)/|[A-Z]:\\)[\w.+/\\-]{3,}", data
    )
    return [path for path in found if platform != "darwin" or not path.startswith(b"/usr/lib/")]


@pytest.mark.parametrize("module", sorted(p.name for p in PACKAGE.glob("_c*") if p.suffix in (".so", ".pyd")))
def test_no_path_of_the_machine_that_built_it_is_in_a_module(module: str) -> None:
    assert paths_within((PACKAGE / module).read_bytes(), sys.platform) == []


def test_paths_of_the_system_are_no_paths_of_the_machine() -> None:
    data = b"\0/usr/lib/libc++.1.dylib\0/usr/lib/libSystem.B.dylib\0/Users/runner/work/pool.cpp\0"
    assert paths_within(data, "darwin") == [b"/Users/runner/work/pool.cpp"]
    assert len(paths_within(data, "linux")) == 3


# --- extras ---

#: What an extra's package is called when it is imported or run, where that is not its name.
CALLED = {
    "pytest-timeout": "timeout =",
    "pytest-xdist": "worksteal",
}
#: Where the packages of an extra must be used: the package itself, or what runs with that extra installed.
USERS = {
    "report": ["python"],
    "torch": ["python"],
    "jax": ["python"],
}


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_package_of_an_extra_is_used(extra: str) -> None:
    folders = USERS.get(extra, ["tests", "python", "Makefile", "pyproject.toml", "tools", "docs"])
    texts = []
    for folder in folders:
        paths = [ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*.py")
        texts += [p.read_text(encoding="utf-8") for p in paths]
    text = "\n".join(texts)
    # a list of them is no use of them
    for list_of_them in (r"\n\[project\.optional-dependencies\].*?\n\[", r"\nCALLED = \{.*?\n\}"):
        text = re.sub(list_of_them, "", text, flags=re.S)
    for requirement in PROJECT["optional-dependencies"][extra]:
        name = re.match(r"[\w.-]+", requirement)[0]  # type: ignore[index]
        words = [CALLED[name]] if name in CALLED else [name, name.replace("-", "_")]
        pattern = "|".join(map(re.escape, words))
        assert re.search(rf"(?<![\w-])({pattern})(?![\w-])", text), f"[{extra}]: {name} is used nowhere"


def named_targets() -> Iterator[tuple[str, str]]:
    """Every `make` target that a workflow runs or that a page, a tool or the gate names as a command."""
    for path in sorted(ROOT.glob(".github/workflows/*.yml")):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"- run: make ([a-z0-9-]+)", text):
            yield path.name, target
        for target in re.findall(r"\{ target: ([a-z0-9-]+)", text):
            yield path.name, target
        for matrix in re.findall(r"^ +target: \[(.*)\]$", text, re.M):
            yield from ((path.name, target.strip()) for target in matrix.split(","))
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("bench/*.md"),
        *ROOT.glob("examples/*.md"),
    ]
    for path in sorted(pages):
        if "api" not in path.parts:
            text = path.read_text(encoding="utf-8")
            command = r"(?:`|^    |^\$ |^)make ([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?=[`\s])"
            yield from ((path.name, target) for target in re.findall(command, text, re.M))


def test_the_targets_of_make_that_are_named_exist() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.M)
    assert phony is not None
    named = list(named_targets())
    assert len(named) > 20
    gone = [(where, target) for where, target in named if target not in phony[1].split()]
    assert not gone
