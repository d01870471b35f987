"""What every element-wise rule computes, as hashes: `python tests/digests.py [part of a name]`: lines.

Builds that cannot be loaded into one process, of another compiler or for another architecture, give the
same bits if they print the same lines (tools/second_compiler.sh). Inputs are made of
integers and powers of two, so that they do not depend on how this machine's NumPy computes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastopt
from engine import CLASSES, EXTRAS, PAIRS, SETTINGS, everything, make, setting, shaped
from fastopt import _state

SHAPES: list[Any] = [(), (3, 5), 129, 0, 2 * 1024 + 3, (2, 4099)]
#: Rows of whole groups of codes, where a rule keeps something of each row.
ROWS: list[Any] = [(1, 64), (2, 128), (3, 1024), (5, 1088)]
#: Products of matrices may be contracted: accuracy is promised of them, not bits.
MATRICES = [name for name in CLASSES if getattr(fastopt, name).rule.matrix]


def exact(seed: int, shapes: list[Any], dtype: Any) -> list[Any]:
    """Elements of many sizes, each a product of an integer and a power of two, rounded once."""
    rng = np.random.default_rng(seed)
    mantissas = [rng.integers(-(1 << 24), 1 << 24, size=s) for s in shapes]
    return [
        np.asarray(np.ldexp(np.asarray(m, float), rng.integers(-42, -16, size=np.shape(m)))).astype(dtype)
        for m in mantissas
    ]


def hashed(opt: Any, shapes: list[Any], dtype: Any) -> str:
    for k in range(4):
        grads: list[Any] = exact(2 + k, shapes, dtype)
        if k == 1:
            grads[2] = None
        opt.step(grads, grad_scale=0.7 if k == 2 else 1.0)
    return hashlib.sha256(repr(everything(opt)).encode()).hexdigest()[:16]


def cases() -> Iterator[tuple[str, Any, list[Any], Any, dict[str, Any]]]:
    """Name of the case, class, shapes, dtype of the gradients, keywords."""
    half = {"rounding": "stochastic", "seed": 7}
    for name, variant in SETTINGS:
        if name in MATRICES:
            continue
        options = setting(name, variant)
        for dtype in PAIRS:
            for word, extras in (("bare", {}), ("extras", EXTRAS)):
                yield f"{name}-{variant}-{dtype}-{word}", name, SHAPES, dtype, {**options, **extras}
            if dtype.itemsize == 2:
                yield f"{name}-{variant}-{dtype}-stochastic", name, SHAPES, dtype, {**options, **half}
        rule = _state.rule_of(make(name, [np.zeros(4)], **options), 0)
        coded = [s for s, codes in zip(rule["states"], rule["codes"], strict=True) if s and codes]
        if coded:
            keep = {"state_dtype": dict.fromkeys(coded, "int8"), "seed": 7}
            shapes = ROWS if shaped(rule) else SHAPES
            yield f"{name}-{variant}-float32-int8", name, shapes, np.float32, {**options, **keep}


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for case, name, shapes, dtype, options in cases():
        if wanted in case:
            print(case, hashed(make(name, exact(1, shapes, dtype), **options), shapes, dtype))


if __name__ == "__main__":
    main()
