"""Loops that store in fewer bits are vectorised: one choice inside another makes branches of them, and they
compute the same bits up to ten times slower. No other test would notice, as these loops have no addresses of
their own in the module (`test_disassembly.py` looks at those that have).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CPP = Path(__file__).parents[1] / "cpp"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
FLAGS = ["-std=c++20", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", f"-I{CPP}"]
#: What stores, by its name in storing:: or the engine. Each is a loop, or several, with nothing around it.
LOOPS = {
    "bfloat16 to nearest": "store(x, to<Bf16>, n)",
    "bfloat16 from double": "store(y, to<Bf16>, n)",
    "float16 from double": "store(y, to<F16>, n)",
    "bfloat16 at random": "storing::store_dithered<Bf16>(s, 0, n, x, dither)",
    "float16 at random": "storing::store_dithered<F16>(s, 0, n, x, dither)",
    "bfloat16 and its rest": "storing::store_sum<Bf16>(s, 0, n, x)",
    "float16 and its rest": "storing::store_sum<F16>(s, 0, n, x)",
    "split in 16 bits": "storing::store_split<std::int16_t, 0>(s, 0, n, x, [](std::int64_t) { return 0u; })",
    "split in 8 bits": "storing::store_split<std::int8_t, 8>(s, 0, n, x, [](std::int64_t) { return 128u; })",
    "load bfloat16": "load(to<Bf16>, x, n)",
    "float16 at random from double": "storing::store_dithered<F16>(s, 0, n, y, dither)",
    "load split": "storing::load_split<std::int8_t, 8>(s, 0, n, x)",
    "load split in 16 bits": "storing::load_split<std::int16_t, 0>(s, 0, n, x)",
    "load with a rest": "storing::load_sum<Bf16>(s, 0, n, x)",
    "load float16 with a rest": "storing::load_sum<F16>(s, 0, n, x)",
    "codes with a sign": "Codes<true>::encode_groups(x, to<std::uint8_t>, y32, dither.from(0))",
    "codes of squares": "Codes<false>::encode_groups(x, to<std::uint8_t>, y32, dither.from(0))",
    "from codes with a sign": "Codes<true>::decode_groups(to<std::uint8_t>, y32, x)",
    "from codes of squares": "Codes<false>::decode_groups(to<std::uint8_t>, y32, x)",
}
SOURCE = """
#include <cmath>
#include "engine/stored.hpp"
using namespace fastopt::engine;
extern char* memory;
template <class T> T* const to = reinterpret_cast<T*>(memory);
void f(const Stored& s, float* x, double* y, float* y32, std::int64_t n, const Dither& dither) {
  (void)s, (void)x, (void)y, (void)y32, (void)n, (void)dither;
  LOOP;
}
"""


def gcc() -> bool:
    """-fopt-info is GCC's."""
    if COMPILER is None or platform.machine() != "x86_64":
        return False
    said = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout
    return "Free Software" in said


pytestmark = pytest.mark.skipif(not (gcc() and CPP.is_dir()), reason="asks GCC what it made of the sources")


@pytest.mark.parametrize("level", ["v2", "v3", "v4"])
@pytest.mark.parametrize("name", LOOPS)
def test_it_is_vectorised(name: str, level: str, tmp_path: Path) -> None:
    (tmp_path / "loop.cpp").write_text(SOURCE.replace("LOOP", LOOPS[name]), encoding="utf-8")
    command = [str(COMPILER), *FLAGS, f"-march=x86-64-{level}", "-c", "loop.cpp", "-o", "loop.o"]
    done = subprocess.run(
        [*command, "-fopt-info-vec-all"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "loop vectorized" in done.stderr
    branches = re.findall(r"^.*/engine/.*not vectorized: control flow in loop.*$", done.stderr, re.M)
    assert len(branches) == ("from codes" in name)  # which asks of each group whether all in it is finite


def test_the_linker_keeps_what_was_compiled_for_loops() -> None:
    """It takes the first of functions that several parts of a module hold: not one that was made small."""
    recipe = (CPP.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    order = re.search(r"foreach\(part IN ITEMS ([\w ]+)\)\s+target_link_libraries", recipe)
    assert order is not None
    assert order[1].split() == ["rule", "loop", "linalg", "binding", "rare_binding"]
