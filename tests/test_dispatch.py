"""Which level runs: the best this processor has, the one FASTOPT_LEVEL names, or a clear ImportError."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import LEVELS, make
from fastopt import _cpu, _dispatch
from test_threads import python

IN_USE = "from fastopt import _dispatch; print(_dispatch.core.level)"
x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels are of x86-64")
levelled = pytest.mark.skipif("base" in _dispatch.built(), reason="one module for all processors")


def test_the_best_level_is_in_use() -> None:
    done = python(IN_USE)
    assert (done.stdout.strip(), done.stderr) == (LEVELS[-1], "")


@pytest.mark.parametrize("level", LEVELS)
def test_the_environment_chooses(level: str) -> None:
    assert python(IN_USE, FASTOPT_LEVEL=level).stdout.strip() == level


@pytest.mark.parametrize("level", ["v5", "avx2", "V3", "v3 ", "../v3"])
def test_an_unknown_level_is_refused(level: str) -> None:
    done = python("import fastopt", FASTOPT_LEVEL=level)
    assert done.returncode == 1
    assert f"ImportError: FASTOPT_LEVEL: expected one of v2, v3, v4, base, got {level!r}" in done.stderr


@x86
@levelled
def test_a_level_beyond_the_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cpu, "level", lambda: 2)
    assert _dispatch.possible() == ("v2",)
    with pytest.raises(ImportError, match=re.escape("FASTOPT_LEVEL: this processor can run v2, got 'v4'")):
        _dispatch.load("v4")
    monkeypatch.setenv("FASTOPT_LEVEL", "v3")
    with pytest.raises(ImportError, match="this processor can run v2, got 'v3'"):
        _dispatch.choose()
    monkeypatch.delenv("FASTOPT_LEVEL")
    assert _dispatch.choose().level == "v2"


@x86
@levelled
def test_a_processor_below_the_lowest_level_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cpu, "level", lambda: 1)
    monkeypatch.delenv("FASTOPT_LEVEL", raising=False)
    with pytest.raises(
        ImportError, match=r"needs a processor of level x86-64-v2 .* or newer; this one has less"
    ):
        _dispatch.choose()


@x86
@levelled
def test_a_level_that_is_not_installed_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dispatch, "LEVELS", ("v2", "v3", "v4", "v1"))
    monkeypatch.setattr(_cpu, "level", lambda: 4)
    with pytest.raises(ImportError, match=r"FASTOPT_LEVEL: this installation has .*, got 'v1'"):
        _dispatch.load("v1")
    monkeypatch.setattr(_dispatch, "built", lambda: ())
    with pytest.raises(
        ImportError, match="installed without an extension module for v2, v3, v4, v1; reinstall it"
    ):
        _dispatch.choose()


@pytest.mark.parametrize("here", [1, 2, 4])
def test_one_module_for_all_processors_of_x86(here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MSVC builds: it knows no levels, and the one module asks for no more than every x86-64 has."""

    def installed(name: str) -> Any:
        if name != "fastopt._core":
            raise ModuleNotFoundError(name)
        return SimpleNamespace(level="base")

    monkeypatch.delenv("FASTOPT_LEVEL", raising=False)
    monkeypatch.setattr(_cpu, "level", lambda: here)
    monkeypatch.setattr(_dispatch, "built", lambda: ("base",))
    monkeypatch.setattr(_dispatch, "importlib", SimpleNamespace(import_module=installed))
    assert _dispatch.possible()[0] == "base"
    assert _dispatch.choose().level == "base" == _dispatch.load("base").level
    beyond = "this installation has base" if here > 1 else "this processor can run base"
    with pytest.raises(ImportError, match=f"FASTOPT_LEVEL: {beyond}, got 'v2'"):
        _dispatch.load("v2")


def test_a_module_that_does_not_load_is_no_reason_for_a_lower_level(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError(f"undefined symbol in {name}")

    monkeypatch.delenv("FASTOPT_LEVEL", raising=False)
    monkeypatch.setattr(
        _dispatch, "importlib", SimpleNamespace(import_module=broken, util=_dispatch.importlib.util)
    )
    with pytest.raises(ImportError, match="undefined symbol"):
        _dispatch.choose()


def test_all_levels_live_in_one_process_with_classes_of_their_own() -> None:
    cores = [_dispatch.load(level) for level in LEVELS]
    assert [core.level for core in cores] == LEVELS
    assert len({core.Plan for core in cores}) == len(LEVELS)
    plans = [make("SGD", [np.ones(3)], level)._plan for level in LEVELS]
    for core in cores:
        for plan in plans:
            if type(plan) is core.Plan:
                assert core.Plan.count(plan, 0) == 0
            else:  # no level's function takes another level's object
                with pytest.raises(TypeError):
                    core.Plan.count(plan, 0)


def test_all_levels_have_the_same_registry() -> None:
    registries = [_dispatch.load(level).rules() for level in LEVELS]
    assert all(registry == registries[0] for registry in registries)
    names = {rule["name"] for rule in registries[0]}
    assert names == {cls.rule.kernel for cls in fastopt.optimizers().values()}


@x86
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the kernel's list of flags is Linux's")
def test_the_level_agrees_with_what_the_kernel_lists() -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    has = set(re.search(r"^flags\s*:(.*)$", text, re.M)[1].split())  # type: ignore[index]
    needs = [
        (2, {"pni", "ssse3", "cx16", "sse4_1", "sse4_2", "popcnt", "lahf_lm"}),
        (3, {"fma", "movbe", "avx", "f16c", "abm", "bmi1", "avx2", "bmi2"}),
        (4, {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}),
    ]
    expected = 1
    for level, flags in needs:
        if not flags <= has:
            break
        expected = level
    assert _cpu.level() == expected
