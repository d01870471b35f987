"""A step on what is stored in fewer bits is: widen, step in float32, narrow; bit by bit, with the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coded import compensated, dither, encode, from_bfloat16, joined, restored, split, to_bfloat16
from engine import LEVELS, SETTINGS, make, normal, setting, shaped
from fastopt import _state

#: Either side of a group and of a run of random bits, more than a block, and another order of memory.
SHAPES: list[Any] = [63, 65, (3, 1025), 5000]
#: A group of codes may not reach over two rows where numbers are kept for each row.
ROWS: list[Any] = [(1, 64), (2, 128), (3, 1024), (5, 1088)]
STEPS, SEED = 3, 7


#: Its second pass reads the averages that the first has stored, so theta moves by what is kept.
ROUNDED_FIRST = ("LAMB", "Prodigy", "StableAdamW")


def rule(name: str, variant: int) -> Any:
    return _state.rule_of(make(name, normal(0, [4]), **setting(name, variant)), 0)


def stored_states(name: str, variant: int) -> list[str]:
    """The states that may be stored in another type: of its shape, and not what it is formed of."""
    of = rule(name, variant)
    return [s for s in of["states"] if s and s not in shaped(of) and s not in of["exact"]]


def coded_states(name: str, variant: int) -> list[str]:
    of = rule(name, variant)
    return [s for s, codes in zip(of["states"], of["codes"], strict=True) if s and codes]


CODED = [(n, i) for n, i in SETTINGS if coded_states(n, i)]
KEPT = [(n, i) for n, i in SETTINGS if stored_states(n, i)]


def parameters(shapes: list[Any]) -> list[Any]:
    return [np.asarray(p, order="C" if shapes is ROWS else "F") for p in normal(1, shapes)]


def gradients(k: int, shapes: list[Any] = SHAPES) -> list[Any]:
    """Of many sizes, two not finite; the third tensor misses a step, so that counts differ."""
    rng = np.random.default_rng(100 + k)
    made = normal(k, shapes)
    for g in made:
        g *= (10.0 ** rng.uniform(-5, 1, g.shape)).astype(np.float32)
    if k == 1:
        made[0].flat[7], made[3].flat[100] = np.inf, np.nan
    return [None if (k, i) == (1, 2) else g for i, g in enumerate(made)]


def flat(array: Any) -> Any:
    return np.asarray(array).ravel(order="K")


def same(found: Any, expected: Any, what: str) -> None:
    assert found.dtype == expected.dtype, what
    different = np.flatnonzero(flat(found).view(np.uint8) != flat(expected).view(np.uint8))
    assert different.size == 0, f"{what}: {different.size} bytes differ, the first is {different[:1]}"


def stored_as(opt: Any, i: int, state: str, dtype: str) -> tuple[Any, ...]:
    """The arrays in which a state lies, in the order of memory."""
    if dtype == "int8":
        saved = opt.state_dict()["state"][i]
        return saved[f"{state}.codes"], saved[f"{state}.scales"]
    found = np.asarray(opt.state[i][state])
    return (flat(found.view(np.uint16)) if dtype == "bfloat16" else flat(found),)


def expected_as(x: Any, random: Any, dtype: str, with_sign: bool) -> tuple[Any, ...]:
    if dtype == "int8":
        return encode(x, random, with_sign)
    return (to_bfloat16(x, random),) if dtype == "bfloat16" else (x,)


def check_steps(name: str, variant: int, level: str, dtypes: dict[str, str]) -> None:
    options = setting(name, variant)
    of_rows = "int8" in dtypes.values() and not rule(name, variant)["matrix"] and shaped(rule(name, variant))
    shapes = ROWS if of_rows else SHAPES
    params = parameters(shapes)
    opt = make(name, params, level, state_dtype=dtypes, seed=SEED, **options)
    for k in range(STEPS):
        copies = [p.copy(order="K") for p in params]
        wide = make(name, copies, level, **options, seed=SEED)
        wide.load_state_dict(opt.state_dict(), override={"state_dtype": None})
        opt.step(gradients(k, shapes))
        wide.step(gradients(k, shapes))
        for i, after in enumerate(copies):
            if name not in ROUNDED_FIRST:
                same(params[i], after, f"step {k}, params[{i}]")
            of = opt._rules[i]
            for role, state in enumerate(of["states"]):
                if not state or wide.state[i]["step"] == 0:
                    continue
                dtype = dtypes.get(state, "float32")
                random: Any = dither(SEED, wide.state[i]["step"], i, role, after.size)
                if state.startswith("max_"):  # a maximum would keep the largest of all random errors
                    random = None
                if name in ROUNDED_FIRST and dtype == "float32":
                    continue
                expected = expected_as(flat(wide.state[i][state]), random, dtype, of["codes"][role] == "i")
                if gradients(k, shapes)[i] is not None:
                    for found, one in zip(stored_as(opt, i, state, dtype), expected, strict=True):
                        same(found, one, f"step {k}, {state}[{i}]")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), CODED)
def test_states_in_eight_bits(name: str, variant: int, level: str) -> None:
    check_steps(name, variant, level, dict.fromkeys(coded_states(name, variant), "int8"))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), KEPT)
def test_states_in_bfloat16(name: str, variant: int, level: str) -> None:
    check_steps(name, variant, level, dict.fromkeys(stored_states(name, variant), "bfloat16"))


@pytest.mark.parametrize("others", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "variant"), [(n, i) for n, i in CODED if len(coded_states(n, i)) > 1])
def test_one_state_in_eight_bits(name: str, variant: int, others: str) -> None:
    """Rules with a loop of their own for codes take the common one here."""
    for state in coded_states(name, variant):
        rest = dict.fromkeys(stored_states(name, variant), others)
        check_steps(name, variant, LEVELS[-1], {**rest, state: "int8"})


def whole(upper: Any, rest: Any, kind: str) -> Any:
    if kind in ("split16", "split8"):
        return joined(upper, rest)
    return restored(upper, rest.view(np.uint16))


def narrowed(x: Any, kind: str, random: Any) -> tuple[Any, Any]:
    if kind == "kahan":
        return compensated(x)
    if kind == "stochastic":
        return to_bfloat16(x, random), None
    return split(x, 16) if kind == "split16" else split(x, 8, random)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("kind", "keywords"),
    [
        ("stochastic", {"rounding": "stochastic"}),
        ("kahan", {"rounding": "kahan"}),
        ("split16", {"master": "split16"}),
        ("split8", {"master": "split8"}),
        ("split8", {"master": "split8", "rounding": "stochastic"}),
    ],
    ids=["stochastic", "kahan", "split16", "split8", "split8 stochastic"],
)
@pytest.mark.parametrize(
    ("name", "states"),
    [("AdamW", None), ("AdamW", "int8"), ("SGD", None), ("Lion", None), ("Lion", "int8"), ("LAMB", None)],
)
def test_weights_in_bfloat16(name: str, states: Any, kind: str, keywords: dict[str, Any], level: str) -> None:
    options = {**setting(name), "weight_decay": 0.01}
    kept = dict.fromkeys(coded_states(name, 0), states) if states else None
    params = [to_bfloat16(p.ravel()).reshape(p.shape) for p in normal(1, SHAPES)]
    opt = make(name, params, level, dtype="bfloat16", seed=SEED, state_dtype=kept, **keywords, **options)
    for k in range(STEPS):
        saved = opt.state_dict()
        nothing = np.zeros(6000, {"split16": np.int16, "split8": np.int8}.get(kind, np.uint16))
        exact = []
        for i, p in enumerate(params):
            rest = saved["state"].get(i, {}).get(f"master.{kind}", nothing[: p.size])
            exact.append(
                (from_bfloat16(p) if kind == "stochastic" else whole(p.ravel(), rest, kind)).reshape(p.shape)
            )
        wide = make(name, exact, level, **options)
        unlike = {"rounding": "nearest", "master": None, "seed": 0, "state_dtype": None}
        wide.load_state_dict(saved, override=unlike)
        opt.step(gradients(k))
        wide.step(gradients(k))
        for i, after in enumerate(exact):
            random = dither(SEED, wide.state[i]["step"], i, 4, after.size)
            upper, rest = narrowed(after.ravel(), kind, random if "rounding" in keywords else 1 << 18)
            if gradients(k)[i] is not None:
                same(params[i].ravel(), upper, f"step {k}, params[{i}]")
                if rest is not None:
                    found = opt.state_dict()["state"][i][f"master.{kind}"]
                    same(found.view(rest.dtype), rest, f"step {k}, the rest of params[{i}]")
