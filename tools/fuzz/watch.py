"""Rounds in a process of their own, which may crash, hang or ask for too much memory: each is a finding."""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import random
import resource
import signal
import struct
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

#: Longer rounds hang; the longest here take milliseconds. Of the processor's time, and of the clock's on a
#: machine that may be busy.
SECONDS, PATIENCE = 20, 600
#: Beyond what the process has when it begins: a header that lies must not get more.
MEMORY = 1 << 30
#: What stays behind the rounds is a leak.
LEAK = 16 << 20
#: Blocks of this size are returned to the system when they are freed (the numbers are mallopt's own).
RETURNED, THRESHOLDS = 1 << 20, {"M_TRIM_THRESHOLD": -1, "M_MMAP_THRESHOLD": -3}
#: Findings of one target, told apart by where they were raised; then it is given up.
ENOUGH = 20


class Result(NamedTuple):
    """What became of the rounds, and what is wrong."""

    outcomes: dict[str, int]
    findings: list[dict[str, Any]]


def run(target: str, seed: int, first: int, rounds: int) -> Result:
    """All rounds of a target; after a crash the next process goes on behind it."""
    at = mmap.mmap(-1, 8)  # shared with the child: the round it is in
    outcomes: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    start, end = first, first + rounds
    while start < end and len(findings) < ENOUGH:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            code = 1
            try:
                _child(target, seed, start, end, at, write)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            report = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for line in report.splitlines():
            part = json.loads(line)
            outcomes.update(part.get("outcomes", {}))
            findings += [part] if "text" in part else []
        (here,) = struct.unpack("q", at[:8])
        if status == 0:
            break
        if status == 1:
            raise SystemExit(f"{target}: its rounds could not be prepared")
        why = (
            "hangs" if status in (-signal.SIGALRM, -signal.SIGPROF) else f"ends the process, status {status}"
        )
        findings.append({"round": here, "text": why})
        start = here + 1
    return Result(dict(outcomes), findings)


def _child(target: str, seed: int, start: int, end: int, at: mmap.mmap, write: int) -> None:
    one_round = importlib.import_module(target).prepare()
    _keep_nothing()
    soft = _kilobytes("VmSize") * 1024 + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
    outcomes: Counter[str] = Counter()
    seen: set[str] = set()
    settled = 0
    for number in range(start, end):
        at[:8] = struct.pack("q", number)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(PATIENCE)
        try:
            outcomes[one_round(random.Random(f"{seed} {target} {number}"))] += 1
        except Exception as error:
            outcomes["wrong"] += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} {Path(place.filename).name}:{place.lineno}"
            if where not in seen:
                seen.add(where)
                _tell(write, round=number, text=f"{where}: {error}"[:600])
            if len(seen) >= ENOUGH:
                break
        if (number + 1 - start) % 10_000 == 0:  # in case that the process ends
            _tell(write, outcomes=outcomes)
            outcomes.clear()
        if number - start == min(2000, (end - start) // 2):
            settled = _in_use()
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    grown = _in_use() - settled
    if grown > LEAK:
        _tell(write, round=end - 1, text=f"{grown >> 20} MB more in use than after the first rounds")
    _tell(write, outcomes=outcomes)


def _keep_nothing() -> None:
    """Let glibc return what is free, that memory in use can be told from memory kept.

    When an allocation is refused (a header that lies), it moves the thread to a second heap, and of the free
    end of that one it keeps up to twice the largest block that was ever freed, 64 MB at most, which no
    trimming returns.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        for number in THRESHOLDS.values():
            library.mallopt(number, RETURNED)


def _in_use() -> int:
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
    return _kilobytes("VmRSS") * 1024


def _tell(write: int, **what: Any) -> None:
    os.write(write, json.dumps(what).encode() + b"\n")


def _kilobytes(key: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{key}:")[1].split()[0])
