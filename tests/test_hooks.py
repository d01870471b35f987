"""Looking at arrays may run Python: a profiler, the name of an extension's dtype, a number's own `__float__`.

Whatever such code does to the caller's lists and arrays, a step works on what was checked, or is refused.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from engine import BFLOAT16, everything, make

SIZES = [5, 1 << 16]  # steps that keep the GIL, and that release it


@contextmanager
def when_a_dtype_is_named(act: Callable[[], None]) -> Iterator[list[int]]:
    """`act` runs as often as the name of a dtype is asked for: NumPy forms it in Python."""
    times = [0]

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_name == "_name_get":
            times[0] += 1
            sys.setprofile(None)
            act()
            sys.setprofile(profile)

    sys.setprofile(profile)
    try:
        yield times
    finally:
        sys.setprofile(None)


class Case:
    """Two parameters; the gradient of the second is of bfloat16, so that its dtype must be named."""

    def __init__(self, n: int) -> None:
        self.params = [np.zeros(n, np.float32), np.zeros(n, BFLOAT16)]
        self.opt = make("SGD", self.params, lr=1.0)
        self.grads: Any = [np.full(n, 2.0, np.float32), np.ones(n, BFLOAT16)]
        self.n = n

    def moved(self) -> list[float]:
        return [float(p[0]) if (p == p[0]).all() else np.nan for p in self.params]


def replace(case: Case) -> None:
    case.grads[0] = np.full(case.n, 64.0, np.float32)


def replace_by_something_else(case: Case) -> None:
    case.grads[0] = "no array"


def shorten(case: Case) -> None:
    case.grads[0] = np.full(1, 64.0, np.float32)


def clear(case: Case) -> None:
    case.grads.clear()


def grow(case: Case) -> None:
    case.grads.extend([None] * 1000)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("act", [replace, replace_by_something_else, shorten, clear, grow])
def test_a_list_that_changes_while_it_is_read(act: Callable[[Case], None], n: int) -> None:
    case = Case(n)
    watch = weakref.ref(case.grads[0])
    with when_a_dtype_is_named(lambda: act(case)) as times:
        case.opt.step(case.grads)
    assert times[0] >= 1
    assert case.moved() == [-2.0, -1.0]  # the arrays that were in it when the call was made
    if act is not grow:
        assert watch() is None  # and no reference is left


@pytest.mark.parametrize("n", SIZES)
def test_a_list_that_changes_while_it_is_bound(n: int) -> None:
    case = Case(n)
    with when_a_dtype_is_named(lambda: replace(case)):
        case.opt.bind_grads(case.grads)
    case.opt.step()
    assert case.moved() == [-2.0, -1.0]


def resize(a: Any) -> None:
    a.resize(3 * a.size, refcheck=False)


def shrink(a: Any) -> None:
    a.resize(1, refcheck=False)


def reshape(a: Any) -> None:
    a.shape = (1, a.size)


def retype(a: Any) -> None:
    a.dtype = np.int32


def freeze(a: Any) -> None:
    a.flags.writeable = False


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("change", [resize, shrink, reshape, retype, freeze])
@pytest.mark.parametrize("which", ["gradient", "parameter"])
@pytest.mark.parametrize("bound", [False, True], ids=["step", "bind_grads"])
def test_an_array_that_changes_after_it_was_looked_at(
    which: str, change: Callable[[Any], None], n: int, bound: bool
) -> None:
    case = Case(n)
    victim = (case.grads if which == "gradient" else case.params)[0]
    others = [case.params[1], *([case.params[0]] if which == "gradient" else [])]
    call = case.opt.bind_grads if bound else lambda grads: case.opt.step(grads, zero_grads=True)
    name = "grads" if which == "gradient" else "params"
    if bound and which == "gradient" and change is freeze:
        return  # a gradient is only read
    with when_a_dtype_is_named(lambda: change(victim)), pytest.raises(ValueError, match=rf"{name}\[0\]: "):
        call(case.grads)
    assert all((p == 0).all() for p in others)
    assert case.opt.step_count == 0


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("change", [resize, shrink, reshape, retype, freeze])
def test_a_parameter_that_changes_while_a_group_is_added(change: Callable[[Any], None]) -> None:
    """It is taken as it has become, or refused; what cannot happen is a step through the old memory."""
    for at in (1, 2, 3, 4, 5, 6):
        opt = make("Adam", [np.zeros(3)], lr=1.0, state_dtype=np.float32)
        new = [np.zeros(40_000, np.float32), np.zeros(7, BFLOAT16)]
        seen = [0]

        def act(new: Any = new, seen: Any = seen, at: int = at) -> None:
            seen[0] += 1
            if seen[0] == at:
                change(new[0])

        before = everything(opt)
        try:
            with when_a_dtype_is_named(act):
                opt.add_param_group({"params": new})
        except (TypeError, ValueError):
            assert everything(opt) == before
            opt.step([np.ones(3)])
        else:
            if change is not freeze and new[0].dtype == np.float32:
                opt.step([np.ones(3), np.ones(new[0].shape, np.float32), np.ones(7, BFLOAT16)])


class Indexed:
    """A number that does something when it is read."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __float__(self) -> float:
        self.act()
        return 2.0


@pytest.mark.parametrize("n", SIZES)
def test_a_scale_that_changes_the_list_when_it_is_read(n: int) -> None:
    case = Case(n)

    def act() -> None:
        case.grads[:] = [np.full(n, 8.0, np.float32), np.full(n, 4.0, BFLOAT16)]

    case.opt.step(case.grads, grad_scale=Indexed(act))
    assert case.moved() == [-4.0, -2.0]  # it is read first


def test_hyper_parameters_that_change_their_dict() -> None:
    opt = make("Adam", [np.zeros(3)])
    hypers: dict[str, Any] = {}
    hypers |= {"beta1": Indexed(hypers.clear), "eps": 0.5}
    opt._plan.set_hypers(0, hypers)
    assert hypers == {}


def test_a_hook_that_steps_is_refused() -> None:
    case = Case(5)
    errors: list[BaseException] = []

    def act() -> None:
        for call in (
            lambda: case.opt.step(case.grads),
            case.opt.state_dict,
            lambda: case.opt.param_groups[0].update(lr=2.0),
        ):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)

    with when_a_dtype_is_named(act) as times:
        case.opt.step(case.grads)
    assert len(errors) == 3 * times[0]
    assert case.moved() == [-2.0, -1.0]


def test_a_hook_that_raises_comes_through_and_nothing_has_changed() -> None:
    class Stop(Exception):
        pass

    def act() -> None:
        raise Stop

    for call in (lambda c: c.opt.step(c.grads), lambda c: c.opt.bind_grads(c.grads)):
        case = Case(5)
        with pytest.raises(Stop), when_a_dtype_is_named(act):
            call(case)
        assert case.moved() == [0, 0]
        case.opt.step(case.grads)
        assert case.moved() == [-2.0, -1.0]


def test_a_step_keeps_no_reference() -> None:
    grads = [np.ones(3), np.ones(3)]
    opt = make("SGD", [np.zeros(3), np.zeros(3)])
    before = [sys.getrefcount(g) for g in grads]
    for _ in range(5):
        opt.step(grads)
        opt.step(tuple(grads))
        with pytest.raises(ValueError, match="grads"):
            opt.step([*grads, None])
        with pytest.raises(TypeError, match="grads"):
            opt.step([grads[0], "no array"])
    assert [sys.getrefcount(g) for g in grads] == before
