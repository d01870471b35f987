"""The module with one mutant in it: only the objects that contain the mutant are compiled, then all are
linked.

The mutated file lies in a folder of its own, `overlay`, which is searched for headers before cpp/ is; the
sources themselves are never touched. So a run can be stopped at any moment.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from killers import CPP
from mutants import Mutant, applied
from one_level import Broken, OneLevel

__all__ = ["MODULE", "OVERLAY", "WORK", "Broken", "build", "overlay"]

MODULE = OneLevel("mutate", os.environ.get("FASTOPT_MUTATED_LEVEL", "v4"))
WORK = MODULE.folder
OVERLAY = WORK / "overlay"


def overlay(mutant: Mutant) -> Path:
    """The mutated file, alone in its folder."""
    shutil.rmtree(OVERLAY, ignore_errors=True)
    path = OVERLAY / mutant.file
    path.parent.mkdir(parents=True)
    path.write_text(applied((CPP / mutant.file).read_text(encoding="utf-8"), mutant), encoding="utf-8")
    return path


def build(mutant: Mutant, objects: list[str]) -> None:
    """Compile what contains the mutant, link, and put the module in its place."""
    mutated = overlay(mutant)
    change = {" -I": f" -I{OVERLAY} -I", f" -c {CPP / mutant.file}": f" -c {mutated}"}
    MODULE.link(dict(MODULE.compile(f"/{name}", f"mutant_{i}.o", change) for i, name in enumerate(objects)))
