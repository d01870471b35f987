"""A step on what is stored in fewer bits is: widen, step in float32, narrow; bit by bit, with the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coded import compensated, dither, encode, from_bfloat16, joined, split, to_bfloat16
from engine import LEVELS, SETTINGS, make, normal, setting
from fastopt import _state

#: Either side of a group and of a run of random bits, more than a block, and another order of memory.
SHAPES: list[Any] = [63, 65, (3, 1025), 5000]
STEPS, SEED = 3, 7


#: Its second pass reads the averages that the first has stored, so theta moves by what is kept.
ROUNDED_FIRST = ("LAMB",)


def rule(name: str, variant: int) -> Any:
    return _state.rule_of(make(name, normal(0, [4]), **setting(name, variant)), 0)


CODED = [(n, i) for n, i in SETTINGS if any(rule(n, i)["codes"])]
KEPT = [(n, i) for n, i in SETTINGS if any(rule(n, i)["states"])]


def parameters() -> list[Any]:
    return [np.asarray(p, order="F") for p in normal(1, SHAPES)]


def gradients(k: int) -> list[Any]:
    """Of many sizes, two not finite; the third tensor misses a step, so that counts differ."""
    rng = np.random.default_rng(100 + k)
    made = normal(k, SHAPES)
    for g in made:
        g *= (10.0 ** rng.uniform(-5, 1, g.shape)).astype(np.float32)
    if k == 1:
        made[0][7], made[3][100] = np.inf, np.nan
    return [None if (k, i) == (1, 2) else g for i, g in enumerate(made)]


def flat(array: Any) -> Any:
    return np.asarray(array).ravel(order="K")


def same(found: Any, expected: Any, what: str) -> None:
    assert found.dtype == expected.dtype, what
    different = np.flatnonzero(flat(found).view(np.uint8) != flat(expected).view(np.uint8))
    assert different.size == 0, f"{what}: {different.size} bytes differ, the first is {different[:1]}"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), CODED)
def test_states_in_eight_bits(name: str, variant: int, level: str) -> None:
    options, of = setting(name, variant), rule(name, variant)
    codes = {s: c for s, c in zip(of["states"], of["codes"], strict=True) if s and c}
    params = parameters()
    opt = make(name, params, level, state_dtype=dict.fromkeys(codes, "int8"), seed=SEED, **options)
    for k in range(STEPS):
        copies = [p.copy(order="K") for p in params]
        wide = make(name, copies, level, **options, seed=SEED)
        wide.load_state_dict(opt.state_dict(), override={"state_dtype": None})
        opt.step(gradients(k))
        wide.step(gradients(k))
        saved = opt.state_dict()["state"]
        for i, after in enumerate(copies):
            if name not in ROUNDED_FIRST:
                same(params[i], after, f"step {k}, params[{i}]")
            for state, kind in codes.items():
                random = dither(SEED, wide.state[i]["step"], i, of["states"].index(state), after.size)
                found = encode(flat(wide.state[i][state]), random, kind == "i")
                for part, expected in zip(("codes", "scales"), found, strict=True):
                    if gradients(k)[i] is not None:
                        same(saved[i][f"{state}.{part}"], expected, f"step {k}, {state}[{i}].{part}")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "variant"), KEPT)
def test_states_in_bfloat16(name: str, variant: int, level: str) -> None:
    options, of = setting(name, variant), rule(name, variant)
    params = parameters()
    opt = make(name, params, level, state_dtype="bfloat16", seed=SEED, **options)
    for k in range(STEPS):
        copies = [p.copy(order="K") for p in params]
        wide = make(name, copies, level, **options, seed=SEED)
        wide.load_state_dict(opt.state_dict(), override={"state_dtype": None})
        opt.step(gradients(k))
        wide.step(gradients(k))
        for i, after in enumerate(copies):
            if name not in ROUNDED_FIRST:
                same(params[i], after, f"step {k}, params[{i}]")
            for state in filter(None, of["states"]):
                random = dither(SEED, wide.state[i]["step"], i, of["states"].index(state), after.size)
                if gradients(k)[i] is not None:
                    found = np.asarray(opt.state[i][state]).view(np.uint16)
                    same(
                        flat(found),
                        to_bfloat16(flat(wide.state[i][state]), random),
                        f"step {k}, {state}[{i}]",
                    )


def whole(upper: Any, rest: Any, kind: str) -> Any:
    if kind in ("split16", "split8"):
        return joined(upper, rest)
    return from_bfloat16(upper) + from_bfloat16(rest.view(np.uint16))


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
@pytest.mark.parametrize("name", ["AdamW", "SGD", "Lion", "LAMB"])
def test_weights_in_bfloat16(name: str, kind: str, keywords: dict[str, Any], level: str) -> None:
    options = {**setting(name), "weight_decay": 0.01}
    params = [to_bfloat16(p.ravel()).reshape(p.shape) for p in normal(1, SHAPES)]
    opt = make(name, params, level, dtype="bfloat16", seed=SEED, **keywords, **options)
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
        unlike = dict.fromkeys(("rounding", "master", "seed"))
        wide.load_state_dict(saved, override={**unlike, "rounding": "nearest", "seed": 0})
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
