"""Every call on an optimizer is one operation: it sees one step or raises "in use", whatever others do.

Gradients of 1 and momentum 0.5 make every state a function of the number of steps, exactly, so whatever is
seen says which step it is from.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, everything, make
from test_threads import INTERRUPTS, in_child, needs_fork, needs_timer, python

LARGE = 1 << 18


class Stepping:
    """An optimizer that another thread steps without a pause while the block runs."""

    def __init__(self, n: int = LARGE, **options: Any) -> None:
        self.theta = [np.zeros(n), np.zeros(n)]
        self.grads: list[Any] = [np.ones(n), np.ones(n)]
        # momentum 0.5 and gradient 1: the buffer after k steps is 2 - 2^(1 - k), exactly
        self.opt: Any = make("SGD", self.theta, lr=1.0, momentum=0.5, ema_decay=0.0, **options)
        self.opt.step(self.grads)
        self.done, self.refused, self.failed = 1, 0, []
        self._stop = threading.Event()

    def _forever(self) -> None:
        while not self._stop.is_set():
            try:
                self.opt.step(self.grads)
                self.done += 1
            except RuntimeError as error:
                if "in use" not in str(error) and "inside `with" not in str(error):
                    self.failed.append(error)
                self.refused += 1
            except BaseException as error:
                self.failed.append(error)
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._forever)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(60)
        assert not thread.is_alive()
        assert self.failed == []

    def until_done(self, call: Callable[[], Any], times: int) -> list[Any]:
        """Results of so many calls that were not refused."""
        results = []
        until = time.monotonic() + 60
        while len(results) < times:
            assert time.monotonic() < until, "never free"
            try:
                results.append(call())
            except RuntimeError as error:
                assert "in use" in str(error)  # noqa: PT017 - the others succeed
        return results


def buffer_after(k: int) -> float:
    return 2.0 - 2.0 ** (1 - k)


def is_of_one_step(d: dict[str, Any], momentum: str = "momentum_buffer") -> bool:
    k = d["fastopt"]["step_count"]
    entries = d["state"].values()
    return all(e["step"] == k for e in entries) and all(
        (e[momentum] == buffer_after(k)).all() for e in entries
    )


def averages_are_of_it(d: dict[str, Any]) -> bool:
    """With ema_decay 0 the average is theta: minus the sum of the buffers."""
    k = d["fastopt"]["step_count"]
    theta = -sum(buffer_after(i) for i in range(1, k + 1))
    return all(np.allclose(a, theta, rtol=1e-12) and (a == a[0]).all() for a in d["fastopt"]["ema"])


def test_a_state_dict_is_of_one_step() -> None:
    s = Stepping()
    with s.running():
        dicts = s.until_done(s.opt.state_dict, 20)
    assert all(is_of_one_step(d) and averages_are_of_it(d) for d in dicts)
    assert s.opt.step_count == s.done


def test_every_file_is_whole_and_of_one_step(tmp_path: Path) -> None:
    """Saved again and again over one file, each time in the middle of steps of milliseconds."""
    n = 1 << 20
    s = Stepping(n)
    path = tmp_path / "state.npz"
    s.opt.save(path)
    with s.running():
        for _ in range(8):
            s.until_done(lambda: s.opt.save(path), 1)
            other = make("SGD", [np.zeros(n), np.zeros(n)], lr=1.0, momentum=0.5, ema_decay=0.0)
            other.load(path)
            assert is_of_one_step(other.state_dict())


def test_loading_is_one_operation() -> None:
    """The states of two optimizers far apart, loaded in turn: what is seen is never half of each."""
    s = Stepping()
    early = s.opt.state_dict()
    with s.running():
        while s.opt.step_count < 40:
            time.sleep(0.001)
        for _ in range(10):
            s.until_done(lambda: s.opt.load_state_dict(early), 1)
            assert all(is_of_one_step(d) for d in s.until_done(s.opt.state_dict, 2))
    assert is_of_one_step(s.opt.state_dict())


def test_the_averages_come_and_the_parameters_return_between_two_steps() -> None:
    s = Stepping()

    def swapped() -> bool:
        with s.opt.ema_weights():
            first = s.theta[0].copy(), s.theta[1].copy()
            time.sleep(0.001)
            second = s.theta[0].copy(), s.theta[1].copy()
            saved = s.opt.state_dict()
        return bool(
            all((a == a[0]).all() and (a == b).all() for a, b in zip(first, second, strict=True))
            and is_of_one_step(saved)
        )

    with s.running():
        assert all(s.until_done(swapped, 15))
    theta = -sum(buffer_after(i) for i in range(1, s.done + 1))
    np.testing.assert_allclose(s.theta[0], theta, rtol=1e-12)
    assert (s.theta[0] == s.theta[1][0]).all()


def test_two_threads_in_ema_weights_at_once() -> None:
    theta = np.zeros(1000)
    opt = make("SGD", [theta], lr=1.0, ema_decay=0.5)
    for _ in range(3):
        opt.step([np.ones(1000)])
    before, inside, refused = theta.copy(), [], []
    average = opt.ema[0].copy()

    def enter(i: int) -> None:
        for _ in range(300):
            try:
                with opt.ema_weights():
                    inside.append((theta == average).all())
            except RuntimeError as error:
                refused.append("inside `with" in str(error) or "in use" in str(error))

    threads = [threading.Thread(target=enter, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(inside)
    assert all(refused)
    assert len(inside) + len(refused) == 1200
    np.testing.assert_array_equal(theta, before)


def test_groups_are_changed_between_two_steps() -> None:
    s = Stepping()
    with s.running():
        s.until_done(lambda: s.opt.param_groups[0].update(lr=1.0, dampening=0.0), 20)
    assert is_of_one_step(s.opt.state_dict())


def test_groups_are_added_between_two_steps() -> None:
    """A step takes all groups that there are, or none: its list is too short, or as long as it must be."""
    n = 1 << 16
    opt = make("SGD", [np.zeros(n)], lr=1.0, momentum=0.5, ema_decay=0.0)
    stop, failed = threading.Event(), []

    def forever() -> None:
        while not stop.is_set():
            try:
                opt.step([np.ones(n)] * len(opt.param_groups))
            except RuntimeError as error:
                failed.extend([error] * ("in use" not in str(error)))
            except ValueError as error:
                failed.extend([error] * ("one for each parameter" not in str(error)))

    thread = threading.Thread(target=forever)
    thread.start()
    try:
        added = 0
        while added < 10:
            try:
                opt.add_param_group({"params": [np.zeros(n)]})
                added += 1
            except RuntimeError as error:
                assert "in use" in str(error)  # noqa: PT017
    finally:
        stop.set()
        thread.join(60)
    assert failed == []
    for i, entry in opt.state_dict()["state"].items():
        assert (entry["momentum_buffer"] == buffer_after(entry["step"])).all(), i


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "step": lambda opt: opt.step([np.ones(3)]),
    "state_dict": lambda opt: opt.state_dict(),
    "load_state_dict": lambda opt: opt.load_state_dict(STATE),
    "ema_weights": lambda opt: opt.ema_weights().__enter__(),
    "lookahead": lambda opt: opt.lookahead().__enter__(),
    "add_param_group": lambda opt: opt.add_param_group({"params": [np.ones(2)]}),
    "bind_grads": lambda opt: opt.bind_grads([np.ones(3)]),
    "assign": lambda opt: opt.param_groups[0].__setitem__("lr", 0.5),
    "update": lambda opt: opt.param_groups[0].update(lr=0.5),
}


def small() -> Any:
    opt = make("SGD", [np.ones(3)], lr=0.1, momentum=0.9, ema_decay=0.9)
    opt.step([np.ones(3)])
    return opt


STATE = small().state_dict()


@pytest.mark.parametrize("name", OPERATIONS)
def test_while_one_runs_no_other_begins(name: str) -> None:
    """From the same thread (a hook, a signal handler) and from another one: refused, nothing has changed."""
    opt = small()
    before = everything(opt)
    with opt._plan.exclusive():
        with pytest.raises(RuntimeError, match="this optimizer is in use"):
            OPERATIONS[name](opt)
        errors: list[BaseException] = []

        def elsewhere() -> None:
            try:
                OPERATIONS[name](opt)
            except BaseException as error:
                errors.append(error)

        t = threading.Thread(target=elsewhere)
        t.start()
        t.join()
        assert [type(e) for e in errors] == [RuntimeError]
        # what only tells may be asked at any time
        assert (opt.step_count, opt.skipped, opt.grad_norm, opt.param_groups[0]["lr"]) == (1, 0, None, 0.1)
    assert everything(opt) == before
    OPERATIONS["step"](opt)


def test_saving_is_refused_too(tmp_path: Path) -> None:
    opt = small()
    path = tmp_path / "state.npz"
    opt.save(path)
    kept = path.read_bytes()
    with opt._plan.exclusive():
        for call in (opt.save, opt.load):
            with pytest.raises(RuntimeError, match="in use"):
                call(path)
    assert path.read_bytes() == kept


class Interrupting(dict[str, Any]):
    """A state dict whose reading is interrupted after so many look-ups."""

    def __init__(self, given: dict[str, Any], left: list[int]) -> None:
        super().__init__(
            {
                k: Interrupting(v, left) if isinstance(v, dict) and k != "options" else v
                for k, v in given.items()
            }
        )
        self.left = left

    def get(self, key: str, default: Any = None) -> Any:
        self.left[0] -= 1
        if self.left[0] == 0:
            raise KeyboardInterrupt
        return super().get(key, default)


def test_an_interrupted_load_changes_nothing_and_leaves_no_lock() -> None:
    interrupted = 0
    for after in range(1, 30):
        opt, twin = small(), small()
        opt.step([np.ones(3)])
        twin.step([np.ones(3)])
        try:
            opt.load_state_dict(Interrupting(STATE, [after]))
        except KeyboardInterrupt:
            interrupted += 1
            assert everything(opt) == everything(twin)
            opt.step([np.ones(3)])
        else:
            break
    assert interrupted > 3


def test_loading_its_own_arrays_in_another_order() -> None:
    """`opt.ema` is live: what is read must be read before it is overwritten."""
    opt = make("SGD", [np.zeros(3), np.zeros(3)], lr=1.0, momentum=0.5, ema_decay=0.0)
    opt.step([np.full(3, 1.0), np.arange(3.0)])
    d = opt.state_dict()
    d["fastopt"]["ema"] = [opt.ema[1][::-1], opt.ema[0]]
    opt.load_state_dict(d)
    np.testing.assert_array_equal(opt.ema[0], [-2, -1, 0])
    np.testing.assert_array_equal(opt.ema[1], [-1, -1, -1])


@pytest.mark.parametrize("order", ["C", "F", "backwards", "misaligned", "gaps"])
def test_saved_arrays_may_lie_in_any_way(order: str) -> None:
    rng = np.random.default_rng(1)

    def optimizer() -> Any:
        return make("Adam", [np.asfortranarray(np.ones((4, 5, 3)))[:, ::-1]], lr=0.1)

    opt, other = optimizer(), optimizer()
    opt.step([rng.normal(size=(4, 5, 3))])
    d = opt.state_dict()

    def placed(a: Any) -> Any:
        if order == "misaligned":
            raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        elif order == "gaps":
            raw = np.zeros((4, 10, 9))[:, ::2, ::3]
        else:
            raw = np.zeros(a.shape, order="F" if order == "F" else "C")
            raw = raw[::-1, :, ::-1] if order == "backwards" else raw
        raw[...] = a
        return raw

    d["state"][0] = {k: placed(v) if isinstance(v, np.ndarray) else v for k, v in d["state"][0].items()}
    other.load_state_dict(d)
    for each in (opt, other):
        each.step([np.ones((4, 5, 3))])
    assert everything(other)[1:] == everything(opt)[1:]


# --- schedules ---


def test_a_constant_assigned_while_a_schedule_is_asked_stays() -> None:
    """The rate that was asked is of a group that has none any more."""
    opt = make("SGD", [np.zeros(3)], lr=1.0)

    def assigns(k: int) -> float:
        opt.param_groups[0]["lr"] = 0.25
        return 64.0

    opt.param_groups[0]["lr"] = assigns
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    np.testing.assert_array_equal(opt._params[0], -0.5)


def test_a_step_taken_while_a_schedule_is_asked_makes_its_answer_stale() -> None:
    opt = make("SGD", [np.zeros(3)], lr=1.0)
    state = make("SGD", [np.zeros(3)], lr=lambda k: 1.0)
    state.step([np.ones(3)])
    d = state.state_dict()

    def loads(k: int) -> float:
        if k == 0:
            with pytest.warns(UserWarning, match="cannot be saved"):
                opt.load_state_dict(d)
        return float(k + 1)

    opt.param_groups[0]["lr"] = loads
    with pytest.raises(RuntimeError, match="in use"):
        opt.step([np.ones(3)])
    np.testing.assert_array_equal(opt._params[0], 0)
    opt.step([np.ones(3)])
    np.testing.assert_array_equal(opt._params[0], -2)


# --- parameters elsewhere ---


def test_a_parameter_resized_inside_is_named_and_the_others_return() -> None:
    a, b = np.zeros(3), np.zeros(4)
    opt = make("SGD", [a, b], lr=1.0, ema_decay=0.5)
    for _ in range(2):
        opt.step([np.ones(3), np.ones(4)])
    context = opt.ema_weights()
    context.__enter__()
    np.testing.assert_array_equal(b, -1.5)
    a.resize(50_000, refcheck=False)
    with pytest.raises(ValueError, match=r"params\[0\]: was resized"):
        context.__exit__()
    np.testing.assert_array_equal(b, -2)
    assert not opt._plan.elsewhere


def test_of_several_resized_inside_the_first_is_named() -> None:
    params = [np.zeros(3) for _ in range(4)]
    opt = make("SGD", params, lr=1.0, ema_decay=0.5)
    for _ in range(2):
        opt.step([np.ones(3)] * 4)
    context = opt.ema_weights()
    context.__enter__()
    for at in (1, 2):
        params[at].resize(50_000, refcheck=False)
    with pytest.raises(ValueError, match=r"params\[1\]: was resized"):
        context.__exit__()
    for at in (0, 3):
        np.testing.assert_array_equal(params[at], -2)
    assert not opt._plan.elsewhere


def test_a_shadow_resized_inside_is_named() -> None:
    a = np.zeros(3, np.float32)
    opt = make("SGD", [a], lr=1.0, ema_decay=0.5)
    theta, shadow = np.ones(4, np.float32), np.zeros(4, BFLOAT16)
    opt.add_param_group({"params": [theta], "shadow": [shadow]})
    for _ in range(2):
        opt.step([np.ones(3, np.float32), np.ones(4, np.float32)])
    context = opt.ema_weights()
    context.__enter__()
    shadow.resize(50_000, refcheck=False)
    with pytest.raises(ValueError, match=r"params\[1\]: was resized"):
        context.__exit__()
    np.testing.assert_array_equal(a, -2)


def test_a_context_that_is_dropped_tells_what_it_cannot_put_back(monkeypatch: Any) -> None:
    """There is no caller to raise to."""
    a, b = np.zeros(3), np.zeros(3)
    opt = make("SGD", [a, b], lr=1.0, ema_decay=0.5)
    for _ in range(2):
        opt.step([np.ones(3), np.ones(3)])
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: told.append((seen.exc_type, str(seen.exc_value))))
    context: Any = opt.ema_weights()
    context.__enter__()
    a.resize(50_000, refcheck=False)
    del context
    [(kind, words)] = told
    assert kind is ValueError
    assert "params[0]: was resized" in words
    np.testing.assert_array_equal(b, -2)
    assert not opt._plan.elsewhere


def test_a_parameter_made_read_only_inside_returns() -> None:
    a = np.zeros(3)
    opt = make("SGD", [a], lr=1.0, ema_decay=0.5)
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    with opt.ema_weights():
        a.flags.writeable = False
    np.testing.assert_array_equal(a, -2)


def test_a_context_that_is_dropped_puts_the_parameters_back() -> None:
    a = np.zeros(3)
    opt = make("SGD", [a], lr=1.0, ema_decay=0.5)
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    context: Any = opt.ema_weights()
    context.__enter__()
    np.testing.assert_array_equal(a, -1.5)
    with pytest.raises(RuntimeError, match="entered already"):
        context.__enter__()
    del context
    np.testing.assert_array_equal(a, -2)
    opt.step([np.ones(3)])


# --- Ctrl-C ---


class InterruptAt:
    """Raises KeyboardInterrupt at the n-th line of Python that the library executes, or contextlib for it."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        file = frame.f_code.co_filename
        if frame.f_code.co_name == "<genexpr>":  # what is raised while one is closed, Python itself swallows
            return None
        if "fastopt" not in file.replace(os.sep, "/").rpartition("/tests/")[2] and "contextlib" not in file:
            return None
        if event in ("line", "return"):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self)

    def __exit__(self, *args: object) -> None:
        sys.settrace(self.before)


