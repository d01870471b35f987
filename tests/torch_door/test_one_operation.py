"""Every call on an optimizer is one operation: it sees one step or raises "in use", whatever others do.

Nothing here depends on when threads run: another thread is started, and waited for, in the middle of a call.
PyTorch lets us in there: whatever is done to a tensor passes a `TorchFunctionMode`.
"""

from __future__ import annotations

import copy
import functools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from test_threads import in_child, needs_fork
from torch_door.door import mine, ours_alone, torch

pytestmark = ours_alone


def made(name: str, steps: int, **options: Any) -> Any:
    """Of two parameters, with averages and a momentum."""
    params = [torch.nn.Parameter(torch.full((n,), float(n))) for n in (4, 3)]
    options = {"momentum": 0.9, "lr": 0.5, "ema_decay": 0.5, **options} if name == "SGD" else options
    opt = mine(name)(params, **options)
    for _ in range(steps):
        step(opt)
    return opt


@functools.cache
def later(name: str) -> Any:
    return made(name, 5).state_dict()


def trained(name: str = "SGD", steps: int = 3, **options: Any) -> Any:
    """With a parameter to add, and a state dict to load."""
    opt = made(name, steps, **options)
    opt.spare = torch.nn.Parameter(torch.ones(2))  # made here, as PyTorch lets in whoever makes one
    opt.saved = copy.deepcopy(later(name))
    return opt


def step(opt: Any) -> None:
    give_gradients(opt)
    opt.step()


def give_gradients(*opts: Any) -> None:
    for opt in opts:
        for p in params_of(opt):
            p.grad = torch.ones_like(p)


def params_of(opt: Any) -> list[Any]:
    return [p for group in opt.param_groups for p in group["params"]]


def everything(opt: Any) -> Any:
    """Numbers of parameters, states and groups."""
    groups = [{k: v for k, v in group.items() if k != "params"} for group in opt.param_groups]
    states = [{k: v.tolist() for k, v in opt.state.get(p, {}).items()} for p in params_of(opt)]
    return [p.tolist() for p in params_of(opt)], states, groups


