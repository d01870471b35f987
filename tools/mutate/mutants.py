"""Mutants of a C++ file: one token or statement changed at a time.

The sources are formatted by clang-format, so that a binary operator has spaces on both sides, and the
brackets of templates, references and pointers have not: that is how one is told from the other without a
parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

SWAPS = {
    "+": "-", "-": "+", "*": "/", "/": "*", "+=": "-=", "-=": "+=", "*=": "/=",
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    "|=": "=", "&=": "=", ">>": "<<", "<<": ">>", "&": "|", "|": "&", "%": "/",
}  # fmt: skip
WORDS = {
    "true": "false", "false": "true", "min": "max", "max": "min", "acquire": "relaxed", "release": "relaxed",
    "invited": "invited_asleep", "invited_asleep": "invited",
}  # fmt: skip
#: No arithmetic: declarations of the language, and what only documents.
LEFT_OUT = re.compile(
    r"^\s*(#|template\b|using\b|namespace\b|static_assert\b|//|requires\b|inline constexpr std::string)"
)
OPERATOR = re.compile(r"(?<= )(\+=|-=|\*=|\|=|&=|<=|>=|==|!=|&&|\|\||<<|>>|[-+*/<>&|%])(?= )")
NUMBER = re.compile(r"(?<![\w.<])(\d+\.\d+|\d+)(?![\w.>])")
WORD = re.compile(r"(?<!\w)(" + "|".join(WORDS) + r")\b(?!:)")
MINUS = re.compile(r"(?<=[(,={?:] )-(?=[\w(])|(?<=[(])-(?=[\w(])|(?<=return )-(?=[\w(])")
NOT = re.compile(r"!(?=[\w(])")
DECLARED = (
    r"return\b|const\b|auto\b|static\b|using\b|typename\b|Average<|double |T |int |bool |std::\w+ \w+[ {(]"
)
STATEMENT = re.compile(rf"^\s*(?!\s|{DECLARED})[\w.\->\[\]():, *+/&!?=<>|]+;$")
CONDITION = re.compile(r"^\s*(?:\} else )?if (?:constexpr )?\(")


class Mutant(NamedTuple):
    """A line of a file, before and after."""

    file: str
    line: int  # from 1
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}: {self.before.strip()}  ->  {self.after.strip() or '(nothing)'}"


def mutants_of(file: str, text: str) -> Iterator[Mutant]:
    """All mutants of a file, in the order of its lines."""
    for number, line in enumerate(text.splitlines(), 1):
        if LEFT_OUT.match(line):
            continue
        seen = {line}
        for after in _of_line(line):
            if after not in seen:
                seen.add(after)
                yield Mutant(file, number, line, after)


def _of_line(line: str) -> Iterator[str]:
    code = line.split("//")[0]
    for pattern, change in (
        (OPERATOR, lambda s: SWAPS[s]),
        (WORD, lambda s: WORDS[s]),
        (MINUS, lambda s: ""),
        (NOT, lambda s: ""),
        (NUMBER, _number),
    ):
        for found in pattern.finditer(code):
            if not _in_text(code, found.start()):
                yield line[: found.start()] + change(found[0]) + line[found.end() :]
    if STATEMENT.match(code.rstrip()):
        yield re.sub(r"\S.*", ";", line)
    if found := CONDITION.match(code):
        end = _closing(code, found.end())
        for value in ("true", "false") if end else ():
            yield code[: found.end()] + value + line[end:]


def _closing(code: str, at: int) -> int:
    """Where the bracket that was opened before `at` is closed; 0 if not on this line."""
    depth = 1
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return 0


def _number(text: str) -> str:
    if "." in text:
        return str(float(text) + 1)
    return str(int(text) + 1)


def _in_text(code: str, at: int) -> bool:
    return code[:at].count('"') % 2 == 1


def swapped_statements(file: str, text: str) -> Iterator[Mutant]:
    """Two statements in a row, exchanged: the first line of the pair becomes both."""
    lines = text.splitlines()
    for number, (a, b) in enumerate(pairwise(lines), 1):
        indent = re.match(r"\s*", a)
        if indent and b.startswith(indent[0] + b.lstrip()[:1]) and all(_assigns(line) for line in (a, b)):
            yield Mutant(file, number, f"{a}\n{b}", f"{b}\n{a}")


def _assigns(line: str) -> bool:
    return bool(re.match(r"^\s+[\w.\[\]]+ [-+*/]?= .*;$", line)) and not line.lstrip().startswith(
        ("const", "return")
    )


def applied(text: str, mutant: Mutant) -> str:
    """The text with the mutant in it."""
    lines = text.splitlines()
    before = mutant.before.splitlines()
    at = mutant.line - 1
    if lines[at : at + len(before)] != before:
        raise ValueError(f"{mutant.file} has changed: line {mutant.line} is {lines[at]!r}")
    return "\n".join([*lines[:at], *mutant.after.split("\n"), *lines[at + len(before) :]]) + "\n"
