"""State dicts: good ones with nodes replaced, removed, renamed, exchanged, given to an optimizer of the same
class.

An own mutator of trees: what matters is structure (which key, which type, which dtype and shape), not bytes.

Held in each round: loaded, or CheckpointError and not a bit has changed. The dict itself is not modified.
What was loaded gives a state dict that a twin takes, and the next step is one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from making import make
from mutators import mutate_tree, strange

import fastopt
from engine import bits, everything

SHAPES = [(2, 3), (), 70]


def _arrays(dtype: Any = np.float32) -> list[Any]:
    return [np.full(shape, 1 + i, dtype) for i, shape in enumerate(SHAPES)]


def _plateau() -> Any:
    return fastopt.schedules.reduce_on_plateau(0.1, patience=1)


def _named() -> Any:
    w = dict(zip("abc", _arrays(), strict=True))
    return make("NAdam", w, lr=_plateau(), ema_decay=0.5, clip_norm=1.0)


def _groups() -> Any:
    w = _arrays()
    return make("Adam", [{"params": w[:2]}, {"params": w[2:], "lr": 0.5}], lr=0.1, amsgrad=True)


MAKERS: list[Callable[[], Any]] = [
    _named,
    _groups,
    lambda: make("SGD", _arrays(), lr=0.1, momentum=0.9, state_dtype="int8"),
    lambda: make("AdamW", _arrays(np.uint16), lr=0.1, dtype="bfloat16", master="split8", state_dtype="int8"),
    lambda: make("Adam", _arrays(np.float16), lr=0.1, rounding="kahan"),
    lambda: make("ScheduleFreeAdamW", _arrays(), lr=0.1),
    lambda: make("Prodigy", _arrays()),
    lambda: make("Muon", _arrays(np.float64), lr=0.1),
    lambda: make("Shampoo", _arrays(), lr=0.1),
    lambda: make("Kron", _arrays(), lr=0.1),
    lambda: make("Adafactor", _arrays(), lr=0.1),
    lambda: make("RowWiseAdam", _arrays(), lr=0.1, row_steps=True),
]


def _gradients(opt: Any) -> Any:
    grads = [np.ones_like(p) for group in opt.param_groups for p in group["params"]]
    return grads if opt._names is None else dict(zip(opt._names, grads, strict=True))


def _authors(foreign: Any) -> Any:
    """As the packages of Schedule-Free and Prodigy write it: numbers and counts are the group's."""
    d = copy.deepcopy(foreign)
    group, entries = d["param_groups"][0], d["state"].values()
    for name in ("weight_sum", "lr_max", "d", "d_max", "d_numerator"):
        found = [entry.pop(name) for entry in entries if name in entry]
        if found:
            group[name] = found[0]
    group["k"] = next(iter([entry.pop("step") for entry in entries]))
    return d


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(bits(a) == bits(b))
    except RecursionError:  # a knot in the mutated dict
        return True


def prepare() -> Callable[[Random], str]:
    warnings.simplefilter("ignore")  # a learning rate that was a callable is told of
    seeds = []
    for make_one in MAKERS:
        opt = make_one()
        for _ in range(2):
            opt.step(_gradients(opt))
        whole = opt.state_dict()
        foreign = {
            key: value for key, value in whole.items() if key != "fastopt"
        }  # as other libraries write it
        for good in (whole, whole, foreign, _authors(foreign)):
            one = make_one()
            seeds.append([make_one, one, everything(one), good])

    def one_round(rng: Random) -> str:
        if rng.randrange(10) == 0:
            return _small(rng)
        seed = rng.choice(seeds)
        make_one, opt, before, good = seed
        d = copy.deepcopy(good)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            mutate_tree(rng, d, strange)
        try:
            kept = copy.deepcopy(d)
        except TypeError:  # of what cannot be copied
            kept = d
        try:
            opt.load_state_dict(d)
        except fastopt.CheckpointError as error:
            assert str(error)  # noqa: PT017
            assert everything(opt) == before, "refused, and something has changed"
            assert _same(d, kept), "the dict was modified"
            return "refused"
        assert _same(d, kept), "the dict was modified"
        seed[1] = make_one()  # the next round begins with another
        seed[2] = everything(seed[1])
        _goes_on(opt, make_one)
        return "loaded"

    return one_round


def _goes_on(opt: Any, make_one: Callable[[], Any]) -> None:
    saved, twin = opt.state_dict(), make_one()
    twin.load_state_dict(saved)
    assert _same(twin.state_dict(), saved), "a twin that takes the state dict has another"
    try:
        opt.step(_gradients(opt))
    except RuntimeError as error:
        assert "eval()" in str(error) or "train()" in str(error)  # noqa: PT017 - the mode was loaded, too
    except ValueError as error:
        assert "expected" in str(error)  # noqa: PT017 - numbers beyond the type of computation


# --- objects with a small state ---

SMALL: list[Callable[[], Any]] = [
    lambda: fastopt.batches(np.arange(12.0), batch_size=4, epochs=3, seed=1),
    lambda: fastopt.batches(np.arange(12.0), batch_size=4, epochs=3, groups=np.arange(12) // 2),
    lambda: fastopt.EWMA(0.5),
]


def _small(rng: Random) -> str:
    make_one = rng.choice(SMALL)
    one = make_one()
    next(one) if hasattr(one, "__next__") else one.update(2.0)
    before = one.state_dict()
    d = copy.deepcopy(before)
    for _ in range(rng.choice((1, 1, 2))):
        mutate_tree(rng, d, strange)
    try:
        one.load_state_dict(d)
    except (TypeError, ValueError) as error:
        assert "expected" in str(error), error  # noqa: PT017
        assert bits(one.state_dict()) == bits(before)
        return "small, refused"
    next(one, None) if hasattr(one, "__next__") else one.update(2.0)
    return "small, loaded"
