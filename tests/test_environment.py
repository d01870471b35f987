"""The caller's floating-point environment neither changes results nor is changed.

Other libraries set flush-to-zero for a whole process; results must not depend on what was imported before.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from typing import Any

import numpy as np
import pytest

from engine import CLASSES, EXTRAS, LEVELS, everything, make, setting, threads

if platform.machine() not in ("x86_64", "AMD64") or sys.platform == "win32":
    pytest.skip("MXCSR is x86-64's, and the calling convention here is System V's", allow_module_level=True)

import mxcsr

MODES = {
    "flush to zero": mxcsr.FLUSH_TO_ZERO,
    "denormals are zero": mxcsr.DENORMALS_ARE_ZERO,
    "both, rounding down": mxcsr.FLUSH_TO_ZERO | mxcsr.DENORMALS_ARE_ZERO | mxcsr.ROUND_DOWN,
}


def numbers(seed: int, n: int, dtype: Any) -> Any:
    """Numbers of all sizes, subnormal ones of float32 and float16 included."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=n) * 10.0 ** rng.integers(-42, 1, size=n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16], ids=["f32", "f64", "f16"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CLASSES)
def test_results_do_not_depend_on_the_mode(name: str, level: str, dtype: Any) -> None:
    n = 3000
    rows = [[numbers(k, n, dtype)] for k in range(3)]
    runs = []
    for mode in (0, *MODES.values()):
        opt = make(name, [numbers(9, n, dtype)], level, **setting(name), **EXTRAS)
        for row in rows:
            with mxcsr.changed(mode):
                opt.step(row)
        runs.append(everything(opt))
    assert runs[0] == runs[1] == runs[2] == runs[3]


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_is_restored(mode: str) -> None:
    opt = make("SGD", [np.ones(10)], lr=0.1, momentum=0.9, nonfinite="raise", ema_decay=0.5)
    with mxcsr.changed(MODES[mode]):
        before = mxcsr.read()
        opt.step([np.ones(10)])
        after_step = mxcsr.read()
        with contextlib.suppress(ValueError):
            opt.step([np.full(10, np.nan)])
        after_raise = mxcsr.read()
        with opt.lookahead():
            inside = mxcsr.read()
        with opt.ema_weights():
            inside_average = mxcsr.read()
    assert before == after_step == after_raise == inside == inside_average
    assert before != mxcsr.read()


def test_workers_have_the_default_mode_too() -> None:
    """The threads start while their creator flushes; a new thread inherits that."""
    n = 1 << 20
    rows = [[numbers(k, n, np.float32)] for k in range(3)]
    runs = []
    for mode in (0, mxcsr.FLUSH_TO_ZERO | mxcsr.DENORMALS_ARE_ZERO):
        opt = make("SGD", [numbers(9, n, np.float32)], lr=1e-3, momentum=0.5)
        with mxcsr.changed(mode), threads(3):  # new workers
            for row in rows:
                opt.step(row)
        runs.append(everything(opt))
    assert runs[0] == runs[1]


def test_the_modes_here_do_flush() -> None:
    """The test of this file's test."""
    tiny = np.full(100, 1e-40, np.float32)
    half = tiny * np.float32(0.5)
    with mxcsr.changed(mxcsr.FLUSH_TO_ZERO):
        flushed = tiny * np.float32(0.5)
    assert half.any()
    assert not flushed.any()