def in_thread(call: Callable[[], Any]) -> BaseException | None:
    """What another thread gets from this call: an error or nothing."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return errors[0] if errors else None


def raised_by(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(RuntimeError) as caught:
        call()
    return caught.value


def enter(context: Any) -> Any:
    context.__enter__()
    return context


def add(opt: Any) -> None:
    opt.add_param_group({"params": [opt.spare]})


def load(opt: Any) -> None:
    opt.load_state_dict(opt.saved)


def inside(context: Any) -> None:
    with context:
        pass


#: Of each: the class, how many steps before, the call.
OPERATIONS: dict[str, tuple[str, int, Callable[[Any], Any]]] = {
    "the first step": ("SGD", 0, lambda opt: opt.step()),
    "state_dict": ("SGD", 3, lambda opt: opt.state_dict()),
    "load_state_dict": ("SGD", 3, load),
    "add_param_group": ("SGD", 3, add),
    "ema_weights": ("SGD", 3, lambda opt: inside(opt.ema_weights())),
    "deepcopy": ("SGD", 3, copy.deepcopy),
    "pickle": ("SGD", 3, pickle.dumps),
    "state_dict of a mode": ("ScheduleFreeAdamW", 3, lambda opt: opt.state_dict()),
    "load_state_dict of a mode": ("ScheduleFreeAdamW", 3, load),
    "add_param_group in a mode": ("ScheduleFreeAdamW", 3, add),
    "eval": ("ScheduleFreeAdamW", 3, lambda opt: opt.eval()),
    "averaged_weights": ("ScheduleFreeAdamW", 3, lambda opt: inside(opt.averaged_weights())),
}
#: Those that touch tensors in Python.
OPEN = [name for name in OPERATIONS if not name.startswith("state_dict") and name != "pickle"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_in_the_middle_of_a_step_nothing_begins(name: str) -> None:
    """From the same thread (a signal handler) and from another: refused, and nothing has changed."""
    kind, _, call = OPERATIONS[name]
    opt = trained(kind)
    before = everything(opt)
    with opt._engine.plan.exclusive():  # as it is while a step is taken
        with pytest.raises(RuntimeError, match="this optimizer is in use"):
            call(opt)
        error = in_thread(lambda: call(opt))
        assert isinstance(error, RuntimeError)
        assert "this optimizer is in use" in str(error)
    assert everything(opt) == before
    twin = trained(kind)
    for each in (opt, twin):
        call(each)
        if name != "eval":
            step(each)
    assert everything(opt) == everything(twin)


class Intruding(torch.overrides.TorchFunctionMode):  # type: ignore[misc]  # PyTorch's class is not typed
    """Whatever is done to a tensor within, first these calls are tried: here, and in another thread."""

    def __init__(self, calls: list[Callable[[], Any]]) -> None:
        super().__init__()
        self.calls, self.errors = calls, []  # type: ignore[var-annotated]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.intrude()
        return func(*args, **(kwargs or {}))

    def intrude(self) -> None:
        for call in self.calls:
            self.errors += [in_thread(call), raised_by(call)]


@pytest.mark.parametrize("name", OPEN)
def test_in_the_middle_of_an_operation_no_step_is_taken(name: str) -> None:
    kind, steps, call = OPERATIONS[name]
    opt, twin = trained(kind, steps), trained(kind, steps)
    give_gradients(opt, twin)
    with Intruding([opt.step]) as intruding:
        call(opt)
    call(twin)
    assert everything(opt) == everything(twin)
    assert len(intruding.errors) > 2
    words = ("this optimizer is in use", "not inside ema_weights()", "not inside averaged_weights()")
    for error in intruding.errors:
        assert isinstance(error, RuntimeError)
        assert any(word in str(error) for word in words), error


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name][0] == "SGD"])
def test_in_the_middle_of_a_first_step_no_operation_begins(name: str) -> None:
    """Then the states are made."""
    call = OPERATIONS[name][2]
    opt, twin = trained(steps=0), trained(steps=0)
    give_gradients(opt, twin)
    grads = [p.grad for p in params_of(opt)]
    with Intruding([lambda: call(opt)]) as intruding:
        opt.step()
    twin.step()
    assert all(p.grad is g for p, g in zip(params_of(opt), grads, strict=True))
    assert everything(opt) == everything(twin)
    assert intruding.errors
    assert all("this optimizer is in use" in str(error) for error in intruding.errors)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name][0] == "SGD"])
def test_in_the_middle_of_a_step_of_tensors_with_gaps(name: str) -> None:
    """It goes through copies, in several native calls."""

    def gaps() -> Any:
        opt = trained()
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(4, 6)[:, ::2])]})
        step(opt)
        give_gradients(opt)
        return opt

    opt, twin = gaps(), gaps()
    assert not opt._engine.plain
    with Intruding([lambda: OPERATIONS[name][2](opt)]) as intruding:
        opt.step()
    twin.step()
    assert everything(opt) == everything(twin)
    assert intruding.errors
    assert all("this optimizer is in use" in str(error) for error in intruding.errors)


@pytest.mark.parametrize("kind", ["SGD", "ScheduleFreeAdamW"])
def test_a_state_dict_is_put_together_between_two_steps(kind: str) -> None:
    """It touches no tensor, so we are let in by hooks."""
    opt = trained(kind)
    before = everything(opt)
    errors: list[Any] = []
    opt.register_state_dict_pre_hook(lambda o: errors.append(in_thread(o.step)))
    opt.register_state_dict_post_hook(lambda o, saved: errors.append(in_thread(o.step)))
    opt.state_dict()
    assert everything(opt) == before
    assert len(errors) == 2
    assert all("this optimizer is in use" in str(error) for error in errors)


# --- averages ---


@pytest.mark.parametrize("elsewhere", [False, True], ids=["this thread", "another thread"])
def test_what_goes_on_inside_averages(elsewhere: bool) -> None:
    opt, twin = trained(clip_norm=1.0), trained(clip_norm=1.0)
    own, averages = [p.tolist() for p in params_of(opt)], [a.tolist() for a in opt.ema]
    refused = {
        "step()": opt.step,
        "ema_weights()": lambda: enter(opt.ema_weights()),
        "load_state_dict()": lambda: load(opt),
        "add_param_group()": lambda: add(opt),
        "a copy": lambda: copy.deepcopy(opt),
    }
    with opt.ema_weights():
        assert [p.tolist() for p in params_of(opt)] == averages
        for what, call in refused.items():
            error = in_thread(call) if elsewhere else raised_by(call)
            assert str(error).startswith(f"{what}: not inside ema_weights(), ")
        saved: list[Any] = []
        assert in_thread(lambda: saved.append(opt.state_dict())) is None
        assert saved[0]["state"].keys() == {0, 1}
        assert (opt.grad_norm, opt.skipped) == (twin.grad_norm, 0)
    assert [p.tolist() for p in params_of(opt)] == own
    assert opt.grad_norm == twin.grad_norm
    for each in (opt, twin):
        step(each)
    assert everything(opt) == everything(twin)


def test_a_closure_is_not_called_inside_averages() -> None:
    opt = trained()
    called: list[int] = []
    with opt.ema_weights(), pytest.raises(RuntimeError, match="ema_weights"):
        opt.step(lambda: called.append(1))
    assert called == []


def test_parameters_come_home_though_another_call_is_in_the_way() -> None:
    """Coming home is not refused; and that call goes on without a step in its middle."""
    opt = trained()
    own = [p.tolist() for p in params_of(opt)]
    context = enter(opt.ema_weights())
    errors: list[Any] = []

    def leave(o: Any) -> None:
        errors.append(in_thread(lambda: context.__exit__(None, None, None)))
        errors.append(in_thread(o.step))

    handle = opt.register_state_dict_pre_hook(leave)
    opt.state_dict()
    handle.remove()
    assert errors[0] is None
    assert "this optimizer is in use" in str(errors[1])
    assert [p.tolist() for p in params_of(opt)] == own
    twin = trained()
    for each in (opt, twin):
        step(each)
    assert everything(opt) == everything(twin)


def test_parameters_return_from_averages_that_could_not_be_taken() -> None:
    """And while they return, nobody steps either."""
    opt, twin = trained(), trained()
    last = params_of(opt)[1]
    errors: list[Any] = []

    class Failing(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        failed = False

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if self.failed:
                errors.append(in_thread(opt.step))
            elif func is torch.Tensor.copy_ and args[0] is last:
                self.failed = True
                raise MemoryError
            return func(*args, **(kwargs or {}))

    context = opt.ema_weights()
    mode = enter(Failing())
    try:
        with pytest.raises(MemoryError):
            context.__enter__()
    finally:
        mode.__exit__(None, None, None)
    assert all(isinstance(error, RuntimeError) for error in errors)
    assert any("not inside ema_weights()" in str(error) for error in errors)
    for each in (opt, twin):
        step(each)
    assert everything(opt) == everything(twin)


@needs_fork
@pytest.mark.parametrize("kind", ["SGD", "ScheduleFreeAdamW"])
def test_a_fork_while_another_thread_is_inside_averages(kind: str) -> None:
    """Nobody will leave the block in the child, so its first call does."""
    opt, twin = trained(kind), trained(kind)
    block = opt.ema_weights if kind == "SGD" else opt.averaged_weights
    there, leave = threading.Event(), threading.Event()

    def work() -> None:
        with block():
            there.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert there.wait(60)

    def child() -> bool:
        give_gradients(opt, twin)
        for each in (opt, twin):
            each.step(lambda: None)
            each.step()
        return bool(everything(opt) == everything(twin))

    try:
        in_child(child)
    finally:
        leave.set()
        thread.join()
    assert everything(opt) == everything(twin)


@needs_fork
def test_a_fork_inside_averages_itself() -> None:
    """The thread that forks goes on in both processes, and leaves the block in both."""
    opt, twin = trained(), trained()
    context = enter(opt.ema_weights())

    def child() -> bool:
        raised_by(opt.step)
        context.__exit__(None, None, None)
        return bool(everything(opt) == everything(twin))

    in_child(child)
    context.__exit__(None, None, None)
    assert everything(opt) == everything(twin)


# --- a step that has its plan in hand when another call comes first ---


class Late:
    """A plan before whose step something else happens, in another thread."""

    def __init__(self, plan: Any, meanwhile: Callable[[], Any]) -> None:
        self.plan, self.meanwhile = plan, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plan, name)

    def step_tensors(self, *args: Any) -> Any:
        while self.meanwhile:
            assert in_thread(self.meanwhile.pop()) is None
        return self.plan.step_tensors(*args)


def late(opt: Any, meanwhile: Callable[[], Any]) -> Any:
    if not opt._engine.plain:
        pytest.skip("PyTorch before 2.10 has no exchange table, and every step is taken with care")
    opt._engine.plan = Late(opt._engine.plan, meanwhile)
    return opt


def test_such_a_step_is_not_taken_in_evaluation() -> None:
    opt, twin = trained("ScheduleFreeAdamW"), trained("ScheduleFreeAdamW")
    late(opt, opt.eval)
    with pytest.raises(RuntimeError, match=r"call train\(\) before the next step"):
        step(opt)
    twin.eval()
    assert everything(opt) == everything(twin)


def test_such_a_step_is_not_taken_inside_averages() -> None:
    opt, twin = trained(), trained()
    contexts: list[Any] = []
    late(opt, lambda: contexts.append(enter(opt.ema_weights())))
    with pytest.raises(RuntimeError, match=r"not inside ema_weights\(\)"):
        step(opt)
    contexts.pop().__exit__(None, None, None)
    for each in (opt, twin):
        step(each)
    assert everything(opt) == everything(twin)


def there_and_back(opt: Any) -> None:
    opt.eval()
    opt.train()


@pytest.mark.parametrize(
    ("kind", "meanwhile"),
    [
        ("SGD", load),
        ("SGD", lambda opt: inside(opt.ema_weights())),
        ("SGD", add),
        ("ScheduleFreeAdamW", there_and_back),
        ("ScheduleFreeAdamW", lambda opt: inside(opt.averaged_weights())),
    ],
)
def test_such_a_step_is_taken_from_where_the_other_call_ends(kind: str, meanwhile: Any) -> None:
    opt, twin = trained(kind), trained(kind)
    late(opt, lambda: meanwhile(opt))
    give_gradients(opt, twin)
    opt.step()
    meanwhile(twin)
    twin.step()
    assert everything(opt) == everything(twin)


def test_a_plan_that_has_been_replaced_steps_no_more() -> None:
    """Two over the same tensors would not know of each other."""
    opt, twin = trained("ScheduleFreeAdamW"), trained("ScheduleFreeAdamW")
    engine = opt._engine
    for each in (opt, twin):
        there_and_back(each)
        give_gradients(each)
    with pytest.raises(RuntimeError, match="this optimizer is in use"):
        engine.step_slowly(1.0)
    assert everything(opt) == everything(twin)


@pytest.mark.parametrize("how", ["native", "with care", "rate in a tensor"])
def test_who_has_copied_the_attributes_goes_on(how: str) -> None:
    """Lightning's wrapper does so, and later does not see that there is another plan."""
    opt, twin = trained(), trained()
    for each in (opt, twin):
        if how == "with care":
            each.param_groups = tuple(each.param_groups)
        elif how == "rate in a tensor":
            each.param_groups[0]["lr"] = torch.tensor(0.5)
        step(each)
    other = object.__new__(type(opt))
    other.__dict__.update(vars(opt))
    assert in_thread(lambda: load(opt)) is None
    for each in (other, twin):
        step(each)
    assert everything(other) == everything(twin)


