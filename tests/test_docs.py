"""The pages of docs/: programs run, names exist, every page is found, every public name is described."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fastopt
from fastopt._signature import Common
from witness import require_torch

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not (DOCS / "conf.py").exists():
    pytest.skip("docs/ is not here: the tests alone were copied", allow_module_level=True)

#: Pages for users. Design notes are about the inside, and the included files have tests of their own.
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if path.parent.name not in ("design", "gallery", "benchmarks") and not path.name.startswith("pro")
)


def load(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run_blocks = load("tools/run_blocks.py")
surface = load("docs/_ext/surface.py")
links = load("docs/_ext/links.py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


PROGRAMS = [
    path for path in [ROOT / "README.md", *PAGES] if run_blocks.blocks(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("page", PROGRAMS, ids=name)
def test_the_program_of_a_page_runs_and_prints_what_it_says(page: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if run_blocks.needs_torch(page):
        require_torch()
    before = fastopt.get_num_threads()
    run_blocks.run(page)
    fastopt.set_num_threads(before)


def test_there_are_programs() -> None:
    assert len(PROGRAMS) > 12
    assert sum(len(run_blocks.blocks(page.read_text(encoding="utf-8"))) for page in PROGRAMS) > 60


def test_the_programs_of_a_page_are_found() -> None:
    page = "<!-- first:\na = 1\n-->\n```{toctree}\nx\n```\n\n```python\nprint(a)\n```\n\n```text\n1\n```\n"
    assert run_blocks.blocks(page) == [(2, "a = 1\n", None), (9, "print(a)\n", "1\n")]


def test_what_a_page_says_it_prints_is_compared(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md:2: expected"):
        run_blocks.run(page)


# --- names ---


def spans(page: Path) -> Iterator[str]:
    """What a page writes as code, in a line or in a block of Python."""
    text = page.read_text(encoding="utf-8")
    yield from (block.code for block in run_blocks.blocks(text))
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def resolves(dotted: str) -> bool:
    """Whether a dotted name leads to something that can be imported or looked up."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name)
def test_a_page_names_what_there_is(page: Path) -> None:
    text = " ".join(spans(page)) + page.read_text(encoding="utf-8")
    names = set(re.findall(r"(?<![\w./:-])fastopt(?:\.[A-Za-z]\w*)+", text))
    if any(".torch" in dotted for dotted in names):
        require_torch()
    assert {dotted for dotted in names if not resolves(dotted)} == set()


@functools.cache
def keywords() -> set[str]:
    """Every keyword that something public takes, and every key of a group."""
    known = {"params", *Common.__annotations__}
    for full in (full for names in documented().values() for full in names):
        value = surface.found(full)
        methods = [getattr(value, m) for m in surface.members(value)] if inspect.isclass(value) else []
        for function in (value, *methods):
            if callable(function):
                with contextlib.suppress(
                    ValueError
                ):  # subclasses of dict and of exceptions have no signature
                    known |= inspect.signature(function).parameters.keys()
    return known


def documented() -> dict[str, list[str]]:
    require_torch()
    pages: dict[str, list[str]] = surface.documented()
    return pages


#: Keywords of other libraries, each with whose it is.
FOREIGN = {
    **dict.fromkeys(("foreach", "fused", "capturable", "differentiable", "overlap_with_ddp"), "torch"),
    **dict.fromkeys(("weights_only", "use_reentrant", "norm_type", "sparse"), "torch"),
    **dict.fromkeys(("minimal_size", "pin_memory"), "torchao, FSDP2"),
    **dict.fromkeys(("optimizers", "optimizer_cls_and_kwargs", "policy_kwargs"), "transformers, SB3"),
    **dict.fromkeys(("args", "jac", "options", "sigma", "user_api"), "SciPy, threadpoolctl"),
    **dict.fromkeys(("eps_root", "staircase", "end_learning_rate", "t_mul"), "optax, Keras"),
}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_keywords_that_something_takes(page: Path) -> None:
    if page.parent.name == "coming-from":
        # what is on the left of a table is the other library's
        rows = [
            line.rstrip(" |").rsplit("|", 1)[-1]
            for line in page.read_text(encoding="utf-8").splitlines()
            if "|" in line
        ]
        code = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    else:
        code = re.findall(
            r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        )
    used = {word for span in code for word in re.findall(r"(?<![\w-])([a-z]\w*)=(?!=)", span)}
    assert used - keywords() - FOREIGN.keys() == set()


def test_every_block_of_python_parses() -> None:
    for page in (*PAGES, *(DOCS / "design").glob("*.md"), ROOT / "examples/README.md"):
        for block in run_blocks.blocks(page.read_text(encoding="utf-8")):
            ast.parse(block.code, name(page))


# --- the contents ---


