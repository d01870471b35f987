"""The published tables say what the results say: every target, every row, every miss."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import Any

import bench_rules
import bench_sparse
import blocks
import claims
import figure
import history
import pytest
import render
import step_cases
import tables
from reasons import why
from targets import STEP, TARGETS, Target, plural

import fastopt

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
RESULTS = BENCH / "results"
TEXTS = render.texts()


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_rendered_text_is_what_the_results_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == TEXTS[path], "run: python bench/render.py"


def test_the_figure_is_made_of_these_numbers() -> None:
    wanted = figure.digest_of(claims.read(RESULTS / "step.json"))
    assert figure.digest(RESULTS / "step.svg") == wanted, "run: python bench/render.py"


def old_targets(row: dict[str, Any]) -> list[Target]:
    """The targets that a row was published with."""
    found = [Target(row["target"])] if row.get("target") is not None else []
    found += [Target(row["floor_target"], "of_floor")] if row.get("floor_target") is not None else []
    return found + ([Target(row["at_most"], "ours_ms", at_most=True)] if "at_most" in row else [])


def test_no_published_target_was_lowered_or_removed() -> None:
    """Rows of older results carried their targets; they are kept where a new run does not replace them."""
    rows = claims.read(Path(__file__).parent / "golden" / "published_targets.json")
    count = 0
    for row in rows:
        for old in old_targets(row):
            now = [t for t in TARGETS["step"].get(row["case"], ()) if t.of == old.of]
            assert now, f"{row['case']}: the target {old} has gone"
            stricter = now[0].bound <= old.bound if old.at_most else now[0].bound >= old.bound
            assert stricter, f"{row['case']}: {old} has become {now[0]}"
            count += 1
    assert count > 60


def test_every_target_is_in_every_table_of_the_step() -> None:
    text = (RESULTS / "step.md").read_text(encoding="utf-8")
    for level in text.split("## Level ")[1:]:
        rows, _, unmeasured = level.partition("Not measured in this run")
        for case, targets in ((c, t) for table in STEP.values() for c, t in table.items()):
            wanted = ", ".join(map(str, targets))
            row = re.search(rf"^\| {re.escape(case)} \|.*\| {re.escape(wanted)} \| \w", rows, re.M)
            assert row or f"{case} ({wanted})" in unmeasured, case


def test_the_table_has_the_numbers_of_the_result_and_no_empty_cell() -> None:
    text = (RESULTS / "step.md").read_text(encoding="utf-8")
    lines = iter([line for line in text.splitlines() if line.startswith("| ") and "case" not in line])
    for level in claims.read(RESULTS / "step.json"):
        for row in (row for table in level["tables"].values() for row in table):
            cells = [c.strip() for c in next(lines).split("|")[1:-1]]
            assert cells[0] == row["case"]
            assert all(cells[:-1]), cells
            if claims.number(row.get("ratio")) is not None:
                assert cells[3].startswith(f"{row['ratio']:.2f}x")
    assert next(lines, None) is None


def test_every_miss_is_listed_with_its_reason() -> None:
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    for judged in claims.judged():
        if not judged.met:
            assert why(judged.case), f"bench/reasons.py has none for {judged.case}"
            line = re.search(
                rf"^\| {re.escape(judged.case)} \| {re.escape(str(judged.target))} \|.*$", page, re.M
            )
            assert line, judged.case
            assert f"{judged.source} {judged.level} **{blocks.exact(judged)}**" in line[0]


def test_the_misses_of_the_step_are_those_that_its_rows_show() -> None:
    """Found a second way, from the last cells of the table."""
    text = (RESULTS / "step.md").read_text(encoding="utf-8")
    shown = set()
    for level in text.split("## Level ")[1:]:
        for case in re.findall(r"^\| (.+?) \|.*\| MISSED \|$", level, re.M):
            shown.add((level.split()[0], case))
    assert shown == {(j.level, j.case) for j in claims.judged() if not j.met and j.source == "step"}


def test_what_nobody_measured_is_listed_too() -> None:
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    lacking = claims.unmeasured(claims.judged())
    measured = {j.case for j in claims.judged()}
    for part, case, target in lacking:
        assert f"- {case}: {target} ({part})" in page
    assert {case for _, case, _ in lacking} | measured == {c for part in TARGETS.values() for c in part}


def test_every_rule_has_its_row() -> None:
    """Element by element at 20 M; what is of matrices or rows in the scripts that have such."""
    elsewhere = {case.label.split(",")[0].split()[0] for case in bench_rules.CASES.values()}
    elsewhere |= set(bench_sparse.RULES)
    others = set()
    for cls in fastopt.optimizers().values():
        if step_cases.element_wise(cls):
            assert f"{cls.__name__}, 20 M" in STEP["rules"]
        else:
            others.add(cls.__name__)
            assert f"{cls.__name__}, 20 M" not in STEP["rules"]
    assert others <= elsewhere


def test_every_target_of_the_newer_rules_has_its_case() -> None:
    cases = {
        f"rules: {case.label}, beside {case.peer}, {plural(t)}"
        for case in bench_rules.CASES.values()
        for t in (1, 2)
    }
    without = {
        f"rules: Kron, updated at every step, 768 x 768, beside pytorch_optimizer, {plural(t)}"
        for t in (1, 2)
    }
    assert cases == set(TARGETS["rules"]) | without


NOBODY = {"torch": None, "level": "v4"}


def test_a_missing_peer_is_named() -> None:
    row = {"case": "Adam 2^10, 1 thread", "ours_us": 1.0, "peer_us": None, "ratio": None}
    line = tables.line(row, NOBODY)
    assert "| PyTorch: not installed |" in line
    assert line.endswith("| not measured |")
    other = {**row, "case": "Adam beside optax, 2^10, 1 thread", "missing": "optax: not installed"}
    assert "| optax: not installed |" in tables.line(other, NOBODY)
    assert "| none in PyTorch |" in tables.line({**row, "case": "Lion, 20 M"}, {"torch": "2.13.0"})
    assert "floor: not built" in tables.line({**row, "floor_missing": "floor: not built"}, NOBODY)


def test_the_history_has_every_number_once() -> None:
    lines = claims.read(history.HISTORY)
    assert all(tuple(line) == history.FIELDS for line in lines)
    assert len({history.key(line) for line in lines}) == len(lines)
    known = {history.key(line): line for line in lines}
    for path in claims.files(RESULTS):
        for line in history.lines(path.stem, claims.read(path)):
            assert known[history.key(line)] == line, "run: python bench/run.py --record, or history.record"
    text = json.dumps(lines)
    assert platform.node() not in text or len(platform.node()) < 4


def test_recording_twice_adds_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "history.jsonl"
    assert history.record(RESULTS, kept) > 200
    before = kept.read_bytes()
    assert history.record(RESULTS, kept) == 0
    assert kept.read_bytes() == before


@pytest.mark.parametrize("page", ["README.md", "bench/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) > 3
    for link in filter(None, links):
        assert ((ROOT / page).parent / link).exists(), link


def test_the_environment_is_pinned() -> None:
    from common import PEERS

    lines = (BENCH / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = set()
    for line in lines:
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[\w-]+==[\w.]+(; python_version [<>=]+ \"3\.11\")?", line), line
            names.add(line.split("==")[0])
    assert set(PEERS) <= names


def bounds(pattern: str) -> dict[str, float]:
    return {
        case: targets[0].bound for case, targets in TARGETS["step"].items() if re.fullmatch(pattern, case)
    }


def test_targets_that_no_kept_row_carries_stand() -> None:
    """What was asked for large arrays, decay and many threads; their number only grows."""
    assert bounds(r"AdamW? 2\^2[246], [12] threads?, 5 processes") == dict.fromkeys(
        (
            f"{name} 2^{e}, {t}, 5 processes"
            for name in ("Adam", "AdamW")
            for e in (22, 24, 26)
            for t in ("1 thread", "2 threads")
        ),
        1.05,
    )
    assert len(bounds(r"AdamW over Adam, .*")) == 16
    assert set(bounds(r"AdamW over Adam, .*").values()) == {0.98}
    assert TARGETS["step"]["AdamW, 1000 tensors of 64"][1] == Target(60.0, "ours_us", at_most=True)
    assert {t.bound for targets in TARGETS["threads"].values() for t in targets} == {90.0, 45.0, 1.0}
    assert sum(len(targets) for part in TARGETS.values() for targets in part.values()) >= 209
