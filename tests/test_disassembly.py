"""Every rule's loops are vectorised at each level's width; no level holds instructions of a higher one.

Read from the installed modules: the engine says where each loop begins, objdump what is there. A loop that is
not vectorised computes all the same, four to sixteen times slower, and no other test would notice.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from engine import LEVELS
from fastopt import _cpu, _dispatch

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("objdump") is None or LEVELS == ["base"],
    reason="reads x86-64 ELF files with objdump (binutils)",
)
#: What a vectorised loop of the level works on.
REGISTERS = {"v2": "xmm", "v3": "ymm", "v4": "zmm"}
LOOPS = (
    "update f32",
    "update f64",
    "reduce f32",
    "reduce f64",
    "decayed f32",
    "decayed f64",
    "scaled f32",
    "scaled decayed f32",
)
Instruction = tuple[int, str, str]  # address, mnemonic, operands


@cache
def disassembly(level: str) -> list[Instruction]:
    """The whole module, every instruction. Without a level: of the one that is asked which it may be."""
    path = _dispatch.load(level).__file__ if level else _cpu.__file__
    command = ["objdump", "-d", "--no-show-raw-insn", "-j", ".text", path]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\t(\S+) *([^\n#<]*)", listed, re.M)
    return [(int(address, 16), mnemonic, operands) for address, mnemonic, operands in found]


def base(level: str) -> int:
    """Where the module begins in this process."""
    path = str(Path(_dispatch.load(level).__file__).resolve())
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[-1] == path and int(fields[2], 16) == 0:
            return int(fields[0].partition("-")[0], 16)
    raise AssertionError(f"{path} is not loaded")


@cache
def functions(level: str) -> dict[tuple[str, str], list[Instruction]]:
    """The instructions of each loop function, by (rule and flags, kind of loop)."""
    core = _dispatch.load(level)
    start = base(level)
    named = {}
    for rule, addresses in zip(core.rules(), core.kernel_addresses(), strict=True):
        for kind, address in zip(LOOPS, addresses, strict=True):
            if address:
                named[f"{rule['name']} {rule['flags']}", kind] = address - start
    index = {instruction[0]: i for i, instruction in enumerate(disassembly(level))}
    begins = sorted(set(named.values()))
    result = {}
    for key, begin in named.items():
        after = begins.index(begin) + 1
        stop = index[begins[after]] if after < len(begins) else index[begin] + 2000
        code = body(disassembly(level)[index[begin] : stop])
        target = elsewhere(code)
        if target is not None:
            code = body(disassembly(level)[index[target] : index[target] + 2000])
        if not inner_loops(code) or not arithmetic(code, ("ps", "pd", "ss", "sd")):  # it calls for that
            for address in called(code):
                code = code + body(disassembly(level)[index[address] : index[address] + 2000])
        result[key] = code
    return result


def elsewhere(instructions: list[Instruction]) -> int | None:
    """Where a function goes on that only fetches the coefficients: by a jump, before any choice."""
    for i, (_, mnemonic, operands) in enumerate(instructions):
        target = re.fullmatch(r"([0-9a-f]+) ?", operands)
        if mnemonic == "jmp" and target:
            # there would be a loop, but for what aligns it
            behind = {f"{address:x}" for address, _, _ in instructions[i + 1 : i + 4]}
            back = any(m.startswith("j") and o.strip() in behind for _, m, o in instructions[i + 1 :])
            return None if back else int(target[1], 16)
        if mnemonic.startswith(("j", "ret")):
            return None
    return None


def called(instructions: list[Instruction]) -> set[int]:
    """Addresses of the functions that are called."""
    found = [re.fullmatch(r"([0-9a-f]+) ?", o) for _, mnemonic, o in instructions if mnemonic == "call"]
    return {int(target[1], 16) for target in found if target}


def body(instructions: list[Instruction]) -> list[Instruction]:
    """Up to the last `ret` before which every jump stays inside: a function's end, not its neighbour's."""
    reach = 0
    for i, (address, mnemonic, operands) in enumerate(instructions):
        target = re.fullmatch(r"\s*([0-9a-f]+)\s*", operands)
        if mnemonic.startswith("j") and target:
            reach = max(reach, int(target[1], 16))
        if (mnemonic.startswith("ret") or mnemonic == "jmp") and address >= reach:
            return instructions[: i + 1]
    return instructions


def inner_loops(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Spans of backward jumps that contain no other such span."""
    where = {address: i for i, (address, _, _) in enumerate(instructions)}
    spans = []
    for i, (address, mnemonic, operands) in enumerate(instructions):
        target = re.fullmatch(r"\s*([0-9a-f]+)\s*", operands)
        if (
            mnemonic.startswith("j")
            and target
            and int(target[1], 16) <= address
            and int(target[1], 16) in where
        ):
            spans.append((where[int(target[1], 16)], i + 1))
    inner = [s for s in spans if not any(t != s and s[0] <= t[0] and t[1] <= s[1] for t in spans)]
    return [instructions[a:b] for a, b in inner]


