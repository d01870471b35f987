"""What an optimizer adds to the resident set of its process, in bytes for each parameter.

States and whatever else it keeps, after some steps; and at the most while it made them and stepped. Pools of
threads, modules and allocators are there before: a small model was stepped first.
"""

from __future__ import annotations

import ctypes
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import in_fresh_process, missing, staggered
from targets import plural

import fastopt

#: What is stepped, by the label of its row; the package without which there is none.
ADAMW: dict[str, tuple[str, str]] = {
    "float32, states in 8 bits": ("int8", ""),
    "float32, states in bfloat16": ("bfloat16", ""),
    "float32, states in float32": ("float32", ""),
    "PyTorch float32": ("torch", "torch"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
}


def resident(field: str = "VmRSS") -> int:
    """Bytes of this process that are in memory (or were at the most, VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def stepper(kind: str, theta: Any, grad: Any) -> Callable[[], object]:
    """AdamW on these arrays."""
    if kind not in ("torch", "bitsandbytes"):
        opt = fastopt.AdamW([theta], lr=1e-3, state_dtype=kind)
        return lambda: opt.step([grad])
    import torch

    p = torch.nn.Parameter(torch.from_numpy(theta))
    p.grad = torch.from_numpy(grad)
    if kind == "torch":
        return torch.optim.AdamW([p], lr=1e-3, fused=True).step
    import bitsandbytes as bnb

    return bnb.optim.AdamW8bit([p], lr=1e-3).step  # type: ignore[no-any-return]


def one_process(label: str, threads: int, n: int) -> dict[str, float]:
    kind, package = ADAMW[label]
    fastopt.set_num_threads(threads)
    if package:
        import torch

        torch.set_num_threads(threads)
    stepper(kind, *staggered(1 << 17, 2))()
    theta, grad = staggered(n, 2)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept would hold the states without a trace
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten
    before = resident()
    step = stepper(kind, theta, grad)
    for _ in range(3):
        step()
    return {"resident": (resident() - before) / n, "most": (resident("VmHWM") - before) / n}


def measured(n: int, processes: int) -> list[dict[str, Any]]:
    """Rows, of what is installed here; none where the system does not say."""
    rows: list[dict[str, Any]] = []
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return rows
    for label, (_, package) in ADAMW.items():
        if package and missing(package):
            continue
        for threads in (1, 2):
            code = (
                f"import json, resident; print(json.dumps(resident.one_process({label!r}, {threads}, {n})))"
            )
            several = [in_fresh_process(code, OMP_NUM_THREADS=str(threads)) for _ in range(processes)]
            numbers = {
                key: statistics.median(found[key] for found in several) for key in ("resident", "most")
            }
            rows.append({"case": f"bytes: {label}, resident set, {plural(threads)}", **numbers})
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {row['case'].removeprefix('bytes: ')} | {row['resident']:.2f} | {row['most']:.2f} |"
        for row in rows
    ]
    head = "| AdamW adds to the resident set, bytes a parameter | afterwards | at the most |"
    return "\n".join([head, "|---|---|---|", *lines])