# --- hooks, and what fails ---


def test_hooks_may_use_the_optimizer() -> None:
    """The optimizer is whole when they are called; only a step has to wait."""
    opt = trained("ScheduleFreeAdamW")
    seen: list[Any] = []
    opt.register_state_dict_pre_hook(lambda o: o.eval())
    opt.register_load_state_dict_pre_hook(lambda o, saved: seen.append(o.state_dict()["state"].keys()))
    opt.register_load_state_dict_post_hook(lambda o: seen.append(copy.deepcopy(o).train_mode))
    assert not opt.state_dict()["param_groups"][0]["train_mode"]
    opt.register_load_state_dict_post_hook(there_and_back)
    load(opt)
    assert opt._engine is None  # that of the hook has not seen the seed that was loaded
    assert seen == [{0, 1}, True]
    step(opt)


def test_what_a_hook_has_moved_is_not_stepped_before_the_operation_ends() -> None:
    opt, twin = trained("ScheduleFreeAdamW"), trained("ScheduleFreeAdamW")
    errors: list[Any] = []
    opt.register_state_dict_pre_hook(there_and_back)
    opt.register_state_dict_pre_hook(lambda o: errors.append(in_thread(o.step)))
    opt.state_dict()
    there_and_back(twin)
    assert "this optimizer is in use" in str(errors[0])
    assert everything(opt) == everything(twin)
    for each in (opt, twin):
        step(each)
    assert everything(opt) == everything(twin)