def aside(opt: Any) -> None:
    with opt.ema_weights():
        pass


def ahead(opt: Any) -> None:
    with opt.lookahead():
        pass


def averaging() -> Any:
    opt = make("ScheduleFreeSGD", [np.ones(3)], lr=0.5)
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    return opt


def averaged(opt: Any) -> None:
    with opt.averaged_weights():
        pass


def evaluating() -> Any:
    opt = averaging()
    opt.eval()
    return opt


def scheduled() -> Any:
    opt = make("SGD", [np.ones(3)], lr=fastopt.schedules.cosine(0.1, total=9), momentum=0.9, ema_decay=0.9)
    opt.step([np.ones(3)])
    return opt


LATER = small()
LATER.step([np.full(3, 5.0)])
LATER = LATER.state_dict()
EVALUATED = evaluating().state_dict()
INTERRUPTED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "state_dict": (small, lambda opt: opt.state_dict()),
    "load_state_dict": (small, lambda opt: opt.load_state_dict(LATER)),
    "update": (small, lambda opt: opt.param_groups[0].update(lr=0.5, weight_decay=0.25)),
    "a schedule": (small, lambda opt: opt.param_groups[0].update(lr=fastopt.schedules.cosine(0.1, total=9))),
    "a constant": (scheduled, lambda opt: opt.param_groups[0].update(lr=0.5)),
    "add_param_group": (small, lambda opt: opt.add_param_group({"params": [np.ones(2), np.ones(1)]})),
    "ema_weights": (small, aside),
    "lookahead": (small, ahead),
    "averaged_weights": (averaging, averaged),
    "eval": (averaging, lambda opt: opt.eval()),
    "train": (evaluating, lambda opt: opt.train()),
    "load_state_dict, of another mode": (averaging, lambda opt: opt.load_state_dict(EVALUATED)),
    "lookahead, scheduled": (scheduled, ahead),
    "step": (small, lambda opt: opt.step([np.full(3, 2.0)])),
    "step, scheduled": (scheduled, lambda opt: opt.step([np.full(3, 2.0)])),
}


