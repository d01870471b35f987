"""Run the Python blocks of Markdown pages: `python tools/run_blocks.py docs/guide/*.md`.

The blocks of a page are one program, run in an empty folder. A block of `text` that follows one is what that
prints ("..." stands for anything). `<!-- first: ... -->` holds lines that a reader need not see, such as the
model of a page about something else. Pages that import PyTorch are left out, by name, where there is none.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_PART = re.compile(
    r"^<!-- first:\n(?P<first>.*?)^-->$|^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A piece of a page's program: its first line on the page, and what it prints, if the page says so."""

    line: int
    code: str
    printed: str | None


def blocks(text: str) -> list[Block]:
    """The program of a page, in its order."""
    found: list[Block] = []
    end = 0
    for part in _PART.finditer(text):
        code = part["first"] or part["text"] or ""
        line = text.count("\n", 0, part.start()) + 2
        if part["first"] is not None or part["language"] == "python":
            found.append(Block(line, code, None))
        elif part["language"] == "text" and found and not text[end : part.start()].strip():
            found[-1] = found[-1]._replace(printed=code)
        end = part.end()
    return found


@contextlib.contextmanager
def in_empty_folder() -> Iterator[None]:
    """For pages that write files (contextlib.chdir is of Python 3.11)."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def run(page: Path) -> None:
    """Run a page; AssertionError where it prints something else than it says."""
    program = blocks(page.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with in_empty_folder():
        for line, code, printed in program:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                # as many empty lines on top as the page has, so that a traceback points into it
                exec(compile("\n" * (line - 1) + code, str(page), "exec", dont_inherit=True), names)
            got = out.getvalue()
            if printed is not None and not doctest.OutputChecker().check_output(printed, got, _FLAGS):
                raise AssertionError(f"{page}:{line}: expected\n{printed}\ngot\n{got}")


def needs_torch(page: Path) -> bool:
    """Whether the program of a page imports PyTorch."""
    code = "".join(block.code for block in blocks(page.read_text(encoding="utf-8")))
    return re.search(r"^\s*(import|from) (torch|fastopt\.torch)\b", code, re.M) is not None


def main(pages: list[str]) -> int:
    """Run the pages and say which."""
    try:
        import torch as torch
    except ImportError:
        has_torch = False
    else:
        has_torch = True
    count = failed = 0
    for page in map(Path, pages):
        program = blocks(page.read_text(encoding="utf-8"))
        if program and needs_torch(page) and not has_torch:
            print(f"{page}: left out, there is no PyTorch here")
        elif program:
            try:
                run(page.resolve())
                count += len(program)
            except Exception:
                traceback.print_exc()
                failed += 1
    print(f"{count} blocks ran, as their pages say; {failed} pages failed")
    return failed


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main(sys.argv[1:]))
