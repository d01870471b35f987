"""What watches the fuzzer's rounds: memory that a round does not let go of is found,
what the C library keeps is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "tools" / "fuzz"

#: In the later rounds, after blocks that were not small: much is taken in pieces and freed, an allocation is
#: refused, as for a header that lies, and again. Only a process that has had threads has a second heap.
KEPT = """
import threading

def pieces():
    return len([b"x" * 500_000 + b"y" for _ in range(110)])

def prepare():
    threading.Thread(target=int).start()
    rounds = iter(range(24))
    def one_round(rng):
        if next(rounds) < 22:
            return "nothing"
        for _ in range(2):
            b"x" * (30 << 20)
        pieces()
        try:
            bytearray(1 << 60)
        except MemoryError:
            pass
        return f"{pieces()} pieces"
    return one_round
"""
LEAKS = """
def prepare():
    lost = []
    def one_round(rng):
        lost.append(b"x" * (8 << 20) + b"y")
        return "lost"
    return one_round
"""
WATCH = """
import json, sys
sys.path[:0] = sys.argv[1:]
from watch import run
print(json.dumps({name: run(name, 1, 0, 24).findings for name in ("kept", "leaks")}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_leak_is_told_from_memory_that_is_kept(tmp_path):
    (tmp_path / "kept.py").write_text(KEPT, encoding="utf-8")
    (tmp_path / "leaks.py").write_text(LEAKS, encoding="utf-8")
    command = [sys.executable, "-c", WATCH, str(FUZZ), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["kept"] == []
    (leak,) = found["leaks"]
    assert "MB more in use than after the first rounds" in leak["text"]
