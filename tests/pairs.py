"""Every public class beside its oracle: the registry, twins over the same groups, and what a run leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastopt
from battery import Problem
from draws import GROUP, VARIANTS, Draw, draw
from oracle import Oracle

OF_A_GROUP = ("eps",)
CLASSES = {cls.__name__: cls for cls in fastopt.optimizers().values()}
KNOWN = sorted(CLASSES.keys() & VARIANTS.keys())


def drawn(name: str, setting: Draw, whole: Draw, seed: int) -> tuple[Draw, Draw, Draw]:
    """Options of the optimizer, and those of its two groups."""
    rng = np.random.default_rng(seed)
    options, first, second = draw(whole, rng), draw(setting, rng), draw(setting, rng)
    if CLASSES[name].rule.norms == "all":  # what sums over all groups is formed of is theirs together
        second |= {key: value for key, value in first.items() if key not in (*OF_A_GROUP, *GROUP)}
    return options, first, second


def pair(name: str, setting: Draw, whole: Draw, given: Problem, seed: int) -> tuple[Any, Oracle]:
    """An optimizer and its oracle over the same two groups, each group with its own draw of the setting."""
    options, first, second = drawn(name, setting, whole, seed)
    opt = CLASSES[name](given.groups(first, second), **options)
    return opt, Oracle(name, given.groups(first, second), **options)


def trio(
    name: str, setting: Draw, whole: Draw, given: Problem, seed: int
) -> tuple[Any, Oracle, Oracle | None]:
    """The same and the oracle's twin in single precision: the yardstick of float32, float64 needs none."""
    opt, oracle = pair(name, setting, whole, given, seed)
    if given.params[0].dtype == np.float64:
        return opt, oracle, None
    options = draw(whole, np.random.default_rng(seed))  # the first that pair draws from this seed
    return opt, oracle, Oracle(name, oracle.param_groups, **options, dtype=np.float32)


def arrays(opt: Any) -> list[Any]:
    return [p for group in opt.param_groups for p in group["params"]]


def results(opt: Any) -> list[dict[str, Any]]:
    """All that a run leaves of each tensor: its values, states (``t0`` moves only those) and average."""
    state = opt.state_dict()["state"]
    average = getattr(opt, "ema", None)
    left = [{"theta": p, **state.get(i, {})} for i, p in enumerate(arrays(opt))]
    return [{**tensor, **({"ema": average[i]} if average else {})} for i, tensor in enumerate(left)]
