"""What is dropped is gone at once, by its reference count: optimizers hold the memory of their states."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, make


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def dies(make_one: Callable[[], Any], use: Callable[[Any], None] = lambda one: None) -> bool:
    """Is it gone when the last reference is, after it was used?"""
    with without_collector():
        one = make_one()
        use(one)
        watch = weakref.ref(one)
        del one
        return watch() is None


@pytest.mark.parametrize("name", CLASSES)
def test_every_optimizer(name: str) -> None:
    groups = [
        {"params": [np.ones(3)]},
        {"params": [np.ones((2, 2))], "lr": fastopt.schedules.cosine(0.1, total=9)},
    ]
    assert dies(lambda: make(name, groups, ema_decay=0.9))
    assert dies(lambda: make(name, {"a": np.ones(3)}))


def step(opt: Any) -> None:
    opt.step([np.ones(3), np.ones(2)])


def failing_schedule(opt: Any) -> None:
    def fails(k: int) -> float:
        raise ArithmeticError

    opt.param_groups[0]["lr"] = fails
    with pytest.raises(ArithmeticError):
        step(opt)


def failing_step(opt: Any) -> None:
    with pytest.raises(ValueError, match="grads"):
        opt.step([np.ones(3)])


def interrupted(opt: Any) -> None:
    with pytest.raises(KeyboardInterrupt), opt.ema_weights():
        raise KeyboardInterrupt


def with_lookahead(opt: Any) -> None:
    with opt.lookahead():
        pass


def with_averages(opt: Any) -> None:
    with opt.ema_weights():
        pass


def load(opt: Any) -> None:
    opt.load_state_dict(opt.state_dict())


def keep_a_group(opt: Any) -> None:
    kept.append(opt.param_groups[0])


def add(opt: Any) -> None:
    opt.add_param_group({"params": [np.ones(4)]})
    opt.param_groups[1]["lr"] = 0.5


kept: list[Any] = []
USES: list[Callable[[Any], None]] = [
    step,
    failing_schedule,
    failing_step,
    interrupted,
    with_lookahead,
    with_averages,
    load,
    keep_a_group,
    add,
    repr,
    lambda opt: opt.bind_grads([np.ones(3), np.ones(2)]),
    lambda opt: opt.param_groups.__iter__(),
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_after_use(use: Callable[[Any], None]) -> None:
    def optimizer() -> Any:
        opt = make("SGD", [np.ones(3), np.ones(2)], lr=0.1, momentum=0.9, ema_decay=0.9)
        step(opt)
        return opt

    assert dies(optimizer, use)


def test_after_saving_and_loading(tmp_path: Path) -> None:
    def use(opt: Any) -> None:
        opt.save(tmp_path / "state.npz")
        opt.load(tmp_path / "state.npz")

    assert dies(lambda: make("Adam", [np.ones(3)]), use)


def test_the_states_go_too() -> None:
    with without_collector():
        opt = make("Adam", [np.ones(1000)], ema_decay=0.9)
        memory = [weakref.ref(a.base) for a in (*opt._states[0].values(), opt.ema[0])]
        del opt
        assert all(m() is None for m in memory)


def test_a_group_without_its_optimizer_says_so() -> None:
    group = make("Adam", [np.ones(3)], lr=0.25).param_groups[0]
    assert group["lr"] == 0.25
    with pytest.raises(RuntimeError, match="the optimizer of this group is gone"):
        group["lr"] = 0.5


def test_a_cycle_made_by_the_user_is_collected() -> None:
    with without_collector():
        opt = make("Adam", [np.ones(3)])

        def counts(k: int, own: Any = opt) -> float:
            return 0.1 * float(own.step_count + 1)

        opt.param_groups[0]["lr"] = counts
        opt.step([np.ones(3)])
        del counts
        watch = weakref.ref(opt)
        del opt
        gc.collect()
        assert watch() is None


@pytest.mark.parametrize(
    "make_one",
    [
        lambda: fastopt.batches(np.ones((6, 2)), np.ones(6), batch_size=2, groups=[0, 0, 1, 1, 2, 2]),
        lambda: fastopt.EWMA(),
        lambda: fastopt.schedules.warmup_cosine(0.1, warmup=2, total=9),
        lambda: fastopt.minimize(lambda x: float(x @ x), lambda x: 2 * x, np.ones(3)),
        lambda: fastopt.check_grad(lambda x: float(x @ x), lambda x: 2 * x, np.ones(3)),
        lambda: fastopt.critical_point(lambda x: 2 * x, np.zeros(3)),
        lambda: fastopt.hessian(lambda x: 2 * x, np.zeros(3)),
    ],
    ids=["batches", "EWMA", "schedule", "minimize", "check_grad", "critical_point", "hessian"],
)
def test_other_things(make_one: Callable[[], Any]) -> None:
    def use(one: Any) -> None:
        repr(one)
        if hasattr(one, "__next__"):
            next(one)

    assert dies(make_one, use)


def test_this_file_would_notice() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    assert not dies(Cycle)