@pytest.mark.parametrize("name", INTERRUPTED)
def test_an_interrupt_at_every_line(name: str) -> None:
    """The call was made or it was not, nothing is locked, the parameters are at their own place."""
    new, call = INTERRUPTED[name]
    done = new()
    call(done)
    outcomes = [everything(new()), everything(done)]
    grads = [np.full(3, -1.0), np.ones(2), np.ones(1)]
    for n in range(1, 2000):
        opt = new()
        try:
            with InterruptAt(n):
                call(opt)
        except KeyboardInterrupt:
            assert everything(opt) in outcomes, n
            for twin in (new(), done := new()):
                if twin is done:
                    call(done)
                if everything(twin) == everything(opt):
                    break
            for each in (opt, twin):
                if hasattr(each, "train"):
                    each.train()
                each.step(grads[: len(each._params)])
            assert everything(opt) == everything(twin), n
        else:
            break
    assert 1 < n < 1999


@needs_timer
def test_ctrl_c_at_any_place_leaves_a_free_optimizer_as_it_was() -> None:
    """Whatever was interrupted was done or not, nothing is left locked, the parameters are at their place."""
    code = """
import numpy as np, fastopt
theta, g = np.zeros(2000), np.ones(2000)
opt = fastopt.SGD([theta], lr=lambda k: 1.0, momentum=0.5, ema_decay=0.5)
opt.step([g]); opt.step([g])
early = opt.state_dict()
early["param_groups"][0]["lr_schedule"] = None
interrupted = added = 0
for n in range(40):
    try:
        interrupt_after(0.003 + 0.0005 * (n % 7))
        while arrived == n:
            opt.state_dict()
            with opt.ema_weights(): pass
            with opt.lookahead(): pass
            opt.param_groups[0].update(lr=1.0, weight_decay=0.0)
            opt.load_state_dict(early)
            opt.param_groups[0].update(lr=lambda k: 1.0)
            opt.step([g] + [None] * added)
            if added < 5:
                opt.add_param_group({"params": [np.zeros(3)], "lr": 1.0})
                added += 1
                early = opt.state_dict()
                early["param_groups"][0]["lr_schedule"] = None
    except KeyboardInterrupt:
        interrupted += 1
    added = len(opt.param_groups) - 1
    assert len(opt._params) == len(opt._states) == len(opt.ema) == added + 1
    opt.param_groups[0].update(lr=lambda k: 1.0)
    early = opt.state_dict()
    early["param_groups"][0]["lr_schedule"] = None
    before = theta.copy()
    with opt.ema_weights(): pass
    assert (theta == before).all() and (theta == theta[0]).all()
    opt.step([g] + [None] * added)
    assert (theta < before).all()
print(interrupted)
"""
    done = python(INTERRUPTS + code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")


# --- fork ---


@needs_fork
def test_a_fork_while_another_thread_is_in_the_middle_of_something() -> None:
    """The child has the optimizer as it was, free, with its parameters at their own place."""
    theta = np.zeros(3)
    opt = make("SGD", [theta], lr=1.0, ema_decay=0.5)
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    there, go_on = threading.Event(), threading.Event()

    def holds(inside: Any) -> None:
        with inside:
            there.set()
            go_on.wait(60)

    for inside in (opt._plan.exclusive(), opt._plan.asking(), opt.ema_weights()):
        there.clear()
        go_on.clear()
        thread = threading.Thread(target=holds, args=(inside,))
        thread.start()
        there.wait(60)

        def child() -> bool:
            opt.step([np.ones(3)])
            opt.param_groups[0]["lr"] = lambda k: 1.0
            opt.step([np.ones(3)])
            return bool(opt.state_dict()["state"][0]["step"] == 4 and (theta == -4).all())

        try:
            in_child(child)
        finally:
            go_on.set()
            thread.join()
    opt.step([np.ones(3)])
    np.testing.assert_array_equal(theta, -3)


@needs_fork
def test_a_fork_inside_of_the_block_itself() -> None:
    """The thread that forks goes on in both processes, and leaves the block in both."""
    theta = np.zeros(3)
    opt = make("SGD", [theta], lr=1.0, ema_decay=0.5)
    opt.step([np.ones(3)])
    opt.step([np.ones(3)])
    context: Any = opt.ema_weights()
    context.__enter__()

    def child() -> bool:
        with pytest.raises(RuntimeError, match="inside `with"):
            opt.step([np.ones(3)])
        averaged = (theta == -1.5).all()
        context.__exit__()
        return bool(averaged and (theta == -2).all())

    in_child(child)
    context.__exit__()
    np.testing.assert_array_equal(theta, -2)


def test_the_library_still_has_these_operations() -> None:
    """A new public method must be thought of here."""
    public = {n for n in vars(fastopt.Optimizer) if not n.startswith("_")}
    asks = {"param_groups", "params", "state", "defaults", "step_count", "skipped", "grad_norm", "ema"}
    assert public - asks == (set(OPERATIONS) - {"assign", "update"}) | {"save", "load"}