def test_parameters_are_at_their_average_before_the_mode_says_so() -> None:
    """Between the two no step begins, though nothing tells it yet."""
    opt, twin = trained("ScheduleFreeAdamW"), trained("ScheduleFreeAdamW")
    errors: list[Any] = []

    class Group(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            errors.append(in_thread(opt.step))
            super().__setitem__(key, value)

    opt.param_groups[0] = Group(opt.param_groups[0])
    for each in (opt, twin):
        step(each)
        each.eval()
    assert "this optimizer is in use" in str(errors[0])
    assert everything(opt) == everything(twin)


def test_a_hook_does_not_step() -> None:
    opt = trained()
    opt.register_state_dict_pre_hook(lambda o: o.step())
    with pytest.raises(RuntimeError, match="this optimizer is in use"):
        opt.state_dict()


def test_a_load_that_fails_leaves_the_counts_of_the_last_steps() -> None:
    opt = trained("AdamW", nonfinite="skip")
    params_of(opt)[0].grad = torch.full((4,), float("nan"))
    opt.step()
    engine = opt._engine
    with pytest.raises(ValueError, match="parameter groups"):
        opt.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match="expected 'step' in it"):
        opt.load_state_dict({**opt.state_dict(), "state": {0: {"momentum_buffer": torch.ones(4)}}})
    assert opt.skipped == 1
    assert opt._engine is engine
    assert not engine.retired
    step(opt)
    assert opt.skipped == 1


def test_a_step_in_the_backward_pass_is_an_operation_too() -> None:
    from fastopt.torch import step_in_backward

    opt = trained()
    stepping = step_in_backward(opt)
    first = params_of(opt)[0]
    before = first.tolist()
    errors: list[Any] = []
    opt.register_state_dict_pre_hook(lambda o: errors.append(in_thread((first * 2).sum().backward)))
    opt.state_dict()
    assert "this optimizer is in use" in str(errors[0])
    assert first.tolist() == before
    stepping.remove()
