"""How the engine's tests make optimizers: on any CPU level, with any number of threads, compared in bits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import fastopt
from draws import VARIANTS, draw
from fastopt import _dispatch

try:
    import ml_dtypes
except ModuleNotFoundError:  # it has no wheel for musl; the core of the suite does without
    BFLOAT16: Any = False  # no dtype: None would be float64
else:
    BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

LEVELS = [level for level in _dispatch.built() if level in _dispatch.possible()]
CLASSES = sorted(cls.__name__ for cls in fastopt.optimizers().values())
#: Every class with every one of its settings: together they reach every kernel a class can choose.
SETTINGS = [(name, i) for name in CLASSES for i in range(len(VARIANTS[name]))]
#: What a parameter may be, and what its gradient may be (DESIGN section 4).
PAIRS = {
    np.dtype(np.float64): (np.dtype(np.float64), np.dtype(np.float32)),
    np.dtype(np.float32): (np.dtype(np.float32), BFLOAT16, np.dtype(np.float16)),
    BFLOAT16: (BFLOAT16, np.dtype(np.float32)),
    np.dtype(np.float16): (np.dtype(np.float16), np.dtype(np.float32)),
}
PAIRS = {own: tuple(filter(None, given)) for own, given in PAIRS.items() if own}
HALVES = [dtype for dtype in PAIRS if dtype.itemsize == 2]
#: All that may happen to a gradient and a parameter around the rule.
EXTRAS: dict[str, Any] = {
    "weight_decay": 0.05,
    "l1": 0.01,
    "l1_proximal": 0.02,
    "maximize": True,
    "clip_value": 1.5,
    "clip_norm": 2.0,
    "nonfinite": "raise",
    "ema_decay": 0.9,
}


def setting(name: str, variant: int = 0) -> dict[str, Any]:
    """Hyper-parameters of a class, away from their defaults, the same at every call."""
    return draw(VARIANTS[name][variant], np.random.default_rng(variant))


#: The level that optimizers are made on is the process's, and tests may be run by several threads at once.
_level_in_use = threading.RLock()


@contextmanager
def on_level(level: str) -> Iterator[Any]:
    """Optimizers made inside use the engine of this level, for all their life."""
    with _level_in_use:
        before = _dispatch.core
        _dispatch.core = _dispatch.load(level)
        try:
            yield _dispatch.core
        finally:
            _dispatch.core = before


def shaped(rule: Mapping[str, Any]) -> dict[str, str]:
    """The states of a rule that are not the elements' own, with their shapes: kept as they are computed."""
    return {s: shape for s, shape in zip(rule["states"], rule["shapes"], strict=True) if s and shape}


def make(name: str, params: Any, level: str | None = None, **options: Any) -> Any:
    """An optimizer by the name of its class, on a level or on the best one."""
    with on_level(level or LEVELS[-1]):
        return getattr(fastopt, name)(params, **options)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Every level's pool has this many threads inside."""
    cores = [_dispatch.load(level) for level in LEVELS]
    before = [core.get_num_threads() for core in cores]
    for core in cores:
        core.set_num_threads(count)
    try:
        yield
    finally:
        for core, n in zip(cores, before, strict=True):
            core.set_num_threads(n)


def rouse(level: str) -> None:
    """Let the pool of a level share every region, however busy the machine is, and see that it does.

    It goes on doing so for the rest of the process, which only makes threads likelier to be used.
    """
    core = _dispatch.load(level)
    theta = np.zeros(1 << 17, np.float32)
    opt, grads = make("SGD", [theta], level, lr=0.0), [np.zeros_like(theta)]
    before = core.pool_statistics()["parallel"]
    core.set_eager(True)
    opt.step(grads)
    assert core.pool_statistics()["parallel"] > before, "the step did not run on several threads"


def bits(value: Any) -> Any:
    """Something that is equal exactly if every number, array, dtype and key is, to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, value.tobytes()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: bits(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(v) for v in value]
    return repr(value)  # NaN is not equal to itself


def everything(opt: Any) -> Any:
    """All that a failed call must not have changed."""
    arrays = [p for group in opt.param_groups for p in group["params"]]
    groups = [{k: v for k, v in group.items() if k != "params"} for group in opt.param_groups]
    ema = opt.ema if opt._ema_decay is not None else None
    return bits([arrays, opt.state_dict(), groups, ema, opt.grad_norm, opt.skipped, opt.step_count])


def normal(seed: int, shapes: Sequence[Any], dtype: Any = np.float32, scale: float = 1.0) -> list[Any]:
    """Random arrays, a few elements exactly 0 (of both signs)."""
    rng = np.random.default_rng(seed)
    made = []
    for shape in shapes:
        a = np.asarray(scale * rng.normal(size=shape))
        a = np.where(rng.random(size=shape) < 0.02, np.copysign(0.0, a), a)
        made.append(np.asarray(a).astype(dtype))
    return made


def differs(make_one: Callable[[], Any], change: Callable[[Any], None]) -> bool:
    """Does the change leave a trace? For tests of tests."""
    a, b = make_one(), make_one()
    change(b)
    return bool(everything(a) != everything(b))
