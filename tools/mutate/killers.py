"""Which tests are to notice a mutant, from those that are quick to those that are not; and what is compiled
for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CPP = ROOT / "cpp"

#: Shared words of the rules, and rules that say all of them.
SHARED = {
    "rules/rule.hpp": ["Adam", "Rprop", "Sgd", "RmsProp"],
    "rules/averages.hpp": ["Adam", "RAdam", "StableAdamW"],
    "rules/bias_correction.hpp": ["Adam", "RAdam"],
    "rules/schedule_free.hpp": ["ScheduleFreeAdamW", "ScheduleFreeSgd", "ScheduleFreeRAdam"],
}
#: Words of `pytest -k` for a rule's class, where its name does not say it.
WORDS = {
    "Sgd": "SGD", "RmsProp": "RMSprop", "SignSgd": "SignSGD or Signum", "Lars": "LARS", "Lamb": "LAMB",
    "Ftrl": "FTRL", "Adopt": "ADOPT", "Mars": "MARS", "Asgd": "ASGD", "Soap": "SOAP",
    "ScheduleFreeSgd": "ScheduleFreeSGD",
}  # fmt: skip
RULES = [
    "tests/test_prepare.py", "tests/test_rules.py", "tests/test_small_numbers.py", "tests/test_identities.py",
    "tests/test_rule_records.py", "tests/test_rules_dtypes.py",
]  # fmt: skip
#: What else looks at a rule.
OWN = {
    "prodigy": "test_prodigy.py", "muon": "test_muon.py", "soap": "test_soap.py",
    "shampoo": "test_shampoo.py", "kron": "test_kron.py",
    "rowwise_adam": "test_row_states.py", "rowwise_adagrad": "test_row_states.py",
    "adam": "test_row_states.py", "averages": "test_adam_to_the_bit.py",
    "schedule_free_sgd": "test_schedule_free.py", "schedule_free_adamw": "test_schedule_free.py",
    "schedule_free_radam": "test_schedule_free.py", "lamb": "test_two_phase.py", "lars": "test_two_phase.py",
}  # fmt: skip
ENGINE = [
    "tests/test_step_order.py", "tests/test_two_phase.py", "tests/test_arrays.py",
    "tests/test_sparse_rows.py", "tests/test_clipping.py", "tests/test_storage.py", "tests/test_flags.py",
    "tests/test_bits.py", "tests/test_small_numbers.py", "tests/test_row_states.py", "tests/test_muon.py",
    "tests/test_prodigy.py", "tests/test_bad_input.py", "tests/test_one_operation.py",
]  # fmt: skip
ROWS = ["tests/test_sparse_rows.py", "tests/test_sparse_rows_refused.py", "tests/test_sparse_rows_stored.py",
        "tests/test_row_states.py", "tests/test_flags.py"]  # fmt: skip
NORMS = ["tests/test_step_order.py", "tests/test_clipping.py", "tests/test_small_numbers.py",
         "tests/test_sparse_rows.py", "tests/test_flags.py", "tests/test_bad_input.py"]  # fmt: skip

PARTS = {
    "rules": sorted(p.relative_to(CPP).as_posix() for p in CPP.glob("rules/*.hpp") if p.name not in
    ("all.hpp", "shaped.hpp")), "engine": ["engine/walk.hpp", "engine/norm.hpp",
    *sorted(p.relative_to(CPP).as_posix() for p in CPP.glob("engine/plan_*.cpp")),
               "engine/rows.cpp", "engine/rows_sum.cpp", "engine/rows_walk.cpp"],
    "pool": ["threads/mechanism.hpp", "threads/policy.hpp"],
}  # fmt: skip


class Plan(NamedTuple):
    """For a mutated file: the objects to compile again (as CMake names them), and the tests to run on the
    module."""

    objects: list[str]
    tests: list[str]
    words: str


def plan_for(file: str) -> Plan:
    """What a mutant of a rule or of the engine asks for."""
    if file.startswith("rules/"):
        rules = SHARED.get(file) or [_struct(file)]
        words = " or ".join(WORDS.get(rule, rule) for rule in rules)
        own = [f"tests/{OWN[Path(file).stem]}"] if Path(file).stem in OWN else []
        return Plan([f"kernels/{rule}.cpp" for rule in rules], RULES + own, f"{words} or {Path(file).stem}")
    tests = ROWS if "rows" in file else NORMS if "norm" in file else ENGINE
    return Plan([f"cpp/{file}"] if file.endswith(".cpp") else _walkers(file), tests, "")


def _struct(file: str) -> str:
    """The rule that a header defines: the last class template of flags in it."""
    text = (CPP / file).read_text(encoding="utf-8")
    return re.findall(r"template <unsigned Flags>\nstruct (\w+) ", text)[-1]


def _walkers(file: str) -> list[str]:
    """Who compiles the engine's headers that are templates over the type: not the rules' own kernels."""
    if file == "engine/norm.hpp":
        return ["cpp/engine/plan_norm.cpp"]
    return ["cpp/engine/plan_phases.cpp", "cpp/engine/plan_flags.cpp", "cpp/engine/plan_matrices.cpp",
            "cpp/engine/by_row.cpp", "cpp/engine/rows_walk.cpp"]  # fmt: skip