def arithmetic(instructions: list[Instruction], suffixes: tuple[str, ...], register: str = "") -> set[str]:
    """Kinds of floating-point operations with one of these suffixes (ps, pd: packed; ss, sd: scalar)."""
    kinds = set()
    for _, mnemonic, operands in instructions:
        match = re.fullmatch(r"v?(sqrt|div|mul|add|sub|max|min)(ps|pd|ss|sd)", mnemonic)
        if match and match[2] in suffixes and register in operands:
            kinds.add(match[1])
    return kinds


def varying(loop: list[Instruction]) -> list[Instruction]:
    """Without scalar products of what is the same in every turn: forming them anew saves a register."""
    product = re.compile(r"v?muls[sd]")
    written = {
        re.sub("[yz]mm", "xmm", o.rsplit(",", 1)[-1].strip()) for _, m, o in loop if not product.match(m)
    }

    def varies(mnemonic: str, operands: str) -> bool:
        read = operands.rsplit(",", 1)[0] if mnemonic.startswith("v") else operands
        element = re.search(r"\([^)]*,", operands)
        return bool(element) or any(register in written for register in re.findall(r"%xmm\d+", read))

    return [(a, m, o) for a, m, o in loop if not product.match(m) or varies(m, o)]


def vectorised(instructions: list[Instruction], register: str) -> bool:
    """Some inner loop does, packed and at full width, all kinds of arithmetic that the scalar tail does."""
    scalar = arithmetic(instructions, ("ss", "sd"))
    packed = ("ps", "pd")
    for loop in inner_loops(instructions):
        mine = arithmetic(loop, packed, register)
        if mine and scalar <= mine | {"max", "min"} and not arithmetic(varying(loop), ("ss", "sd")):
            return True
    return False


@pytest.mark.parametrize("level", LEVELS)
def test_every_loop_is_vectorised(level: str) -> None:
    found = functions(level)
    assert len(found) >= 2 * len(_dispatch.load(level).rules())
    missed = [" ".join(key) for key, code in found.items() if not vectorised(code, REGISTERS[level])]
    assert missed == []


@pytest.mark.parametrize("level", LEVELS)
def test_no_loop_fuses_a_product_and_a_sum(level: str) -> None:
    """Contraction rounds once instead of twice, so levels would differ."""
    for key, code in functions(level).items():
        fused = {m for _, m, _ in code if re.match(r"v?f(n)?m(add|sub)", m)}
        assert not fused, key


@pytest.mark.parametrize("level", ["", *(lv for lv in LEVELS if lv in ("v2", "v3"))])
def test_no_wider_register_is_in_a_lower_level(level: str) -> None:
    """Inline templates of other levels would bring them in, and end old processors with SIGILL."""
    forbidden = re.compile(r"%zmm|%k[0-7]\b" if level == "v3" else r"%zmm|%ymm|%k[0-7]\b")
    wider = [(hex(a), m, o) for a, m, o in disassembly(level) if forbidden.search(o)]
    assert wider == []
    if level != "v3":
        assert [
            (hex(a), m) for a, m, _ in disassembly(level) if m.startswith("v") and m not in ("verr", "verw")
        ] == []


@pytest.mark.parametrize("level", LEVELS)
def test_plain_averages_take_fewer_products(level: str) -> None:
    """One of Adam's loops knows that its averages are plain, and leaves three products with 1 out."""

    def count(loop: list[Instruction], operation: str) -> int:
        return sum(re.fullmatch(rf"v?{operation}ps", mnemonic) is not None for _, mnemonic, _ in loop)

    for kind, products in (
        ("update f32", 5),
        ("decayed f32", 6),
        ("scaled f32", 7),
        ("scaled decayed f32", 8),
    ):
        loops = inner_loops(functions(level)["adam 0", kind])
        per_root = {count(loop, "mul") / count(loop, "sqrt") for loop in loops if count(loop, "sqrt")}
        assert per_root == {products, products + 3}
