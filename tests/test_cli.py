"""`fastopt info`, `selftest`, `bench`, and what README shows. `train` has files of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastopt
from engine import LEVELS
from fastopt import _dispatch
from fastopt.cli import bench, main, selftest

ROOT = Path(__file__).parent.parent


def fastopt_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastopt", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_info_tells_versions_levels_and_threads() -> None:
    done = fastopt_command("info")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (fastopt.__version__, "CPU level", "threads", _dispatch.core.compiler, "possible here"):
        assert text in done.stdout


def test_who_stops_reading_sees_no_traceback() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "fastopt", "info"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


def test_info_is_a_function_too() -> None:
    assert fastopt.info() == json.loads(json.dumps(fastopt.info()))
    assert fastopt.info()["levels"]["in_use"] == _dispatch.core.level


def test_info_as_json() -> None:
    info = json.loads(fastopt_command("info", "--json").stdout)
    assert info["levels"]["in_use"] == LEVELS[-1]
    assert info["levels"]["possible"] == list(_dispatch.possible())
    assert info["threads"]["count"] == fastopt.get_num_threads()
    assert info["threads"]["reason"]
    assert len(info["optimizers"]) == len(fastopt.optimizers())
    assert info["packages"]["jinja2"] is None or isinstance(info["packages"]["jinja2"], str)


def test_info_says_who_chose_level_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    level = LEVELS[0]
    monkeypatch.setenv("FASTOPT_LEVEL", level)
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "3")
    info = json.loads(fastopt_command("info", "--json").stdout)
    assert (info["levels"]["in_use"], info["levels"]["reason"]) == (level, "FASTOPT_LEVEL")
    assert info["threads"]["count"] == 3
    assert "FASTOPT_NUM_THREADS" in info["threads"]["reason"]


def test_selftest_passes() -> None:
    done = fastopt_command("selftest", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result["ok"]
    assert len(result["checks"]) == len(selftest.CHECKS)


def test_selftest_fails_when_a_check_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise AssertionError("differs from NumPy by 1e-3")

    monkeypatch.setattr(selftest, "CHECKS", (broken,))
    assert main(["selftest"]) == 1
    assert "FAILED broken: differs from NumPy by 1e-3" in capsys.readouterr().out


def test_bench_measures_what_it_is_asked() -> None:
    done = fastopt_command(
        "bench", "--sizes", "1000,5000", "--rules-size", "3000", "--threads", "1", "--json"
    )
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert [row["elements"] for row in result["rows"]] == [1000, 5000]
    assert result["threads"] == 1
    assert all(row["microseconds"] > 0 and row["times_numpy"] > 0 for row in result["rows"])
    assert [row["optimizer"] for row in result["rules"]] == list(fastopt.optimizers())
    assert all(row["elements"] == 3000 for row in result["rules"])
    assert all(row["shape"] == [50, 60] for row in result["rules"])
    with_products = {name for name, cls in fastopt.optimizers().items() if cls.rule.matrix}
    assert {r["optimizer"] for r in result["rules"] if r["gigabytes_per_second"] is None} == with_products
    shares = {r["share_of_floor"] for r in result["rules"] if r["optimizer"] not in with_products}
    if hasattr(_dispatch.core, "floor_pass"):  # an installation for benchmarks
        assert min(shares) > 0
    else:
        assert shares == {None}


def test_bench_counts_the_bytes_that_a_rule_must_move() -> None:
    """theta and each state read and written, the gradient read: float32, four bytes each."""
    for name, arrays in (("sgd", 1), ("rmsprop", 2), ("adamw", 3), ("adan", 5)):
        row = bench.measure(name, 1000, turns=1)
        moved = row["gigabytes_per_second"] * row["microseconds"] * 1e3
        assert moved == pytest.approx(4 * (2 * arrays + 1) * 1000), name


def test_selftest_touches_every_part_of_the_library() -> None:
    checks = " ".join(check.__name__ for check in selftest.CHECKS)
    assert all(
        word in checks for word in ("optimizer", "levels", "resumes", "eigenvalues", "saddles", "minima")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench", "--sizes", "many"), "--sizes: expected integers"),
        (("bench", "--sizes", "0"), "--sizes: expected positive integers"),
        (("bench", "--rules-size", "0"), "--rules-size: expected a positive integer"),
        (("bench", "--threads", "0"), "--threads: expected a positive integer"),
        (("fly",), "fly"),
        ((), "required"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = fastopt_command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_python_blocks_of_the_readme_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # one block writes a checkpoint
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert blocks
    namespace: dict[str, Any] = {}
    if importlib.util.find_spec("torch") is None:
        blocks = [block for block in blocks if "import torch" not in block]
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert abs(namespace["w"]).max() < 1.0
