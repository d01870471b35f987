"""Who may include whom: the house of DESIGN section 2, read from the #include lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CPP = Path(__file__).parents[1] / "cpp"
FILES = sorted(p for p in CPP.rglob("*") if p.suffix in (".hpp", ".cpp"))
#: What talks to Python; `benchmarks` is built for bench/ only.
SPEAKS_PYTHON = {"bindings", "benchmarks"}
#: A folder, and the folders that its files may include from.
MAY_INCLUDE = {
    "rules": {"rules"},
    "threads": {"threads"},
    "engine": {"engine", "rules", "threads"},
    "vectors": {"vectors", "engine", "threads"},
    "linalg": {"linalg", "threads"},
    "matrix": {"matrix", "engine", "linalg", "rules", "threads"},
    "bindings": {"bindings", "engine", "vectors", "linalg", "threads"},
    "benchmarks": {"benchmarks", "bindings", "engine", "threads"},
    "cpu": {"cpu"},
}
INTRINSICS = {"engine/convert.hpp", "engine/environment.hpp", "threads/sync.hpp", "cpu/level.hpp"}
#: Files that are not yet one thought.
LONG = {
    "linalg/ldlt.cpp",
    "linalg/merge.cpp",
    "linalg/probes.cpp",
    "linalg/tridiagonalise.cpp",
    "threads/mechanism.hpp",
    "threads/pool.cpp",
}
#: Files of rules/ that are no rule.
SHARED = {"rule.hpp", "shaped.hpp", "averages.hpp", "bias_correction.hpp", "schedule_free.hpp", "all.hpp"}
#: The rules are mathematics; what they may know of the library:
RULES_MAY = {"array", "bit", "cmath", "cstddef", "cstdint", "string_view", "limits"}


def includes(path: Path) -> list[tuple[str, str]]:
    """(delimiter, name) of every #include of a file, those inside #if among them."""
    return re.findall(r'^\s*#\s*include\s*([<"])([^">]+)[">]', path.read_text(encoding="utf-8"), re.M)


def name(path: Path) -> str:
    return path.relative_to(CPP).as_posix()


def folder(path: Path) -> str:
    return path.relative_to(CPP).parts[0]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_includes(path: Path) -> None:
    here = folder(path)
    assert here in MAY_INCLUDE, "a folder that DESIGN section 2 does not know"
    for delimiter, target in includes(path):
        if delimiter == '"':
            assert (CPP / target).is_file(), (
                f'"{target}": from the root of cpp/, and only our own files in quotes'
            )
            assert target.split("/")[0] in MAY_INCLUDE[here], f"{here} includes {target}"
            continue
        assert not target.startswith("Eigen") or here == "linalg", f"only linalg: {target}"
        assert not target.startswith("pybind11") or here in SPEAKS_PYTHON, f"only bindings: {target}"
        assert target != "Python.h" or here == "cpu", "the C interface of Python, outside of cpu"
        intrinsics = target.endswith("intrin.h") or target == "cpuid.h"
        assert not intrinsics or name(path) in INTRINSICS or here == "linalg", f"intrinsics in {name(path)}"
        assert here != "rules" or target in RULES_MAY, f"a rule that includes <{target}>"


def test_linalg_keeps_intrinsics_in_one_file() -> None:
    using = [name(p) for p in FILES if folder(p) == "linalg" and any("intrin" in t for _, t in includes(p))]
    assert len(using) <= 1, using


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if folder(p) == "rules" and p.name not in SHARED - {"schedule_free.hpp"}],
    ids=name,
)
def test_a_rule_has_no_loop_pointer_or_forbidden_function(path: Path) -> None:
    """What differs between CPU levels or libms may appear in `prepare` only."""
    text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
    assert not re.search(r"\b(for|while|goto)\b", text), "a loop"
    assert not re.search(r"\bfma\b|__m\d|\bvolatile\b|\bstatic\s+(?!constexpr)[\w:<>]+\s+\w+\s*[;=]", text)
    for body in re.findall(r"static void (?:update|reduce)\(.*?\n  \}\n", text, re.S):
        called = set(re.findall(r"std::(\w+)\s*\(", body))
        assert called <= {"sqrt", "abs", "copysign"}, f"{called}: not the same bits on every level"


def test_nothing_includes_the_bindings() -> None:
    for path in FILES:
        if folder(path) not in SPEAKS_PYTHON:
            assert not any(target.startswith("bindings/") for _, target in includes(path)), name(path)


@pytest.mark.parametrize("path", [p for p in FILES if folder(p) == "bindings"], ids=name)
def test_bound_classes_are_local_to_their_module(path: Path) -> None:
    """Otherwise one level's functions accept another level's objects."""
    text = path.read_text(encoding="utf-8")
    assert text.count("py::class_<") == text.count("py::module_local()")
    if path.name not in ("level.hpp", "module.cpp"):
        assert text.count("FASTOPT_BINDINGS_BEGIN") == text.count("FASTOPT_BINDINGS_END") >= 1


def test_nobody_asks_for_fast_math_or_this_machine() -> None:
    build = (CPP.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    code = re.sub(r"#.*", "", build)
    for flag in ("-ffast-math", "-Ofast", "-march=native", "-funsafe-math", "-ffp-contract=on"):
        assert flag not in code
    for path in FILES:
        assert not re.search(
            r"#\s*pragma\s+omp|fast-math|__attribute__\(\(optimize", path.read_text(encoding="utf-8")
        ), name(path)


def test_every_file_is_short() -> None:
    long = {name(p): n for p in FILES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 200}
    assert set(long) <= LONG, long


def test_cmake_compiles_each_rule_of_the_registry_alone() -> None:
    """The expression by which CMakeLists.txt finds the rules finds all of them, in their order."""
    build = (CPP.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    (pattern,) = re.findall(r'string\(REGEX MATCH "([^"]*)" matched', build)
    registry = (CPP / "rules/all.hpp").read_text(encoding="utf-8")
    (listed,) = re.findall(r"using All =([^;]*);", registry)
    found = re.findall(r"[A-Za-z0-9_]+", re.search(pattern, registry)[1])  # type: ignore[index]
    assert found == re.findall(r"\w+", listed)[1:]
    assert len(found) == len([p for p in FILES if folder(p) == "rules"]) - len(SHARED)


def test_what_only_benchmarks_call_is_in_no_wheel() -> None:
    build = (CPP.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"option\(FASTOPT_BENCHMARKS .* OFF\)", build)
    including = [name(p) for p in FILES if any(t.startswith("benchmarks/") for _, t in includes(p))]
    assert {n.split("/")[0] for n in including} == {"benchmarks"}