def entries(page: Path) -> Iterator[Path]:
    """The pages below a page, by its lists of contents; those that the build writes are left out."""
    for options in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        lines = [line for line in options.splitlines() if line and not line.startswith(":")]
        for line in (re.sub(r"^.*<(.+)>$", r"\1", line) for line in lines):
            found = sorted(page.parent.glob(f"{line}.md"))
            assert found or "*" in line or line == "scripts/index", f"{page}: {line}"
            yield from (path for path in found if path != page)


def test_every_page_is_in_the_contents_once() -> None:
    reached, waiting = [DOCS / "index.md"], [DOCS / "index.md"]
    while waiting:
        below = list(entries(waiting.pop()))
        reached += below
        waiting += below
    assert sorted(reached) == sorted(path for path in DOCS.rglob("*.md"))


def test_every_public_name_is_in_the_reference() -> None:
    pages = documented()
    shown = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    for package, names in pages.items():
        assert names == [] or re.search(rf"^```{{public}} {re.escape(package)}$", shown, re.M), package
    described = {full for names in pages.values() for full in names}
    objects = {id(surface.found(full)) for full in described}
    rules = fastopt.optimizers().keys()
    assert set(surface.rules_as_methods()) == set(rules)
    for package in surface.PACKAGES:
        module = importlib.import_module(package)
        names = {*module.__all__, *(dir(module) if package == "fastopt.methods" else [])} - set(rules)
        for full in (f"{package}.{n}" for n in names if not inspect.ismodule(getattr(module, n))):
            assert full in described or id(surface.found(full)) in objects, full


#: What Sphinx puts in PyTorch's place: every name is there, and may be called, be a base or a decorator.
STAND_IN = """
import importlib.abc, importlib.machinery, sys, types

class Anything:
    def __init__(self, *args, **keywords): pass
    def __call__(self, *args, **keywords): return args[0] if args else self
    def __getattr__(self, name): return absent(name)
    def __getitem__(self, key): return self
    def __mro_entries__(self, bases): return (type("Anything", (Anything,), {}),)
    def __iter__(self): return iter(())
    def __contains__(self, key): return False
    def __or__(self, other): return self
    __ror__ = __or__

def absent(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything()

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = absent
        return module
    def exec_module(self, module): pass

sys.meta_path.insert(0, Finder())
"""


def test_pytorch_is_described_without_it() -> None:
    """`make docs` has no PyTorch: what is done when `fastopt.torch` is imported must not need its numbers."""
    program = STAND_IN + "import surface; assert 'fastopt.torch.SGD' in surface.documented()['fastopt.torch']"
    path = os.pathsep.join([str(DOCS / "_ext"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_every_package_is_looked_through() -> None:
    """The packages that a user may import, from the folders themselves."""
    root = Path(fastopt.__file__).parent
    packages = {f"fastopt.{path.parent.name}" for path in root.glob("*/__init__.py")}
    assert packages - {"fastopt.cli", "fastopt.functions"} <= set(surface.PACKAGES)


def test_every_class_has_its_formula_on_the_page() -> None:
    text = (DOCS / "guide" / "formulas.md").read_text(encoding="utf-8")
    lists = re.findall(r"^```\{formulas\}\n(.*?)^```$", text, re.M | re.S)
    named = " ".join(lists).split()
    assert set(named) <= set(dir(fastopt.optim))
    assert len(named) == len(set(named))
    assert "```{formulas} rest" in text


# --- links ---


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{name(page)}: {target}"


@pytest.mark.parametrize(
    ("file", "link", "turned"),
    [
        ("docs/torch.md", "[a](hosts.md#x)", "[a](/hosts.md#x)"),
        ("docs/hosts.md", "[a](../tests/witness.py)", f"[a]({links.REPOSITORY}/blob/main/tests/witness.py)"),
        ("CONTRIBUTING.md", "[a](docs/design/rules.md)", "[a](/design/rules.md)"),
        ("bench/README.md", "[a](results/step.md)", "[a](/benchmarks/step.md)"),
        ("bench/README.md", "![a](results/eigh.png)", "![a](/../bench/results/eigh.png)"),
        ("docs/faq.md", "[![a](x.png)](hosts.md)", "[![a](/x.png)](/hosts.md)"),
        ("docs/faq.md", "[a](https://x.org/y)", "[a](https://x.org/y)"),
        ("docs/faq.md", "```\n[a](hosts.md)\n```", "```\n[a](hosts.md)\n```"),
        ("docs/torch.md", "[a](design)", f"[a]({links.REPOSITORY}/tree/main/docs/design)"),
    ],
)
def test_links_are_turned_for_the_site(file: str, link: str, turned: str) -> None:
    assert links.turn_links(link, ROOT / file) == turned


def test_one_address_of_the_repository() -> None:
    """Where pyproject.toml says where the project lives, the site's links lead there."""
    urls = (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .partition("[project.urls]")[2]
        .partition("\n[")[0]
    )
    assert urls == "" or f'"{links.REPOSITORY}' in urls
