"""Every keyword of every optimizer has its documented default, and changes the result.

A keyword that no draw names fails here, and so does one that is accepted and ignored.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from battery import problem
from draws import CLIPPING, GROUP, VARIANTS, WHOLE
from fastopt._signature import Common
from pairs import CLASSES, KNOWN, drawn, pair, results
from reference import COMMON, ORACLES

# These do not choose numbers but storage and policy: the tests of the engine hold them.
ELSEWHERE = {"params", "dtype", "state_dtype", "nonfinite", "rounding", "master", "seed", "shadow", "compat"}
#: What looks at a step before it is taken, and what has no meaning for some rules: `test_flags`.
FLAGS = {"cautious", "cautious_weight_decay", "centralize"}
#: What the whole optimizer takes, all of it away from the defaults.
ALL = {**WHOLE, **CLIPPING["largest per tensor"]}


def keywords(name: str) -> dict[str, Any]:
    """The keywords of a class and their defaults, without those held elsewhere."""
    signature = inspect.signature(CLASSES[name]).parameters.values()
    own = {p.name: p.default for p in signature if p.kind != p.VAR_KEYWORD and p.name not in ELSEWHERE}
    return {**COMMON, **dict.fromkeys(ALL), **own}


#: Acts on names, which parameters in lists have not: tests/test_muon.py.
OF_NAMES = {("Muon", "exclude")}
#: Acts on gradients of some rows: tests/test_row_states.py.
OF_ROWS = {(name, "row_steps") for name in ("Adam", "AdamW", "RowWiseAdam")}
#: Change the shapes of states, or act on shapes that the problem has not: test_soap.py, test_shampoo.py,
#: test_kron.py.
OF_SHAPES = {
    ("SOAP", "merge_dims"),
    ("SOAP", "precondition_1d"),
    ("SOAP", "max_precond_dim"),
    ("Shampoo", "block_size"),
    ("Kron", "max_size_triangular"),
    ("Kron", "min_ndim_triangular"),
    ("Kron", "memory_save_mode"),
}
OF_OTHER_TESTS = OF_NAMES | OF_ROWS | OF_SHAPES
KEYWORDS = [
    (name, key)
    for name in KNOWN
    for key in keywords(name)
    if key not in FLAGS and (name, key) not in OF_OTHER_TESTS
]


def distance(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> float:
    """The largest difference of what both have; infinite where only one has an average of the weights."""
    if ("ema" in a[0]) != ("ema" in b[0]):
        return float("inf")
    return max(
        float(np.max(np.abs(np.asarray(x[key]) - np.asarray(y[key])), initial=0.0))
        for x, y in zip(a, b, strict=True)
        for key in x.keys() & y.keys()
    )


@pytest.mark.parametrize("name", KNOWN)
def test_defaults(name: str) -> None:
    assert keywords(name) == {**COMMON, **dict.fromkeys(ALL), **ORACLES[name].defaults}


def test_every_common_keyword_is_known_here() -> None:
    assert set(Common.__annotations__) == (COMMON.keys() - {"weight_decay"}) | ALL.keys() | (
        ELSEWHERE - {"params", "compat"}
    )


@pytest.mark.parametrize(("name", "key"), KEYWORDS)
def test_the_keyword_is_live(name: str, key: str) -> None:
    """With and without it, all else equal, the run ends elsewhere: an ignored keyword cannot pass."""
    setting, whole = next(({**v, **GROUP}, ALL) for v in VARIANTS[name] if key in {**v, **GROUP, **ALL})
    given = problem(np.float64, seed=7)
    opt, _ = pair(name, setting, whole, given, seed=2000)
    without = [{k: v for k, v in d.items() if k != key} for d in drawn(name, setting, whole, seed=2000)]
    twin = CLASSES[name](given.groups(*without[1:]), **without[0])
    for k, grads in enumerate(given.grads):
        for side in (opt, twin):
            if k == 11:  # the "step" form of momentum differs only once lr changes
                for group in side.param_groups[: 2 if CLASSES[name].rule.norms == "all" else 1]:
                    group["lr"] *= 0.3
            side.step(grads)
    assert distance(results(opt), results(twin)) > 1e-4
